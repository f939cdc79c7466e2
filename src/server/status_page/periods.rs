//! What happened between samples: calls by status, and the intervals of the charts.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    history::{INTERVAL, Sample},
    report::{Calls, Interval, Latency, StatusCalls},
};
use crate::{metrics::BucketCounts, server::caller_metrics::CallerCalls};

/// Returns the calls that ended between two samples, by status, those with the most calls first.
pub(super) fn calls(first: &Sample, last: &Sample, (in_progress, limit): (usize, usize)) -> Calls {
    let mut by_status: Vec<_> = durations(first, last)
        .map(|(status, counts)| StatusCalls {
            status: status.clone(),
            calls: counts.total(),
            latency: latency(&counts),
        })
        .collect();
    by_status.sort_by_key(|status| Reverse(status.calls));
    Calls {
        in_progress,
        limit,
        by_status,
    }
}

/// Returns the intervals between samples, the oldest first.
pub(super) fn intervals(samples: &[Arc<Sample>]) -> Vec<Interval> {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    pairs.map(|(start, end)| interval(start, end)).collect()
}

/// Returns the attempts per second in the last interval. One that has only just begun is joined with the
/// one before.
pub(super) fn used_rate(samples: &[Arc<Sample>]) -> f64 {
    let Some((last, before)) = samples.split_last() else {
        return 0.0;
    };
    let start = before.iter().rev();
    let start = start
        .clone()
        .find(|start| last.at - start.at >= INTERVAL / 2)
        .or(before.first());
    start.map_or(0.0, |start| {
        let admitted = last.limiter.admitted.saturating_sub(start.limiter.admitted);
        let seconds = (last.at - start.at).as_secs_f64();
        admitted as f64 / seconds.max(1.0)
    })
}

fn interval(start: &Sample, end: &Sample) -> Interval {
    let mut counts = BucketCounts::default();
    for (_, added) in durations(start, end) {
        counts.add(&added);
    }
    let latency = latency(&counts);
    let outcomes = outcomes(end).since(outcomes(start));
    let limiter = &end.limiter;
    let configured = limiter.rate.map(|rate| f64::from(rate.get()));
    let rates = [configured, limiter.adaptive_rate];
    Interval {
        seconds: ((end.at - start.at).as_secs_f64() * 1e3).round() / 1e3,
        ok: outcomes.ok,
        caller_fault: outcomes.caller_fault,
        limited: outcomes.limited,
        fault: outcomes.fault,
        p50_ms: latency.p50_ms,
        p99_ms: latency.p99_ms,
        admitted: limiter.admitted.saturating_sub(start.limiter.admitted),
        throttled: limiter.throttled.saturating_sub(start.limiter.throttled),
        rate: rates.into_iter().flatten().reduce(f64::min),
        rejected_ratio: end.circuit_breaker.rejected_share,
    }
}

/// Returns the durations of the calls that ended between two samples, by status.
fn durations<'a>(
    first: &'a Sample,
    last: &'a Sample,
) -> impl Iterator<Item = (&'a String, BucketCounts)> {
    let none = BucketCounts::default();
    let since = move |(status, counts): (&'a String, &BucketCounts)| {
        let before = first.durations.get(status).unwrap_or(&none);
        (status, counts.since(before))
    };
    let all: &BTreeMap<_, _> = &last.durations;
    all.iter()
        .map(since)
        .filter(|(_, counts)| counts.total() > 0)
}

/// Returns the calls of all callers.
fn outcomes(sample: &Sample) -> CallerCalls {
    let calls = sample.callers.iter().map(|(_, calls)| *calls);
    calls.fold(CallerCalls::default(), CallerCalls::plus)
}

fn latency(counts: &BucketCounts) -> Latency {
    let milliseconds = |share| counts.quantile(share).map(|it| (it * 1e6).round() / 1e3);
    Latency {
        p50_ms: milliseconds(0.5),
        p95_ms: milliseconds(0.95),
        p99_ms: milliseconds(0.99),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::{server::status_page::history::INTERVALS, upstream::LimiterState};

    /// Returns a sample `seconds` after `start`, until which `admitted` attempts were admitted.
    fn sample(start: Instant, seconds: f64, admitted: u64) -> Arc<Sample> {
        Arc::new(Sample {
            at: start + Duration::from_secs_f64(seconds),
            durations: BTreeMap::new(),
            callers: Vec::new(),
            limiter: LimiterState {
                admitted,
                ..LimiterState::default()
            },
            circuit_breaker: Default::default(),
            cache: Default::default(),
            connections: Default::default(),
        })
    }

    #[tokio::test]
    async fn an_interval_has_what_happened_between_two_samples() {
        let start = Instant::now();
        let samples = [(0.0, 5), (10.0, 25), (12.5, 30)];
        let samples = samples.map(|(seconds, admitted)| sample(start, seconds, admitted));

        let intervals = intervals(&samples);

        let found: Vec<_> = intervals
            .iter()
            .map(|it| (it.seconds, it.admitted))
            .collect();
        assert_eq!(found, [(10.0, 20), (2.5, 5)]);
    }

    #[tokio::test]
    async fn an_interval_that_has_just_begun_is_joined_with_the_one_before() {
        let start = Instant::now();
        let rate = |samples: &[(f64, u64)]| {
            let samples = samples.iter();
            let samples = samples.map(|(seconds, admitted)| sample(start, *seconds, *admitted));
            used_rate(&samples.collect::<Vec<_>>())
        };

        assert_eq!(rate(&[]), 0.0);
        assert_eq!(rate(&[(0.0, 0)]), 0.0);
        assert_eq!(rate(&[(0.0, 0), (0.5, 3)]), 3.0);
        assert_eq!(rate(&[(0.0, 0), (10.0, 0), (12.0, 24)]), 2.0);
        assert_eq!(rate(&[(0.0, 0), (10.0, 0), (16.0, 24)]), 4.0);
        assert_eq!(INTERVAL * INTERVALS as u32, Duration::from_secs(15 * 60));
    }
}
