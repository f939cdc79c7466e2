//! Response envelope: parses `{"Response": {…}}`, which wraps every response of the API. The HTTP status
//! is 200 for API errors too; a member `Error` marks them.

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    json::{self, Malformed, Object},
    upstream::{error::ApiError, response::ApiResponse},
};

/// The content of an envelope.
#[derive(Debug, Eq, PartialEq)]
pub enum Parsed {
    /// An error.
    Error(ApiError),
    /// A successful response.
    Response {
        /// The response.
        response: ApiResponse,
        /// Whether upstream marks the action as deprecated.
        is_deprecated: bool,
    },
}

/// Why a body is not an envelope.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidEnvelope {
    /// The body is not JSON, or lacks a documented member.
    #[error(transparent)]
    Malformed(#[from] Malformed),

    /// The response has no request id.
    #[error("the response has no RequestId")]
    WithoutRequestId,
}

/// Parses `body` as an envelope.
///
/// # Errors
///
/// Fails if the body is not an envelope, and if a successful response has no request id.
pub fn parse(body: &Bytes) -> Result<Parsed, InvalidEnvelope> {
    let Object(envelope): Object<Envelope<'_>> = json::parse(body)?;
    let inside = envelope.response.get().as_bytes();
    let Object(outcome): Object<Outcome> = json::parse(inside)?;

    let request_id = outcome.request_id.unwrap_or_default();
    if let Some(Object(error)) = outcome.error {
        return Ok(Parsed::Error(ApiError {
            code: error.code,
            message: error.message.unwrap_or_default(),
            request_id,
            ..ApiError::default()
        }));
    }
    if request_id.is_empty() {
        return Err(InvalidEnvelope::WithoutRequestId);
    }
    Ok(Parsed::Response {
        response: ApiResponse {
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

/// The members of every response, beside the fields of its action.
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

    fn parsed(body: &str) -> Result<Parsed, InvalidEnvelope> {
        parse(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_response_is_the_content_of_the_envelope() {
        let inside = r#"{"GroupNum":"1","RequestId":"r","Error":null}"#;

        let parsed = parsed(&format!(r#"{{"Response": {inside}, "More": 1}}"#)).unwrap();

        let body = Bytes::copy_from_slice(inside.as_bytes());
        let response = ApiResponse {
            body,
            request_id: "r".to_owned(),
        };
        assert_eq!(
            parsed,
            Parsed::Response {
                response,
                is_deprecated: false
            }
        );
    }

    #[test]
    fn a_deprecation_warning_of_any_type_is_detected() {
        let parsed = parsed(r#"{"Response":{"RequestId":"r","DeprecatedWarning":["x"]}}"#).unwrap();

        assert!(matches!(
            parsed,
            Parsed::Response {
                is_deprecated: true,
                ..
            }
        ));
    }

    #[test]
    fn an_api_error_needs_only_a_code() {
        let cases = [
            (r#"{"Code":"A.B","Message":"m"},"RequestId":"r""#, "m", "r"),
            (r#"{"Code":"A.B","Message":null},"RequestId":null"#, "", ""),
            (r#"{"Code":"A.B"}"#, "", ""),
        ];

        for (inside, message, request_id) in cases {
            let parsed = parsed(&format!(r#"{{"Response":{{"Error":{inside}}}}}"#)).unwrap();

            let error = ApiError {
                code: "A.B".to_owned(),
                message: message.to_owned(),
                request_id: request_id.to_owned(),
                ..ApiError::default()
            };
            assert_eq!(parsed, Parsed::Error(error), "{inside}");
        }
    }

    #[test]
    fn other_bodies_are_rejected() {
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
            assert!(parsed(body).is_err(), "{body}");
        }
    }
}
