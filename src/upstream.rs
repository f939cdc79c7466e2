//! Calls Tencent Cloud: whatever happens between a [`Call`] and its [`Reply`].
//!
//! This room knows nothing of groups or persons, and nothing of gRPC.

pub mod envelope;
pub mod error_code;
mod failure;
mod tls;
mod transport;

use std::time::Duration;

use bytes::Bytes;

pub use self::{
    envelope::Refusal,
    transport::{BuildError, Transport},
};
use crate::context::Context;

/// One call to make: an action and its parameters as JSON.
///
/// Everything that can change the answer is in it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Call {
    /// The name of the action, as upstream spells it.
    pub action: &'static str,
    /// The parameters, as a JSON object.
    pub parameters: Bytes,
}

/// What upstream answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The inside of the envelope, as a JSON object.
    pub body: Bytes,
    /// Upstream's id of the call.
    pub request_id: String,
}

/// The way to upstream, shared by all calls.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// Returns a client that sends its calls by `transport`.
    pub fn new(transport: Transport) -> Self {
        Self { transport }
    }

    /// Makes `call`.
    ///
    /// Whoever waits ends the wait at the context's deadline by dropping the future, which ends
    /// everything under way for the call.
    ///
    /// # Errors
    ///
    /// Fails if no attempt brought an answer of the documented form that is not a refusal.
    pub async fn call(&self, call: &Call, context: &Context) -> Result<Reply, Error> {
        context.count_attempt();
        self.transport.exchange(call).await
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What came back is not the documented envelope.
    #[error("upstream answered with something other than its documented envelope: {reason}")]
    Malformed {
        /// What came back instead. It repeats nothing of it.
        reason: String,
    },

    /// Upstream answered, and the answer is no.
    #[error("upstream refused the call with {}", .0.code)]
    Refused(Refusal),

    /// Upstream, or something before it, answered HTTP 429 without an envelope.
    #[error("upstream answered HTTP 429")]
    Throttled {
        /// For how long it asks to be left alone.
        retry_after: Option<Duration>,
    },

    /// No whole answer came back.
    #[error("no whole answer came back from upstream: {reason}")]
    Unreachable {
        /// How far it came.
        reason: String,
        /// For how long upstream asks to be left alone.
        retry_after: Option<Duration>,
    },

    /// The endpoint's certificate is not trusted.
    #[error("the certificate of the endpoint is not trusted: {reason}")]
    Untrusted {
        /// What is wrong with it.
        reason: String,
    },
}
