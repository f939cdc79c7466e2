//! Lists of `name=value`, separated by commas, with percent-encoded values: headers and attributes.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Parses headers. No error shows a value, which may be secret.
pub(super) fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = Vec::new();
    for (place, pair) in pairs(text).enumerate() {
        let number = place + 1;
        let (name, value) = pair.ok_or_else(|| format!("entry {number} is not NAME=VALUE"))?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("the name of entry {number} is not that of a header"))?;
        let is_visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let mut value = HeaderValue::from_str(&value)
            .ok()
            .filter(|_| is_visible)
            .ok_or_else(|| format!("the value of `{name}` is not visible ASCII"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

/// Parses attributes of the resource.
pub(super) fn resource(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |(place, pair): (usize, Option<(&str, String)>)| {
        let pair = pair.filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| format!("entry {} is not NAME=VALUE", place + 1))?;
        Ok((name.to_owned(), value))
    };
    pairs(text).enumerate().map(pair).collect()
}

/// Splits a list. An entry that is no pair, or whose value is not UTF-8, is `None`.
fn pairs(text: &str) -> impl Iterator<Item = Option<(&str, String)>> {
    let entries = text.split(',').map(str::trim);
    entries.filter(|entry| !entry.is_empty()).map(|entry| {
        let (name, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim(), value.into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_no_error_shows_one() {
        let parsed = headers("api-key=a%20b%3D, x-tenant = t=1,").unwrap();
        let parsed: Vec<_> = parsed
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        assert_eq!(parsed[0], ("api-key", &HeaderValue::from_static("a b=")));
        assert_eq!(parsed[1], ("x-tenant", &HeaderValue::from_static("t=1")));
        for (text, problem) in [
            ("secret", "entry 1 is not NAME=VALUE"),
            (
                "a=b,c d=secret",
                "the name of entry 2 is not that of a header",
            ),
            ("a=secret%0a", "the value of `a` is not visible ASCII"),
            ("a=%ff", "entry 1 is not NAME=VALUE"),
        ] {
            assert_eq!(headers(text).unwrap_err(), problem);
        }
    }

    #[test]
    fn attributes_of_the_resource_are_pairs() {
        let parsed = resource("a=b,k8s.pod.name=x%2Cy").unwrap();
        assert_eq!(parsed[1], ("k8s.pod.name".to_owned(), "x,y".to_owned()));
        assert_eq!(resource("a=b,=c").unwrap_err(), "entry 2 is not NAME=VALUE");
        assert_eq!(resource("a").unwrap_err(), "entry 1 is not NAME=VALUE");
    }
}
