//! What upstream says, made fit to be passed on.
//!
//! Upstream may repeat what it was sent, at any length and in any script. What leaves the service
//! holds no id, fits into an error's 2 KiB, and into headers where it must.

use std::borrow::Cow;

use crate::{context::Subject, upstream::Refusal};

/// The longest code, message and id of a call, in bytes. Documented codes have up to 66, ids 36.
const MAX_CODE: usize = 100;
const MAX_MESSAGE: usize = 200;
const MAX_REQUEST_ID: usize = 64;

/// Returns a refusal that can be passed on.
pub(super) fn refusal(refusal: &Refusal, subject: &Subject) -> Refusal {
    Refusal {
        code: token(&subject.redact(&refusal.code), MAX_CODE),
        message: bounded(&subject.redact(&refusal.message), MAX_MESSAGE).to_owned(),
        request_id: request_id(&refusal.request_id).into_owned(),
        server_time: refusal.server_time,
        retry_after: refusal.retry_after,
    }
}

/// Returns upstream's id of a call in the form of a header.
pub(super) fn request_id(id: &str) -> Cow<'_, str> {
    if id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return id.into();
    }
    token(id, MAX_REQUEST_ID).into()
}

/// Returns `text` with a question mark for all that is not visible ASCII.
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

/// Cuts `text` down to at most `length` bytes, between two characters.
fn bounded(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_out_before_the_rest_is_cut() {
        let subject = Subject {
            action: "A",
            fields: &["person_id"],
            id: "alice".to_owned(),
        };
        let message = format!("{}alice", "x".repeat(MAX_MESSAGE - 2));
        let received = Refusal {
            code: "Code\n\u{4eba}alice".to_owned(),
            message,
            request_id: "\u{4eba}".repeat(100),
            ..Refusal::default()
        };

        let passed_on = refusal(&received, &subject);

        assert_eq!(passed_on.code, "Code??[id]");
        assert_eq!(
            passed_on.message,
            format!("{}[i", "x".repeat(MAX_MESSAGE - 2))
        );
        assert_eq!(passed_on.request_id, "?".repeat(MAX_REQUEST_ID));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(bounded("\u{4eba}\u{4eba}", 5), "\u{4eba}");
        assert_eq!(bounded("abc", 5), "abc");
    }
}
