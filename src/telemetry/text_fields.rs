//! Fields of text lines: `name=value`, with values quoted where they are ambiguous. Values may come from
//! upstream, from clients or from the system, so line breaks and terminal control characters in them are
//! escaped.

use std::fmt;

use tracing::field::Field;
use tracing_subscriber::{
    field::MakeExt,
    fmt::FormatFields,
    fmt::format::{Writer, debug_fn},
};

/// Returns the formatter of the fields of a text line.
pub(super) fn text_fields() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    debug_fn(
        |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
            let value = format!("{value:?}");
            if field.name() == "message" {
                return write_escaped(writer, &value);
            }
            write!(writer, "{}=", field.name())?;
            if is_quoted(&value) || (!value.is_empty() && value.chars().all(is_plain)) {
                writer.write_str(&value)
            } else {
                write!(writer, "{value:?}")
            }
        },
    )
    .delimited(" ")
}

/// Returns whether a value is a single quoted string, as in the `Debug` output of strings.
fn is_quoted(value: &str) -> bool {
    let Some(text) = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut is_escaped = false;
    let is_text = text.chars().all(|character| {
        let is_inside = is_escaped || character != '"';
        is_escaped = !is_escaped && character == '\\';
        is_inside && is_printable(character)
    });
    is_text && !is_escaped
}

fn is_plain(character: char) -> bool {
    !character.is_whitespace() && !matches!(character, '=' | '"') && is_printable(character)
}

/// Returns whether Rust's `Debug` leaves a character unescaped. It escapes control characters,
/// characters that change the text direction, and invisible characters.
fn is_printable(character: char) -> bool {
    matches!(character, '"' | '\\' | '\'') || character.escape_debug().len() == 1
}

fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        if is_printable(character) {
            writer.write_char(character)?;
        } else {
            write!(writer, "{}", character.escape_debug())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{Layer, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the line of one event.
    fn line(event: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_ansi(false)
            .fmt_fields(text_fields())
            .boxed();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), event);
        let lines = lines.0.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn untrusted_values_stay_on_their_line_and_in_their_field() {
        for (value, expected) in [
            ("plain-1.5", "plain-1.5"),
            ("two words", r#""two words""#),
            ("", r#""""#),
            ("a=b", r#""a=b""#),
            ("line\r\nfeed", r#""line\r\nfeed""#),
            ("\u{1b}[31m", r#""\u{1b}[31m""#),
            ("\u{9b}31m\u{7f}", r#""\u{9b}31m\u{7f}""#),
            ("\u{202e}txt", r#""\u{202e}txt""#),
            (r#"a" level="b"#, r#""a\" level=\"b""#),
            (r#""a" b="c""#, r#""\"a\" b=\"c\"""#),
        ] {
            let line = line(|| tracing::info!(value = %value, "it\nwas"));
            assert_eq!(line, format!("it\\nwas value={expected}\n"));
        }
    }

    #[test]
    fn string_values_are_quoted_once() {
        let line = line(|| tracing::info!(text = "a \"b\"\n", number = 2, "words"));
        assert_eq!(line, "words text=\"a \\\"b\\\"\\n\" number=2\n");
    }
}
