//! Operations: one module per Tencent Cloud action, with everything specific to it. An operation validates a
//! gRPC request, converts it to the parameters of the action, and converts the upstream response to a gRPC
//! response. It must not know how requests and responses are transported, signed, cached or retried.

pub mod get_group_info;
pub mod get_person_group_info;

mod contract;
mod identifier;
mod lenient;

pub use self::contract::{InvalidReply, InvalidRequest, NotFound, Operation, Violation};
