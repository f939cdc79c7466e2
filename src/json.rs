//! JSON parser: wraps serde_json so that errors carry the kind and position of a problem but no value. It
//! must not know what the JSON means.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::error::Category;

/// Parses all of `bytes` as a value of type `T`.
///
/// # Errors
///
/// Fails if the bytes are not JSON, or the JSON is not a `T`.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(bytes).map_err(|error| Malformed {
        category: error.classify(),
        line: error.line(),
        column: error.column(),
    })
}

/// A JSON parse error, with line and column.
///
/// serde's error messages quote the unexpected value. Responses contain names and ids of people, which
/// must not reach the log, so this error keeps only the kind and the position.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed {
    category: Category,
    line: usize,
    column: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.category {
            Category::Data => "a value is missing or of the wrong type",
            Category::Eof => "truncated JSON",
            Category::Io | Category::Syntax => "not JSON",
        };
        write!(f, "{problem} at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for Malformed {}

/// A `T` that must be written as a JSON object.
///
/// serde would also accept an array of the field values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_position_but_not_the_value() {
        let cases: [(&str, &str); 3] = [
            (
                r#"["alice"]"#,
                "a value is missing or of the wrong type at line 1 column 8",
            ),
            ("[1, ", "truncated JSON at line 1 column 4"),
            ("<html>", "not JSON at line 1 column 1"),
        ];

        for (text, expected) in cases {
            let malformed = parse::<Vec<u32>>(text.as_bytes()).unwrap_err();
            assert_eq!(malformed.to_string(), expected);
        }
    }
}
