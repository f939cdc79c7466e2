//! Access log: one line per call that failed, was slow, or was sampled. The metrics count every call.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, uri::PathAndQuery};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tracing::Level;

use super::{
    call_metrics::CallMetrics,
    call_span::CallSpan,
    peer::Peer,
    recent_errors::{FailedCall, RecentErrors},
    rejection_log::RejectionLog,
    subject_hash::SubjectHash,
};
use crate::{
    clock::Clock,
    config,
    context::{Activity, Context, PeerAddress, Subject},
    proto::{METHODS, grpc_code},
    service::{X_TC_REQUEST_ID, retry_hint},
    trace::{CallTrace, SpanId},
};

/// The maximum length of a method name in the log, in bytes: clients may send any name.
const MAX_RPC: usize = 128;

/// The method of a call to a method that the service does not have, as OpenTelemetry names it.
const OTHER: &str = "_OTHER";

/// The maximum length of a valid id, in bytes. Longer ids were rejected and are not logged.
const MAX_ID: usize = 64;

/// The access log: decides which calls are logged, and how their ids are written.
pub(super) struct AccessLog {
    slow: Duration,
    sample: f64,
    successes: AtomicU64,
    ids: bool,
    hash: SubjectHash,
    rejections: RejectionLog,
    metrics: CallMetrics,
    errors: RecentErrors,
    clock: Clock,
}

impl AccessLog {
    /// Creates an access log. `clock` dates the recent errors.
    pub(super) fn new(settings: &config::Log, metrics: CallMetrics, clock: Clock) -> Self {
        Self {
            slow: settings.slow,
            sample: settings.sample,
            successes: AtomicU64::new(0),
            ids: settings.ids,
            hash: SubjectHash::new(settings.hash_key.as_ref()),
            rejections: RejectionLog::default(),
            metrics,
            errors: RecentErrors::default(),
            clock,
        }
    }

    /// Returns the metrics of calls.
    pub(super) fn metrics(&self) -> &CallMetrics {
        &self.metrics
    }

    /// Returns the last calls that failed.
    pub(super) fn recent_errors(&self) -> &RecentErrors {
        &self.errors
    }

    /// Opens the line of a call. It is written when it is closed, or when it is dropped because the
    /// client has cancelled the call.
    pub(super) fn open<B>(
        self: Arc<Self>,
        request: &Request<B>,
        peer: &Peer,
        context: &Arc<Context>,
        arrival: Instant,
    ) -> Line {
        self.metrics.started(rpc(request.uri().path()));
        let addresses = (&peer.address, peer.server_port);
        let span = CallSpan::begin(context, request.uri().path(), addresses, arrival);
        Line {
            span,
            log: self,
            path: request.uri().path_and_query().cloned(),
            peer: peer.address.clone(),
            context: Arc::clone(context),
            arrival,
            completed: None,
            is_open: true,
        }
    }

    /// Returns the level of a line. For a failed call it depends on the party that caused the error, for
    /// a successful one on whether it was slow or sampled.
    fn level(&self, code: Code, duration: Duration) -> Level {
        if code != Code::Ok {
            grpc_code::log_level(code)
        } else if duration >= self.slow || self.is_sampled() {
            Level::INFO
        } else {
            Level::DEBUG
        }
    }

    /// Returns whether a successful call is sampled. Samples are evenly spaced rather than random.
    fn is_sampled(&self) -> bool {
        let before = self.successes.fetch_add(1, Ordering::Relaxed) as f64;
        (before * self.sample).floor() < ((before + 1.0) * self.sample).floor()
    }

