//! Resource usage of connections: open streams of health and reflection, and unsent response bytes, each
//! limited per connection and in total.
//!
//! Together with the limits of calls, connections and headers, these limit the memory that clients can
//! occupy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use crate::service::Failure;

/// Maximum number of open `Health/Watch` streams per connection, and of open reflection streams.
const MAX_STREAMS: usize = 8;

/// Maximum number of open `Health/Check` calls per connection. They complete at once, so more are open only
/// if a client withholds its message or flow-control window, or makes as many calls at the same time.
const MAX_CHECKS: usize = 32;

/// Maximum number of open streams of each kind in total. A client that watches the health has one stream per
/// connection; a reflection stream is short. Checks have no total limit, since other clients could exhaust
/// it and make probes fail.
const MAX_WATCHES_IN_TOTAL: usize = 4_096;
const MAX_REFLECTIONS_IN_TOTAL: usize = 64;

/// Maximum number of unsent response bytes, per connection and in total.
///
/// A response with 100 entries has about 30 kB. At most 256 calls are in progress on a connection, and by
/// default 1,024 in total.
const MAX_UNSENT: usize = 16 << 20;
const MAX_UNSENT_IN_TOTAL: usize = 64 << 20;

/// Minimum size of a counted response, in bytes. The limits of calls limit the smaller ones.
const MIN_COUNTED: usize = 4 << 10;

/// Minimum time after which an unsent response closes its connection; the maximum is twice as long.
///
/// Longer than the timeout of the [`stream_executor`](super::stream_executor), which resets a single stream.
const MAX_UNSENT_TIME: Duration = Duration::from_secs(15);

/// The resources in use, by a connection or in total.
#[derive(Debug, Default)]
struct Counts {
    checks: AtomicUsize,
    watches: AtomicUsize,
    reflections: AtomicUsize,
    unsent: AtomicUsize,
}

/// Resource usage of all connections.
#[derive(Clone, Debug, Default)]
pub(super) struct TotalUsage(Arc<Counts>);

/// Resource usage of one connection.
#[derive(Debug, Default)]
pub(super) struct Usage {
    counts: Counts,
    total: TotalUsage,
    /// The number of [`MAX_UNSENT_TIME`] periods that have passed.
    period: AtomicUsize,
    /// The number of unsent messages from even and from odd periods.
    waiting: [AtomicUsize; 2],
}

/// The kind of a stream that holds no admission permit.
#[derive(Clone, Copy, Debug)]
pub(super) enum StreamKind {
    /// `Health/Check`.
    Check,
    /// `Health/Watch`.
    Watch,
    /// Server reflection, in either version.
    Reflection,
}

impl Usage {
    /// Creates the usage of a new connection, which is part of `total`.
    pub(super) fn new(total: TotalUsage) -> Self {
        Self {
            total,
            ..Self::default()
        }
    }

    /// Counts a stream as open until the value is dropped.
    ///
    /// # Errors
    ///
    /// Fails with [`Failure::TooManyStreams`] at the limit of the connection or the total limit.
    pub(super) fn open(self: &Arc<Self>, kind: StreamKind) -> Result<OpenStream, Failure> {
        let too_many = |limit, scope| Failure::TooManyStreams {
            method: kind.method(),
            limit,
            scope,
        };
        let (max, max_in_total) = kind.limits();
        if !add(kind.count(&self.counts), 1, max) {
            return Err(too_many(max, "on this connection"));
        }
        if !add(kind.count(&self.total.0), 1, max_in_total) {
            kind.count(&self.counts).fetch_sub(1, Ordering::Relaxed);
            return Err(too_many(max_in_total, "in total"));
        }
        Ok(OpenStream {
            usage: Arc::clone(self),
            kind,
        })
    }

    /// Counts a message as unsent until the value is dropped. Returns `None` if it exceeds a limit.
    pub(super) fn send(self: &Arc<Self>, bytes: usize) -> Option<Unsent> {
        let counted = if bytes < MIN_COUNTED { 0 } else { bytes };
        if counted > 0 {
            if !add(&self.counts.unsent, counted, MAX_UNSENT) {
                return None;
            }
            if !add(&self.total.0.unsent, counted, MAX_UNSENT_IN_TOTAL) {
                self.counts.unsent.fetch_sub(counted, Ordering::Relaxed);
                return None;
            }
        }
        let parity = self.period.load(Ordering::Relaxed) & 1;
        self.waiting[parity].fetch_add(1, Ordering::Relaxed);
        Some(Unsent {
            usage: Arc::clone(self),
            bytes: counted,
            parity,
        })
    }

    /// Waits until a message has been unsent for too long.
    ///
    /// Cancel safe, but a new call restarts the current period.
    pub(super) async fn overdue(&self) {
        loop {
            sleep(MAX_UNSENT_TIME).await;
            // Checks the messages from the period before the one that ends now. It has the parity of the
            // next period, which has not started, so no message is added during the check.
            let next = self.period.load(Ordering::Relaxed) + 1;
            if self.waiting[next & 1].load(Ordering::Relaxed) > 0 {
                return;
            }
            self.period.store(next, Ordering::Relaxed);
        }
    }
}

