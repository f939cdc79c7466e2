//! Calls: authenticates, admits, dispatches and logs every call, and enforces its deadline.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use tonic::{Code, Status, body::Body};

use super::{
    access_log::AccessLog,
    audit_log::{self, AuditLog, AuditedCall, NotWritten},
    metadata,
    peer::Peer,
    response_body::{Guards, ResponseBody},
    routes::Routes,
    usage::{StreamKind, TotalUsage},
};
use crate::{
    auth::{Authenticator, Caller},
    config,
    context::{Context, Deadline},
    service::{Failure, X_TC_REQUEST_ID},
    trace::Tracer,
};

/// Methods that require no authentication and no permit, since orchestrators have no credentials and must
/// get a response under load.
const HEALTH: [&str; 2] = [CHECK, WATCH];
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The time within which the message of a rejected call is discarded.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(100);

/// The handler of all calls: those to the service, to health and to reflection.
#[derive(Debug)]
pub(super) struct Calls {
    routes: Routes,
    authenticator: Authenticator,
    access_log: Arc<AccessLog>,
    audit_log: Option<AuditLog>,
    /// One for each call in progress.
    permits: Arc<Semaphore>,
    max_concurrent: usize,
    tracer: Tracer,
    /// Calls rejected because no permit was available.
    overloaded: AtomicU64,
    usage: TotalUsage,
    max_call_time: Duration,
    max_header_bytes: usize,
}

impl Calls {
    /// Creates a handler that dispatches calls to `routes`, within `bounds`.
    pub(super) fn new(
        routes: Routes,
        authenticator: Authenticator,
        access_log: AccessLog,
        tracer: Tracer,
        bounds: &config::Calls,
    ) -> Self {
        Self {
            routes,
            authenticator,
            access_log: Arc::new(access_log),
            audit_log: None,
            permits: Arc::new(Semaphore::new(bounds.max_concurrent)),
            max_concurrent: bounds.max_concurrent,
            tracer,
            overloaded: AtomicU64::new(0),
            usage: TotalUsage::default(),
            max_call_time: bounds.max_call_time,
            max_header_bytes: bounds.max_header_bytes,
        }
    }

    /// Records the calls in `audit_log`, unless it is `None`.
    #[must_use]
    pub(super) fn audited(self, audit_log: Option<AuditLog>) -> Self {
        Self { audit_log, ..self }
    }

    /// Returns the maximum duration of a call.
    pub(super) fn max_call_time(&self) -> Duration {
        self.max_call_time
    }

    /// Returns the number of calls in progress, and its limit.
    pub(super) fn in_progress(&self) -> (usize, usize) {
        let in_progress = self.max_concurrent - self.permits.available_permits();
        (in_progress, self.max_concurrent)
    }

    /// Returns the number of calls that were rejected at the limit of calls in progress.
    pub(super) fn overloaded(&self) -> u64 {
        self.overloaded.load(Ordering::Relaxed)
    }

    /// Returns the number of lines of the audit log that were written, and of those that were lost.
    pub(super) fn audit_lines(&self) -> (u64, u64) {
        let audit_log = self.audit_log.as_ref();
        audit_log.map_or((0, 0), AuditLog::counts)
    }

    /// Returns the access log, with the metrics and the recent errors.
    pub(super) fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Returns the resource usage of all connections.
    pub(super) fn usage(&self) -> &TotalUsage {
        &self.usage
    }

