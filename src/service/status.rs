//! Turns every failure into a gRPC status. The only file that chooses a status code.
//!
//! Whose fault decides: what a caller cannot mend by changing its request or its own identity is
//! never INVALID_ARGUMENT, UNAUTHENTICATED or PERMISSION_DENIED.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::FieldViolation;

use super::{Failure, Unidentified, presentable, refusal, report::Report, retry::Retry};
use crate::{
    context::{Context, Subject},
    operation::{InvalidReply, InvalidRequest},
    proto::ErrorReason,
    upstream::{
        Error, Refusal,
        error_code::{self, Class, Field},
    },
};

/// How long to wait where nothing better is known.
const AFTER_BILLING_LOOKUP: Duration = Duration::from_secs(1);
const AFTER_CIRCUIT_OPEN: Duration = Duration::from_secs(1);
const AFTER_CONFLICT: Duration = Duration::from_millis(500);
const AFTER_OVERLOAD: Duration = Duration::from_millis(100);
const AFTER_THROTTLING: Duration = Duration::from_secs(1);
const AFTER_TRANSIENT: Duration = Duration::from_millis(200);

/// The longest wait that is passed on.
const MAX_DELAY: Duration = Duration::from_secs(60);

impl Failure {
    /// Returns the status that the caller receives, with all its details and hints.
    ///
    /// What the caller is not told is kept as the status's source, for the log.
    pub fn into_status(self, context: &Context) -> Status {
        let subject = context.subject();
        let report = match self {
            Self::CallerNotAllowed => Report::own(
                Code::PermissionDenied,
                ErrorReason::CallerNotAllowed,
                "the certificate of the caller has no name that may call",
            ),
            Self::CallerUnauthenticated(unidentified) => Report::own(
                Code::Unauthenticated,
                ErrorReason::CallerUnauthenticated,
                words(unidentified),
            ),
            Self::DeadlineExceeded => Report::own(
                Code::DeadlineExceeded,
                ErrorReason::DeadlineExceeded,
                "the deadline passed before Tencent Cloud answered",
            ),
            Self::InvalidReply(InvalidReply::Malformed(malformed), request_id) => {
                unexpected_answer(malformed.to_string()).of_call(&request_id)
            }
            Self::InvalidReply(InvalidReply::PersonNotFound, request_id) => {
                person_not_found(subject).of_call(&request_id)
            }
            Self::InvalidRequest(invalid) => invalid_request(&invalid),
            Self::MessageIncomplete => Report::own(
                Code::InvalidArgument,
                ErrorReason::InvalidRequest,
                "the message of the call did not arrive in the time that a call may take",
            ),
            Self::MessageTooLarge => Report::own(
                Code::ResourceExhausted,
                ErrorReason::InvalidRequest,
                "the message of the call is larger than 64 KiB",
            ),
            Self::MessageUnreadable => Report::own(
                Code::InvalidArgument,
                ErrorReason::InvalidRequest,
                "the message of the call cannot be read: send the method's own message, as it is \
                 or compressed with gzip",
            ),
            Self::MethodUnknown => Report::own(
                Code::Unimplemented,
                ErrorReason::MethodUnknown,
                "there is no such method, or no such compression",
            ),
            Self::Overloaded => Report::own(
                Code::ResourceExhausted,
                ErrorReason::Overloaded,
                "too many calls are in progress",
            )
            .retry(Retry::After(AFTER_OVERLOAD)),
            Self::TimedOut => unreachable("Tencent Cloud did not answer in time", None),
            Self::Upstream(error) => of_upstream(&error, subject),
        };
        report.into_status(context)
    }
}

fn words(unidentified: Unidentified) -> &'static str {
    match unidentified {
        Unidentified::NoCertificate => "the caller must show a certificate",
        Unidentified::NoToken => {
            "the caller must send a token, in the metadata key authorization as `Bearer TOKEN`"
        }
        Unidentified::UnknownToken => "the token of the caller is not one that may call",
    }
}

fn person_not_found(subject: &Subject) -> Report {
    let message = "the person does not exist";
    Report::own(Code::NotFound, ErrorReason::PersonNotFound, message).detailed(|details| {
        details.set_resource_info("iai.Person", &subject.id, "", message);
    })
}

fn invalid_request(invalid: &InvalidRequest) -> Report {
    let sentences: Vec<_> = invalid
        .violations
        .iter()
        .map(|violation| format!("{} {}", violation.field, violation.description))
        .collect();
    let violations = invalid
        .violations
        .iter()
        .map(|violation| FieldViolation::new(violation.field, violation.description))
        .collect::<Vec<_>>();
    Report::own(
        Code::InvalidArgument,
        ErrorReason::InvalidRequest,
        sentences.join("; "),
    )
    .detailed(|details| {
        details.set_bad_request(violations);
    })
}

