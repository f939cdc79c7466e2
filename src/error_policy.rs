//! Error policy: two tables with a row for each class of upstream errors. The columns are the status,
//! message, details and retry hint for the caller, the retry by this service, the health of upstream for the
//! circuit breaker and the rate limiter, and the effect on the cache. The level of the access log follows
//! from the status: see [`grpc_code::log_level`](crate::proto::grpc_code::log_level). Must not know how
//! requests are sent, nor how errors are encoded.

use std::time::Duration;

use tonic::Code;

use crate::proto::ErrorReason;

/// Delays of the hints to callers.
const AFTER_200_MS: Hint = Hint::After(Duration::from_millis(200));
const AFTER_500_MS: Hint = Hint::After(Duration::from_millis(500));
const AFTER_1_S: Hint = Hint::After(Duration::from_secs(1));
const AFTER_ITS_WAIT: Hint = Hint::After(Duration::ZERO);

const INVALID_RESPONSE: &str = "Tencent Cloud returned an invalid response";

/// Class of an API error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The state of the account does not allow any request: arrears, frozen, service not activated.
    Account,
    /// The resource to be created exists already.
    AlreadyExists,
    /// One field of the request is invalid.
    BadField(Field),
    /// The request is invalid, and the code does not say which field.
    BadRequest,
    /// Upstream could not look up the billing state of the account.
    BillingLookup,
    /// The timestamp of the signature differs too much from the time of the upstream.
    Clock,
    /// Another request is changing the same resource.
    Conflict,
    /// Upstream rejected the credential or the signature.
    Credentials,
    /// The service sent an invalid request: a bug of the service.
    FacadeFault,
    /// The resource does not exist; with the field of its id if the code says which.
    NotFound(Option<Field>),
    /// The offset is beyond the last item.
    OutOfRange(Field),
    /// The response is too large, and the request has pages: a smaller one helps.
    PageTooLarge,
    /// The access policy of the account does not allow the action.
    Policy,
    /// A quota is exhausted, and waiting does not help.
    Quota,
    /// The response is too large, and the request has no pages.
    ResponseTooLarge,
    /// Upstream rejected the credential, which may have been rotated or have expired.
    StaleCredential,
    /// The state of the resource does not allow the action.
    State,
    /// The rate of requests is too high.
    Throttled,
    /// Upstream had a transient failure.
    Transient,
    /// The cause is unknown.
    Unknown,
    /// Upstream failed.
    UpstreamFault,
    /// The action is no longer available.
    Withdrawn,
}

/// A field of a request that a code refers to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// The id of a group.
    GroupId,
    /// The size of a page.
    Limit,
    /// The offset of a page.
    Offset,
    /// The id of a person.
    PersonId,
    /// The id that the action requires.
    RequiredId,
}

/// Class of a failure without a response of the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureClass {
    /// The circuit breaker rejected the request.
    CircuitOpen,
    /// No credential is available.
    CredentialsUnavailable,
    /// The response is not a documented one.
    InvalidResponse,
    /// The rate limiter rejected the request.
    RateLimited,
    /// The response is not a documented one, and its HTTP status is 500 or above.
    ServerError,
    /// Upstream, or a proxy in front of it, throttled the request.
    Throttled,
    /// No complete response was received.
    Unreachable,
    /// The certificate of the endpoint is not trusted.
    Untrusted,
}

/// What follows from an error, of either kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The status of the call. It tells who can correct the error: what the caller cannot correct by
    /// changing its request is never INVALID_ARGUMENT, UNAUTHENTICATED or PERMISSION_DENIED.
    pub code: Code,
    /// The retry hint to the caller.
    pub hint: Hint,
    /// Whether the request is sent again for the same call.
    pub retry: Retry,
    /// What the circuit breaker and the rate limiter learn from the error.
    pub health: Health,
    /// What the error means for the cache.
    pub caching: Caching,
}

/// The policy of an API error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApiErrorPolicy {
    /// What follows for the call.
    pub policy: Policy,
    /// The details of the error.
    pub details: Details,
    /// The message of the error.
    pub message: Message,
}

/// The policy of a failure without a response of the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailurePolicy {
    /// What follows for the call.
    pub policy: Policy,
    /// `ErrorInfo.reason`.
    pub reason: ErrorReason,
    /// The message of the error.
    pub message: &'static str,
}

/// A retry hint to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hint {
    /// Retry after this delay, or after upstream's `Retry-After` or the expected wait if that is longer.
    After(Duration),
    /// Do not retry. The fault is not the caller's, so the client's retry throttling may count it.
    Never,
    /// No hint: the caller must change its request.
    Unspecified,
}

