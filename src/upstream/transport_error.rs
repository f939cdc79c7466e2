//! Classification of attempts without an envelope: maps HTTP client errors and HTTP statuses to an
//! [`Error`].

use std::{error::Error as StdError, time::Duration};

use http::StatusCode;

use super::error::Error;
use crate::{
    error_chain::causes,
    tls::certificate::{self, Holder},
};

/// Converts an error of the HTTP client.
pub(super) fn from_http_client(error: reqwest::Error) -> Error {
    let host = error
        .url()
        .and_then(|url| url.host_str())
        .map(str::to_owned);
    // Without the URL, which is a setting that the operator knows.
    let error = error.without_url();
    let holder = Holder::Server(host.as_deref().unwrap_or_default());
    let reason = certificate::explain(&error, holder);
    let causes = || causes(&error);

    if causes().any(is_untrusted) {
        Error::Untrusted { reason }
    } else if causes().any(is_not_http) {
        Error::Malformed {
            reason,
            is_server_error: false,
        }
    } else {
        Error::Unreachable {
            reason,
            retry_after: None,
        }
    }
}

/// Converts an HTTP response whose body is not an envelope, for `reason`.
pub(super) fn from_status(
    status: StatusCode,
    retry_after: Option<Duration>,
    reason: &str,
) -> Error {
    let reason = format!("HTTP {}: {reason}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS => Error::Throttled { retry_after },
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Error::Unreachable {
                reason,
                retry_after,
            }
        }
        _ => Error::Malformed {
            reason,
            is_server_error: status.is_server_error(),
        },
    }
}

fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

/// Returns whether the response is not HTTP/1.1, or its headers are too large.
fn is_not_http(error: &(dyn StdError + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}
