//! Bodies of control requests: JSON of at most 1 MiB.

use std::time::Duration;

use http::{
    Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    request::Parts,
};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::{sync::Semaphore, time::timeout};

use super::reply::Rejection;
use crate::headers::header;

/// Reads the body of a request. Returns `None` if the body is empty, or if the method has none: bodies of
/// GET and DELETE are not read.
///
/// A body larger than 16 KiB, or of unknown length, waits for a permit of `large_bodies`.
///
/// # Errors
///
/// Fails if the body is too large, late, not declared as JSON, or not JSON.
pub(super) async fn read(
    head: &Parts,
    body: Incoming,
    large_bodies: &Semaphore,
) -> Result<Option<Value>, Rejection> {
    if head.method == Method::GET || head.method == Method::DELETE {
        return Ok(None);
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Rejection::body_too_large(MAX_BODY));
    }
    let is_large = body
        .size_hint()
        .upper()
        .is_none_or(|size| size > SMALL_BODY);
    let read = async {
        let permit = match is_large {
            true => large_bodies.acquire().await.ok(),
            false => None,
        };
        (Limited::new(body, MAX_BODY).collect().await, permit)
    };
    let (collected, _permit) = timeout(READ_TIMEOUT, read)
        .await
        .map_err(|_| Rejection::timeout())?;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Rejection::body_too_large(MAX_BODY));
        }
        Err(error) => {
            return Err(Rejection::invalid_json(format!(
                "the body cannot be read: {error}"
            )));
        }
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    check_media_type(head)?;
    let value = serde_json::from_slice(&bytes);
    value
        .map(Some)
        .map_err(|error| Rejection::invalid_json(format!("the body is not JSON: {error}")))
}

fn check_media_type(head: &Parts) -> Result<(), Rejection> {
    let content_type = header(head, CONTENT_TYPE.as_str()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json")
        || (head.method == Method::PATCH
            && media_type.eq_ignore_ascii_case("application/merge-patch+json"));
    if !is_json {
        return Err(Rejection::unsupported_media_type(
            "the `Content-Type` of the body must be `application/json`",
        ));
    }
    let encoding = head.headers.get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Rejection::unsupported_media_type(
            "the body must have no `Content-Encoding`",
        ));
    }
    Ok(())
}

/// Maximum size of a body that is read without a permit, in bytes.
const SMALL_BODY: u64 = 16 << 10;

const MAX_BODY: usize = 1 << 20;
const READ_TIMEOUT: Duration = Duration::from_secs(60);
