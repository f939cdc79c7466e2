//! Opens `{"Response": {…}}`, the envelope of every answer.
//!
//! The HTTP status says nothing: refusals come with 200. Whether an `Error` is inside decides.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use time::UtcDateTime;

use super::Reply;
use crate::json::{self, Malformed, Object};

/// An answer that says no.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refusal {
    /// The error code, such as `InvalidParameterValue.GroupIdNotExist`.
    pub code: String,
    /// Upstream's words, which may change at any time and may repeat what it was sent.
    pub message: String,
    /// Upstream's id of the call, or empty.
    pub request_id: String,
    /// When upstream answered, by its own clock.
    pub server_time: Option<UtcDateTime>,
    /// For how long upstream asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// What is inside an envelope.
#[derive(Debug, Eq, PartialEq)]
pub enum Opened {
    /// An error.
    Refused(Refusal),
    /// An answer.
    Replied {
        /// The answer.
        reply: Reply,
        /// Whether upstream announces that it will withdraw the action.
        is_deprecated: bool,
    },
}

/// Why a body is not an answer.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAnEnvelope {
    /// It is not JSON, or has not the documented members.
    #[error(transparent)]
    Malformed(#[from] Malformed),

    /// It has no id.
    #[error("the answer has no RequestId")]
    WithoutRequestId,
}

/// Opens the envelope that is the whole of `body`.
///
/// # Errors
///
/// Fails if the body is anything else, and if an answer that is not a refusal has no id.
pub fn open(body: &Bytes) -> Result<Opened, NotAnEnvelope> {
    let Object(envelope): Object<Envelope<'_>> = json::parse(body)?;
    let inside = envelope.response.get().as_bytes();
    let Object(outcome): Object<Outcome> = json::parse(inside)?;

    let request_id = outcome.request_id.unwrap_or_default();
    if let Some(Object(error)) = outcome.error {
        return Ok(Opened::Refused(Refusal {
            code: error.code,
            message: error.message.unwrap_or_default(),
            request_id,
            ..Refusal::default()
        }));
    }
    if request_id.is_empty() {
        return Err(NotAnEnvelope::WithoutRequestId);
    }
    Ok(Opened::Replied {
        reply: Reply {
            body: body.slice_ref(inside),
            request_id,
        },
        is_deprecated: outcome.deprecated_warning.is_some(),
    })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "Response")]
    response: &'a RawValue,
}

/// What every answer may hold, beside the fields of its action.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    error: Option<Object<ErrorBody>>,
    request_id: Option<String>,
    deprecated_warning: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody {
    code: String,
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(body: &str) -> Result<Opened, NotAnEnvelope> {
        open(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_reply_is_the_inside_of_the_envelope() {
        let inside = r#"{"GroupNum":"1","RequestId":"r","Error":null}"#;

        let opened = opened(&format!(r#"{{"Response": {inside}, "More": 1}}"#)).unwrap();

        let body = Bytes::copy_from_slice(inside.as_bytes());
        let reply = Reply {
            body,
            request_id: "r".to_owned(),
        };
        assert_eq!(
            opened,
            Opened::Replied {
                reply,
                is_deprecated: false
            }
        );
    }

    #[test]
    fn a_warning_of_deprecation_is_noticed_whatever_its_form() {
        let opened = opened(r#"{"Response":{"RequestId":"r","DeprecatedWarning":["x"]}}"#).unwrap();

        assert!(matches!(
            opened,
            Opened::Replied {
                is_deprecated: true,
                ..
            }
        ));
    }

    #[test]
    fn a_refusal_needs_only_a_code() {
        let cases = [
            (r#"{"Code":"A.B","Message":"m"},"RequestId":"r""#, "m", "r"),
            (r#"{"Code":"A.B","Message":null},"RequestId":null"#, "", ""),
            (r#"{"Code":"A.B"}"#, "", ""),
        ];

        for (inside, message, request_id) in cases {
            let opened = opened(&format!(r#"{{"Response":{{"Error":{inside}}}}}"#)).unwrap();

            let refusal = Refusal {
                code: "A.B".to_owned(),
                message: message.to_owned(),
                request_id: request_id.to_owned(),
                ..Refusal::default()
            };
            assert_eq!(opened, Opened::Refused(refusal), "{inside}");
        }
    }

    #[test]
    fn anything_else_is_not_an_envelope() {
        let bodies = [
            "",
            "<html></html>",
            "null",
            "[]",
            "{}",
            r#"{"Response":null}"#,
            r#"{"Response":"x"}"#,
            r#"{"Response":{}}"#,
            r#"{"Response":{"RequestId":1}}"#,
            r#"{"Response":{"RequestId":""}}"#,
            r#"{"Response":["r"]}"#,
            r#"[{"RequestId":"r"}]"#,
            r#"{"Response":{"Error":["A.B","m"],"RequestId":"r"}}"#,
            r#"{"Response":{"RequestId":"r"}"#,
            r#"{"Response":{"RequestId":"r"}} x"#,
            r#"{"Response":{"Error":{},"RequestId":"r"}}"#,
            r#"{"Response":{"Error":{"Code":1},"RequestId":"r"}}"#,
            r#"{"Response":{"Error":"x","RequestId":"r"}}"#,
            r#"{"code":4100,"message":"legacy"}"#,
        ];

        for body in bodies {
            assert!(opened(body).is_err(), "{body}");
        }
    }
}
