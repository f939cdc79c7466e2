//! Call context: deadline, caller and request id of a call, and the attempts made for it.

mod deadline;
mod identity;
mod peer_address;
mod provenance;

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::Span;

pub use self::{
    deadline::{Bound, Deadline, parse_grpc_timeout},
    identity::Identity,
    peer_address::PeerAddress,
    provenance::{Origin, Provenance},
};
use crate::trace::CallTrace;

/// The context of one call.
///
/// Created when the call arrives and shared by all layers, so that the access log and the error of a call
/// that ends early still contain the attempts made.
#[derive(Debug)]
pub struct Context {
    deadline: Deadline,
    is_retry: bool,
    is_uncached: bool,
    identity: Identity,
    request_id: Option<HeaderValue>,
    /// Boxed, since most calls have none.
    trace: Option<Box<CallTrace>>,
    attempts: AtomicU32,
    /// The time of each [`Activity`], in microseconds.
    times: [AtomicU64; Activity::COUNT],
    /// The context of the shared request that this call waits for; its attempts count for this call too.
    followed: Mutex<Option<Arc<Self>>>,
    provenance: OnceLock<Provenance>,
    subject: OnceLock<Subject>,
    error: OnceLock<ErrorName>,
    upstream_code: OnceLock<String>,
}

impl Context {
    /// Creates the context of a call by `identity`. `is_retry` if the client or a proxy retries it.
    pub fn new(deadline: Deadline, is_retry: bool, identity: Identity) -> Self {
        Self {
            deadline,
            is_retry,
            is_uncached: false,
            identity,
            request_id: None,
            trace: None,
            attempts: AtomicU32::new(0),
            times: Default::default(),
            followed: Mutex::default(),
            provenance: OnceLock::new(),
            subject: OnceLock::new(),
            error: OnceLock::new(),
            upstream_code: OnceLock::new(),
        }
    }

    /// Sets the request id (`x-request-id`).
    #[must_use]
    pub fn with_request_id(self, request_id: HeaderValue) -> Self {
        Self {
            request_id: Some(request_id),
            ..self
        }
    }

    /// Sets the trace.
    #[must_use]
    pub fn with_trace(self, trace: Option<CallTrace>) -> Self {
        Self {
            trace: trace.map(Box::new),
            ..self
        }
    }

    /// Excludes the call from cache and singleflight.
    #[must_use]
    pub fn uncached(self) -> Self {
        Self {
            is_uncached: true,
            ..self
        }
    }

    /// Returns the deadline.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns whether the call is a retry of the client or of a proxy.
    pub fn is_retry(&self) -> bool {
        self.is_retry
    }

    /// Returns whether the call is excluded from cache and singleflight.
    pub fn is_uncached(&self) -> bool {
        self.is_uncached
    }

    /// Returns the identity of the caller.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the request id, if it has one.
    pub fn request_id(&self) -> Option<&HeaderValue> {
        self.request_id.as_ref()
    }

    /// Returns the trace, if spans are recorded or the client sent a trace context.
    pub fn trace(&self) -> Option<&CallTrace> {
        self.trace.as_deref()
    }

    /// Creates a span with the request id. A new one each time, since most calls need none.
    pub fn span(&self) -> Span {
        match self.request_id.as_ref().and_then(|id| id.to_str().ok()) {
            Some(request_id) => tracing::info_span!("call", request_id),
            None => Span::none(),
        }
    }

    /// Returns the number of attempts for this call, and for the shared requests it waited for.
    pub fn attempts(&self) -> u32 {
        let followed = self.followed.lock();
        let shared = followed.as_ref().map_or(0, |other| other.attempts());
        self.attempts.load(Ordering::Relaxed) + shared
    }

    /// Returns the number of attempts without those of shared requests.
    pub fn own_attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Counts one attempt.
    pub fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the time that this call, and the shared requests it waited for, spent with an activity. The
    /// activity of a shared request may have begun before this call.
    pub fn time(&self, activity: Activity) -> Duration {
        let followed = self.followed.lock();
        let shared = followed.as_ref();
        let shared = shared.map_or(Duration::ZERO, |other| other.time(activity));
        let own = self.times[activity as usize].load(Ordering::Relaxed);
        Duration::from_micros(own) + shared
    }

    /// Starts to measure an activity, until the timer is dropped: the time counts also if the call is cancelled.
    pub fn timer(&self, activity: Activity) -> Timer<'_> {
        self.timer_since(activity, Instant::now())
    }

    /// Measures an activity that began at `since`, as [`timer`](Self::timer) does.
    pub fn timer_since(&self, activity: Activity, since: Instant) -> Timer<'_> {
        Timer {
            context: self,
            activity,
            since,
            end: None,
        }
    }

    fn add_time(&self, activity: Activity, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.times[activity as usize].fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Counts the attempts of `other`, a shared request that this call waits for, from now on.
    ///
    /// Attempts of a shared request that it waited for before stay counted.
    pub fn follow(&self, other: Arc<Self>) {
        let mut followed = self.followed.lock();
        if let Some(before) = followed.replace(other) {
            self.attempts
                .fetch_add(before.attempts(), Ordering::Relaxed);
            for activity in Activity::ALL {
                self.add_time(activity, before.time(activity));
            }
        }
    }

    /// Returns the provenance of the response, once it came from upstream or from the cache.
    pub fn provenance(&self) -> Option<Provenance> {
        self.provenance.get().copied()
    }

    /// Sets the provenance of the response, once: later values are ignored.
    pub fn set_provenance(&self, provenance: Provenance) {
        let _ = self.provenance.set(provenance);
    }

    /// Returns whether the request message has been decoded.
    pub fn has_subject(&self) -> bool {
        self.subject.get().is_some()
    }

    /// Returns the subject of the call, which is empty until the request message has been decoded.
    pub fn subject(&self) -> &Subject {
        static UNKNOWN: Subject = Subject {
            action: "",
            fields: &[],
            id: String::new(),
        };
        self.subject.get().unwrap_or(&UNKNOWN)
    }

    /// Sets the subject, once: later values are ignored.
    pub fn set_subject(&self, subject: Subject) {
        let _ = self.subject.set(subject);
    }

    /// Returns the name of the error that the call failed with, if it did.
    pub fn error(&self) -> Option<&ErrorName> {
        self.error.get()
    }

    /// Sets the name of the error that the call failed with, once: later values are ignored.
    pub fn set_error(&self, error: ErrorName) {
        let _ = self.error.set(error);
    }

    /// Returns the error code of Tencent Cloud that the call failed with, sanitized, if it did.
    pub fn upstream_code(&self) -> Option<&str> {
        self.upstream_code.get().map(String::as_str)
    }

    /// Sets the error code of Tencent Cloud, which must be sanitized, once: later values are ignored.
    pub fn set_upstream_code(&self, code: String) {
        let _ = self.upstream_code.set(code);
    }
}

