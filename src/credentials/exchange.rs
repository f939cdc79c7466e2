//! HTTP exchange with a remote credential provider (STS or metadata service), bounded in time and
//! memory.

use std::time::Duration;

use crate::{
    clock::BootTime,
    config::{self, Endpoint},
    error_chain::error_chain,
    http_client,
    tls::certificate::{self, Holder},
};
use bytes::{Bytes, BytesMut};
use http::{StatusCode, header::DATE};
use reqwest::{ClientBuilder, RequestBuilder, Response};
use time::UtcDateTime;

/// Maximum size of a response. The documented ones have about 2 KiB.
const MAX_BYTES: usize = 64 << 10;

/// Maximum lifetime of a credential, as a protection against absurd expiry times.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// An HTTP response.
pub(super) struct HttpResponse {
    pub(super) status: StatusCode,
    /// The time at the service.
    pub(super) date: Option<UtcDateTime>,
    pub(super) body: Bytes,
}

/// The error of an exchange without a response.
pub(super) struct ExchangeError {
    /// Whether the connection failed.
    pub(super) is_connect: bool,
    pub(super) reason: String,
}

/// Returns a client builder for `endpoint` that follows no redirects.
///
/// # Errors
///
/// Fails if TLS cannot be configured, or if the proxy is invalid.
pub(super) fn client(
    endpoint: &Endpoint,
    settings: &config::Upstream,
) -> Result<ClientBuilder, String> {
    http_client::builder(endpoint, settings).map_err(|error| error_chain(&error))
}

/// Sends a request and reads the response, up to 64 KiB.
///
/// # Errors
///
/// Fails if the response is larger or not complete within the timeout of the client.
pub(super) async fn send(request: RequestBuilder) -> Result<HttpResponse, ExchangeError> {
    let response = request.send().await.map_err(failed)?;
    let date = response
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    Ok(HttpResponse {
        status: response.status(),
        date: date.map(UtcDateTime::from),
        body: read(response).await?,
    })
}

async fn read(mut response: Response) -> Result<Bytes, ExchangeError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BYTES {
            return Err(ExchangeError {
                is_connect: false,
                reason: "the response is larger than 64 KiB".to_owned(),
            });
        }
    }
    Ok(body.freeze())
}

fn failed(error: reqwest::Error) -> ExchangeError {
    let host = error
        .url()
        .and_then(|url| url.host_str())
        .map(str::to_owned);
    let holder = Holder::Server(host.as_deref().unwrap_or_default());
    ExchangeError {
        is_connect: error.is_connect(),
        // Without the URL, which is a known setting.
        reason: certificate::explain(&error.without_url(), holder),
    }
}

/// Returns the expiry time of a credential requested at `requested_at`, given its expiry and the current
/// time at the service, both in Unix seconds.
///
/// The result depends neither on the local wall clock, which may be wrong or adjusted, nor on suspends
/// of the machine.
///
/// # Errors
///
/// Fails if the credential has already expired.
pub(super) fn expiry(requested_at: BootTime, expires: i64, now: i64) -> Result<BootTime, String> {
    // Both times are truncated to seconds: the lifetime may be up to one second shorter.
    let seconds = expires.saturating_sub(now).saturating_sub(1);
    match u64::try_from(seconds) {
        Ok(seconds @ 1..) => Ok(requested_at + Duration::from_secs(seconds).min(MAX_LIFETIME)),
        _ => Err("the returned credential has already expired".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_lifetime_is_measured_by_one_clock_and_bounded() {
        let now = Clock::system().boot_time();
        let cases = [
            (7_300, 100, 7_199),
            (i64::MAX, 0, 86_400),
            (i64::MAX, i64::MIN, 86_400),
        ];

        for (expires, server_now, seconds) in cases {
            let expiry = expiry(now, expires, server_now).unwrap();
            assert_eq!(expiry, now + Duration::from_secs(seconds));
        }
        for (expires, server_now) in [(100, 100), (101, 100), (0, i64::MAX), (i64::MIN, 0)] {
            assert!(
                expiry(now, expires, server_now).is_err(),
                "{expires} at {server_now}"
            );
        }
    }
}
