//! The headers of a call, one a line, as `name: value`.
//!
//! What must hold: a timeout is read if and only if it follows the grammar of gRPC, and then to the
//! nanosecond; a call's deadline is never later than the service or the caller allows; a repetition
//! is one whose count says so; an id is of 1 to 128 visible ASCII characters, the caller's own if that
//! is such; a token is what a bearer's header ends with; the name that a proxy gives its caller is of
//! 1 to 256 visible ASCII characters, and from behind the last comma unless there are quotes; and who
//! says no-cache, and no more, does not get a kept answer.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use iai_facade::{
    deadline::{Bound, Deadline},
    server::metadata::{
        bearer_token, forwarded_name, is_no_cache, is_repetition, request_id, timeout,
    },
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
    assert_eq!(is_repetition(&headers), expected);

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

    let id = request_id(&headers);
    assert!(is_id(id.as_bytes()));
    match text("x-request-id").filter(|given| is_id(given)) {
        Some(given) => assert_eq!(id, given),
        None => assert_ne!(id, request_id(&headers)),
    }

    if let Some(token) = bearer_token(&headers) {
        assert!(!token.is_empty() && token.iter().all(u8::is_ascii_graphic));
        let header = text("authorization").unwrap().trim_ascii_end();
        assert!(header.ends_with(token) && header.len() > "Bearer ".len());
        assert_eq!(headers.get_all("authorization").iter().count(), 1);
    }
    check_forwarded(&headers);
});

/// Checks the name that a proxy gives its caller, by another way of reading it.
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
        ([], [client_id]) => Some(*client_id),
        // With quotation marks there is more to it.
        ([certificates], []) if !certificates.contains(&b'"') && certificates.is_ascii() => {
            let last = certificates.rsplit(|byte| *byte == b',').next();
            last.and_then(uri)
        }
        (_, []) => return,
        _ => None,
    };
    assert_eq!(name.as_deref().map(str::as_bytes), expected.filter(is_name));
}

/// Returns the first URI of pairs that are parted by semicolons.
fn uri(pairs: &[u8]) -> Option<&[u8]> {
    pairs.split(|byte| *byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let is_uri = pair[..equals].trim_ascii().eq_ignore_ascii_case(b"uri");
        is_uri.then(|| pair[equals + 1..].trim_ascii())
    })
}

/// Reads the lines that are headers, and skips the others.
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

/// Reads a `Timeout` by the grammar: `1*8DIGIT` and a unit.
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

/// Reads a count of attempts: digits, or a plus sign and digits, that 32 bits can hold.
fn count(text: &[u8]) -> Option<u64> {
    let number = decimal(text.strip_prefix(b"+").unwrap_or(text))?;
    (number <= u64::from(u32::MAX)).then_some(number)
}

/// Reads one digit or more; what 64 bits cannot hold is their greatest number.
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
