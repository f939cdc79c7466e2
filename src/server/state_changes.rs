//! State changes: logs when the rate limit is lowered, the circuit breaker opens, or a limit rejects calls, and
//! when that ends, with numbers. Reads the counters of the layers once per second, so that calls are not slowed
//! down. It does not know what causes a change.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use self::condition::{Change, Condition};
use super::calls::Calls;
use crate::upstream::{CircuitBreakerState, Client, LimiterState};

mod condition;

/// The time between two readings of the counters.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time for which a limit must not have rejected a call until it is logged that this has ended.
const CALM: Duration = Duration::from_secs(30);

/// Logs state changes for as long as it is polled.
pub(super) async fn log(client: Client, calls: Arc<Calls>) {
    let mut changes = StateChanges::default();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        changes.observe(
            Counters {
                limiter: client.limiter(),
                circuit_breaker: client.circuit_breaker(),
                overloaded: calls.overloaded(),
                max_concurrent: calls.in_progress().1,
            },
            now,
        );
    }
}

/// The counters and states that are observed.
#[derive(Clone, Debug, Default)]
struct Counters {
    limiter: LimiterState,
    circuit_breaker: CircuitBreakerState,
    /// Calls rejected at the limit of concurrent calls.
    overloaded: u64,
    max_concurrent: usize,
}

/// The conditions whose begin and end are logged.
#[derive(Debug, Default)]
struct StateChanges {
    /// The counters of one reading before.
    previous: Counters,
    rate: Condition,
    circuit_breaker: Condition,
    queue: Condition,
    calls: Condition,
}

impl StateChanges {
    /// Logs what has changed. Returns the number of lines.
    fn observe(&mut self, counters: Counters, now: Instant) -> usize {
        let lines = [
            self.log_rate(&counters, now),
            self.log_circuit_breaker(&counters, now),
            self.log_queue(&counters, now),
            self.log_calls(&counters, now),
        ];
        self.previous = counters;
        lines.into_iter().filter(|is_logged| *is_logged).count()
    }

    fn log_rate(&mut self, counters: &Counters, now: Instant) -> bool {
        let limiter = &counters.limiter;
        let rate = limiter.adaptive_rate.map(rounded);
        let before = self.previous.limiter.throttled;
        let change = self
            .rate
            .observe(rate.is_some(), before, limiter.throttled, now);
        match change {
            Some(Change::Began { events }) => tracing::warn!(
                rate,
                throttled = events,
                queue.length = limiter.waiting,
                "throttled by upstream, lowering rate limit"
            ),
            Some(Change::Ended { events, time }) => tracing::info!(
                rate = limiter.rate,
                throttled = events,
                duration_seconds = time.as_secs(),
                "rate limit restored"
            ),
            None => {}
        }
        change.is_some()
    }

    fn log_circuit_breaker(&mut self, counters: &Counters, now: Instant) -> bool {
        let state = counters.circuit_breaker;
        let before = self.previous.circuit_breaker;
        let is_open = state.rejected_share > 0.0 || state.opened > before.opened;
        let change = self
            .circuit_breaker
            .observe(is_open, before.failures, state.failures, now);
        match change {
            Some(Change::Began { events }) => tracing::warn!(
                rejected_share = rounded(state.rejected_share),
                failures = events,
                "circuit breaker opened"
            ),
            Some(Change::Ended { events, time }) => tracing::info!(
                failures = events,
                duration_seconds = time.as_secs(),
                "circuit breaker closed"
            ),
            None => {}
        }
        change.is_some()
    }

    fn log_queue(&mut self, counters: &Counters, now: Instant) -> bool {
        let limiter = &counters.limiter;
        let before = self.previous.limiter.rejected;
        let change = self
            .queue
            .observe_events(before, limiter.rejected, CALM, now);
        match change {
            Some(Change::Began { events }) => tracing::warn!(
                rejected = events,
                queue.length = limiter.waiting,
                queue.callers = limiter.callers_waiting,
                rate = limiter
                    .adaptive_rate
                    .map(rounded)
                    .or(limiter.rate.map(|rate| rate.get().into())),
                "rate limiter queue full, rejecting calls"
            ),
            Some(Change::Ended { events, time }) => tracing::info!(
                rejected = events,
                duration_seconds = time.as_secs(),
                "rate limiter queue no longer full"
            ),
            None => {}
        }
        change.is_some()
    }

    fn log_calls(&mut self, counters: &Counters, now: Instant) -> bool {
        let before = self.previous.overloaded;
        let change = self
            .calls
            .observe_events(before, counters.overloaded, CALM, now);
        match change {
            Some(Change::Began { events }) => tracing::warn!(
                rejected = events,
                max_concurrent = counters.max_concurrent,
                "limit of calls in progress reached, rejecting calls"
            ),
            Some(Change::Ended { events, time }) => tracing::info!(
                rejected = events,
                duration_seconds = time.as_secs(),
                "calls in progress below their limit again"
            ),
            None => {}
        }
        change.is_some()
    }
}

/// Rounds to three decimals.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