    /// Returns the id of a subject if the log may contain ids, and otherwise a keyed hash, which relates
    /// the lines of one subject without disclosing it.
    fn subject_field(&self, subject: &Subject) -> Option<String> {
        match subject.id.len() {
            1..=MAX_ID if self.ids => Some(subject.id.clone()),
            _ => self.hash.of(subject),
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

/// The line of one call.
pub(super) struct Line {
    log: Arc<AccessLog>,
    path: Option<PathAndQuery>,
    peer: PeerAddress,
    context: Arc<Context>,
    span: Option<CallSpan>,
    arrival: Instant,
    completed: Option<Completed>,
    is_open: bool,
}

/// What is known of a call once it has a response.
struct Completed {
    duration: Duration,
    /// The request id that upstream assigned.
    upstream_id: Option<HeaderValue>,
}

impl Line {
    /// Records that the call has a response, and returns its duration.
    pub(super) fn completed(&mut self, response: &Response<Body>) -> Duration {
        let duration = self.arrival.elapsed();
        self.completed = Some(Completed {
            duration,
            upstream_id: response.headers().get(X_TC_REQUEST_ID).cloned(),
        });
        duration
    }

    /// Writes the line of a call with its final status.
    pub(super) fn close(mut self, status: Option<&Status>) {
        self.is_open = false;
        match status {
            Some(status) => self.end(&Outcome::of(status)),
            None => self.end(&Outcome::OK),
        }
    }

    /// Ends the span of the call, counts the call, writes its line, and adds it to the recent errors if it failed.
    fn end(&mut self, outcome: &Outcome<'_>) {
        if let Some(span) = self.span.take() {
            span.end(outcome.code, &self.context);
        }
        self.write(outcome);
        self.remember(outcome);
    }

    /// Adds the call to the recent errors.
    fn remember(&self, outcome: &Outcome<'_>) {
        if outcome.code == Code::Ok {
            return;
        }
        let completed = self.completed.as_ref();
        let upstream_id = completed.and_then(|completed| completed.upstream_id.as_ref());
        let upstream_id = upstream_id.and_then(|id| id.to_str().ok());
        self.log.errors.add(FailedCall {
            time: self.log.clock.now(),
            method: self.rpc().to_owned(),
            status: grpc_code::name(outcome.code),
            duration: self.duration(),
            reason: self.context.error().map(|error| error.reason.clone()),
            upstream_code: self.context.upstream_code().map(str::to_owned),
            upstream_request_id: upstream_id.map(str::to_owned),
            trace_id: self.context.trace().map(|trace| trace.context().trace_id()),
        });
    }

    /// Returns the time from the arrival of the call to its response, or until now.
    fn duration(&self) -> Duration {
        let completed = self.completed.as_ref();
        completed.map_or_else(|| self.arrival.elapsed(), |completed| completed.duration)
    }

    fn write(&self, outcome: &Outcome<'_>) {
        let &Outcome { code, cause, .. } = outcome;
        let completed = self.completed.as_ref();
        let duration = self.duration();
        let metrics = &self.log.metrics;
        metrics.ended(self.rpc(), code, duration, &self.context);
        let is_rejected = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        if is_rejected && !self.log.rejections.admits(self.arrival + duration) {
            return;
        }
        let upstream_id = completed.and_then(|completed| completed.upstream_id.as_ref());
        let provenance = self.context.provenance();
        let request_id = self.context.request_id();
        let trace = self.context.trace().map(CallTrace::context);
        let span = trace.filter(|trace| trace.span_id() != SpanId::INVALID);
        let method = known_method(self.rpc());
        let is_error = grpc_code::is_error(code);
        // A shorter time than 1 ms explains nothing.
        let time = |activity| {
            let time = self.context.time(activity);
            (time.as_millis() > 0).then(|| milliseconds(time))
        };
        macro_rules! write_at {
            ($level:ident) => {
                tracing::event!(
                    parent: None,
                    Level::$level,
                    rpc.method = method.unwrap_or(OTHER),
                    rpc.method_original = Some(self.rpc()).filter(|_| method.is_none()),
                    rpc.response.status_code = grpc_code::name(code),
                    error.type = Some(grpc_code::name(code)).filter(|_| is_error),
                    reason = self.context.error().map(|error| &*error.reason),
                    retry_delay_ms = outcome.retry_delay,
                    duration_ms = milliseconds(duration),
                    queue_ms = time(Activity::Queue),
                    upstream.duration_ms = time(Activity::Upstream),
                    backoff_ms = time(Activity::Backoff),
                    credential.wait_ms = time(Activity::Credential),
                    request_id = request_id.and_then(|id| id.to_str().ok()),
                    trace_id = trace.map(|trace| tracing::field::display(trace.trace_id())),
                    span_id = span.map(|span| tracing::field::display(span.span_id())),
                    network.peer.address = %self.peer,
                    network.peer.port = self.peer.port(),
                    caller = %self.context.identity(),
                    // Evaluated, and so hashed, only if the line is written.
                    subject = self.log.subject_field(self.context.subject()),
                    upstream.attempts = self.context.attempts(),
                    upstream.cache = provenance.map(|provenance| provenance.origin.name()),
                    upstream.code = self.context.upstream_code(),
                    upstream.request_id = upstream_id.and_then(|id| id.to_str().ok()),
                    error.message = Some(outcome.message).filter(|text| !text.is_empty()),
                    cause = cause.map(tracing::field::display),
                    "call"
                )
            };
        }
        match self.log.level(code, duration) {
            Level::ERROR => write_at!(ERROR),
            Level::WARN => write_at!(WARN),
            Level::INFO => write_at!(INFO),
            _ => write_at!(DEBUG),
        }
    }

    /// Returns the name of the method, truncated to [`MAX_RPC`].
    fn rpc(&self) -> &str {
        rpc(self.path.as_ref().map_or("", PathAndQuery::path))
    }
}

/// How a call ended.
struct Outcome<'a> {
    code: Code,
    message: &'a str,
    /// The technical cause, which the caller does not receive.
    cause: Option<&'a dyn Error>,
    /// The retry hint in milliseconds; negative if the caller must not retry.
    retry_delay: Option<i64>,
}

impl<'a> Outcome<'a> {
    const OK: Self = Self {
        code: Code::Ok,
        message: "",
        cause: None,
        retry_delay: None,
    };

    const CANCELLED: Self = Self {
        code: Code::Cancelled,
        message: "cancelled: the client cancelled the call, or the drain timeout passed",
        ..Self::OK
    };

    fn of(status: &'a Status) -> Self {
        Self {
            code: status.code(),
            message: status.message(),
            cause: status.source(),
            retry_delay: retry_hint::delay_ms(status.metadata()),
        }
    }
}

/// Returns a duration in milliseconds, with three decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Returns the name of a method, if the service has it.
fn known_method(name: &str) -> Option<&'static str> {
    let method = METHODS.iter().find(|method| method.full_name == name)?;
    Some(&method.full_name)
}

fn rpc(path: &str) -> &str {
    let rpc = path.trim_start_matches('/');
    &rpc[..rpc.floor_char_boundary(MAX_RPC)]
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_open {
            self.end(&Outcome::CANCELLED);
        }
    }
}
