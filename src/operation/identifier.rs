//! Validation of group ids and person ids.

use super::Violation;

/// Maximum length of an id, in bytes.
const MAX_LENGTH: usize = 64;

/// Returns the first violation of an id, if any.
///
/// The rule is that of `CreateGroup` and `CreatePerson`: 1 to 64 bytes of ASCII letters, digits and
/// `-%@#&_`.
pub(super) fn violation(field: &'static str, id: &str) -> Option<Violation> {
    let description = if id.is_empty() {
        "is required"
    } else if id.len() > MAX_LENGTH {
        "must be at most 64 bytes long"
    } else if !id.bytes().all(is_allowed) {
        "must contain only ASCII letters, digits and -%@#&_"
    } else {
        return None;
    };
    Some(Violation { field, description })
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-%@#&_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_1_to_64_allowed_bytes_is_valid() {
        for id in ["a", "AZaz09-%@#&_", &"x".repeat(64)] {
            assert_eq!(violation("group_id", id), None, "{id}");
        }
    }

    #[test]
    fn any_other_id_is_a_violation() {
        let long = "x".repeat(65);
        let cases = [
            ("", "is required"),
            (long.as_str(), "must be at most 64 bytes long"),
            ("a b", "must contain only ASCII letters, digits and -%@#&_"),
            ("a\0", "must contain only ASCII letters, digits and -%@#&_"),
            (
                "\u{7ec4}",
                "must contain only ASCII letters, digits and -%@#&_",
            ),
        ];

        for (id, description) in cases {
            let expected = Violation {
                field: "group_id",
                description,
            };
            assert_eq!(violation("group_id", id), Some(expected), "{id}");
        }
    }
}
