//! A gRPC service in front of Tencent Cloud Face Recognition.

pub mod clock;
pub mod config;
pub mod context;
pub mod credentials;
pub mod deadline;
pub mod emulator;
pub mod json;
pub mod operation;
pub mod proto;
pub mod server;
pub mod service;
pub mod signature;
pub mod telemetry;
pub mod upstream;
