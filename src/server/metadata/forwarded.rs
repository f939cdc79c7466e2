//! What a proxy in front of the service says of its own caller.

use http::{HeaderMap, HeaderValue};

/// The longest name that is believed, in bytes.
const MAX_NAME: usize = 256;

/// Returns the one name that proxies give their caller: 1 to 256 visible ASCII characters.
///
/// Envoy writes [`x-forwarded-client-cert`], of which the URI is read, and linkerd `l5d-client-id`.
/// Each takes care of its own header and lets the other's pass, so that of a call with both either
/// may be made up: it has no name.
///
/// [`x-forwarded-client-cert`]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
pub fn forwarded_name(headers: &HeaderMap) -> Option<String> {
    let certificates = text_of(headers, "x-forwarded-client-cert");
    let client_ids = text_of(headers, "l5d-client-id");
    let name = match (certificates, client_ids) {
        (Some(certificates), None) => uri(&certificates)?,
        (None, Some(client_id)) => client_id,
        _ => return None,
    };
    let is_name =
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(name)
}

/// Returns all values of a header as one, as a proxy may have added a line of its own. What is not
/// ASCII is empty, and so no name.
fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).into_iter().collect();
    if values.is_empty() {
        return None;
    }
    let texts: Result<Vec<_>, _> = values.into_iter().map(HeaderValue::to_str).collect();
    // A comma is in no name, so that two of linkerd's are none.
    Some(texts.map_or(String::new(), |texts| texts.join(", ")))
}

/// Returns the first URI of the last element of Envoy's header.
///
/// A proxy adds its element at the end. Those before it were sent to it, by whomever, so that none
/// of them counts even if the last has no URI.
fn uri(certificates: &str) -> Option<String> {
    let last = split(certificates, ',').pop()?;
    let pairs = split(last, ';').into_iter();
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case("uri"))?;
    let value = value.trim();
    match value.strip_prefix('"') {
        Some(quoted) => Some(quoted.strip_suffix('"')?.replace("\\\"", "\"")),
        None => Some(value.to_owned()),
    }
}

/// Splits at a separator where it does not stand between quotation marks, of which those behind a
/// backslash are part of the text.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let is_end = |character: char| {
        match character {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
        character == separator && !is_quoted
    };
    text.split(is_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        forwarded_name(&headers)
    }

    #[test]
    fn the_uri_of_the_last_element_is_the_name() {
        const XFCC: &str = "x-forwarded-client-cert";
        let long = format!("URI={}", "x".repeat(MAX_NAME + 1));
        let cases = [
            // The example of Envoy's documentation.
            (
                r#"By=http://frontend.lyft.com;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;Subject="/C=US/ST=CA/L=San Francisco/OU=Lyft/CN=Test Client";URI=http://testclient.lyft.com"#,
                Some("http://testclient.lyft.com"),
            ),
            (
                "URI=spiffe://forged, By=spiffe://a;URI=spiffe://real",
                Some("spiffe://real"),
            ),
            (r#"URI=spiffe://forged,Hash=1;Subject="CN=x""#, None),
            (
                r#"Subject="CN=\",URI=spiffe://forged;URI=x";uri="spiffe://a,b;c=d""#,
                Some("spiffe://a,b;c=d"),
            ),
            (
                "URI=spiffe://first;URI=spiffe://second",
                Some("spiffe://first"),
            ),
            ("Hash=1;URI=;DNS=orders", None),
            (r#"URI="unended"#, None),
            ("URI=a b", None),
            ("URI=spiffe://a,", None),
            ("URI", None),
            ("", None),
            (long.as_str(), None),
        ];

        for (value, expected) in cases {
            assert_eq!(of(&[(XFCC, value)]).as_deref(), expected, "{value}");
        }
        let two = [(XFCC, "URI=spiffe://forged"), (XFCC, "URI=spiffe://real")];
        assert_eq!(of(&two).as_deref(), Some("spiffe://real"));
    }

    #[test]
    fn linkerds_name_is_one_by_itself() {
        const ID: &str = "l5d-client-id";
        let name = "orders.shop.serviceaccount.identity.linkerd.cluster.local";

        assert_eq!(of(&[(ID, name)]).as_deref(), Some(name));
        assert_eq!(of(&[(ID, name), (ID, name)]), None);
        assert_eq!(
            of(&[(ID, name), ("x-forwarded-client-cert", "URI=a")]),
            None
        );
        assert_eq!(of(&[(ID, "")]), None);
        assert_eq!(of(&[]), None);
    }
}
