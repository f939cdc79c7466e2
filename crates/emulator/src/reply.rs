//! Replies: builds the normal response, the error response or the effect of a scripted fault. Sending it is
//! the concern of `world`.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use uuid::Uuid;

use super::{
    envelope::{self, ApiError, Envelope},
    faults::{Cut, FaultKind, Page},
    oversized_body::OversizedBody,
    script::Taken,
};

/// The body of every response.
pub(super) type Body = Either<Full<Bytes>, OversizedBody>;

/// The reply to a request.
#[derive(Debug)]
pub(super) struct Reply {
    /// The error code, for the request log.
    pub(super) code: Option<String>,
    /// The result in words, or the error code, for the call log.
    pub(super) result: Cow<'static, str>,
    /// The `RequestId` of the response, if it has one.
    pub(super) request_id: Option<Uuid>,
    /// The fault that applied, if any.
    pub(super) fault_id: Option<String>,
    /// Time to wait before the reply.
    pub(super) delay: Option<Duration>,
    /// What happens after the delay.
    pub(super) end: End,
}

/// Returned to the HTTP server instead of a response, so that it closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("a scripted fault closes the connection")]
pub(super) struct Closed(pub(super) Cut);

/// The end of a request.
#[derive(Debug)]
pub(super) enum End {
    /// The connection is closed.
    Cut(Cut),
    /// Nothing is sent until the client disconnects.
    Hold,
    /// A response is sent.
    Send(Response<Body>),
}

impl Reply {
    /// Creates the reply for the result of an action.
    pub(super) fn normal(result: Result<Envelope, ApiError>) -> Self {
        match result {
            Ok(Envelope { body, request_id }) => Self {
                request_id,
                ..Self::send(json(full(body)), "success")
            },
            Err(error) => Self::error(error, StatusCode::OK),
        }
    }

    /// Creates the reply for a fault. `result` computes the result without the fault; some faults alter
    /// it.
    pub(super) fn faulty(
        Taken { fault_id, kind }: Taken,
        result: impl FnOnce() -> Result<Envelope, ApiError>,
    ) -> Self {
        Self {
            fault_id: Some(fault_id),
            ..Self::of_kind(kind, result)
        }
    }

    fn of_kind(kind: FaultKind, result: impl FnOnce() -> Result<Envelope, ApiError>) -> Self {
        match kind {
            FaultKind::ApiError {
                code,
                message,
                status,
            } => Self::error(ApiError::new(code, message), status),
            FaultKind::Cut(cut) => Self::ends(End::Cut(cut), "connection closed"),
            FaultKind::Delay(time) => Self {
                delay: Some(time),
                ..Self::normal(result())
            },
            FaultKind::Garbage => Self::send(json(full("This is not JSON.")), "invalid response"),
            FaultKind::Hold => Self::ends(End::Hold, "no response"),
            FaultKind::Oversize(bytes) => Self::send(
                json(Either::Right(OversizedBody::new(bytes))),
                "oversized response",
            ),
            FaultKind::Redirect(location) => Self::send(redirect(location), "redirect"),
            FaultKind::Response {
                body,
                status,
                content_type,
            } => Self::send(
                response(status, content_type, full(body)),
                "scripted response",
            ),
            FaultKind::Status {
                status,
                page,
                retry_after,
            } => Self::send(
                gateway_page(status, page, retry_after),
                format!("HTTP {}", status.as_u16()),
            ),
            FaultKind::Truncate => {
                let Envelope { body, request_id } =
                    result().unwrap_or_else(|error| envelope::error(&error));
                let half = body.slice(..body.len() / 2);
                Self {
                    request_id,
                    ..Self::send(json(full(half)), "truncated response")
                }
            }
        }
    }

    /// Creates the reply for a metadata page, or status 404 for `None`.
    pub(super) fn page(text: Option<String>) -> Self {
        let plain = HeaderValue::from_static("text/plain");
        match text {
            Some(text) => Self::send(response(StatusCode::OK, plain, full(text)), "success"),
            None => Self::send(
                gateway_page(StatusCode::NOT_FOUND, Page::Html, None),
                "HTTP 404",
            ),
        }
    }

    fn error(error: ApiError, status: StatusCode) -> Self {
        let Envelope { body, request_id } = envelope::error(&error);
        let mut response = json(full(body));
        *response.status_mut() = status;
        Self {
            request_id,
            code: Some(error.code.clone().into_owned()),
            ..Self::send(response, error.code)
        }
    }

    fn send(response: Response<Body>, result: impl Into<Cow<'static, str>>) -> Self {
        Self::ends(End::Send(response), result)
    }

    fn ends(end: End, result: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: None,
            result: result.into(),
            request_id: None,
            fault_id: None,
            delay: None,
            end,
        }
    }
}

/// Creates a JSON response. The media type has no charset, because the vendor's Python SDK parses errors
/// only under the bare media type.
fn json(body: Body) -> Response<Body> {
    response(
        StatusCode::OK,
        HeaderValue::from_static("application/json"),
        body,
    )
}

fn redirect(location: HeaderValue) -> Response<Body> {
    let mut response = gateway_page(StatusCode::FOUND, Page::Empty, None);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn gateway_page(status: StatusCode, page: Page, retry_after: Option<u32>) -> Response<Body> {
    let body = match page {
        Page::Empty => String::new(),
        Page::Html => format!("<html><body><h1>{status}</h1></body></html>\n"),
    };
    let mut response = response(status, HeaderValue::from_static("text/html"), full(body));
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn response(status: StatusCode, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn full(body: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(body.into()))
}
