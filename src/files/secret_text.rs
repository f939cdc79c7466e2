//! Secret parser: removes the byte order mark and the line ending that editors, shells and orchestrators
//! add to secrets in files and variables, and rejects any other character that a secret cannot have. Its
//! errors never repeat the text.

use std::fmt;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Why a text is not a valid secret. Reveals at most the kind of one character.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidSecret {
    /// The text is empty.
    Empty,
    /// The text is not UTF-8.
    NotUtf8,
    /// The text is UTF-16, as written by Windows PowerShell.
    Utf16,
    /// The text has a character other than visible ASCII.
    Character(Unexpected, Position),
}

/// A kind of character that a secret cannot have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unexpected {
    /// A byte order mark.
    ByteOrderMark,
    /// A carriage return.
    CarriageReturn,
    /// Another control character.
    Control,
    /// A line feed.
    LineFeed,
    /// A character beyond ASCII.
    NotAscii,
    /// A space.
    Space,
    /// A tab.
    Tab,
}

/// The position of a character in the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Position {
    /// The first character.
    Start,
    /// Neither the first nor the last.
    Middle,
    /// The last character.
    End,
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unexpected, position) = match self {
            Self::Empty => return f.write_str("is empty"),
            Self::NotUtf8 => return f.write_str("is not UTF-8"),
            Self::Utf16 => return f.write_str("is UTF-16, not UTF-8"),
            Self::Character(unexpected, position) => (unexpected, position),
        };
        let character = match unexpected {
            Unexpected::ByteOrderMark => "a byte order mark",
            Unexpected::CarriageReturn => "a carriage return",
            Unexpected::Control => "a control character",
            Unexpected::LineFeed => "a line feed",
            Unexpected::NotAscii => "a character that is not ASCII",
            Unexpected::Space => "a space",
            Unexpected::Tab => "a tab",
        };
        let position = match position {
            Position::Start => "at its start",
            Position::Middle => "in its middle",
            Position::End => "at its end",
        };
        write!(f, "has {character} {position}")
    }
}

impl std::error::Error for InvalidSecret {}

/// Returns the secret in the content of a file or variable, without a leading byte order mark and
/// without one trailing line ending (LF or CRLF).
///
/// # Errors
///
/// Fails if the rest is empty or has a character other than visible ASCII.
pub fn parse(content: &[u8]) -> Result<&str, InvalidSecret> {
    let text = decode(content)?;
    let text = text
        .strip_suffix('\n')
        .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    check(text)?;
    Ok(text)
}

/// Decodes UTF-8, and removes a leading byte order mark.
///
/// # Errors
///
/// Fails if the content is not UTF-8.
pub fn decode(content: &[u8]) -> Result<&str, InvalidSecret> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(InvalidSecret::Utf16);
    }
    let text = str::from_utf8(content).map_err(|_| InvalidSecret::NotUtf8)?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// Checks that a text is not empty and consists of visible ASCII.
///
/// # Errors
///
/// Fails with the kind and position of an invalid character.
pub fn check(text: &str) -> Result<(), InvalidSecret> {
    if text.is_empty() {
        return Err(InvalidSecret::Empty);
    }
    let is_unexpected = |character: char| !character.is_ascii_graphic();
    // The last one is the most helpful if the text was pasted with the whitespace that followed it.
    let (at, position) = if text.starts_with(is_unexpected) {
        (Some(0), Position::Start)
    } else if text.ends_with(is_unexpected) {
        (text.rfind(is_unexpected), Position::End)
    } else {
        (text.find(is_unexpected), Position::Middle)
    };
    let Some(character) = at.and_then(|at| text[at..].chars().next()) else {
        return Ok(());
    };
    let unexpected = match character {
        ' ' => Unexpected::Space,
        '\t' => Unexpected::Tab,
        '\n' => Unexpected::LineFeed,
        '\r' => Unexpected::CarriageReturn,
        '\u{feff}' => Unexpected::ByteOrderMark,
        character if character.is_ascii() => Unexpected::Control,
        _ => Unexpected::NotAscii,
    };
    Err(InvalidSecret::Character(unexpected, position))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_leading_byte_order_mark_and_one_line_ending_are_removed() {
        for text in ["key", "key\n", "key\r\n", "\u{feff}key", "\u{feff}key\r\n"] {
            assert_eq!(parse(text.as_bytes()), Ok("key"), "{text:?}");
        }
        for (text, problem) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("\u{feff}\r\n", "is empty"),
            ("key\n\n", "has a line feed at its end"),
            ("key\r\n\r\n", "has a line feed at its end"),
            ("key\r", "has a carriage return at its end"),
            ("key\r\r\n", "has a carriage return at its end"),
            ("key ", "has a space at its end"),
            ("key \n", "has a space at its end"),
            ("key\t\r\n", "has a tab at its end"),
            (" key", "has a space at its start"),
            ("\nkey", "has a line feed at its start"),
            ("\u{feff} key", "has a space at its start"),
            ("\u{feff}\u{feff}key", "has a byte order mark at its start"),
            ("k y", "has a space in its middle"),
            ("key\nkey", "has a line feed in its middle"),
            ("k\0y", "has a control character in its middle"),
            ("key\u{7f}", "has a control character at its end"),
            (
                "k\u{e9}y",
                "has a character that is not ASCII in its middle",
            ),
            ("key\u{a0}", "has a character that is not ASCII at its end"),
        ] {
            let found = parse(text.as_bytes()).unwrap_err();
            assert_eq!(found.to_string(), problem, "{text:?}");
        }
        assert_eq!(parse(b"\xff\xfek\0e\0y\0"), Err(InvalidSecret::Utf16));
        assert_eq!(parse(b"key\xff"), Err(InvalidSecret::NotUtf8));
    }

    proptest! {
        #[test]
        fn an_accepted_secret_is_visible_ascii(text in "\\PC{0,5}[ \t\r\nk\u{feff}]{0,5}") {
            if let Ok(secret) = parse(text.as_bytes()) {
                prop_assert!(secret.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!secret.is_empty());
            }
        }
    }
}
