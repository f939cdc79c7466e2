//! Tells what kind of failure an attempt that brought no envelope was.

use std::{error::Error as StdError, iter, time::Duration};

use http::StatusCode;

use super::Error;
use crate::chain::chain;

/// Returns what an error of the HTTP client means.
pub(super) fn of_exchange(error: reqwest::Error) -> Error {
    // Without the address: it is a setting, known to whoever reads the log.
    let error = error.without_url();
    let reason = chain(&error);
    let causes = || iter::successors(Some(&error as &(dyn StdError + 'static)), |e| cause(*e));

    if causes().any(is_distrust) {
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

/// Returns what an HTTP answer means whose body is no envelope, for the given reason.
pub(super) fn of_status(status: StatusCode, retry_after: Option<Duration>, reason: &str) -> Error {
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

fn is_distrust(error: &(dyn StdError + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

/// What answered does not speak HTTP/1.1, or its headers have no end.
fn is_not_http(error: &(dyn StdError + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}

/// Returns what caused `error`. An I/O error hides what it was made from: it names the cause of
/// that as its own.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
