//! The lines of state changes.

use std::io::{self, Write};

use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn state(is_limited: bool, share: f64, events: u64) -> Counters {
    Counters {
        limiter: LimiterState {
            adaptive_rate: is_limited.then_some(7.0),
            throttled: events,
            rejected: events,
            ..LimiterState::default()
        },
        circuit_breaker: CircuitBreakerState {
            rejected_share: share,
            ..CircuitBreakerState::default()
        },
        overloaded: events,
        max_concurrent: 1,
    }
}

/// Observes counters once per second, and returns the lines that are logged.
fn logged(observed: impl IntoIterator<Item = Counters>) -> Vec<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut changes = StateChanges::default();
        let start = Instant::now();
        for (second, counters) in (0..).zip(observed) {
            changes.observe(counters, start + INTERVAL * second);
        }
    });
    let bytes = lines.0.lock();
    let text = str::from_utf8(&bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_limit_logs_its_begin_and_its_end_with_numbers() {
    let active = state(true, 0.25, 5);
    let ended = state(false, 0.0, 8);
    let observed = [vec![Counters::default(), active], vec![ended; 60]].concat();

    let lines = logged(observed);

    let with = |message: &str, level: &str, field: &str, value: Value| {
        let line = lines
            .iter()
            .find(|line| line["message"] == message)
            .expect(message);
        assert_eq!(
            (&line["level"], &line[field]),
            (&level.into(), &value),
            "{line}"
        );
    };
    with(
        "throttled by upstream, lowering rate limit",
        "WARN",
        "rate",
        7.0.into(),
    );
    with("rate limit restored", "INFO", "throttled", 8.into());
    with(
        "circuit breaker opened",
        "WARN",
        "rejected_share",
        0.25.into(),
    );
    with(
        "circuit breaker closed",
        "INFO",
        "duration_seconds",
        10.into(),
    );
    with(
        "rate limiter queue full, rejecting calls",
        "WARN",
        "rejected",
        5.into(),
    );
    with(
        "rate limiter queue no longer full",
        "INFO",
        "rejected",
        8.into(),
    );
    with(
        "limit of calls in progress reached, rejecting calls",
        "WARN",
        "rejected",
        5.into(),
    );
    with(
        "calls in progress below their limit again",
        "INFO",
        "duration_seconds",
        31.into(),
    );
    assert_eq!(lines.len(), 8);
}

proptest! {
    /// In each 10 s, each of the four conditions has at most one line, however often it changes.
    #[test]
    fn no_load_floods_the_log(loads in prop::collection::vec((any::<bool>(), any::<bool>(), 0..3_u64), 1..300)) {
        let mut changes = StateChanges::default();
        let (start, mut events, mut lines) = (Instant::now(), 0, 0);
        for (second, (is_limited, is_open, more)) in (0_u32..).zip(&loads) {
            events += more;
            let share = if *is_open { 0.5 } else { 0.0 };
            let now = start + INTERVAL * second;
            lines += changes.observe(state(*is_limited, share, events), now);
        }
        prop_assert!(lines <= 4 * loads.len().div_ceil(10));
    }

    /// Whatever happened before, the last line of each condition is true at most 40 s later.
    #[test]
    fn the_last_line_tells_the_truth(loads in prop::collection::vec((any::<bool>(), any::<bool>(), 0..3_u64), 1..300)) {
        let mut changes = StateChanges::default();
        let (start, mut events) = (Instant::now(), 0);
        let mut second = 0;
        let mut observe = |changes: &mut StateChanges, counters| {
            second += 1;
            changes.observe(counters, start + INTERVAL * second)
        };
        for (is_limited, is_open, more) in &loads {
            events += more;
            let share = if *is_open { 0.5 } else { 0.0 };
            observe(&mut changes, state(*is_limited, share, events));
        }
        for _ in 0..40 {
            observe(&mut changes, state(true, 0.0, events));
        }
        prop_assert!(changes.rate.is_logged());
        for condition in [&changes.circuit_breaker, &changes.queue, &changes.calls] {
            prop_assert!(!condition.is_logged());
        }
    }
}
