//! What goes back for a call: as usual, refused, or as a scripted fault has it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};

use super::{
    envelope::{self, Refusal},
    faults::{Cut, FaultKind, Page},
    oversize::Oversize,
};

/// The body of every response.
pub(super) type Body = Either<Full<Bytes>, Oversize>;

/// What goes back for a call.
#[derive(Debug)]
pub(super) struct Reply {
    /// The code of a refusal.
    pub(super) code: Option<String>,
    /// How long the call waits first.
    pub(super) delay: Option<Duration>,
    /// How the call ends.
    pub(super) end: End,
}

/// How a call ends.
#[derive(Debug)]
pub(super) enum End {
    /// The connection is closed.
    Cut(Cut),
    /// Nothing happens until the client leaves.
    Hold,
    /// A response is sent.
    Send(Response<Body>),
}

impl Reply {
    /// Makes a reply of the answer to a call.
    pub(super) fn usual(answer: Result<Bytes, Refusal>) -> Self {
        match answer {
            Ok(body) => Self::send(json(full(body))),
            Err(refusal) => Self::refused(refusal, StatusCode::OK),
        }
    }

    /// Makes the reply that a fault has for a call, given how it would be answered as usual.
    pub(super) fn faulty(kind: FaultKind, answer: impl FnOnce() -> Result<Bytes, Refusal>) -> Self {
        match kind {
            FaultKind::Answer {
                body,
                status,
                content_type,
            } => Self::send(response(status, content_type, full(body))),
            FaultKind::Cut(cut) => Self::ending(End::Cut(cut)),
            FaultKind::Delay(time) => Self {
                delay: Some(time),
                ..Self::usual(answer())
            },
            FaultKind::Garbage => Self::send(json(full("This is not JSON."))),
            FaultKind::Hold => Self::ending(End::Hold),
            FaultKind::Oversize(bytes) => Self::send(json(Either::Right(Oversize::new(bytes)))),
            FaultKind::Redirect(location) => Self::send(redirect(location)),
            FaultKind::Refuse {
                code,
                message,
                status,
            } => Self::refused(Refusal::new(code, message), status),
            FaultKind::Status {
                status,
                page,
                retry_after,
            } => Self::send(gateway_page(status, page, retry_after)),
            FaultKind::Truncate => {
                let whole = answer().unwrap_or_else(|refusal| envelope::refusal(&refusal));
                Self::send(json(full(whole.slice(..whole.len() / 2))))
            }
        }
    }

    /// Makes a reply of a page of text, or says that there is none.
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

    fn refused(refusal: Refusal, status: StatusCode) -> Self {
        let mut response = json(full(envelope::refusal(&refusal)));
        *response.status_mut() = status;
        Self {
            code: Some(refusal.code.into_owned()),
            ..Self::send(response)
        }
    }

    fn send(response: Response<Body>) -> Self {
        Self::ending(End::Send(response))
    }

    fn ending(end: End) -> Self {
        Self {
            code: None,
            delay: None,
            end,
        }
    }
}

/// Without a charset: the vendor's Python SDK looks for errors only under the bare media type.
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
