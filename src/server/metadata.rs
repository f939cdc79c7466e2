//! Request metadata: parses timeout, request id, cache control and retry counts. Malformed values are
//! ignored.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, header::CACHE_CONTROL};

use crate::{context::parse_grpc_timeout, trace::CallTrace};

/// The header of the request id, by which callers and operators identify a call.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");
const X_ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// The overhead that [RFC 9113], section 10.5.1, adds for each field to its name and value, in bytes.
///
/// [RFC 9113]: https://www.rfc-editor.org/rfc/rfc9113#section-10.5.1
const FIELD: usize = 32;

/// Returns the size of the request headers in bytes, as SETTINGS_MAX_HEADER_LIST_SIZE limits it: it
/// includes the pseudo-header fields for method, scheme, authority and path.
pub fn size<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let pseudo_fields = [
        (":method".len(), Some(request.method().as_str().len())),
        (":scheme".len(), uri.scheme_str().map(str::len)),
        (
            ":authority".len(),
            uri.authority().map(|it| it.as_str().len()),
        ),
        (
            ":path".len(),
            uri.path_and_query().map(|it| it.as_str().len()),
        ),
    ];
    let pseudo_fields = pseudo_fields
        .into_iter()
        .filter_map(|(name, value)| Some(name + value? + FIELD));
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    pseudo_fields.sum::<usize>() + fields.sum::<usize>()
}

/// Returns the client's timeout from `grpc-timeout`.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    parse_grpc_timeout(headers.get(GRPC_TIMEOUT)?.to_str().ok()?)
}

/// Returns whether the call is a retry: by `grpc-previous-rpc-attempts`, which counts from 0, or by
/// Envoy's `x-envoy-attempt-count`, which counts from 1.
pub fn is_retry(headers: &HeaderMap) -> bool {
    let count = |name: HeaderName| headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
    count(GRPC_PREVIOUS_RPC_ATTEMPTS).is_some_and(|attempts| attempts > 0)
        || count(X_ENVOY_ATTEMPT_COUNT).is_some_and(|attempts| attempts > 1)
}

/// Returns whether the client requests a response from upstream with `cache-control: no-cache`.
pub fn is_no_cache(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(directives)
        .any(|directive| directive.eq_ignore_ascii_case("no-cache"))
}

/// Returns the names in a list of cache directives as defined by [RFC 9111]: `max-age=5, x="a, b"`.
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

/// Returns the client's request id, or else the id of the trace, or else a random one.
pub fn request_id(headers: &HeaderMap, trace: Option<&CallTrace>) -> HeaderValue {
    let is_usable = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = headers.get(X_REQUEST_ID).filter(is_usable).cloned();
    given.unwrap_or_else(|| {
        if let Some(trace) = trace {
            let id = trace.context().trace_id().to_bytes();
            let mut text = [0; 32];
            // It fails only if the buffer is too short.
            if let Ok(text) = base16ct::lower::encode_str(&id, &mut text)
                && let Ok(value) = HeaderValue::from_str(text)
            {
                return value;
            }
        }
        let mut text = uuid::Uuid::encode_buffer();
        // Ids must be unique, not unpredictable: a user-space generator avoids a system call per call.
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
