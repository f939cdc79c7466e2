//! Recorder: the bounded queue of ended spans that wait for their export.

use std::{collections::VecDeque, fmt, time::Duration, time::SystemTime};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::trace::SpanData;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    clock::Clock,
    metrics::{Counter, Family, Labels, Registry},
};

/// The bounds of a span and of the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The maximum number of attributes of a span.
    pub attributes: usize,
    /// The maximum number of links of a span.
    pub links: usize,
    /// The maximum number of spans in the queue.
    pub queue: usize,
    /// The maximum number of spans in a batch.
    pub batch: usize,
}

/// The counters of spans, by what became of them.
#[derive(Clone, Debug)]
pub struct SpanCounters {
    family: Family<Labels<1>, Counter>,
    /// Spans that the collector accepted.
    pub exported: Counter,
    /// Spans that could not be exported.
    pub failed: Counter,
    /// Spans that were dropped because the queue was full.
    pub dropped: Counter,
}

impl SpanCounters {
    fn new() -> Self {
        let family: Family<Labels<1>, Counter> = Family::default();
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            exported: counter("exported"),
            failed: counter("failed"),
            dropped: counter("dropped"),
            family,
        }
    }

    /// Registers the metric.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "iai_facade_spans",
            "Spans of sampled calls that the collector accepted, that could not be exported, or that were \
             dropped because the queue was full",
            self.family.clone(),
        );
    }
}

impl Default for SpanCounters {
    /// Creates the counters, at zero.
    fn default() -> Self {
        Self::new()
    }
}

/// Records the spans of sampled calls, until they are taken for their export. It never blocks: if the queue is
/// full, spans are dropped and counted.
pub struct Recorder {
    clock: Clock,
    scope: InstrumentationScope,
    limits: Limits,
    queue: Mutex<VecDeque<SpanData>>,
    /// Notified when the queue has a whole batch.
    has_batch: Notify,
    counters: SpanCounters,
}

impl Recorder {
    /// Creates an empty recorder.
    pub fn new(limits: Limits, clock: Clock, counters: SpanCounters) -> Self {
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self {
            clock,
            scope,
            limits,
            queue: Mutex::default(),
            has_batch: Notify::new(),
            counters,
        }
    }

    /// Returns the bounds.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the name and version of this program, which all spans have.
    pub(super) fn scope(&self) -> InstrumentationScope {
        self.scope.clone()
    }

    /// Returns the time since `instant`, as a time of day.
    pub(super) fn time_of(&self, instant: Instant) -> SystemTime {
        SystemTime::from(self.clock.now()) - instant.elapsed()
    }

    /// Adds a span that has ended.
    pub(super) fn add(&self, span: SpanData) {
        let mut queue = self.queue.lock();
        if queue.len() >= self.limits.queue {
            drop(queue);
            self.counters.dropped.inc();
            return;
        }
        queue.push_back(span);
        let waiting = queue.len();
        drop(queue);
        if waiting >= self.limits.batch {
            self.has_batch.notify_one();
        }
    }

    /// Waits for a whole batch of spans, or for `delay`. Cancel safe.
    pub async fn wait(&self, delay: Duration) {
        let end = Instant::now() + delay;
        while self.queue.lock().len() < self.limits.batch {
            tokio::select! {
                () = self.has_batch.notified() => {}
                () = sleep_until(end) => return,
            }
        }
    }

    /// Takes the oldest spans, at most a batch.
    pub fn take_batch(&self) -> Vec<SpanData> {
        let mut queue = self.queue.lock();
        let count = queue.len().min(self.limits.batch);
        queue.drain(..count).collect()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