/// Whether a failed attempt is followed by another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// After a backoff that also waits for the rate of requests to fall.
    AfterThrottling,
    /// After a backoff.
    Backoff,
    /// At once, after the clock was corrected.
    CorrectClock,
    /// No: it would fail as well.
    Never,
    /// At once, if a refresh has changed the credential.
    RefreshCredential,
}

/// What an error says about the health of upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// Upstream is down.
    Failing,
    /// Upstream fails for this id, and perhaps for others.
    FailingForId,
    /// Upstream works, and rejected this request.
    Responding,
    /// Upstream works, and accepts fewer requests than it receives.
    Throttling,
    /// Nothing: the request was not sent, or this process does not trust the response.
    Unknown,
}

/// What an error means for the cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caching {
    /// Nothing.
    Bypass,
    /// A stale entry is better than the error.
    FallBack,
    /// It is cached as NOT_FOUND.
    Insert,
}

/// The details of an API error, beside those that every error has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Details {
    /// The account violates a precondition.
    Account,
    /// The value of this field is invalid.
    Field(Field),
    /// None.
    None,
    /// The page is too large.
    Page,
    /// The account lacks the permission for the action.
    Permission,
    /// A quota of the account is exhausted.
    Quota,
    /// The resource with this id does not exist.
    Resource(Field),
    /// The resource violates a precondition.
    State,
}

/// The message of an API error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// This text. Upstream's may name the account, and is only logged.
    Ours(&'static str),
    /// Upstream's, which the caller can act on.
    Upstreams,
}

impl Class {
    /// Returns the name in documents and in metrics, which may not change. Classes that callers and operators
    /// need not tell apart share one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::AlreadyExists => "already_exists",
            Self::BadField(_) | Self::PageTooLarge | Self::ResponseTooLarge => "bad_field",
            Self::BadRequest => "bad_request",
            Self::Clock => "clock",
            Self::Conflict => "conflict",
            Self::Credentials | Self::StaleCredential => "credentials",
            Self::FacadeFault => "facade_fault",
            Self::NotFound(_) => "not_found",
            Self::OutOfRange(_) => "out_of_range",
            Self::Policy => "policy",
            Self::Quota => "quota",
            Self::State => "state",
            Self::Throttled => "throttled",
            Self::BillingLookup | Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::UpstreamFault => "upstream_fault",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Returns the class for a request that has pages or not.
    #[must_use]
    pub fn for_request(self, has_pages: bool) -> Self {
        if self == Self::ResponseTooLarge && has_pages {
            Self::PageTooLarge
        } else {
            self
        }
    }

