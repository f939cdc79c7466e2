//! Sanitizes text from upstream before it is sent to a caller.
//!
//! Upstream may echo the request, at any length and in any script. A sanitized text contains no id, fits
//! into the 2 KiB of an error's details, and is valid in a header where it is used as one.

use std::borrow::Cow;

use crate::{context::Subject, upstream::ApiError};

/// Maximum length of a code, a message and a RequestId, in bytes. Documented codes have up to 66, ids 36.
const MAX_CODE: usize = 100;
const MAX_MESSAGE: usize = 200;
const MAX_REQUEST_ID: usize = 64;

/// Returns an error that is safe to send to the caller.
pub(super) fn api_error(error: &ApiError, subject: &Subject) -> ApiError {
    ApiError {
        code: token(&subject.redact(&error.code), MAX_CODE),
        message: bounded(&subject.redact(&error.message), MAX_MESSAGE).to_owned(),
        request_id: request_id(&error.request_id).into_owned(),
        server_time: error.server_time,
        retry_after: error.retry_after,
    }
}

/// Returns a RequestId that is valid as a header value.
pub(super) fn request_id(id: &str) -> Cow<'_, str> {
    if id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return id.into();
    }
    token(id, MAX_REQUEST_ID).into()
}

/// Replaces everything but visible ASCII by question marks.
fn token(text: &str, length: usize) -> String {
    let visible = |character: char| {
        if character.is_ascii_graphic() {
            character
        } else {
            '?'
        }
    };
    text.chars().map(visible).take(length).collect()
}

/// Truncates `text` to at most `length` bytes, between two characters.
fn bounded(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_redacted_before_the_text_is_truncated() {
        let subject = Subject {
            action: "A",
            fields: &["person_id"],
            id: "alice".to_owned(),
        };
        let message = format!("{}alice", "x".repeat(MAX_MESSAGE - 2));
        let received = ApiError {
            code: "Code\n\u{4eba}alice".to_owned(),
            message,
            request_id: "\u{4eba}".repeat(100),
            ..ApiError::default()
        };

        let sanitized = api_error(&received, &subject);

        assert_eq!(sanitized.code, "Code??[id]");
        assert_eq!(
            sanitized.message,
            format!("{}[i", "x".repeat(MAX_MESSAGE - 2))
        );
        assert_eq!(sanitized.request_id, "?".repeat(MAX_REQUEST_ID));
    }

    #[test]
    fn a_text_is_truncated_between_characters() {
        assert_eq!(bounded("\u{4eba}\u{4eba}", 5), "\u{4eba}");
        assert_eq!(bounded("abc", 5), "abc");
    }
}
