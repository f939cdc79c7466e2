//! Requests to the API: one without a signature, for the time of the upstream, and signed calls.

use std::{sync::Arc, time::Duration};

use time::UtcDateTime;
use tokio::time::timeout;

use super::{
    advice::{Advice, Fault},
    code_advice::code_advice,
    step::Finding,
};
use crate::{
    clock::Clock,
    credentials::Credential,
    upstream::{
        ApiError, ApiRequest, DiagnosticClient, Error, ResponseHead, SignedExchange,
        error_code::{Class, classify, documented},
    },
};

/// The difference of the clocks from which signatures are rejected, in seconds.
const MAX_SKEW: i64 = 300;

/// The difference from which the operator should correct the clock, in seconds. Smaller ones are network
/// latency and rounding.
const MIN_SKEW: i64 = 60;

/// A client of the API, with the credential that it signs with.
pub(super) struct Api {
    client: DiagnosticClient,
    credential: Arc<Credential>,
    clock: Clock,
    /// The maximum duration of each request.
    timeout: Duration,
}

/// The reply of the API to a signed call.
pub(super) enum Reply {
    /// A response, as a JSON object, with its request id.
    Response { body: Vec<u8>, request_id: String },
    /// The group or person does not exist, by this error.
    NotFound(ApiError),
}

impl Api {
    pub(super) fn new(
        client: DiagnosticClient,
        credential: Arc<Credential>,
        clock: Clock,
        timeout: Duration,
    ) -> Self {
        Self {
            client,
            credential,
            clock,
            timeout,
        }
    }

    /// Makes a request without a signature, for the time of the response.
    pub(super) async fn request(&self) -> (Finding, Option<Times>) {
        let before = self.clock.now();
        let head = match timeout(self.timeout, self.client.send_unsigned()).await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => return (self.failure(&error, None, ""), None),
            Err(_) => return (self.late(), None),
        };
        let status = head.status.as_u16();
        let fault = match status {
            407 => Fault::ProxyAuthentication,
            502..=504 => Fault::Gateway,
            _ => {
                let times = Times {
                    before,
                    theirs: head.date,
                    after: self.clock.now(),
                };
                let summary = format!("HTTP {status} for a request without a signature");
                return (Finding::ok(summary), Some(times));
            }
        };
        let summary = format!("HTTP {status} for a request without a signature");
        (Finding::failed(summary, fault.advice()), None)
    }

    /// Makes a signed call. A response, and an error that says that the group or person does not exist,
    /// are replies; the head of the response comes with them.
    ///
    /// # Errors
    ///
    /// Fails with the finding for any other error.
    pub(super) async fn call(
        &self,
        request: &ApiRequest,
    ) -> Result<(ResponseHead, Reply), Finding> {
        let exchange = timeout(self.timeout, self.client.send(request, &self.credential)).await;
        let SignedExchange { head, outcome } = match exchange {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(error)) => return Err(self.failure(&error, None, request.action)),
            Err(_) => return Err(self.late()),
        };
        match outcome {
            Ok(response) => {
                let body = response.body.to_vec();
                let request_id = response.request_id;
                Ok((head, Reply::Response { body, request_id }))
            }
            Err(Error::Api(error)) if matches!(classify(&error.code), Class::NotFound(_)) => {
                Ok((head, Reply::NotFound(error)))
            }
            Err(error) => Err(self.failure(&error, Some(head), request.action)),
        }
    }

    fn late(&self) -> Finding {
        let limit = humantime::format_duration(self.timeout);
        let summary = format!("no complete response within {limit} (--max-call-time)");
        Finding::failed(summary, Fault::NoResponse.advice())
    }

    /// Returns the finding for an error of a call of `action`, with the head of the response if there was
    /// one.
    fn failure(&self, error: &Error, head: Option<ResponseHead>, action: &str) -> Finding {
        let status = head.map(|head| head.status.as_u16());
        let fault = match error {
            Error::Api(error) => return api_failure(error, action),
            Error::Untrusted { .. } => Fault::Untrusted,
            Error::Throttled { .. } => Fault::Throttled,
            Error::Malformed { .. } | Error::Unreachable { .. } if status == Some(407) => {
                Fault::ProxyAuthentication
            }
            Error::Unreachable { .. } if status.is_some_and(|status| status >= 500) => {
                Fault::Gateway
            }
            Error::Unreachable { .. } => Fault::NoResponse,
            Error::Malformed { .. }
            | Error::CircuitOpen
            | Error::Credentials(_)
            | Error::RateLimited { .. } => Fault::NotTheApi,
        };
        Finding::failed(error.to_string(), fault.advice())
    }
}