/// Adds to a counter unless the sum exceeds `max`. Returns whether it was added.
fn add(counter: &AtomicUsize, count: usize, max: usize) -> bool {
    // The counter guards no other memory, so relaxed ordering suffices.
    let sum = |current| Some(current + count).filter(|sum| *sum <= max);
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
        .is_ok()
}

impl StreamKind {
    fn count(self, counts: &Counts) -> &AtomicUsize {
        match self {
            Self::Check => &counts.checks,
            Self::Watch => &counts.watches,
            Self::Reflection => &counts.reflections,
        }
    }

    /// Returns the maximum number of open streams, per connection and in total.
    fn limits(self) -> (usize, usize) {
        match self {
            Self::Check => (MAX_CHECKS, usize::MAX),
            Self::Watch => (MAX_STREAMS, MAX_WATCHES_IN_TOTAL),
            Self::Reflection => (MAX_STREAMS, MAX_REFLECTIONS_IN_TOTAL),
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Check => "Health/Check",
            Self::Watch => "Health/Watch",
            Self::Reflection => "ServerReflection/ServerReflectionInfo",
        }
    }
}

/// A guard that counts a stream as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    usage: Arc<Usage>,
    kind: StreamKind,
}

impl OpenStream {
    /// Returns whether the method responds with more than one message.
    pub(super) fn is_streaming(&self) -> bool {
        !matches!(self.kind, StreamKind::Check)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        for counts in [&self.usage.counts, &self.usage.total.0] {
            self.kind.count(counts).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A guard that counts a message as unsent until it is dropped.
#[derive(Debug)]
pub(super) struct Unsent {
    usage: Arc<Usage>,
    bytes: usize,
    parity: usize,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.usage.waiting[self.parity].fetch_sub(1, Ordering::Relaxed);
        if self.bytes > 0 {
            for counts in [&self.usage.counts, &self.usage.total.0] {
                counts.unsent.fetch_sub(self.bytes, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsent_bytes_are_limited_per_connection_and_in_total() {
        let total = TotalUsage::default();
        let usages: Vec<_> = (0..5)
            .map(|_| Arc::new(Usage::new(total.clone())))
            .collect();
        let mut unsent: Vec<_> = (0..16).map(|_| usages[0].send(1 << 20).unwrap()).collect();
        assert!(usages[0].send(1 << 20).is_none());
        assert!(usages[0].send(100).is_some());

        for usage in &usages[1..4] {
            unsent.extend((0..16).map(|_| usage.send(1 << 20).unwrap()));
        }
        assert!(usages[4].send(1 << 20).is_none());
        assert_eq!(usages[4].counts.unsent.load(Ordering::Relaxed), 0);

        drop(unsent.pop());
        assert!(usages[4].send(1 << 20).is_some());
        drop(unsent);
        assert_eq!(total.0.unsent.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn streams_are_limited_per_connection_and_in_total() {
        for (kind, other) in [
            (StreamKind::Reflection, StreamKind::Watch),
            (StreamKind::Watch, StreamKind::Reflection),
        ] {
            let (max, max_in_total) = kind.limits();
            let total = TotalUsage::default();
            let mut open = Vec::new();
            for _ in 0..max_in_total / max {
                let usage = Arc::new(Usage::new(total.clone()));
                open.extend((0..max).map(|_| usage.open(kind).unwrap()));
                assert!(usage.open(kind).is_err());
                assert!(usage.open(other).is_ok());
            }
            let usage = Arc::new(Usage::new(total.clone()));
            let Err(Failure::TooManyStreams { limit, scope, .. }) = usage.open(kind) else {
                panic!("the stream was not rejected");
            };
            assert_eq!((limit, scope), (max_in_total, "in total"));

            drop(open.pop());
            assert!(usage.open(kind).is_ok());
        }
    }

    #[test]
    fn checks_are_limited_per_connection_but_not_in_total() {
        let total = TotalUsage::default();
        let mut open = Vec::new();
        for _ in 0..200 {
            let usage = Arc::new(Usage::new(total.clone()));
            open.extend((0..MAX_CHECKS).map(|_| usage.open(StreamKind::Check).unwrap()));
            assert!(usage.open(StreamKind::Check).is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unsent_message_is_overdue_after_at_most_two_periods() {
        let usage = Arc::new(Usage::default());
        let sent = usage.send(1);
        let in_time = tokio::time::timeout(4 * MAX_UNSENT_TIME, usage.overdue());
        drop(sent);
        assert!(in_time.await.is_err());

        let _unsent = usage.send(1);
        let max = 2 * MAX_UNSENT_TIME + Duration::from_millis(10);
        tokio::time::timeout(max, usage.overdue()).await.unwrap();
    }

    /// A message at the end of a period has the whole next period.
    #[tokio::test(start_paused = true)]
    async fn an_unsent_message_is_overdue_after_at_least_one_period() {
        let usage = Arc::new(Usage::default());
        let start = tokio::time::Instant::now();
        let watched = Arc::clone(&usage);
        let overdue = tokio::spawn(async move { watched.overdue().await });
        sleep(MAX_UNSENT_TIME - Duration::from_millis(10)).await;
        let _unsent = usage.send(1);

        overdue.await.unwrap();

        assert!(start.elapsed() >= 2 * MAX_UNSENT_TIME);
    }
}
