//! Errors of upstream calls: those that the API returned, and those of requests without a response.

use std::time::Duration;

use time::UtcDateTime;

use crate::{
    credentials::Unavailable,
    error_policy::{FailureClass, Policy},
    upstream::error_code,
};

/// An error that the API returned.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ApiError {
    /// The error code, such as `InvalidParameterValue.GroupIdNotExist`.
    pub code: String,
    /// The error message. Its text may change at any time and may quote the request.
    pub message: String,
    /// The request id that upstream assigned, or empty.
    pub request_id: String,
    /// The time of the response by the clock of the upstream.
    pub server_time: Option<UtcDateTime>,
    /// The value of `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// An error of an upstream call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The API returned an error.
    #[error("upstream returned an API error: {}", known_code(.0))]
    Api(ApiError),

    /// The circuit breaker rejected the request, which was not sent.
    #[error("circuit breaker open: request not sent upstream")]
    CircuitOpen,

    /// No credential is available to sign the request with.
    #[error(transparent)]
    Credentials(#[from] Unavailable),

    /// The response is not the documented envelope.
    #[error("upstream response is not the documented envelope: {reason}")]
    Malformed {
        /// What is wrong with the response. Quotes nothing of it.
        reason: String,
        /// Whether the HTTP status was 500 or above.
        is_server_error: bool,
    },

    /// The rate limiter rejected the request, which was not sent: its expected wait exceeds the
    /// deadline.
    #[error("rate limit reached: expected wait of {} ms exceeds the deadline", wait.as_millis())]
    RateLimited {
        /// The expected wait.
        wait: Duration,
    },

    /// Upstream, or a proxy in front of it, responded with HTTP 429 and no envelope.
    #[error("upstream responded with HTTP 429")]
    Throttled {
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
    },

    /// No complete response was received.
    #[error("upstream request failed: {reason}")]
    Unreachable {
        /// The cause, such as "connection refused".
        reason: String,
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
    },

    /// The certificate of the endpoint is not trusted.
    #[error("upstream certificate rejected: {reason}")]
    Untrusted {
        /// What is wrong with the certificate.
        reason: String,
    },
}

/// Class of an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorClass<'a> {
    /// The API returned this error.
    Api(&'a ApiError),
    /// No response of the API was received.
    Failure(FailureClass),
}

impl Error {
    /// Returns the class.
    pub fn class(&self) -> ErrorClass<'_> {
        ErrorClass::Failure(match self {
            Self::Api(error) => return ErrorClass::Api(error),
            Self::CircuitOpen => FailureClass::CircuitOpen,
            Self::Credentials(_) => FailureClass::CredentialsUnavailable,
            Self::Malformed {
                is_server_error: true,
                ..
            } => FailureClass::ServerError,
            Self::Malformed { .. } => FailureClass::InvalidResponse,
            Self::RateLimited { .. } => FailureClass::RateLimited,
            Self::Throttled { .. } => FailureClass::Throttled,
            Self::Unreachable { .. } => FailureClass::Unreachable,
            Self::Untrusted { .. } => FailureClass::Untrusted,
        })
    }

    /// Returns the name of the class in metrics.
    pub fn class_name(&self) -> &'static str {
        match self.class() {
            ErrorClass::Api(error) => error_code::classify(&error.code).name(),
            ErrorClass::Failure(class) => class.name(),
        }
    }

    /// Returns the policy.
    pub fn policy(&self) -> Policy {
        match self.class() {
            ErrorClass::Api(error) => error_code::classify(&error.code).policy().policy,
            ErrorClass::Failure(class) => class.policy().policy,
        }
    }

    /// Returns the value of `Retry-After`, or the expected wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api(ApiError { retry_after, .. })
            | Self::Throttled { retry_after }
            | Self::Unreachable { retry_after, .. } => *retry_after,
            Self::RateLimited { wait } => Some(*wait),
            Self::CircuitOpen
            | Self::Credentials(_)
            | Self::Malformed { .. }
            | Self::Untrusted { .. } => None,
        }
    }

    /// Raises the retry delay of the error to at least `wait`, if the variant has one.
    pub(super) fn with_retry_after(mut self, wait: Duration) -> Self {
        match &mut self {
            Self::Api(ApiError { retry_after, .. })
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

/// Returns the code of an API error if it is documented. Other codes may quote the request.
fn known_code(error: &ApiError) -> &str {
    match error_code::documented(&error.code) {
        Some(_) => &error.code,
        None => "undocumented code",
    }
}
