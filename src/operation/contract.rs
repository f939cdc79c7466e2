//! What each operation implements, and why it rejects a request or an upstream response.

use serde::Serialize;

use crate::{json::Malformed, proto::ErrorReason};

/// A Tencent Cloud action and its gRPC method.
pub trait Operation {
    /// The name of the action.
    const ACTION: &'static str;

    /// The names of the protobuf fields of the request, the id first.
    const FIELDS: &'static [&'static str];

    /// The name of the action's parameter with the id.
    const ID_PARAMETER: &'static str;

    /// The gRPC request message.
    type Request: Send;

    /// The gRPC response message.
    type Response: Send + 'static;

    /// Returns the id of the group or person that the request names.
    fn id(request: &Self::Request) -> &str;

    /// Validates a request and converts it to the parameters of the action.
    ///
    /// # Errors
    ///
    /// Fails with all violations of the request.
    fn parameters(request: &Self::Request) -> Result<impl Serialize, InvalidRequest>;

    /// Parses the content of the upstream response envelope and converts it to a response.
    ///
    /// # Errors
    ///
    /// Fails if the upstream response does not have the documented format, or means that the requested
    /// resource does not exist.
    fn response(body: &[u8], request_id: &str) -> Result<Self::Response, InvalidReply>;
}

/// A request that is rejected without an upstream request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request has {} invalid fields", violations.len())]
pub struct InvalidRequest {
    /// The violations, at least one.
    pub violations: Vec<Violation>,
}

impl InvalidRequest {
    /// Returns an error with the violations, unless there are none.
    pub(super) fn unless_empty(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Self { violations })
        }
    }
}

/// An invalid field of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The name of the protobuf field.
    pub field: &'static str,
    /// The requirement that the value violates. It never contains the value.
    pub description: &'static str,
}

/// An upstream response that cannot be converted to a gRPC response.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReply {
    /// The response does not have the documented format.
    #[error("the response does not have the documented format")]
    Malformed(#[from] Malformed),

    /// The response means that the requested resource does not exist.
    #[error(transparent)]
    NotFound(&'static NotFound),
}

/// What a response without an error code says about a resource that does not exist.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct NotFound {
    /// `ErrorInfo.reason`.
    pub reason: ErrorReason,
    /// `ResourceInfo.resource_type`.
    pub resource_type: &'static str,
    /// The message of the error.
    pub message: &'static str,
}