    /// Handles one call of a peer, and returns its response.
    pub(super) async fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Response<ResponseBody> {
        if let Some(rejection) = reject_non_grpc(&request) {
            discard(request.into_body()).await;
            return rejection.map(ResponseBody::unguarded);
        }
        let arrival = Instant::now();
        let deadline = Deadline::new(
            arrival,
            metadata::timeout(request.headers()),
            self.max_call_time,
        );
        let caller = self.caller(&request, peer);
        let stream_kind = stream_kind(request.uri().path());
        let trace = match stream_kind {
            Some(_) => None,
            None => self.tracer.begin(request.headers()),
        };
        let mut context = Context::new(
            deadline,
            metadata::is_retry(request.headers()),
            caller.identity,
        );
        if metadata::is_no_cache(request.headers()) {
            context = context.uncached();
        }
        let request_id = metadata::request_id(request.headers(), trace.as_ref());
        let context = Arc::new(context.with_request_id(request_id).with_trace(trace));
        // Authentication precedes the check of the headers: its rejections have a log rate limit.
        let failure = caller.rejection.or_else(|| self.too_large(&request));

        if let Some(kind) = stream_kind {
            peer.activity.touch(arrival);
            let opened = match failure {
                Some(failure) => Err(failure),
                None => peer.usage.open(kind),
            };
            let (stream, failure) = match opened {
                Ok(stream) => (Some(stream), None),
                Err(failure) => (None, Some(failure)),
            };
            // An open stream counts against the limits of streams, and holds no permit.
            let (mut response, _permit) = self.admit(request, failure, &context).await;
            complete(&mut response, &context, Some(Code::NotFound));
            let guards = Guards {
                stream,
                ..Guards::default()
            };
            let body = |body| ResponseBody::guarded(body, guards, &peer.usage, context);
            return response.map(body);
        }

        let audited = self.audit_log.as_ref().map(|audit_log| {
            audit_log.begin(audit_log::Call {
                path: request.uri().path().to_owned(),
                peer: peer.address.clone(),
                context: Arc::clone(&context),
                arrival,
            })
        });
        let is_auditable = self.audit_log.as_ref().is_none_or(AuditLog::is_writable);
        let failure = failure.or_else(|| (!is_auditable).then_some(Failure::AuditUnavailable));
        let access_log = Arc::clone(&self.access_log);
        let mut line = access_log.open(&request, peer, &context, arrival);
        let in_progress = peer.activity.call(arrival);
        if failure.is_none() {
            peer.activity.trust();
        }

        let (mut response, permit) = self.admit(request, failure, &context).await;
        complete(&mut response, &context, None);
        if let Some(audited) = audited
            && record(audited, &response).await.is_err()
        {
            response = Failure::AuditUnavailable.into_status(&context).into_http();
        }
        if let Some(mut request_id) = context.request_id().cloned() {
            // Not secret, but different in each response: marking it sensitive keeps it out of HPACK's
            // dynamic table, where it would evict the other headers.
            request_id.set_sensitive(true);
            let headers = response.headers_mut();
            headers.insert(metadata::X_REQUEST_ID, request_id);
        }
        let duration = line.completed(&response);
        in_progress.completed(arrival + duration);
        if let Some(status) = response.extensions().get::<Status>() {
            line.close(Some(status));
            return response.map(ResponseBody::unguarded);
        }
        let guards = Guards {
            in_progress: Some(in_progress),
            permit,
            stream: None,
        };
        response.map(|body| ResponseBody::guarded(body, guards, &peer.usage, context).logged(line))
    }

    /// Returns a failure if the request headers exceed the limit.
    fn too_large(&self, request: &Request<Incoming>) -> Option<Failure> {
        let found = metadata::size(request);
        (found > self.max_header_bytes).then_some(Failure::HeadersTooLarge {
            found,
            limit: self.max_header_bytes,
        })
    }

    /// Identifies the caller of a call. Health checks require no authentication.
    fn caller(&self, request: &Request<Incoming>, peer: &Peer) -> Caller {
        if HEALTH.contains(&request.uri().path()) {
            return Caller {
                identity: peer.address.identity(),
                rejection: None,
            };
        }
        self.authenticator
            .identify(request.headers(), &peer.certificate, &peer.address)
    }

