//! What a group id or person id may look like.

use std::fmt;

/// Checks an id by the documented rule: at most 64 bytes of letters, digits and `-%@#&_`.
///
/// # Errors
///
/// Returns the first flaw, in the order in which [`Flaw`] lists them.
pub(super) fn check(id: &str) -> Result<(), Flaw> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-%@#&_".contains(&byte);
    if id.is_empty() {
        Err(Flaw::Empty)
    } else if id.len() > MAX_BYTES {
        Err(Flaw::TooLong)
    } else if !id.bytes().all(is_legal) {
        Err(Flaw::Illegal)
    } else {
        Ok(())
    }
}

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Empty,
    TooLong,
    Illegal,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an id must not be empty",
            Self::TooLong => "an id must not be longer than 64 bytes",
            Self::Illegal => "an id may hold only letters, digits and -%@#&_",
        })
    }
}

const MAX_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_by_the_documented_rule() {
        let longest = "x".repeat(64);
        let too_long = "x".repeat(65);
        let long_in_bytes = "é".repeat(33);
        let cases = [
            ("2001", Ok(())),
            ("aZ9-%@#&_", Ok(())),
            (longest.as_str(), Ok(())),
            ("", Err(Flaw::Empty)),
            (too_long.as_str(), Err(Flaw::TooLong)),
            (long_in_bytes.as_str(), Err(Flaw::TooLong)),
            ("a b", Err(Flaw::Illegal)),
            ("a.b", Err(Flaw::Illegal)),
            ("人员库", Err(Flaw::Illegal)),
        ];
        for (id, expected) in cases {
            assert_eq!(check(id), expected, "{id:?}");
        }
    }
}
