//! Simulated upstream responses, each with a number that identifies it.

use super::UpstreamOutcome;
use crate::upstream::{ApiError, ApiResponse, Cacheable, Decoded, Error, Reply};

/// How an upstream request ends.
pub(super) type Sent = Result<ApiResponse, Error>;

/// How a call ends.
pub(super) type Outcome = Result<Reply<UpstreamOutcome>, Error>;

pub(super) fn decode(body: &[u8], _: &str) -> Decoded<UpstreamOutcome> {
    let (message, cacheable) = match body {
        b"found" => (UpstreamOutcome::Found, Cacheable::Positive),
        b"unknown" => (UpstreamOutcome::UnknownPerson, Cacheable::Negative),
        _ => (UpstreamOutcome::Malformed, Cacheable::No),
    };
    Decoded { message, cacheable }
}

/// Creates a response with its number.
pub(super) fn sent(outcome: UpstreamOutcome, number: usize) -> Sent {
    let response = |body: &'static str| {
        Ok(ApiResponse {
            body: body.into(),
            request_id: number.to_string(),
        })
    };
    let api_error = |code: &str| {
        let (code, request_id) = (code.to_owned(), number.to_string());
        Err(Error::Api(ApiError {
            code,
            request_id,
            ..ApiError::default()
        }))
    };
    match outcome {
        UpstreamOutcome::Found => response("found"),
        UpstreamOutcome::Malformed => response("malformed"),
        UpstreamOutcome::Unreachable => Err(Error::Unreachable {
            reason: number.to_string(),
            retry_after: None,
        }),
        UpstreamOutcome::NotFound => api_error("InvalidParameterValue.GroupIdNotExist"),
        UpstreamOutcome::Denied => api_error("UnauthorizedOperation"),
        UpstreamOutcome::Throttled => api_error("RequestLimitExceeded"),
        UpstreamOutcome::Transient => api_error("FailedOperation.ServerError"),
        UpstreamOutcome::UnknownPerson => response("unknown"),
        UpstreamOutcome::Untrusted => Err(Error::Untrusted {
            reason: number.to_string(),
        }),
    }
}

/// Returns the kind of a response, and its number.
pub(super) fn read(outcome: &Outcome) -> (UpstreamOutcome, usize) {
    let (kind, number) = match outcome {
        Ok(reply) => (reply.message, &reply.request_id),
        Err(Error::Unreachable { reason, .. }) => (UpstreamOutcome::Unreachable, reason),
        Err(Error::Untrusted { reason }) => (UpstreamOutcome::Untrusted, reason),
        Err(Error::Api(error)) => {
            let kind = match error.code.as_str() {
                "InvalidParameterValue.GroupIdNotExist" => UpstreamOutcome::NotFound,
                "UnauthorizedOperation" => UpstreamOutcome::Denied,
                "RequestLimitExceeded" => UpstreamOutcome::Throttled,
                _ => UpstreamOutcome::Transient,
            };
            (kind, &error.request_id)
        }
        other => panic!("unexpected outcome {other:?}"),
    };
    (kind, number.parse().unwrap())
}
