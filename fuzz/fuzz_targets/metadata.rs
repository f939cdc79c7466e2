//! Fuzz target: the parser of request metadata. The input is one header per line, as `name: value`.
//!
//! Properties: a timeout is parsed if and only if it follows the gRPC grammar, exact to the nanosecond; the
//! deadline of a call is never later than the client's timeout or `--max-call-time`; a call is a retry if
//! and only if its attempt count says so; the request id has 1 to 128 visible ASCII characters, and is the
//! client's if that is valid, or else the trace id; a trace context is continued with the ids that were given; a bearer token is the end of its header; the name of a forwarded caller has 1
//! to 256 visible ASCII characters, and follows the last comma outside of quotation marks; and a call with
//! only `no-cache` bypasses the cache.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use iai_facade::{
    auth::{bearer_token, forwarded_name},
    context::{Bound, Deadline},
    server::metadata::{is_no_cache, is_retry, request_id, timeout},
    trace::{self, Tracer},
};
use libfuzzer_sys::fuzz_target;
use tokio::time::Instant;

/// The bounds of `--max-call-time`.
const MAX_CALL_TIMES: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(600)];

fuzz_target!(|data: &[u8]| {
    let headers = headers(data);
    let timeout = timeout(&headers);
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);

    let expected = text("grpc-timeout").and_then(nanoseconds);
    assert_eq!(timeout.map(|timeout| timeout.as_nanos()), expected);
    for max_call_time in MAX_CALL_TIMES {
        check_deadline(timeout, max_call_time);
    }

    let exceeds = |name, limit| {
        text(name)
            .and_then(count)
            .is_some_and(|count| count > limit)
    };
    let expected = exceeds("grpc-previous-rpc-attempts", 0) || exceeds("x-envoy-attempt-count", 1);
    assert_eq!(is_retry(&headers), expected);

    let mut directives = headers.get_all("cache-control").into_iter();
    if directives.any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache")) {
        assert!(is_no_cache(&headers));
    } else if !data
        .to_ascii_lowercase()
        .windows(8)
        .any(|word| word == b"no-cache")
    {
        assert!(!is_no_cache(&headers));
    }

    let trace = Tracer::new(true, true).begin(&headers);
    let id = request_id(&headers, trace.as_ref());
    assert!(is_id(id.as_bytes()));
    match (text("x-request-id").filter(|given| is_id(given)), &trace) {
        (Some(given), _) => assert_eq!(id, given),
        (None, Some(trace)) => {
            assert_eq!(id, trace.context().trace_id().to_string());
        }
        (None, None) => assert_ne!(id, request_id(&headers, None)),
    }
    if let Some(trace) = &trace {
        let mut written = HeaderMap::new();
        trace::write(trace.context(), &mut written);
        // The version and the flags may have become older ones.
        let given = text("traceparent").unwrap();
        assert_eq!(written["traceparent"].as_bytes()[3..53], given[3..53]);
        assert_eq!(headers.get_all("traceparent").iter().count(), 1);
    }

    if let Some(token) = bearer_token(&headers) {
        assert!(!token.is_empty() && token.iter().all(u8::is_ascii_graphic));
        let header = text("authorization").unwrap().trim_ascii_end();
        assert!(header.ends_with(token) && header.len() > "Bearer ".len());
        assert_eq!(headers.get_all("authorization").iter().count(), 1);
    }
    check_forwarded(&headers);
});

/// Checks the name of a forwarded caller with a second, simpler parser.
fn check_forwarded(headers: &HeaderMap) {
    let name = forwarded_name(headers);
    let is_name =
        |name: &&[u8]| (1..=256).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    assert!(name.iter().all(|name| is_name(&name.as_bytes())));

    let values = |name| -> Vec<_> {
        headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect()
    };
    let certificates = values("x-forwarded-client-cert");
    let client_ids = values("l5d-client-id");
    let expected = match (&certificates[..], &client_ids[..]) {
        ([], [client_id]) => Some(client_id.to_vec()),
        (certificates, []) => uri(&certificates.join(&b", "[..])),
        _ => None,
    };
    let expected = expected.filter(|name| is_name(&name.as_slice()));
    assert_eq!(name.as_deref().map(str::as_bytes), expected.as_deref());
}

