//! W3C trace context: parses and writes the headers `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::span::random_span_id;

/// The header of the trace id, the id of the caller's span, and the sampling flag.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header of the state of other tracing systems.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flags of version 00: sampled, and random trace id.
const KNOWN_FLAGS: u8 = 0b11;

/// Parses `traceparent` by [W3C Trace Context]; `None` if it is missing, repeated or malformed. Does not read
/// `tracestate`.
///
/// Versions later than 00 may have further fields, which are ignored.
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context-2/#traceparent-header
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else {
        return None;
    };
    let (fields, rest) = value.split_first_chunk::<55>()?;
    let [version, flags] = [hex(&fields[0..2])?, hex(&fields[53..55])?];
    let is_delimited = [2, 35, 52].iter().all(|place| fields[*place] == b'-');
    let is_complete = match version {
        0x00 => rest.is_empty(),
        0xff => false,
        _ => matches!(rest, [] | [b'-', ..]),
    };
    if !is_delimited || !is_complete {
        return None;
    }
    let trace_id = TraceId::from(hex(&fields[3..35])?);
    let span_id = SpanId::from(u64::try_from(hex(&fields[36..52])?).ok()?);
    let flags = TraceFlags::new(u8::try_from(flags).ok()? & KNOWN_FLAGS);
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    // An id of zeros is invalid.
    context.is_valid().then_some(context)
}

/// Parses `tracestate`, whose lists may be in several headers; empty if it is malformed.
pub(super) fn state(headers: &HeaderMap) -> TraceState {
    let values: Option<Vec<_>> = headers
        .get_all(TRACESTATE)
        .iter()
        .map(|value| value.to_str().ok())
        .collect();
    let list = values.map(|values| values.join(",")).unwrap_or_default();
    // The library accepts empty keys.
    let has_keys = list
        .split(',')
        .all(|member| !member.trim().starts_with('='));
    let state = has_keys.then(|| list.parse().ok()).flatten();
    state.unwrap_or_default()
}

/// Adds the headers to a request that is a part of the span of `context`.
pub fn write(context: &SpanContext, headers: &mut HeaderMap) {
    let span_id = match context.span_id() {
        // A span that is not recorded and was not begun by the client either.
        SpanId::INVALID => random_span_id(),
        span_id => span_id,
    };
    let flags = context.trace_flags().to_u8();
    let parent = format!("00-{}-{span_id}-{flags:02x}", context.trace_id());
    let state = context.trace_state().header();
    for (name, value) in [(TRACEPARENT, parent), (TRACESTATE, state)] {
        if !value.is_empty()
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(name, value);
        }
    }
}

/// Parses lower-case hexadecimal digits, at most 32.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    fn parsed(values: &[&str]) -> Option<SpanContext> {
        parent(&headers(&TRACEPARENT, values))
    }

    fn written(context: &SpanContext) -> String {
        let mut headers = HeaderMap::new();
        write(context, &mut headers);
        headers[TRACEPARENT].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_valid_traceparent_is_parsed_and_written_again() {
        let context = parsed(&[VALID]).unwrap();
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(
            context.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(written(&context), VALID);

        let unsampled = VALID.replace("-01", "-00");
        assert!(!parsed(&[&unsampled]).unwrap().is_sampled());
        let unknown_flags = VALID.replace("-01", "-ff");
        let context = parsed(&[&unknown_flags]).unwrap();
        assert!(written(&context).ends_with("-03"));
        for later in ["cc-", "01-"] {
            let later = VALID.replacen("00-", later, 1);
            assert!(parsed(&[&later]).is_some());
            assert!(parsed(&[&format!("{later}-more")]).is_some());
            assert!(parsed(&[&format!("{later}.more")]).is_none());
        }
    }

    #[test]
    fn a_malformed_traceparent_is_ignored() {
        for malformed in [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-"),
            &format!("{VALID}0"),
            &format!(" {VALID}"),
            &VALID.to_uppercase(),
            &VALID.replace('-', "_"),
            &VALID.replacen("00-", "ff-", 1),
            &VALID.replacen("00-", "0x-", 1),
            &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALID.replace("4bf9", "4bg9"),
            &VALID.replace("-01", "-0g"),
        ] {
            assert!(parsed(&[malformed]).is_none(), "{malformed}");
        }
        assert!(parsed(&[]).is_none());
        assert!(parsed(&[VALID, VALID]).is_none());
    }

    #[test]
    fn tracestate_is_joined_and_ignored_if_it_is_malformed() {
        let parsed = |values: &[&str]| state(&headers(&TRACESTATE, values)).header();

        assert_eq!(parsed(&["rojo=1, congo=t61"]), "rojo=1,congo=t61");
        assert_eq!(parsed(&["rojo=1", "congo=t61"]), "rojo=1,congo=t61");
        for malformed in ["rojo", "Rojo=1", "rojo=1,=2", "a b=1"] {
            assert_eq!(parsed(&[malformed]), "", "{malformed}");
        }
        let many: Vec<_> = (0..40).map(|number| format!("v{number}=1")).collect();
        assert_eq!(parsed(&[&many.join(",")]).split(',').count(), 32);
    }
}
