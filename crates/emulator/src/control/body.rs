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
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::reply::Rejection;
use crate::headers::header;

/// Bounds the memory of large bodies: those larger than 16 KiB, or of unknown length.
#[derive(Debug)]
pub(super) struct LargeBodies {
    /// Permits to read a body.
    reads: Semaphore,
    /// The permit to parse a body, whose value can take thirty times as much memory.
    values: Semaphore,
}

impl Default for LargeBodies {
    fn default() -> Self {
        Self {
            reads: Semaphore::new(MAX_READS),
            values: Semaphore::new(1),
        }
    }
}

/// The body of a request.
#[derive(Debug, Default)]
pub(super) struct Json<'a> {
    /// The value; `None` if the body is empty.
    pub(super) value: Option<Value>,
    /// Held until the value is dropped, if the body is large.
    _permit: Option<SemaphorePermit<'a>>,
}

/// Reads the body of a request. It is empty if the method has none: bodies of GET and DELETE are not read.
///
/// # Errors
///
/// Fails if the body is too large, late, not declared as JSON, or not JSON.
pub(super) async fn read<'a>(
    head: &Parts,
    body: Incoming,
    large_bodies: &'a LargeBodies,
) -> Result<Json<'a>, Rejection> {
    if head.method == Method::GET || head.method == Method::DELETE {
        return Ok(Json::default());
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
            true => large_bodies.reads.acquire().await.ok(),
            false => None,
        };
        (Limited::new(body, MAX_BODY).collect().await, permit)
    };
    let (collected, _read) = timeout(READ_TIMEOUT, read)
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
        return Ok(Json::default());
    }
    check_media_type(head)?;
    let permit = match is_large {
        true => large_bodies.values.acquire().await.ok(),
        false => None,
    };
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| Rejection::invalid_json(format!("the body is not JSON: {error}")))?;
    Ok(Json {
        value: Some(value),
        _permit: permit,
    })
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

/// Maximum number of large bodies that are read concurrently.
const MAX_READS: usize = 8;

const MAX_BODY: usize = 1 << 20;
const READ_TIMEOUT: Duration = Duration::from_secs(60);
