//! History of the counters that the metrics keep: a sample every 10 s, for 15 minutes. Calls are not slowed
//! down: a task reads the counters, and nothing else is counted for the status page.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    metrics::BucketCounts,
    server::{
        caller_metrics::{CallerCalls, CallerName},
        calls::Calls,
        connection_slots::{ConnectionCounts, ConnectionSlots},
    },
    upstream::{CacheStatistics, CircuitBreakerState, Client, LimiterState},
};

/// The time between two samples.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// The number of intervals: 15 minutes.
pub(super) const INTERVALS: usize = 90;

/// All counters at one time.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The durations of calls, by the name of their status.
    pub(super) durations: BTreeMap<String, BucketCounts>,
    pub(super) callers: Vec<(CallerName, CallerCalls)>,
    pub(super) limiter: LimiterState,
    pub(super) circuit_breaker: CircuitBreakerState,
    pub(super) cache: CacheStatistics,
    pub(super) connections: ConnectionCounts,
}

/// Where the counters are.
#[derive(Clone, Debug)]
pub(in crate::server) struct Counters {
    pub(in crate::server) calls: Arc<Calls>,
    pub(in crate::server) slots: ConnectionSlots,
    pub(in crate::server) client: Client,
}

impl Counters {
    /// Reads all counters.
    ///
    /// # Errors
    ///
    /// Fails if the metrics cannot be read.
    pub(super) fn read(&self) -> Result<Sample, fmt::Error> {
        let metrics = self.calls.access_log().metrics();
        Ok(Sample {
            at: Instant::now(),
            durations: metrics.durations()?,
            callers: metrics.callers().read(),
            limiter: self.client.limiter(),
            circuit_breaker: self.client.circuit_breaker(),
            cache: self.client.cache_statistics(),
            connections: self.slots.count(),
        })
    }
}

/// The samples of the last 15 minutes. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Arc<Mutex<VecDeque<Arc<Sample>>>>);

impl History {
    /// Adds a sample, and drops those that are more than 90 intervals old.
    pub(super) fn add(&self, sample: Sample) {
        let mut samples = self.0.lock();
        // One more than intervals: the first sample is the start of the first interval.
        if samples.len() > INTERVALS {
            samples.pop_front();
        }
        samples.push_back(Arc::new(sample));
    }

    /// Returns the samples, the oldest first.
    pub(super) fn samples(&self) -> Vec<Arc<Sample>> {
        self.0.lock().iter().cloned().collect()
    }

    /// Adds a sample of `counters` in 10 s and every 10 s from then on, for as long as it is polled.
    pub(super) async fn record(self, counters: Counters) {
        let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sample(&counters);
        }
    }

    /// Adds a sample of `counters`, unless they cannot be read.
    pub(super) fn sample(&self, counters: &Counters) {
        if let Ok(sample) = counters.read() {
            self.add(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_history_has_15_minutes_and_forgets_what_is_older() {
        let history = History::default();
        let start = Instant::now();
        for number in 0..200 {
            history.add(Sample {
                at: start + INTERVAL * number,
                durations: BTreeMap::new(),
                callers: Vec::new(),
                limiter: LimiterState::default(),
                circuit_breaker: CircuitBreakerState::default(),
                cache: CacheStatistics::default(),
                connections: ConnectionCounts::default(),
            });
        }

        let samples = history.samples();
        let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
        assert_eq!(last.at - first.at, Duration::from_secs(15 * 60));
        assert_eq!(last.at - start, INTERVAL * 199);
    }
}
