//! A gRPC service in front of Tencent Cloud Face Recognition.

pub mod clock;
pub mod context;
pub mod deadline;
pub mod emulator;
pub mod json;
pub mod operation;
pub mod proto;
pub mod signature;