/// Returns the first URI of the last element.
///
/// Replaces what is not syntax by control characters, which no header contains, so that commas and
/// semicolons separate and quotation marks open and close.
fn uri(certificates: &[u8]) -> Option<Vec<u8>> {
    const HIDDEN: [(&str, &str); 4] = [
        ("\\\\", "\x01"),
        ("\\\"", "\x02"),
        (",", "\x03"),
        (";", "\x04"),
    ];
    let [backslash, quotation_mark, comma, semicolon] = HIDDEN;
    let text = std::str::from_utf8(certificates)
        .ok()
        .filter(|text| text.is_ascii())?;
    let text = hidden(text, &[backslash, quotation_mark]);
    let parts: Vec<_> = text.split('"').collect();
    if parts.len() % 2 == 0 {
        return None;
    }
    let is_quoted = |number| number % 2 == 1;
    let parts = parts
        .iter()
        .enumerate()
        .map(|(number, part)| match is_quoted(number) {
            true => hidden(part, &[comma, semicolon]),
            false => (*part).to_owned(),
        });
    let text = parts.collect::<Vec<_>>().join("\"");

    let last = text.rsplit(',').next()?;
    let mut pairs = last.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case("uri"))?;
    let value = value.trim();
    let (value, unescaped) = match value.strip_prefix('"') {
        Some(quoted) => {
            let quoted = quoted
                .strip_suffix('"')
                .filter(|quoted| !quoted.contains('"'));
            (quoted?, ["\\", "\"", ",", ";"])
        }
        None => (value, HIDDEN.map(|(shown, _)| shown)),
    };
    let shown = unescaped
        .iter()
        .zip(HIDDEN)
        .fold(value.to_owned(), |value, (shown, (_, hidden))| {
            value.replace(hidden, shown)
        });
    Some(shown.into_bytes())
}

/// Replaces each text by a control character, from left to right.
fn hidden(text: &str, replaced: &[(&str, &str)]) -> String {
    let mut rest = text;
    let mut result = String::new();
    while let Some(first) = rest.chars().next() {
        let found = replaced.iter().find(|(shown, _)| rest.starts_with(shown));
        let (shown, text) = found.map_or((&rest[..first.len_utf8()], None), |(shown, hidden)| {
            (*shown, Some(*hidden))
        });
        result.push_str(text.unwrap_or(shown));
        rest = &rest[shown.len()..];
    }
    result
}

/// Parses the lines that are valid headers and skips the others.
fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

fn check_deadline(timeout: Option<Duration>, max_call_time: Duration) {
    let arrival = Instant::now();
    let deadline = Deadline::new(arrival, timeout, max_call_time);
    let allowed = deadline.remaining(arrival);

    assert_eq!(deadline.at(), arrival + allowed);
    assert!(allowed <= max_call_time);
    assert!(timeout.is_none_or(|timeout| allowed <= timeout));
    match deadline.bound() {
        Bound::Caller => assert!(timeout.is_some()),
        Bound::Service => assert_eq!(allowed, max_call_time),
    }
}

/// Parses a `Timeout` by the gRPC grammar: `1*8DIGIT` and a unit.
fn nanoseconds(text: &[u8]) -> Option<u128> {
    let (unit, digits) = text.split_last()?;
    let unit = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    if digits.len() > 8 {
        return None;
    }
    Some(unit * u128::from(decimal(digits)?))
}

/// Parses an attempt count: an optional plus sign and digits, at most `u32::MAX`.
fn count(text: &[u8]) -> Option<u64> {
    let number = decimal(text.strip_prefix(b"+").unwrap_or(text))?;
    (number <= u64::from(u32::MAX)).then_some(number)
}

/// Parses one or more digits, saturating at `u64::MAX`.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

fn is_id(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(|byte| (0x21..=0x7e).contains(byte))
}
