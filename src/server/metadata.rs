//! What callers say beside their message.
//!
//! Whatever cannot be read counts as not said.

mod bearer;
mod forwarded;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::{bearer::bearer_token, forwarded::forwarded_name};
use crate::deadline;

/// The header by which callers and operators name a call.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns how long the caller waits.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    deadline::parse_grpc_timeout(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// Tells whether a client that counts its attempts from 0, or an Envoy that counts them from 1, has
/// made this call before.
pub fn is_repetition(headers: &HeaderMap) -> bool {
    let count = |name| headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
    count("grpc-previous-rpc-attempts").is_some_and(|attempts| attempts > 0)
        || count("x-envoy-attempt-count").is_some_and(|attempts| attempts > 1)
}

/// Takes the caller's name for a call, or makes one.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_usable = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = headers.get(X_REQUEST_ID).filter(is_usable).cloned();
    given.unwrap_or_else(|| {
        let mut text = uuid::Uuid::encode_buffer();
        let text = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
        #[expect(clippy::expect_used, reason = "hexadecimal digits and hyphens")]
        HeaderValue::from_str(text).expect("a UUID")
    })
}
