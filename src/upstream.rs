//! Calls Tencent Cloud: whatever happens between a [`Call`] and its [`Reply`].
//!
//! This room knows nothing of groups or persons, and nothing of gRPC.

pub mod envelope;
pub mod error_code;
pub mod retry;

mod answers;
mod attempts;
mod cache;
mod circuit;
mod failure;
mod flights;
mod latency;
mod limiter;
mod retry_budget;
mod statistics;
mod transport;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tracing::Instrument;

use self::{answers::Answers, attempts::Attempts, error_code::Class};
pub use self::{
    circuit::CircuitState, envelope::Refusal, limiter::LimiterState, statistics::Statistics,
    transport::BuildError,
};
use crate::{
    clock::Clock,
    config,
    context::Context,
    credentials::{Credentials, Unavailable},
};

/// One call to make: an action and its parameters as JSON.
///
/// Everything that can change the answer is in it. `Debug` does not show the parameters, which hold
/// an id.
#[derive(Clone)]
pub struct Call {
    /// The name of the action, as upstream spells it.
    pub action: &'static str,
    /// The parameters, as a JSON object.
    pub parameters: Bytes,
    /// Tells what the body of a reply says, which decides how long it may be kept.
    pub meaning: fn(&[u8]) -> Meaning,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// What a reply says, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// What was asked for.
    Answer,
    /// That there is no such thing.
    NotFound,
    /// Nothing that its action documents.
    Nothing,
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
    answers: Arc<Answers>,
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
        settings: &config::Serve,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let max_call_time = settings.calls.max_call_time;
        let answers = Answers::new(&settings.cache, max_call_time, credentials.clone());
        let attempts = Attempts::new(
            &settings.upstream,
            &settings.quota,
            credentials.clone(),
            clock,
        )?;
        Ok(Self {
            answers: Arc::new(answers),
            attempts: Arc::new(attempts),
            credentials,
        })
    }

    /// Returns the credentials that calls are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Answers `call` from what is kept or under way, if that is wanted, and otherwise makes it, with
    /// as many attempts as help and are allowed. The context is told where the answer comes from.
    ///
    /// Whoever waits ends the wait at the context's deadline by dropping the future, which ends
    /// everything under way for the call, but for what others wait for as well.
    ///
    /// # Errors
    ///
    /// Fails with the error of the last attempt.
    pub async fn call(&self, call: &Call, context: &Arc<Context>) -> Result<Reply, Error> {
        let ask = {
            let (attempts, call) = (Arc::clone(&self.attempts), call.clone());
            let caller = Arc::clone(context);
            move |context: Arc<Context>| {
                let (attempts, call) = (Arc::clone(&attempts), call.clone());
                let attempts = async move { attempts.run(&call, &context).await };
                attempts.instrument(caller.span())
            }
        };
        self.answers.answer(call, context, ask).await
    }

    /// Returns how calls were answered so far, and what is kept and under way now.
    pub fn statistics(&self) -> Statistics {
        self.answers.statistics()
    }

    /// Returns what the limiter does and has done.
    pub fn limiter(&self) -> LimiterState {
        self.attempts.limiter_state()
    }

    /// Returns what the circuit does and has done.
    pub fn circuit(&self) -> CircuitState {
        self.attempts.circuit_state()
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
        /// Whether it came with an HTTP status of 500 or above.
        is_server_error: bool,
    },

    /// Upstream has failed so many calls that this one was not made.
    #[error("upstream fails, and was not asked")]
    CircuitOpen,

    /// The turn of this call would have come too late, so it was not made.
    #[error("the turn to call upstream is expected in {} ms, which is too late", wait.as_millis())]
    RateLimited {
        /// How long the wait for it is expected to be.
        wait: Duration,
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

impl Error {
    /// Tells whether upstream refused the call for the rate of calls.
    pub fn is_throttling(&self) -> bool {
        match self {
            Self::Throttled { .. } => true,
            Self::Refused(refusal) => error_code::classify(&refusal.code) == Class::Throttled,
            Self::CircuitOpen
            | Self::Credentials(_)
            | Self::Malformed { .. }
            | Self::RateLimited { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. } => false,
        }
    }

    /// Tells whether upstream failed, in a way that passes.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Malformed {
                is_server_error, ..
            } => *is_server_error,
            Self::Refused(refusal) => matches!(
                error_code::classify(&refusal.code),
                Class::BillingLookup | Class::Transient
            ),
            Self::CircuitOpen
            | Self::Credentials(_)
            | Self::RateLimited { .. }
            | Self::Throttled { .. }
            | Self::Untrusted { .. } => false,
        }
    }

    /// Returns the error with the wish that the call is not repeated before `wait` has passed, if it
    /// is one that can carry such a wish.
    fn with_retry_after(mut self, wait: Duration) -> Self {
        match &mut self {
            Self::Refused(Refusal { retry_after, .. })
            | Self::Throttled { retry_after }
            | Self::Unreachable { retry_after, .. } => {
                *retry_after = (*retry_after).max(Some(wait))
            }
            Self::CircuitOpen
            | Self::Credentials(_)
            | Self::Malformed { .. }
            | Self::RateLimited { .. }
            | Self::Untrusted { .. } => {}
        }
        self
    }
}

/// Returns the code of a refusal if it is a documented one: anything else may repeat what was sent.
fn known_code(refusal: &Refusal) -> &str {
    match error_code::documented(&refusal.code) {
        Some(_) => &refusal.code,
        None => "a code that is not documented",
    }
}
