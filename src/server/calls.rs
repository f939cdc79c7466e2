//! What every call passes on its way in and out.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body, service::Routes};
use tower::ServiceExt;
use tracing::Instrument;

use super::access_log::AccessLog;
use crate::{
    context::Context,
    deadline::{self, Deadline},
    service::Failure,
};

/// The header by which callers and operators name a call.
const X_REQUEST_ID: &str = "x-request-id";

/// Services that are asked about the service itself. They have their own errors and no deadline,
/// and are not in the log.
const AUXILIARY: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

/// Answers calls, whichever service they are for.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    routes: Routes,
    access_log: Arc<AccessLog>,
    max_call_time: Duration,
}

impl Calls {
    /// Returns what answers by `routes`, within `max_call_time`.
    pub(super) fn new(routes: Routes, access_log: AccessLog, max_call_time: Duration) -> Self {
        Self {
            routes,
            access_log: Arc::new(access_log),
            max_call_time,
        }
    }

    /// Answers one call of a peer.
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        if !is_grpc(request.headers()) {
            return refuse_media_type();
        }
        let path = request.uri().path();
        if AUXILIARY.iter().any(|prefix| path.starts_with(prefix)) {
            return self.routed(request).await;
        }

        let arrival = Instant::now();
        let deadline = Deadline::new(arrival, timeout(request.headers()), self.max_call_time);
        let context = Arc::new(Context::new(deadline));
        let request_id = request_id(request.headers());
        let access_log = Arc::clone(&self.access_log);
        let line = access_log.open(&request, &request_id, peer, &context, arrival);

        let mut response = self
            .bounded(request, &context)
            .instrument(line.span())
            .await;
        complete(&mut response, &context);
        response.headers_mut().insert(X_REQUEST_ID, request_id);
        line.close(&response);
        response
    }

    /// Answers by the deadline. What is under way for the call by then is dropped, which ends it.
    async fn bounded(
        self,
        mut request: Request<Incoming>,
        context: &Arc<Context>,
    ) -> Response<Body> {
        request.extensions_mut().insert(Arc::clone(context));
        let deadline = context.deadline();
        let answer = async {
            // A timeout looks at the clock only after its future has begun to work.
            if deadline.at() > Instant::now() {
                timeout_at(deadline.at(), self.routed(request)).await.ok()
            } else {
                None
            }
        };
        answer.await.unwrap_or_else(|| {
            let failure = Failure::of_expiry(deadline, context.has_subject());
            failure.into_status(context).into_http()
        })
    }

    async fn routed(self, request: Request<Incoming>) -> Response<Body> {
        match self.routes.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Gives the errors that tonic made by itself the form of our own.
///
/// The headers of the bare error stay: one of them tells which compression is understood.
fn complete(response: &mut Response<Body>, context: &Context) {
    let headers = response.headers();
    let is_bare = headers.contains_key(Status::GRPC_STATUS)
        && !headers.contains_key(Status::GRPC_STATUS_DETAILS);
    if let Some(bare) = Status::from_header_map(headers).filter(|_| is_bare) {
        let status = Failure::of_tonic(&bare).into_status(context);
        let (completed, _) = status.into_http::<Body>().into_parts();
        response.headers_mut().extend(completed.headers);
        response.extensions_mut().extend(completed.extensions);
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    media_type.starts_with(b"application/grpc")
}

/// By the [gRPC protocol], so that other HTTP/2 clients need not understand gRPC to be refused.
///
/// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
fn refuse_media_type() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn timeout(headers: &HeaderMap) -> Option<Duration> {
    deadline::parse_grpc_timeout(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// Takes the caller's name for a call, or makes one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_usable = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers
        .get(X_REQUEST_ID)
        .filter(is_usable)
        .cloned()
        .unwrap_or_else(|| {
            let mut text = uuid::Uuid::encode_buffer();
            let text = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
            #[expect(clippy::expect_used, reason = "hexadecimal digits and hyphens")]
            HeaderValue::from_str(text).expect("a UUID")
        })
}
