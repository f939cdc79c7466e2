//! Replies: builds the normal response, the error response or the effect of a scripted fault. Sending it is
//! the concern of `world`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};

use super::{
    envelope::{self, ApiError},
    faults::{Cut, FaultKind, Page},
    oversized_body::OversizedBody,
};

/// The body of every response.
pub(super) type Body = Either<Full<Bytes>, OversizedBody>;

/// The reply to a request.
#[derive(Debug)]
pub(super) struct Reply {
    /// The error code, for the request log.
    pub(super) code: Option<String>,
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
    pub(super) fn normal(result: Result<Bytes, ApiError>) -> Self {
        match result {
            Ok(body) => Self::send(json(full(body))),
            Err(error) => Self::error(error, StatusCode::OK),
        }
    }

    /// Creates the reply for a fault. `result` computes the result without the fault; some faults alter
    /// it.
    pub(super) fn faulty(
        kind: FaultKind,
        result: impl FnOnce() -> Result<Bytes, ApiError>,
    ) -> Self {
        match kind {
            FaultKind::ApiError {
                code,
                message,
                status,
            } => Self::error(ApiError::new(code, message), status),
            FaultKind::Cut(cut) => Self::ends(End::Cut(cut)),
            FaultKind::Delay(time) => Self {
                delay: Some(time),
                ..Self::normal(result())
            },
            FaultKind::Garbage => Self::send(json(full("This is not JSON."))),
            FaultKind::Hold => Self::ends(End::Hold),
            FaultKind::Oversize(bytes) => {
                Self::send(json(Either::Right(OversizedBody::new(bytes))))
            }
            FaultKind::Redirect(location) => Self::send(redirect(location)),
            FaultKind::Response {
                body,
                status,
                content_type,
            } => Self::send(response(status, content_type, full(body))),
            FaultKind::Status {
                status,
                page,
                retry_after,
            } => Self::send(gateway_page(status, page, retry_after)),
            FaultKind::Truncate => {
                let body = result().unwrap_or_else(|error| envelope::error(&error));
                Self::send(json(full(body.slice(..body.len() / 2))))
            }
        }
    }

    /// Creates the reply for a metadata page, or status 404 for `None`.
    pub(super) fn page(text: Option<String>) -> Self {
        Self::send(match text {
            Some(text) => response(
                StatusCode::OK,
                HeaderValue::from_static("text/plain"),
                full(text),
            ),
            None => gateway_page(StatusCode::NOT_FOUND, Page::Html, None),
        })
    }

    fn error(error: ApiError, status: StatusCode) -> Self {
        let mut response = json(full(envelope::error(&error)));
        *response.status_mut() = status;
        Self {
            code: Some(error.code.into_owned()),
            ..Self::send(response)
        }
    }

    fn send(response: Response<Body>) -> Self {
        Self::ends(End::Send(response))
    }

    fn ends(end: End) -> Self {
        Self {
            code: None,
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
