//! How long upstream usually takes.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How much the last answer counts for the average, and how much for the variation: those of TCP's
/// estimate of a round trip ([RFC 6298], section 2).
///
/// [RFC 6298]: https://www.rfc-editor.org/rfc/rfc6298
const ALPHA: f64 = 1.0 / 8.0;
const BETA: f64 = 1.0 / 4.0;

/// How many variations an answer may be late and still be usual.
const VARIATIONS: f64 = 4.0;

/// What counts as usual before upstream has answered.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Upstream is given this much in any case: what is usual within a data centre is not when a
/// connection is opened, or one of its machines collects garbage.
const LEAST: Duration = Duration::from_millis(250);

/// Follows how long answers take.
#[derive(Debug, Default)]
pub(super) struct Latency(Mutex<Option<Estimate>>);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    average: f64,
    variation: f64,
}

impl Latency {
    /// Learns how long an answer took.
    pub(super) fn record(&self, took: Duration) {
        let took = took.as_secs_f64();
        let mut estimate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *estimate = Some(match *estimate {
            None => Estimate {
                average: took,
                variation: took / 2.0,
            },
            Some(Estimate { average, variation }) => Estimate {
                variation: variation + BETA * ((took - average).abs() - variation),
                average: average + ALPHA * (took - average),
            },
        });
    }

    /// Returns how long an answer takes on the average; nothing before the first.
    pub(super) fn average(&self) -> Duration {
        self.estimate().map_or(Duration::ZERO, |estimate| {
            Duration::from_secs_f64(estimate.average)
        })
    }

    /// Returns after which time an answer is later than usual, 250 ms at least.
    pub(super) fn usual(&self) -> Duration {
        self.estimate().map_or(UNKNOWN, |estimate| {
            let usual = VARIATIONS.mul_add(estimate.variation, estimate.average);
            Duration::from_secs_f64(usual).max(LEAST)
        })
    }

    fn estimate(&self) -> Option<Estimate> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_follows_the_answers_and_is_never_too_little() {
        let latency = Latency::default();
        assert_eq!(latency.usual(), UNKNOWN);
        assert_eq!(latency.average(), Duration::ZERO);

        for _ in 0..200 {
            latency.record(Duration::from_millis(20));
        }
        assert_eq!(latency.usual(), LEAST);
        for _ in 0..200 {
            latency.record(Duration::from_secs(2));
        }
        let usual = latency.usual();
        assert!(
            usual.abs_diff(Duration::from_secs(2)) < Duration::from_millis(10),
            "{usual:?}"
        );
        assert!(latency.average().abs_diff(Duration::from_secs(2)) < Duration::from_millis(1));
    }
}
