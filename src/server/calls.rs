//! What every call passes on its way in and out.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status, body::Body};

use super::{
    access_log::AccessLog,
    admission::Admission,
    callers::{self, Caller, Callers},
    metadata,
    peer::{InProgress, Peer},
    routes::Routes,
};
use crate::{config, context::Context, deadline::Deadline, service::Failure};

/// Methods that are asked about the service itself. They are not in the log, and NOT_FOUND is theirs
/// to say.
const AUXILIARY: [&str; 4] = [
    HEALTH[0],
    HEALTH[1],
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Methods that everybody may call, and whatever else is in progress: orchestrators ask for the
/// health, and have no secrets.
const HEALTH: [&str; 2] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

/// How long the message of what is refused may take to arrive.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(100);

/// Answers calls, whichever service they are for.
#[derive(Debug)]
pub(super) struct Calls {
    routes: Routes,
    callers: Callers,
    access_log: Arc<AccessLog>,
    admission: Arc<Admission>,
    max_call_time: Duration,
}

impl Calls {
    /// Returns what answers by `routes` those of `callers` who may call, within bounds.
    pub(super) fn new(
        routes: Routes,
        callers: Callers,
        access_log: AccessLog,
        bounds: &config::Calls,
    ) -> Self {
        Self {
            routes,
            callers,
            access_log: Arc::new(access_log),
            admission: Arc::new(Admission::new(bounds.max_concurrent)),
            max_call_time: bounds.max_call_time,
        }
    }

    /// Returns how long a call may take whose caller allows more.
    pub(super) fn max_call_time(&self) -> Duration {
        self.max_call_time
    }

    /// Answers one call of a peer.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Response<impl http_body::Body<Data = Bytes, Error = Status> + use<>> {
        let (response, in_progress) = self.answered(request, peer).await;
        // In progress until it is sent, which is when it is dropped.
        response.map(|body| {
            body.map_frame(move |frame| {
                let _ = &in_progress;
                frame
            })
        })
    }

    /// Answers, and returns what counts the call as one in progress, unless it is not to be counted.
    async fn answered(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> (Response<Body>, Option<InProgress>) {
        if let Some(refusal) = refusal_of_protocol(&request) {
            discard(request.into_body()).await;
            return (refusal, None);
        }
        let arrival = Instant::now();
        let deadline = Deadline::new(
            arrival,
            metadata::timeout(request.headers()),
            self.max_call_time,
        );
        let caller = self.caller(&request, peer);
        let mut context = Context::new(
            deadline,
            metadata::is_repetition(request.headers()),
            caller.identity,
        );
        if metadata::is_no_cache(request.headers()) {
            context = context.uncached();
        }
        context = context.named(metadata::request_id(request.headers()));
        let context = Arc::new(context);
        let refusal = caller.refusal;

        if AUXILIARY.contains(&request.uri().path()) {
            let mut response = self.admitted(request, refusal, &context).await;
            complete(&mut response, &context, Some(Code::NotFound));
            return (response, None);
        }

        let access_log = Arc::clone(&self.access_log);
        let line = access_log.open(&request, peer, &context, arrival);
        let in_progress = peer.call();

        let mut response = self.admitted(request, refusal, &context).await;
        complete(&mut response, &context, None);
        if let Some(mut request_id) = context.request_id().cloned() {
            // No secret, but different in each answer: among the headers that HTTP/2 remembers on a
            // connection it would take the place of all others, and be looked for in vain.
            request_id.set_sensitive(true);
            let headers = response.headers_mut();
            headers.insert(metadata::X_REQUEST_ID, request_id);
        }
        line.close(&response);
        (response, Some(in_progress))
    }

    /// Tells whose a call is. Of those for the health nothing is asked.
    fn caller(&self, request: &Request<Incoming>, peer: &Peer) -> Caller {
        if HEALTH.contains(&request.uri().path()) {
            let identity = callers::address(peer);
            return Caller {
                identity,
                refusal: None,
            };
        }
        self.callers.identify(request.headers(), peer)
    }

    /// Answers a call that may be made and for which there is room, and refuses another before
    /// anything is read of it.
    async fn admitted(
        &self,
        request: Request<Incoming>,
        refusal: Option<Failure>,
        context: &Arc<Context>,
    ) -> Response<Body> {
        let is_exempt = HEALTH.contains(&request.uri().path());
        let place = match refusal {
            Some(failure) => Err(failure),
            None if is_exempt => Ok(None),
            None => self.admission.admit().map(Some).ok_or(Failure::Overloaded),
        };
        match place {
            // Boxed, or a call that is refused would be moved about with the room for an answer.
            Ok(_place) => Box::pin(self.bounded(request, context)).await,
            Err(failure) => {
                discard(request.into_body()).await;
                failure.into_status(context).into_http()
            }
        }
    }

    /// Answers by the deadline. What is under way for the call by then is dropped, which ends it.
    async fn bounded(
        &self,
        mut request: Request<Incoming>,
        context: &Arc<Context>,
    ) -> Response<Body> {
        request.extensions_mut().insert(Arc::clone(context));
        let deadline = context.deadline();
        let answer = async {
            // A timeout looks at the clock only after its future has begun to work.
            if deadline.at() > Instant::now() {
                let mut answer = pin!(self.routes.answer(request));
                match poll_fn(|task| Poll::Ready(answer.as_mut().poll(task))).await {
                    // As whatever is answered from memory is: it needs no timer.
                    Poll::Ready(response) => Some(response),
                    Poll::Pending => timeout_at(deadline.at(), answer).await.ok(),
                }
            } else {
                None
            }
        };
        answer.await.unwrap_or_else(|| {
            let failure = Failure::of_expiry(deadline, context.has_subject());
            failure.into_status(context).into_http()
        })
    }
}

/// Reads a message that nobody wants, which as a rule arrives together with its headers.
///
/// What arrives after the answer arrives on a stream that was reset. h2 counts that as an error of
/// the peer, and ends a connection after 1,024 of them.
async fn discard(mut message: Incoming) {
    let read = async { while let Some(Ok(_)) = message.frame().await {} };
    let _ = timeout(DISCARD_TIMEOUT, read).await;
}

/// Gives the errors that tonic made by itself the form of our own, but for those with the code
/// `except`.
///
/// The headers of the bare error stay: one of them tells which compression is understood.
fn complete(response: &mut Response<Body>, context: &Context, except: Option<Code>) {
    let headers = response.headers();
    let is_bare = headers.contains_key(Status::GRPC_STATUS)
        && !headers.contains_key(Status::GRPC_STATUS_DETAILS);
    let Some(bare) = Status::from_header_map(headers).filter(|_| is_bare) else {
        return;
    };
    if Some(bare.code()) != except {
        let status = Failure::of_tonic(&bare).into_status(context);
        let (completed, _) = status.into_http::<Body>().into_parts();
        response.headers_mut().extend(completed.headers);
        response.extensions_mut().extend(completed.extensions);
    }
}

/// Refuses what is not a call in the words of HTTP, so that its sender need not understand gRPC.
///
/// By the [gRPC protocol], a call is a POST whose media type is `application/grpc`, perhaps with the
/// name of an encoding.
///
/// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
fn refusal_of_protocol(request: &Request<Incoming>) -> Option<Response<Body>> {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    let encoding = media_type
        .unwrap_or_default()
        .strip_prefix(b"application/grpc");
    let is_post = request.method() == Method::POST;
    let status = match encoding {
        _ if !is_post => StatusCode::METHOD_NOT_ALLOWED,
        Some([] | [b'+' | b';', ..]) => return None,
        _ => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };

    let mut refusal = Response::new(Body::empty());
    *refusal.status_mut() = status;
    if !is_post {
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    Some(refusal)
}
