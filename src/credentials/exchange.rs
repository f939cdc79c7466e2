//! One HTTP exchange with a service that hands out credentials, in bounded time and memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header::DATE};
use reqwest::{ClientBuilder, RequestBuilder, Response};
use time::UtcDateTime;
use tokio::time::Instant;

use crate::{
    chain::chain,
    config::{self, Endpoint},
    trust,
};

/// The most that is read of an answer. The documented ones have some 2 KiB.
const MAX_BYTES: usize = 64 << 10;

/// The longest that a credential is believed to last, so that an absurd date does no harm.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What a service answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When, by the clock of the service.
    pub(super) date: Option<UtcDateTime>,
    pub(super) body: Bytes,
}

/// Why there is no answer.
pub(super) struct Unanswered {
    /// Whether no connection came about.
    pub(super) is_unconnected: bool,
    pub(super) reason: String,
}

/// Returns the beginning of a client for `endpoint` that follows no redirects.
///
/// # Errors
///
/// Fails if nothing is there by which an encrypted endpoint could be trusted.
pub(super) fn client(
    endpoint: &Endpoint,
    settings: &config::Upstream,
) -> Result<ClientBuilder, String> {
    let tls = trust::client_config(endpoint, settings).map_err(|error| chain(&error))?;
    let client = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls);
    Ok(match settings.use_proxy {
        true => client,
        false => client.no_proxy(),
    })
}

/// Sends a request and reads the whole answer, which is refused if it is larger than 64 KiB.
///
/// # Errors
///
/// Fails if no whole answer comes in the time that the client allows.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, Unanswered> {
    let response = request.send().await.map_err(unanswered)?;
    let date = response
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    Ok(Answer {
        status: response.status(),
        date: date.map(UtcDateTime::from),
        body: read(response).await?,
    })
}

async fn read(mut response: Response) -> Result<Bytes, Unanswered> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BYTES {
            return Err(Unanswered {
                is_unconnected: false,
                reason: "the answer is larger than 64 KiB".to_owned(),
            });
        }
    }
    Ok(body.freeze())
}

fn unanswered(error: reqwest::Error) -> Unanswered {
    Unanswered {
        is_unconnected: error.is_connect(),
        // Without the address: it is a setting, known to whoever reads this.
        reason: chain(&error.without_url()),
    }
}

/// Returns until when a credential may be used that was asked for at `asked_at`, given when it
/// expires and what time it was, both by the clock of the service and in whole seconds.
///
/// So neither a wrong clock of this machine nor one that is set matters.
///
/// # Errors
///
/// Fails if the credential has expired already.
pub(super) fn expiry(asked_at: Instant, expires: i64, now: i64) -> Result<Instant, String> {
    // The second that has begun may be over.
    let seconds = expires.saturating_sub(now).saturating_sub(1);
    match u64::try_from(seconds) {
        Ok(seconds @ 1..) => Ok(asked_at + Duration::from_secs(seconds).min(MAX_LIFETIME)),
        _ => Err("the credential that it gave has expired already".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_taken_from_one_clock_and_no_date_is_too_far() {
        let now = Instant::now();
        let cases = [
            (7_300, 100, 7_199),
            (i64::MAX, 0, 86_400),
            (i64::MAX, i64::MIN, 86_400),
        ];

        for (expires, theirs, seconds) in cases {
            let expiry = expiry(now, expires, theirs).unwrap();
            assert_eq!(expiry - now, Duration::from_secs(seconds));
        }
        for (expires, theirs) in [(100, 100), (101, 100), (0, i64::MAX), (i64::MIN, 0)] {
            assert!(
                expiry(now, expires, theirs).is_err(),
                "{expires} at {theirs}"
            );
        }
    }
}
