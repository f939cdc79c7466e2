//! Latency estimator: tracks the usual response time of upstream, as TCP estimates round-trip times. It
//! does not know why attempts end.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::context::Deadline;

/// The weights of a response for the average and for the variation, as in TCP's estimate of the
/// round-trip time ([RFC 6298], section 2).
///
/// [RFC 6298]: https://www.rfc-editor.org/rfc/rfc6298
const ALPHA: f64 = 1.0 / 8.0;
const BETA: f64 = 1.0 / 4.0;

/// The time in which the estimate forgets. The weight of a response is the share of this time since the
/// previous response, if that is greater than the weights above: at a low rate of calls, old responses
/// would otherwise count for long.
const MEMORY: Duration = Duration::from_secs(2);

/// The time without a response after which the estimate is no longer used.
const SILENCE: Duration = Duration::from_secs(10);

/// The number of variations above the average that is still usual.
const VARIATIONS: f64 = 4.0;

/// The usual response time before the first response.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The minimum of the usual response time: within a data centre, opening a connection or a garbage
/// collection takes much longer than the average response.
const LEAST: Duration = Duration::from_millis(250);

/// An estimator of the average and the variation of response times.
#[derive(Debug, Default)]
pub(super) struct LatencyEstimator(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    estimate: Option<Estimate>,
    /// The time at which the first attempt without a response was sent, since the last response.
    silent_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    average: f64,
    variation: f64,
    /// When the last response was received.
    at: Instant,
}

impl LatencyEstimator {
    /// Records a response received at `now`, and its response time.
    pub(super) fn record(&self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        let mut inner = self.0.lock();
        inner.silent_since = None;
        let first = Estimate {
            average: took,
            variation: took / 2.0,
            at: now,
        };
        inner.estimate = Some(match inner.estimate {
            None => first,
            Some(Estimate {
                average,
                variation,
                at,
            }) => {
                let pause = now.saturating_duration_since(at);
                let weight = pause.as_secs_f64() / MEMORY.as_secs_f64();
                if weight >= 1.0 {
                    first
                } else {
                    let spread = (took - average).abs() - variation;
                    Estimate {
                        variation: variation + BETA.max(weight) * spread,
                        average: average + ALPHA.max(weight) * (took - average),
                        at: at.max(now),
                    }
                }
            }
        });
    }

    /// Records that an attempt sent at `since` was cancelled without a response. Returns the usual
    /// response time: at least 250 ms, and 1 s if no attempt of the last ten seconds had a response.
    pub(super) fn record_cancelled(&self, since: Instant, now: Instant) -> Duration {
        let mut inner = self.0.lock();
        let is_responding = inner.estimate.is_some_and(|estimate| estimate.at >= since);
        if !is_responding {
            let first = inner.silent_since.map_or(since, |first| first.min(since));
            inner.silent_since = Some(first);
            if now.saturating_duration_since(first) >= SILENCE {
                return UNKNOWN;
            }
        }
        inner.estimate.map_or(UNKNOWN, |estimate| {
            let usual = VARIATIONS.mul_add(estimate.variation, estimate.average);
            Duration::from_secs_f64(usual).max(LEAST)
        })
    }

    /// Returns when an attempt may be sent at the latest so that its response arrives before `deadline`.
    /// Reserves at most half of the remaining time: an attempt sent with no time left for the response
    /// would waste quota.
    pub(super) fn latest_start(&self, deadline: Deadline, now: Instant) -> Instant {
        let reserved = self.average().min(deadline.remaining(now) / 2);
        let latest = deadline.at().checked_sub(reserved);
        latest.unwrap_or(deadline.at())
    }

    /// Returns the average response time, or 0 before the first response.
    fn average(&self) -> Duration {
        self.0.lock().estimate.map_or(Duration::ZERO, |estimate| {
            Duration::from_secs_f64(estimate.average)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_time_follows_the_responses_and_has_a_minimum() {
        let latency = LatencyEstimator::default();
        let mut now = Instant::now();
        assert_eq!(latency.record_cancelled(now, now), UNKNOWN);
        assert_eq!(latency.average(), Duration::ZERO);

        for milliseconds in [20, 2_000] {
            let took = Duration::from_millis(milliseconds);
            for _ in 0..200 {
                now += Duration::from_millis(10);
                latency.record(took, now);
            }
            let usual = latency.record_cancelled(now, now);
            let expected = took.max(LEAST);
            assert!(
                usual.abs_diff(expected) < Duration::from_millis(10),
                "{usual:?}"
            );
            assert!(latency.average().abs_diff(took) < Duration::from_millis(1));
        }
    }

    #[test]
    fn an_upstream_that_hangs_after_a_slow_phase_is_late_within_10_s() {
        let latency = LatencyEstimator::default();
        let start = Instant::now();
        latency.record(Duration::from_secs(20), start);
        let sent = start + Duration::from_millis(1);

        assert!(latency.record_cancelled(sent, sent + SILENCE / 2) > Duration::from_secs(20));
        assert_eq!(latency.record_cancelled(sent, sent + SILENCE), UNKNOWN);
    }

    proptest! {
        /// At one response per minute to 500 per second, steady or in bursts.
        #[test]
        fn the_latency_average_forgets_a_slow_phase_in_10_s_and_one_response(
            rate in (-1.78f64..2.7).prop_map(|exponent| 10f64.powf(exponent)),
            burst in 1u32..60,
            slow in 1u64..60_000,
            fast in 1u64..500,
            phase in 0u64..300,
        ) {
            let [slow, fast] = [slow, fast].map(Duration::from_millis);
            let pause = Duration::from_secs_f64(f64::from(burst) / rate);
            let latency = LatencyEstimator::default();
            let mut now = Instant::now();
            let end = now + Duration::from_secs(phase);
            latency.record(slow, now);
            while now < end {
                now += pause;
                (0..burst).for_each(|_| latency.record(slow, now));
                // Stable: equal response times yield exactly their average.
                prop_assert!(latency.average().abs_diff(slow) < Duration::from_millis(1));
            }
            let back = now;
            while now < back + SILENCE {
                now += pause;
                (0..burst).for_each(|_| latency.record(fast, now));
            }
            let tolerance = slow.mul_f64(0.02);
            prop_assert!(latency.average() <= fast + tolerance, "{:?}", latency.average());
        }
    }
}