/// What a call spends its time with, apart from the work of the service itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Activity {
    /// Waiting before a retry.
    Backoff,
    /// Waiting for a credential.
    Credential,
    /// Waiting in the queue of the rate limiter.
    Queue,
    /// Requests to upstream.
    Upstream,
}

impl Activity {
    const ALL: [Self; Self::COUNT] = [Self::Backoff, Self::Credential, Self::Queue, Self::Upstream];
    const COUNT: usize = 4;
}

/// Measures an activity of a call until it is dropped.
#[derive(Debug)]
#[must_use = "a timer measures until it is dropped"]
pub struct Timer<'a> {
    context: &'a Context,
    activity: Activity,
    since: Instant,
    end: Option<Instant>,
}

impl Timer<'_> {
    /// Ends the measurement, and returns the current time.
    pub fn stop(mut self) -> Instant {
        let now = Instant::now();
        self.end = Some(now);
        now
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let end = self.end.unwrap_or_else(Instant::now);
        let time = end.saturating_duration_since(self.since);
        self.context.add_time(self.activity, time);
    }
}

/// The name of an error: two fields of its `google.rpc.ErrorInfo`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ErrorName {
    /// `ErrorInfo.domain`.
    pub domain: &'static str,
    /// `ErrorInfo.reason`.
    pub reason: Cow<'static, str>,
}

/// The group or person that a call requests.
///
/// `Debug` does not show the id, which may identify a person.
#[derive(Clone, Eq, PartialEq)]
pub struct Subject {
    /// The API action.
    pub action: &'static str,
    /// Names of the request's fields in the protobuf definition; the id first.
    pub fields: &'static [&'static str],
    /// The id, as the client sent it.
    pub id: String,
}

impl Subject {
    /// Returns `text` with the id replaced by `[id]`.
    ///
    /// Upstream's messages may contain the id. An id of up to three bytes is replaced only between
    /// characters that no id can contain: elsewhere it is a part of most words.
    pub fn redact(&self, text: &str) -> String {
        match self.id.len() {
            0 => text.to_owned(),
            1..=3 => self.redact_words(text),
            _ => text.replace(&self.id, "[id]"),
        }
    }

    fn redact_words(&self, text: &str) -> String {
        let is_delimiter =
            |character: char| !character.is_ascii_alphanumeric() && !"-%@#&_".contains(character);
        let redacted =
            text.split_inclusive(is_delimiter)
                .map(|word| match word.strip_prefix(&self.id) {
                    Some(rest) if rest.chars().all(is_delimiter) => format!("[id]{rest}"),
                    _ => word.to_owned(),
                });
        redacted.collect()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("action", &self.action)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str) -> Subject {
        Subject {
            action: "GetPersonGroupInfo",
            fields: &["person_id"],
            id: id.to_owned(),
        }
    }

    #[tokio::test]
    async fn attempts_of_shared_requests_are_counted() {
        let deadline = Deadline::new(Instant::now(), None, Duration::from_secs(1));
        let context = || {
            Arc::new(Context::new(
                deadline,
                false,
                Identity::Address([127, 0, 0, 1].into()),
            ))
        };
        let (waiter, first, second) = (context(), context(), context());

        waiter.follow(Arc::clone(&first));
        first.count_attempt();
        assert_eq!(waiter.attempts(), 1);
        waiter.follow(Arc::clone(&second));
        first.count_attempt();
        second.count_attempt();
        second.count_attempt();
        assert_eq!(waiter.attempts(), 3);
    }

    #[test]
    fn debug_of_a_subject_does_not_contain_its_id() {
        assert!(!format!("{:?}", subject("alice")).contains("alice"));
    }

    #[test]
    fn ids_are_redacted_and_short_ones_only_as_separate_words() {
        let cases = [
            ("alice", "no person alice.", "no person [id]."),
            (
                "alice",
                "PersonId=alice&Offset=0, id_alice, malice",
                "PersonId=[id]&Offset=0, id_[id], m[id]",
            ),
            ("", "to be, or not to be", "to be, or not to be"),
            ("a", "a cat and a hat", "[id] cat and [id] hat"),
            ("a#b", "(a#b) a#b#c", "([id]) a#b#c"),
            ("x", "\u{4eba}x\u{5458}", "\u{4eba}[id]\u{5458}"),
        ];

        for (id, text, expected) in cases {
            assert_eq!(subject(id).redact(text), expected);
        }
    }
}
