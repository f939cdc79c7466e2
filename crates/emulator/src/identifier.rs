//! Validation of group ids and person ids.

use std::fmt;

/// Validates an id by the documented rule: 1 to 64 bytes of ASCII letters, digits and `-%@#&_`.
///
/// # Errors
///
/// Fails with the first error that applies, in the order of the variants of [`IdError`].
pub(super) fn check(id: &str) -> Result<(), IdError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-%@#&_".contains(&byte);
    if id.is_empty() {
        Err(IdError::Empty)
    } else if id.len() > MAX_BYTES {
        Err(IdError::TooLong)
    } else if !id.bytes().all(is_allowed) {
        Err(IdError::Illegal)
    } else {
        Ok(())
    }
}

/// Why a text is not a valid id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdError {
    Empty,
    TooLong,
    Illegal,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an id must not be empty",
            Self::TooLong => "an id must not be longer than 64 bytes",
            Self::Illegal => "an id may contain only letters, digits and -%@#&_",
        })
    }
}

const MAX_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_validated_by_the_documented_rule() {
        let longest = "x".repeat(64);
        let too_long = "x".repeat(65);
        let long_in_bytes = "é".repeat(33);
        let cases = [
            ("2001", Ok(())),
            ("aZ9-%@#&_", Ok(())),
            (longest.as_str(), Ok(())),
            ("", Err(IdError::Empty)),
            (too_long.as_str(), Err(IdError::TooLong)),
            (long_in_bytes.as_str(), Err(IdError::TooLong)),
            ("a b", Err(IdError::Illegal)),
            ("a.b", Err(IdError::Illegal)),
            ("人员库", Err(IdError::Illegal)),
        ];
        for (id, expected) in cases {
            assert_eq!(check(id), expected, "{id:?}");
        }
    }
}
