//! Maps every failure to a gRPC status: those of upstream by the [error policy](crate::error_policy), all
//! others here.
//!
//! A failure that the caller cannot fix by changing its request or its own identity is never
//! INVALID_ARGUMENT, UNAUTHENTICATED or PERMISSION_DENIED.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::FieldViolation;

use super::{
    Failure, Unauthenticated, api_error, failure::MAX_MESSAGE_BYTES, report::Report, sanitize,
};
use crate::{
    context::{Context, Subject},
    error_policy::{FailureClass, FailurePolicy, Field, Hint},
    operation::{InvalidReply, InvalidRequest, NotFound},
    proto::ErrorReason,
    upstream::{ApiError, Error, ErrorClass, error_code},
};

/// The retry hint if a limit of this service is reached.
const AFTER_OVERLOAD: Hint = Hint::After(Duration::from_millis(100));

/// The retry hint if the audit log cannot be written, which is tried again every second.
const AFTER_AUDIT_FAILURE: Hint = Hint::After(Duration::from_secs(1));

impl Failure {
    /// Returns the status with its details and retry hint.
    ///
    /// The cause, which the caller does not see, is the status's source, for the log.
    pub fn into_status(self, context: &Context) -> Status {
        let subject = context.subject();
        let report = match self {
            Self::AuditUnavailable => Report::own(
                Code::Unavailable,
                ErrorReason::AuditUnavailable,
                "the service cannot record calls in its audit log",
            )
            .hint(AFTER_AUDIT_FAILURE),
            Self::CallerNotAllowed => Report::own(
                Code::PermissionDenied,
                ErrorReason::CallerNotAllowed,
                "no name in the client certificate is allowed to call this service",
            ),
            Self::CallerUnauthenticated(cause) => Report::own(
                Code::Unauthenticated,
                ErrorReason::CallerUnauthenticated,
                description(cause),
            ),
            Self::CompressionUnknown(name) => Report::own(
                Code::Unimplemented,
                ErrorReason::MethodUnknown,
                compression_unknown(name.as_deref()),
            ),
            Self::HeadersTooLarge { found, limit } => Report::own(
                Code::ResourceExhausted,
                ErrorReason::InvalidRequest,
                format!(
                    "the request headers have {found} bytes, including 32 for each field; the limit \
                     is {limit}, set by --max-header-bytes"
                ),
            ),
            Self::DeadlineExceeded => Report::own(
                Code::DeadlineExceeded,
                ErrorReason::DeadlineExceeded,
                "the deadline passed before Tencent Cloud responded",
            ),
            Self::InvalidReply(InvalidReply::Malformed(malformed), request_id) => {
                Report::of_failure(FailureClass::InvalidResponse.policy())
                    .cause(malformed.to_string())
                    .request_id(&request_id)
            }
            Self::InvalidReply(InvalidReply::NotFound(absent), request_id) => {
                not_found(absent, subject).request_id(&request_id)
            }
            Self::InvalidRequest(invalid) => invalid_request(&invalid),
            Self::MessageIncomplete => Report::own(
                Code::InvalidArgument,
                ErrorReason::InvalidRequest,
                "the request message did not arrive within --max-call-time",
            ),
            Self::MessageTooLarge(found) => Report::own(
                Code::ResourceExhausted,
                ErrorReason::InvalidRequest,
                message_too_large(found),
            ),
            Self::MessageUnreadable => Report::own(
                Code::InvalidArgument,
                ErrorReason::InvalidRequest,
                "the request message cannot be decoded: send the method's request message, \
                 uncompressed or compressed with gzip",
            ),
            Self::MethodUnknown => Report::own(
                Code::Unimplemented,
                ErrorReason::MethodUnknown,
                "unknown method",
            ),
            Self::Overloaded => Report::own(
                Code::ResourceExhausted,
                ErrorReason::Overloaded,
                "too many calls are in progress",
            )
            .hint(AFTER_OVERLOAD),
            Self::TooManyStreams {
                method,
                limit,
                scope,
            } => Report::own(
                Code::ResourceExhausted,
                ErrorReason::Overloaded,
                format!(
                    "too many streams of {method} are open {scope}; the limit is {limit}, which no \
                     setting changes"
                ),
            )
            .hint(AFTER_OVERLOAD),
            Self::TooManyUnsentBytes => Report::own(
                Code::ResourceExhausted,
                ErrorReason::Overloaded,
                "too many bytes of responses wait to be sent to clients that do not read them",
            )
            .hint(AFTER_OVERLOAD),
            Self::TimedOut => Report::of_failure(FailurePolicy {
                message: "Tencent Cloud did not respond in time",
                ..FailureClass::Unreachable.policy()
            }),
            Self::Upstream(error) => of_upstream(&error, subject),
        };
        report.into_status(context)
    }
}

fn message_too_large(found: Option<u64>) -> String {
    let limit = format!("the limit is {MAX_MESSAGE_BYTES} and not configurable");
    match found {
        Some(found) => format!("the request message has {found} bytes; {limit}"),
        None => format!("the decompressed request message is too large in bytes; {limit}"),
    }
}

fn compression_unknown(name: Option<&str>) -> String {
    let name = name.map_or("with an unsupported method".to_owned(), |name| {
        format!("with `{name}`")
    });
    format!("the request message is compressed {name}; grpc-encoding must be gzip or identity")
}

fn description(cause: Unauthenticated) -> &'static str {
    match cause {
        Unauthenticated::NoCertificate => "a client certificate is required",
        Unauthenticated::NoToken => {
            "a token is required: send the metadata `authorization: Bearer TOKEN`"
        }
        Unauthenticated::UnknownToken => "the token is not accepted",
    }
}

fn not_found(absent: &NotFound, subject: &Subject) -> Report {
    Report::own(Code::NotFound, absent.reason, absent.message).details(|details| {
        details.set_resource_info(absent.resource_type, &subject.id, "", absent.message);
    })
}

fn invalid_request(invalid: &InvalidRequest) -> Report {
    let descriptions: Vec<_> = invalid
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
        descriptions.join("; "),
    )
    .details(|details| {
        details.set_bad_request(violations);
    })
}

fn of_upstream(error: &Error, subject: &Subject) -> Report {
    let report = match error.class() {
        ErrorClass::Api(error) => of_api_error(&sanitize::api_error(error, subject), subject),
        ErrorClass::Failure(class) => Report::of_failure(class.policy()).cause(error.to_string()),
    };
    report.retry_after(error.retry_after())
}

/// `error` is sanitized.
fn of_api_error(error: &ApiError, subject: &Subject) -> Report {
    let has_pages = api_error::name(Field::Limit, subject).is_some();
    let class = error_code::classify(&error.code).for_request(has_pages);
    let policy = class.policy();
    Report::of_api_error(policy, error)
        .details(|details| api_error::add_details(details, policy.details, error, subject))
        .cause(error.message.clone())
}