    /// Returns the policy.
    pub fn policy(self) -> ApiErrorPolicy {
        use {Caching::*, Details as D, Health::*, Hint::*, Message::*, Retry as R};
        #[rustfmt::skip]
        let (code, hint, retry, health, caching, details, message) = match self {
            // class                        status                    hint          retry                 upstream is   cache     details             message
            Self::Account               => (Code::FailedPrecondition, Unspecified,  R::Never,             Responding,   Bypass,   D::Account,         Upstreams),
            Self::AlreadyExists         => (Code::AlreadyExists,      Unspecified,  R::Never,             Responding,   Bypass,   D::None,            Upstreams),
            Self::BadField(field)       => (Code::InvalidArgument,    Unspecified,  R::Never,             Responding,   Bypass,   D::Field(field),    Upstreams),
            Self::BadRequest            => (Code::InvalidArgument,    Unspecified,  R::Never,             Responding,   Bypass,   D::None,            Upstreams),
            Self::BillingLookup         => (Code::Unavailable,        AFTER_1_S,    R::Backoff,           FailingForId, FallBack, D::None,            Ours("Tencent Cloud could not look up the billing state of the account")),
            Self::Clock                 => (Code::Internal,           Never,        R::CorrectClock,      Responding,   Bypass,   D::None,            Ours("the clock of this service differs too much from Tencent Cloud's")),
            Self::Conflict              => (Code::Aborted,            AFTER_500_MS, R::Backoff,           Responding,   Bypass,   D::None,            Upstreams),
            Self::Credentials           => (Code::Internal,           Never,        R::Never,             Responding,   Bypass,   D::None,            Ours("Tencent Cloud rejected the credential of this service")),
            Self::FacadeFault           => (Code::Internal,           Never,        R::Never,             Responding,   Bypass,   D::None,            Ours("Tencent Cloud rejected the form of the request that this service sent")),
            Self::NotFound(None)        => (Code::NotFound,           Unspecified,  R::Never,             Responding,   Insert,   D::None,            Upstreams),
            Self::NotFound(Some(field)) => (Code::NotFound,           Unspecified,  R::Never,             Responding,   Insert,   D::Resource(field), Upstreams),
            Self::OutOfRange(field)     => (Code::OutOfRange,         Unspecified,  R::Never,             Responding,   Bypass,   D::Field(field),    Upstreams),
            Self::PageTooLarge          => (Code::InvalidArgument,    Unspecified,  R::Never,             Responding,   Bypass,   D::Page,            Upstreams),
            Self::Policy                => (Code::FailedPrecondition, Unspecified,  R::Never,             Responding,   Bypass,   D::Permission,      Ours("the access policy of this service's account does not allow the request")),
            Self::Quota                 => (Code::ResourceExhausted,  Unspecified,  R::Never,             Responding,   Bypass,   D::Quota,           Upstreams),
            Self::ResponseTooLarge      => (Code::Internal,           Never,        R::Never,             Responding,   Bypass,   D::None,            Ours("the response of Tencent Cloud is too large")),
            Self::StaleCredential       => (Code::Internal,           Never,        R::RefreshCredential, Responding,   Bypass,   D::None,            Ours("Tencent Cloud rejected the credential of this service")),
            Self::State                 => (Code::FailedPrecondition, Unspecified,  R::Never,             Responding,   Bypass,   D::State,           Upstreams),
            Self::Throttled             => (Code::ResourceExhausted,  AFTER_1_S,    R::AfterThrottling,   Throttling,   FallBack, D::Quota,           Upstreams),
            Self::Transient             => (Code::Unavailable,        AFTER_200_MS, R::Backoff,           FailingForId, FallBack, D::None,            Ours("Tencent Cloud failed temporarily")),
            Self::Unknown               => (Code::Unknown,            Never,        R::Never,             Responding,   Bypass,   D::None,            Ours("Tencent Cloud failed for an unknown reason")),
            Self::UpstreamFault         => (Code::Internal,           Never,        R::Backoff,           Responding,   Bypass,   D::None,            Ours("Tencent Cloud failed")),
            Self::Withdrawn             => (Code::Unimplemented,      Unspecified,  R::Never,             Responding,   Bypass,   D::None,            Ours("Tencent Cloud no longer offers this action")),
        };
        let policy = Policy {
            code,
            hint,
            retry,
            health,
            caching,
        };
        ApiErrorPolicy {
            policy,
            details,
            message,
        }
    }
}

impl FailureClass {
    /// Returns the name in metrics, which may not change.
    pub fn name(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::CredentialsUnavailable => "credentials_unavailable",
            Self::InvalidResponse => "invalid_response",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
        }
    }

    /// Returns the policy.
    pub fn policy(self) -> FailurePolicy {
        use {Caching::*, ErrorReason as E, Health as H, Hint::*, Retry as R};
        #[rustfmt::skip]
        let (code, hint, retry, health, caching, reason, message) = match self {
            // class                         status                   hint            retry               upstream is    cache     reason                      message
            Self::CircuitOpen            => (Code::Unavailable,       AFTER_1_S,      R::Never,           H::Unknown,    FallBack, E::CircuitOpen,             "circuit breaker open: request not sent upstream"),
            Self::CredentialsUnavailable => (Code::Internal,          Never,          R::Never,           H::Unknown,    Bypass,   E::CredentialsUnavailable,  "no credential is available to sign the request"),
            Self::InvalidResponse        => (Code::Internal,          Never,          R::Never,           H::Responding, Bypass,   E::UpstreamResponseInvalid, INVALID_RESPONSE),
            Self::RateLimited            => (Code::ResourceExhausted, AFTER_ITS_WAIT, R::Never,           H::Unknown,    FallBack, E::RateLimited,             "rate limit reached: the request cannot be sent before its deadline"),
            Self::ServerError            => (Code::Internal,          Never,          R::Never,           H::Failing,    FallBack, E::UpstreamResponseInvalid, INVALID_RESPONSE),
            Self::Throttled              => (Code::ResourceExhausted, AFTER_1_S,      R::AfterThrottling, H::Throttling, FallBack, E::RateLimited,             "throttled by Tencent Cloud"),
            Self::Unreachable            => (Code::Unavailable,       AFTER_200_MS,   R::Backoff,         H::Failing,    FallBack, E::UpstreamUnreachable,     "upstream request failed"),
            Self::Untrusted              => (Code::Internal,          Never,          R::Never,           H::Unknown,    Bypass,   E::UpstreamResponseInvalid, INVALID_RESPONSE),
        };
        let policy = Policy {
            code,
            hint,
            retry,
            health,
            caching,
        };
        FailurePolicy {
            policy,
            reason,
            message,
        }
    }
}
