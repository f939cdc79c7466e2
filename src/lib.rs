//! A gRPC service in front of Tencent Cloud Face Recognition.

pub mod emulator;
pub mod proto;
