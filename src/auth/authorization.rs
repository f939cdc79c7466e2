//! Bearer token of a call, by [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1).

use http::{HeaderMap, header::AUTHORIZATION};

/// Returns the bearer token of a call.
///
/// Returns `None` if the call has several `authorization` values, since it would be ambiguous which
/// one applies.
pub fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer ";

    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len())?;
    let token = token.trim_ascii();
    let is_token = scheme.eq_ignore_ascii_case(SCHEME)
        && !token.is_empty()
        && token.iter().all(u8::is_ascii_graphic);
    is_token.then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer_token(&headers).map(|token| String::from_utf8_lossy(token).into_owned())
    }

    #[test]
    fn only_a_single_well_formed_bearer_token_is_accepted() {
        for (value, expected) in [
            ("Bearer a", Some("a")),
            ("bearer  abc.-_~+/=", Some("abc.-_~+/=")),
            ("BEARER a ", Some("a")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer a b", None),
            ("Basic a", None),
            ("Bearera", None),
            ("", None),
        ] {
            assert_eq!(of(&[value]).as_deref(), expected, "{value}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Bearer a", "Bearer b"]), None);
    }
}
