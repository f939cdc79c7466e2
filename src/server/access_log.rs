//! One line for a call: always if it failed, and otherwise if it was slow or by lot.

use std::{
    error::Error,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response, uri::PathAndQuery};
use sha2::Sha256;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tracing::Level;

use super::peer::Peer;
use crate::{
    code, config,
    context::{Context, Subject},
    service::X_TC_REQUEST_ID,
};

/// The longest name of a method that is logged, in bytes: callers may ask for any.
const MAX_RPC: usize = 128;

/// The longest id that there is, in bytes. What is longer was refused, and is not repeated.
const MAX_ID: usize = 64;

/// Decides which calls are logged, and how their subjects appear.
pub(super) struct AccessLog {
    slow: Duration,
    sample: f64,
    successes: AtomicU64,
    ids: bool,
    hash: Hmac<Sha256>,
}

impl AccessLog {
    /// Returns a log by `settings`.
    pub(super) fn new(settings: &config::Log) -> Self {
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes);
        let key = settings
            .hash_key
            .as_ref()
            .map_or(random.as_flattened(), config::HashKey::bytes);
        #[expect(
            clippy::expect_used,
            reason = "HMAC is defined for keys of every length"
        )]
        let hash = Hmac::new_from_slice(key).expect("a key of any length");
        Self {
            slow: settings.slow,
            sample: settings.sample,
            successes: AtomicU64::new(0),
            ids: settings.ids,
            hash,
        }
    }

    /// Opens the line of a call, which is written when it is closed or, for a caller that has gone,
    /// dropped.
    pub(super) fn open<B>(
        self: Arc<Self>,
        request: &Request<B>,
        peer: &Peer,
        context: &Arc<Context>,
        arrival: Instant,
    ) -> Line {
        Line {
            log: self,
            path: request.uri().path_and_query().cloned(),
            peer: peer.address,
            context: Arc::clone(context),
            arrival,
            is_open: true,
        }
    }

    /// Returns the level of a line: by whose fault it is if the call failed, and for one that
    /// succeeded by whether it is of interest.
    fn level(&self, code: Code, duration: Duration) -> Level {
        match code {
            Code::Ok if duration >= self.slow || self.is_drawn() => Level::INFO,
            Code::Ok => Level::DEBUG,
            Code::AlreadyExists
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::InvalidArgument
            | Code::NotFound
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Level::INFO,
            // Upstream's, and passing.
            Code::Aborted | Code::ResourceExhausted | Code::Unavailable => Level::WARN,
            Code::DataLoss | Code::FailedPrecondition | Code::Internal | Code::Unknown => {
                Level::ERROR
            }
        }
    }

    /// Tells whether this call is one of the share that is logged: evenly spread, not at random.
    fn is_drawn(&self) -> bool {
        let before = self.successes.fetch_add(1, Ordering::Relaxed) as f64;
        (before * self.sample).floor() < ((before + 1.0) * self.sample).floor()
    }

    /// Returns how a subject appears: by itself if that is wanted, otherwise by a keyed hash, with
    /// which the lines of one subject can be found and the subject cannot.
    fn appearance(&self, subject: &Subject) -> Option<String> {
        match subject.id.len() {
            0 => None,
            1..=MAX_ID if self.ids => Some(subject.id.clone()),
            _ => {
                let hash = self.hash.clone().chain_update(&subject.id).finalize();
                Some(base16ct::lower::encode_string(&hash.into_bytes()[..8]))
            }
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
    peer: SocketAddr,
    context: Arc<Context>,
    arrival: Instant,
    is_open: bool,
}

impl Line {
    /// Writes the line of a call that was answered.
    pub(super) fn close(mut self, response: &Response<Body>) {
        self.is_open = false;
        let upstream_id = response.headers().get(X_TC_REQUEST_ID);
        let upstream_id = upstream_id
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        match response.extensions().get::<Status>() {
            Some(status) => self.write(
                status.code(),
                upstream_id,
                status.message(),
                status.source(),
            ),
            None => self.write(Code::Ok, upstream_id, "", None),
        }
    }

    fn write(&self, code: Code, upstream_id: &str, error: &str, cause: Option<&dyn Error>) {
        let duration = self.arrival.elapsed();
        let provenance = self.context.provenance();
        let request_id = self.context.request_id();
        macro_rules! write_at {
            ($level:ident) => {
                tracing::event!(
                    parent: None,
                    Level::$level,
                    rpc = self.rpc(),
                    code = code::name(code),
                    duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3,
                    request_id = request_id.and_then(|id| id.to_str().ok()),
                    peer.address = %self.peer,
                    caller = %self.context.identity(),
                    // Hashed only if the line is written.
                    subject = self.log.appearance(self.context.subject()),
                    upstream.attempts = self.context.attempts(),
                    upstream.cache = provenance.map(|provenance| provenance.origin.name()),
                    upstream.request_id = Some(upstream_id).filter(|id| !id.is_empty()),
                    error = Some(error).filter(|error| !error.is_empty()),
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

    /// Returns the name of the method, as far as it is logged.
    fn rpc(&self) -> &str {
        let path = self.path.as_ref().map_or("", PathAndQuery::path);
        let rpc = path.trim_start_matches('/');
        &rpc[..rpc.floor_char_boundary(MAX_RPC)]
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_open {
            let error = "it ended without an answer: the caller has gone, or calls were cut";
            self.write(Code::Cancelled, "", error, None);
        }
    }
}