/// Returns the finding for an error code. The message of the upstream may name the account, and is left out.
fn api_failure(error: &ApiError, action: &str) -> Finding {
    let code = shown_code(&error.code);
    let summary = match &code {
        Some(code) => format!("{action} was rejected with {code}"),
        None => format!("{action} was rejected with an undocumented code"),
    };
    let Advice { cause, remedy } = code_advice(&error.code, action);
    Finding::failed(summary, Advice { cause, remedy })
        .with_code(code)
        .with_request_id(&error.request_id)
}

/// Returns a code if it is documented. Others may repeat parts of the request.
pub(super) fn shown_code(code: &str) -> Option<String> {
    documented(code).map(|_| code.to_owned())
}

/// The local time before and after a request, and the time of the response by the clock of the upstream.
pub(super) struct Times {
    before: UtcDateTime,
    theirs: Option<UtcDateTime>,
    after: UtcDateTime,
}

/// Compares the local clock with that of the upstream.
pub(super) fn compare_clocks(times: &Times) -> (Finding, Option<()>) {
    let Some(theirs) = times.theirs else {
        let advice = Fault::NoDate.advice();
        return (
            Finding::warning("the response has no Date", advice),
            Some(()),
        );
    };
    match skew(times.before, theirs, times.after) {
        0 => (
            Finding::ok("differs by less than 2 s from upstream's"),
            Some(()),
        ),
        skew if skew.abs() < MIN_SKEW => (Finding::ok(describe(skew)), Some(())),
        skew if skew.abs() < MAX_SKEW => {
            let advice = Fault::ClockOff.advice();
            (Finding::warning(describe(skew), advice), Some(()))
        }
        skew => {
            let advice = Fault::ClockRejected.advice();
            (Finding::failed(describe(skew), advice), None)
        }
    }
}

/// Returns by how much the local clock is ahead, in seconds: 0 if the time of the upstream is within the
/// duration of the request, to the accuracy of `Date`.
fn skew(before: UtcDateTime, theirs: UtcDateTime, after: UtcDateTime) -> i64 {
    let early = (before - theirs).whole_seconds();
    let late = (after - theirs).whole_seconds();
    if early > 1 {
        early
    } else if late < -1 {
        late
    } else {
        0
    }
}

fn describe(skew: i64) -> String {
    let direction = if skew > 0 { "ahead of" } else { "behind" };
    let amount = Duration::from_secs(skew.unsigned_abs());
    let amount = humantime::format_duration(amount);
    format!("{amount} {direction} upstream's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duration_of_the_request_and_rounding_are_no_skew() {
        let at = |seconds| UtcDateTime::from_unix_timestamp(seconds).unwrap();
        let cases = [
            (100, 100, 100, 0),
            (100, 99, 100, 0),
            (100, 103, 105, 0),
            (100, 97, 105, 3),
            (100, 200, 105, -95),
            (3_700, 100, 3_701, 3_600),
        ];

        for (before, theirs, after, expected) in cases {
            assert_eq!(skew(at(before), at(theirs), at(after)), expected);
        }
        assert_eq!(describe(3_600), "1h ahead of upstream's");
        assert_eq!(describe(-95), "1m 35s behind upstream's");
    }
}
