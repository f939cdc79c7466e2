//! Names of the gRPC status codes, and the level at which the access log reports them.

use tonic::Code;
use tracing::Level;

/// Returns the name of a code, as the [gRPC documentation] spells it.
///
/// [gRPC documentation]: https://grpc.io/docs/guides/status-codes/
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Aborted => "ABORTED",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::Cancelled => "CANCELLED",
        Code::DataLoss => "DATA_LOSS",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Internal => "INTERNAL",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::Ok => "OK",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::Unavailable => "UNAVAILABLE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Unknown => "UNKNOWN",
    }
}

/// Returns whether OpenTelemetry counts a code as an error of the server: only these have `error.type`
/// ([RPC conventions]).
///
/// [RPC conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
pub fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::DataLoss
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unavailable
            | Code::Unimplemented
            | Code::Unknown
    )
}

/// Returns the level of a failed call in the access log, by the party that can correct the error.
pub fn log_level(code: Code) -> Level {
    match code {
        // The caller.
        Code::AlreadyExists
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::InvalidArgument
        | Code::NotFound
        | Code::Ok
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => Level::INFO,
        // Upstream, whose error is transient.
        Code::Aborted | Code::ResourceExhausted | Code::Unavailable => Level::WARN,
        // The operator.
        Code::DataLoss | Code::FailedPrecondition | Code::Internal | Code::Unknown => Level::ERROR,
    }
}
