//! What callers say beside their message.
//!
//! Whatever cannot be read counts as not said.

mod bearer;
mod forwarded;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::CACHE_CONTROL};

pub use self::{bearer::bearer_token, forwarded::forwarded_name};
use crate::deadline;

/// The header by which callers and operators name a call.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");
const X_ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// Returns how long the caller waits.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    deadline::parse_grpc_timeout(headers.get(GRPC_TIMEOUT)?.to_str().ok()?)
}

/// Tells whether a client that counts its attempts from 0, or an Envoy that counts them from 1, has
/// made this call before.
pub fn is_repetition(headers: &HeaderMap) -> bool {
    let count = |name: HeaderName| headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
    count(GRPC_PREVIOUS_RPC_ATTEMPTS).is_some_and(|attempts| attempts > 0)
        || count(X_ENVOY_ATTEMPT_COUNT).is_some_and(|attempts| attempts > 1)
}

/// Tells whether the caller wants an answer that comes from upstream, and was made for it alone.
pub fn is_no_cache(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(directives)
        .any(|directive| directive.eq_ignore_ascii_case("no-cache"))
}

/// Returns the names in a list of directives as [RFC 9111] writes it: `max-age=5, x="a, b"`.
///
/// [RFC 9111]: https://www.rfc-editor.org/rfc/rfc9111#name-cache-control
fn directives(list: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_comma = move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    };
    list.split(is_comma)
        .map(|directive| directive.split('=').next().unwrap_or_default().trim())
}

/// Takes the caller's name for a call, or makes one.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_usable = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = headers.get(X_REQUEST_ID).filter(is_usable).cloned();
    given.unwrap_or_else(|| {
        let mut text = uuid::Uuid::encode_buffer();
        // Names must differ, and need not be hard to guess: the system is not asked for each.
        let random = fastrand::u128(..).to_ne_bytes();
        let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
        let text = uuid.hyphenated().encode_lower(&mut text);
        #[expect(clippy::expect_used, reason = "hexadecimal digits and hyphens")]
        HeaderValue::from_str(text).expect("a UUID")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cache_is_found_among_other_directives_and_not_within_their_values() {
        let cases = [
            (&["no-cache"][..], true),
            (&["No-Cache"], true),
            (&["max-age=0 ,\tNO-CACHE"], true),
            (&["max-age=0", "no-cache"], true),
            (&["no-cache=\"x-iai-cache\""], true),
            (&["x=\"a\\\", b\", no-cache"], true),
            (&[], false),
            (&[""], false),
            (&["no-cached, no-store"], false),
            (&["x=no-cache"], false),
            (&["x=\"a, no-cache\""], false),
            (&["x=\"a\\\", no-cache, \""], false),
            (&["x=\"a, no-cache"], false),
        ];

        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(is_no_cache(&headers), expected, "{values:?}");
        }
    }
}
