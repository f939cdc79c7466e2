//! Forwarded identity: the name that a trusted proxy in front of the service gives its client.

use http::{HeaderMap, HeaderValue};

/// The maximum length of a forwarded name, in bytes.
const MAX_NAME: usize = 256;

/// Returns the name that a proxy gives its client: 1 to 256 visible ASCII characters.
///
/// Envoy sets [`x-forwarded-client-cert`], of which the URI is used, and linkerd sets `l5d-client-id`.
/// Each of them sanitizes its own header and forwards that of the other, so a client could forge one
/// of the two: a call with both has no name.
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

/// Returns all values of a header joined to one, since a proxy may add a field line of its own. A value
/// that is not ASCII yields the empty string, which is no valid name.
fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).into_iter().collect();
    if values.is_empty() {
        return None;
    }
    let texts: Result<Vec<_>, _> = values.into_iter().map(HeaderValue::to_str).collect();
    // No name contains a comma, so two values of linkerd's header are not a name.
    Some(texts.map_or(String::new(), |texts| texts.join(", ")))
}

/// Returns the first URI of the last element of Envoy's header.
///
/// A proxy appends its element. The client sent those before it, so they are ignored even if the last
/// one has no URI. A quotation mark that the client did not close would make the proxy's element part
/// of the client's quoted value: such a header has no URI. Envoy closes all of its quotation marks.
fn uri(certificates: &str) -> Option<String> {
    let last = split(certificates, ',')?.pop()?;
    let pairs = split(last, ';')?.into_iter();
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case("uri"))?;
    let value = value.trim();
    match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted),
        None => Some(value.to_owned()),
    }
}

/// Returns the text before the quotation mark that closes it, which must be the end. Removes the
/// backslash before each other quotation mark and backslash.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars().peekable();
    loop {
        let character = characters.next()?;
        let escaped = characters.next_if(|next| character == '\\' && matches!(next, '"' | '\\'));
        match escaped {
            None if character == '"' => return characters.next().is_none().then_some(text),
            _ => text.push(escaped.unwrap_or(character)),
        }
    }
}

/// Splits at each separator outside of quotation marks. A quotation mark after a backslash is part of
/// the text. Returns `None` if a quotation mark is not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
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
    let parts = text.split(is_end).collect();
    (!is_quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            // The example in Envoy's documentation.
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
            (
                r#"URI="spiffe://a/\"b\"/c\\d\e\\""#,
                Some(r#"spiffe://a/"b"/c\d\e\"#),
            ),
            ("Hash=1;URI=;DNS=orders", None),
            (r#"URI="unended"#, None),
            (r#"URI="ended"more"#, None),
            (r#"URI="ended"\""#, None),
            (r#"URI="ended""again""#, None),
            // A quotation mark of the client before the element that Envoy appends.
            (
                r#"URI=spiffe://x/victim;Subject=",By=spiffe://a;Hash=1;URI=spiffe://real"#,
                None,
            ),
            (
                r#"URI=spiffe://x/victim;Subject=",Hash=1;Subject="CN=\"real\"";URI=spiffe://real"#,
                None,
            ),
            (
                r#"URI=spiffe://x/victim;Subject="\",Hash=1;Subject="";URI=spiffe://real"#,
                None,
            ),
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

    proptest! {
        /// For any header of the client, the name is that of the element that Envoy appends, or none.
        #[test]
        fn a_client_cannot_forge_the_name_that_the_proxy_appends(
            sent in r#"([\x20-\x7e]|[",;=\\]|URI=|spiffe://victim){0,40}"#,
            subject in r#"([a-z =,;]|\\"){0,12}"#,
        ) {
            let appended = format!(
                r#"By=spiffe://a;Hash=1;Subject="{subject}";URI=spiffe://real;DNS=real"#
            );
            let named = of(&[("x-forwarded-client-cert", &format!("{sent},{appended}"))]);
            prop_assert!(named.is_none() || named.as_deref() == Some("spiffe://real"), "{named:?}");
        }
    }

    #[test]
    fn linkerds_client_id_is_the_name() {
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