    /// Dispatches a call within the limit of concurrent calls, and returns the response with the permit of the
    /// call. Rejects the call, without decoding its message, for `failure` or at the limit.
    async fn admit(
        &self,
        request: Request<Incoming>,
        failure: Option<Failure>,
        context: &Arc<Context>,
    ) -> (Response<Body>, Option<OwnedSemaphorePermit>) {
        let is_exempt = HEALTH.contains(&request.uri().path());
        let permit = match failure {
            Some(failure) => Err(failure),
            None if is_exempt => Ok(None),
            None => match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => Ok(Some(permit)),
                Err(_) => {
                    self.overloaded.fetch_add(1, Ordering::Relaxed);
                    Err(Failure::Overloaded)
                }
            },
        };
        match permit {
            // Boxed, so that the future of a rejected call does not include its size.
            Ok(permit) => (Box::pin(self.dispatch(request, context)).await, permit),
            Err(failure) => {
                discard(request.into_body()).await;
                (failure.into_status(context).into_http(), None)
            }
        }
    }

    /// Dispatches a call, and cancels it at its deadline by dropping its future.
    async fn dispatch(
        &self,
        mut request: Request<Incoming>,
        context: &Arc<Context>,
    ) -> Response<Body> {
        request.extensions_mut().insert(Arc::clone(context));
        let deadline = context.deadline();
        let response = async {
            // `timeout_at` polls its future before it checks the deadline.
            if deadline.at() > Instant::now() {
                let mut response = pin!(self.routes.dispatch(request));
                match poll_fn(|task| Poll::Ready(response.as_mut().poll(task))).await {
                    // A cache hit is ready at the first poll, and needs no timer.
                    Poll::Ready(response) => Some(response),
                    Poll::Pending => timeout_at(deadline.at(), response).await.ok(),
                }
            } else {
                None
            }
        };
        response.await.unwrap_or_else(|| {
            let failure = Failure::from_expiry(deadline, context.has_subject());
            failure.into_status(context).into_http()
        })
    }
}

/// Records the status of a call in the audit log.
fn record(
    audited: AuditedCall,
    response: &Response<Body>,
) -> impl Future<Output = Result<(), NotWritten>> + use<> {
    let status = response.extensions().get::<Status>();
    let code = status.map_or(Code::Ok, Status::code);
    let request_id = response.headers().get(X_TC_REQUEST_ID).cloned();
    async move {
        let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
        audited.record(code, request_id).await
    }
}

/// Returns the stream kind of a method of health or reflection. Calls to these methods are not in the access
/// log, and their NOT_FOUND errors are not replaced.
fn stream_kind(path: &str) -> Option<StreamKind> {
    match path {
        CHECK => Some(StreamKind::Check),
        WATCH => Some(StreamKind::Watch),
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
            Some(StreamKind::Reflection)
        }
        _ => None,
    }
}

/// Reads and discards the message of a rejected call, which usually arrives with its headers.
///
/// Frames that arrive after the response belong to a stream that was reset. h2 counts these as errors
/// of the peer, and closes a connection after 1,024 of them.
async fn discard(mut message: Incoming) {
    let read = async { while let Some(Ok(_)) = message.frame().await {} };
    let _ = timeout(DISCARD_TIMEOUT, read).await;
}

/// Replaces an error that tonic created by the corresponding [`Failure`], unless it has the code
/// `except`.
///
/// The headers of tonic's error are kept: one of them lists the supported encodings.
fn complete(response: &mut Response<Body>, context: &Context, except: Option<Code>) {
    let headers = response.headers();
    let is_bare = headers.contains_key(Status::GRPC_STATUS)
        && !headers.contains_key(Status::GRPC_STATUS_DETAILS);
    if !is_bare {
        return;
    }
    let Some(bare) = Status::from_header_map(headers) else {
        return;
    };
    if Some(bare.code()) != except {
        let status = Failure::from_tonic(&bare).into_status(context);
        let (completed, _) = status.into_http::<Body>().into_parts();
        response.headers_mut().extend(completed.headers);
        response.extensions_mut().extend(completed.extensions);
    }
}

/// Returns an HTTP error response if a request is not gRPC, since its sender may not understand gRPC.
///
/// By the [gRPC protocol], a call is a POST with the media type `application/grpc`, optionally followed
/// by the name of a message encoding.
///
/// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
fn reject_non_grpc(request: &Request<Incoming>) -> Option<Response<Body>> {
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

    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if !is_post {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    Some(response)
}