fn unexpected_answer(cause: String) -> Report {
    let message = "Tencent Cloud answered with something other than its documented envelope";
    Report::own(
        Code::Internal,
        ErrorReason::UpstreamResponseInvalid,
        message,
    )
    .because(cause)
}

fn of_upstream(error: &Error, subject: &Subject) -> Report {
    match error {
        Error::CircuitOpen => {
            let message = "Tencent Cloud fails, and most calls are not tried until it is back";
            Report::own(Code::Unavailable, ErrorReason::CircuitOpen, message)
                .retry(Retry::After(AFTER_CIRCUIT_OPEN))
        }
        Error::Credentials(_) => Report::own(
            Code::Internal,
            ErrorReason::CredentialsUnavailable,
            "the service has no credential to sign calls with",
        )
        .because(error.to_string()),
        Error::Malformed { .. } | Error::Untrusted { .. } => unexpected_answer(error.to_string()),
        Error::RateLimited { wait } => {
            let message = "more calls wait for Tencent Cloud than its rate lets through in time";
            Report::own(Code::ResourceExhausted, ErrorReason::RateLimited, message)
                .retry(Retry::After((*wait).min(MAX_DELAY)))
                .because(error.to_string())
        }
        Error::Refused(refusal) => refused(&presentable::refusal(refusal, subject), subject),
        Error::Throttled { retry_after } => {
            let message = "Tencent Cloud is called too often";
            Report::own(Code::ResourceExhausted, ErrorReason::RateLimited, message)
                .retry(after(AFTER_THROTTLING, *retry_after))
                .because(error.to_string())
        }
        Error::Unreachable { retry_after, .. } => {
            unreachable("no whole answer came back from Tencent Cloud", *retry_after)
                .because(error.to_string())
        }
    }
}

fn unreachable(message: &str, retry_after: Option<Duration>) -> Report {
    Report::own(Code::Unavailable, ErrorReason::UpstreamUnreachable, message)
        .retry(after(AFTER_TRANSIENT, retry_after))
}

fn refused(refusal: &Refusal, subject: &Subject) -> Report {
    let class = error_code::classify(&refusal.code);
    let explanation = refusal::explanation(class, refusal, subject);
    let report = Report::refused(code(class, subject), refusal, &explanation)
        .detailed(|details| refusal::describe(class, refusal, subject, details))
        .because(refusal.message.clone());
    match delay(class) {
        Some(delay) => report.retry(after(delay, refusal.retry_after)),
        None => report,
    }
}

/// Says to try again after `least`, or after what upstream asks for if that is longer.
///
/// Upstream's wish is bounded: callers would otherwise wait for a day on the word of a broken proxy.
fn after(least: Duration, wished: Option<Duration>) -> Retry {
    Retry::After(wished.unwrap_or(least).clamp(least, MAX_DELAY))
}

/// Returns the status of a class of refusals.
fn code(class: Class, subject: &Subject) -> Code {
    match class {
        Class::Account | Class::Policy | Class::State => Code::FailedPrecondition,
        Class::AlreadyExists => Code::AlreadyExists,
        Class::BadField(_) | Class::BadRequest => Code::InvalidArgument,
        Class::BillingLookup | Class::Transient => Code::Unavailable,
        Class::Clock | Class::Credentials | Class::FacadeFault | Class::UpstreamFault => {
            Code::Internal
        }
        Class::Conflict => Code::Aborted,
        Class::NotFound(_) => Code::NotFound,
        Class::OutOfRange(_) => Code::OutOfRange,
        Class::Quota | Class::Throttled => Code::ResourceExhausted,
        Class::ResponseTooLarge if refusal::name(Field::Limit, subject).is_some() => {
            Code::InvalidArgument
        }
        Class::ResponseTooLarge => Code::Internal,
        Class::Unknown => Code::Unknown,
        Class::Withdrawn => Code::Unimplemented,
    }
}

/// Returns after which time a call that was so refused may succeed.
fn delay(class: Class) -> Option<Duration> {
    match class {
        Class::BillingLookup => Some(AFTER_BILLING_LOOKUP),
        Class::Conflict => Some(AFTER_CONFLICT),
        Class::Throttled => Some(AFTER_THROTTLING),
        Class::Transient => Some(AFTER_TRANSIENT),
        Class::Account
        | Class::AlreadyExists
        | Class::BadField(_)
        | Class::BadRequest
        | Class::Clock
        | Class::Credentials
        | Class::FacadeFault
        | Class::NotFound(_)
        | Class::OutOfRange(_)
        | Class::Policy
        | Class::Quota
        | Class::ResponseTooLarge
        | Class::State
        | Class::Unknown
        | Class::UpstreamFault
        | Class::Withdrawn => None,
    }
}
