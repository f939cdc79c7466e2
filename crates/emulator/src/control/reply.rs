//! Replies of the control API: JSON documents, and rejections as
//! `{"error": {"code": "not_found", "message": "…"}}`.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::memory_budget::Exhausted;

/// The reply to an accepted request.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    /// A JSON text; empty for none.
    body: Bytes,
}

impl Reply {
    /// Creates a reply with a document.
    pub(super) fn ok(document: &Value) -> Self {
        Self::text(document.to_string())
    }

    /// Creates a reply with a JSON text.
    pub(super) fn text(body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            body: body.into(),
        }
    }

    /// Creates a reply with a document that was stored: status 201 if it is new, otherwise 200.
    pub(super) fn stored(document: &Value, is_new: bool) -> Self {
        let status = if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Self {
            status,
            ..Self::ok(document)
        }
    }

    /// Creates a reply without a document.
    pub(super) fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: Bytes::new(),
        }
    }

    /// Converts the reply into a response.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let has_body = !self.body.is_empty();
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        if has_body {
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
        }
        response
    }
}

/// The reply to a request that was not accepted, and changed nothing.
#[derive(Debug)]
pub(super) struct Rejection {
    status: StatusCode,
    code: &'static str,
    message: String,
    allow: Option<HeaderValue>,
}

impl Rejection {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            allow: None,
        }
    }

    /// The path is not UTF-8, or has an id that is not valid.
    pub(super) fn invalid_path(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", message)
    }

    /// A query parameter is unknown, occurs twice, or is out of bounds.
    pub(super) fn invalid_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    }

    /// The body is absent or not JSON.
    pub(super) fn invalid_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    }

    /// The token is absent or wrong.
    pub(super) fn unauthorized() -> Self {
        let message = "send the token of --control-token-file as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// A web page may have sent the request.
    pub(super) fn forbidden() -> Self {
        let message = "without --control-token-file, requests must name `localhost` or a loopback \
                       address in `Host` and have no `Origin`";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// The path, or what it names, does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The path has no operation with this method.
    pub(super) fn method_not_allowed(allowed: &str) -> Self {
        let message = format!("the methods of this path are {allowed}");
        Self {
            allow: HeaderValue::from_str(allowed).ok(),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                message,
            )
        }
    }

    /// The body did not arrive in time.
    pub(super) fn timeout() -> Self {
        let message = "the body did not arrive within 60 seconds";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    /// The body is larger than its limit.
    pub(super) fn body_too_large(max_bytes: usize) -> Self {
        let message = format!("the body is larger than {max_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// The body is not declared as plain JSON.
    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            message,
        )
    }

    /// What the request adds exists.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// What the request adds would exceed a limit.
    pub(super) fn insufficient_storage(message: impl Into<String>) -> Self {
        let status = StatusCode::INSUFFICIENT_STORAGE;
        Self::new(status, "insufficient_storage", message)
    }

    /// The body is JSON, but not what the operation takes.
    pub(super) fn invalid_value(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", message)
    }

    /// Converts the rejection into a response.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let document = json!({"error": {"code": self.code, "message": self.message}});
        let reply = Reply {
            status: self.status,
            ..Reply::ok(&document)
        };
        let mut response = reply.into_response();
        let headers = response.headers_mut();
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Exhausted> for Rejection {
    fn from(error: Exhausted) -> Self {
        Self::insufficient_storage(format!("{error}; reset or delete a world"))
    }
}
