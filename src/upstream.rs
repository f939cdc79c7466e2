//! Calls Tencent Cloud: whatever happens between a [`Call`] and its [`Reply`].
//!
//! This room knows nothing of groups or persons, and nothing of gRPC.

pub mod envelope;
pub mod error_code;
pub mod retry;

mod attempts;
mod failure;
mod retry_budget;
mod transport;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use self::attempts::Attempts;
pub use self::{envelope::Refusal, transport::BuildError};
use crate::{
    clock::Clock,
    config,
    context::Context,
    credentials::{Credentials, Unavailable},
};

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
#[derive(Clone, Debug)]
pub struct Client {
    attempts: Arc<Attempts>,
    credentials: Credentials,
}

impl Client {
    /// Returns a client that signs with what `credentials` hands out, at the time of `clock`.
    ///
    /// Nothing is sent before the first call.
    ///
    /// # Errors
    ///
    /// Fails if there is nothing by which the endpoint could be trusted.
    pub fn new(
        settings: &config::Upstream,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let attempts = Arc::new(Attempts::new(settings, credentials.clone(), clock)?);
        Ok(Self {
            attempts,
            credentials,
        })
    }

    /// Returns the credentials that calls are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Makes `call`, with as many attempts as help and are allowed.
    ///
    /// Whoever waits ends the wait at the context's deadline by dropping the future, which ends
    /// everything under way for the call.
    ///
    /// # Errors
    ///
    /// Fails with the error of the last attempt.
    pub async fn call(&self, call: &Call, context: &Context) -> Result<Reply, Error> {
        self.attempts.run(call, context).await
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no credential to sign the call with.
    #[error(transparent)]
    Credentials(#[from] Unavailable),

    /// What came back is not the documented envelope.
    #[error("upstream answered with something other than its documented envelope: {reason}")]
    Malformed {
        /// What came back instead. It repeats nothing of it.
        reason: String,
    },

    /// Upstream answered, and the answer is no.
    #[error("upstream refused the call with {}", known_code(.0))]
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

/// Returns the code of a refusal if it is a documented one: anything else may repeat what was sent.
fn known_code(refusal: &Refusal) -> &str {
    match error_code::documented(&refusal.code) {
        Some(_) => &refusal.code,
        None => "a code that is not documented",
    }
}
