//! Lenient deserializers: the deviations from the documentation that are accepted in upstream responses. The
//! API models of the vendor's editions disagree on which fields may be null, and the vendor's examples have
//! numbers as strings. Therefore null is accepted as an empty string or list, and digits in quotes as a
//! number. Any other wrong type is an error, because a guess would reach callers as a fact.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// Deserializes a string; null becomes the empty string.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Deserializes a list of strings; null becomes an empty list, and a null element an empty string.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts: Option<Vec<Option<String>>> = Option::deserialize(deserializer)?;
    Ok(texts
        .unwrap_or_default()
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect())
}

/// Deserializes an id, which must be neither null nor empty.
pub(super) fn identifier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.is_empty() {
        Err(de::Error::custom("an empty id"))
    } else {
        Ok(id)
    }
}

/// Deserializes a non-negative integer from a JSON number or from digits in quotes; null becomes `None`.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(NumberVisitor)
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a non-negative integer, digits in quotes, or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_str<E: de::Error>(self, digits: &str) -> Result<Self::Value, E> {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { digits.parse().ok() } else { None };
        number
            .map(Some)
            .ok_or_else(|| E::custom("expected a non-negative integer in quotes"))
    }
}
