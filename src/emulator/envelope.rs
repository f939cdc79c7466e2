//! `{"Response": {…, "RequestId": …}}`, in which every answer and every refusal is wrapped.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

/// An error the API reports inside the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Refusal {
    pub(super) code: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    /// Creates a refusal with an upstream code such as `InvalidAction`.
    pub(super) fn new(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// Creates the refusal of a call without a parameter it needs.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request is missing a required parameter `{parameter}`."),
        )
    }
}

/// Wraps the fields of an answer; `RequestId` follows them, as in the documentation's examples.
pub(super) fn answer(fields: &impl Serialize) -> Bytes {
    seal(fields)
}

/// Wraps a refusal.
pub(super) fn refusal(error: &Refusal) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refused<'a> {
        error: &'a Refusal,
    }
    seal(&Refused { error })
}

fn seal(content: &impl Serialize) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Envelope<'a, T> {
        response: Response<'a, T>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Response<'a, T> {
        #[serde(flatten)]
        content: &'a T,
        request_id: String,
    }
    let request_id = Uuid::new_v4().to_string();
    let envelope = Envelope {
        response: Response {
            content,
            request_id,
        },
    };
    #[expect(
        clippy::expect_used,
        reason = "plain structs with string keys always have a JSON form"
    )]
    let json = serde_json::to_vec(&envelope).expect("an answer has a JSON form");
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_and_a_message_and_then_a_request_id() {
        let json = refusal(&Refusal::new("InvalidAction", "no such action"));
        let json = std::str::from_utf8(&json).unwrap();
        let start = r#"{"Response":{"Error":{"Code":"InvalidAction","Message":"no such action"},"RequestId":""#;
        assert!(json.starts_with(start), "{json}");
    }

    #[test]
    fn every_answer_has_a_request_id_of_its_own() {
        assert_ne!(answer(&Nothing {}), answer(&Nothing {}));
    }

    #[derive(Serialize)]
    struct Nothing {}
}
