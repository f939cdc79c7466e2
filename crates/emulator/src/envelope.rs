//! Response envelope: wraps every response and every error as `{"Response": {…, "RequestId": …}}`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

/// An error that the API reports inside the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ApiError {
    pub(super) code: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
}

impl ApiError {
    /// Creates an error with an API code such as `InvalidAction`.
    pub(super) fn new(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// Creates the error for a missing required parameter.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request is missing a required parameter `{parameter}`."),
        )
    }
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) body: Bytes,
    /// The `RequestId` in the body; `None` for pages of the metadata service, which have none.
    pub(super) request_id: Option<Uuid>,
}

impl From<String> for Envelope {
    fn from(page: String) -> Self {
        Self {
            body: page.into(),
            request_id: None,
        }
    }
}

/// Wraps the fields of a response. `RequestId` follows them, as in the documentation's examples.
pub(super) fn response(fields: &impl Serialize) -> Envelope {
    wrap(fields)
}

/// Wraps an error.
pub(super) fn error(error: &ApiError) -> Envelope {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Failure<'a> {
        error: &'a ApiError,
    }
    wrap(&Failure { error })
}

fn wrap(content: &impl Serialize) -> Envelope {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document<'a, T> {
        response: Response<'a, T>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Response<'a, T> {
        #[serde(flatten)]
        content: &'a T,
        request_id: String,
    }
    let request_id = Uuid::new_v4();
    let document = Document {
        response: Response {
            content,
            request_id: request_id.to_string(),
        },
    };
    #[expect(
        clippy::expect_used,
        reason = "plain structs with string keys always have a JSON form"
    )]
    let json = serde_json::to_vec(&document).expect("a response has a JSON form");
    Envelope {
        body: json.into(),
        request_id: Some(request_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_code_then_a_message_then_a_request_id() {
        let json = error(&ApiError::new("InvalidAction", "no such action"));
        let json = std::str::from_utf8(&json.body).unwrap();
        let start = r#"{"Response":{"Error":{"Code":"InvalidAction","Message":"no such action"},"RequestId":""#;
        assert!(json.starts_with(start), "{json}");
    }

    #[test]
    fn every_response_has_a_unique_request_id() {
        assert_ne!(response(&Empty {}), response(&Empty {}));
    }

    #[derive(Serialize)]
    struct Empty {}
}
