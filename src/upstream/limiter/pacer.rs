//! GCRA pacer: spaces attempts evenly by a rate.

use std::time::Duration;

use tokio::time::Instant;

/// How early an attempt may be sent, to make up for a late one: timers are late by a millisecond or
/// two, and every attempt would lose as much.
const TOLERANCE: Duration = Duration::from_millis(20);

/// A pacer that spaces attempts by the reciprocal of a rate, which may change from one to the next.
///
/// It is the generic cell rate algorithm ([ITU-T I.371]) with a burst of 20 ms only: upstream counts by
/// the second, and finding the rate that it accepts takes attempts that are spread over the second.
///
/// [ITU-T I.371]: https://www.itu.int/rec/T-REC-I.371
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// When the next attempt is due; `None` before the first.
    due: Option<Instant>,
}

impl Pacer {
    /// Returns when the next attempt may be sent, `now` at the earliest.
    pub(super) fn available_at(&self, now: Instant) -> Instant {
        let early = self.due.and_then(|due| due.checked_sub(TOLERANCE));
        early.map_or(now, |early| now.max(early))
    }

    /// Records an attempt sent at `now`, at `rate` attempts per second. Returns the delay that it adds to
    /// the next.
    pub(super) fn take(&mut self, rate: f64, now: Instant) -> Duration {
        let due = self.due.map_or(now, |due| now.max(due));
        self.due = Some(due + interval(rate));
        interval(rate)
    }

    /// Removes an attempt that was not sent after all, by the delay that it added to the next.
    pub(super) fn refund(&mut self, interval: Duration) {
        self.due = self.due.and_then(|due| due.checked_sub(interval));
    }
}

fn interval(rate: f64) -> Duration {
    Duration::try_from_secs_f64(rate.recip()).unwrap_or(MAX_INTERVAL)
}

/// The interval for a rate near 0, which no adaptive rate comes near.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attempts_are_spaced_by_the_rate_and_idle_time_earns_no_burst() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        assert_eq!(pacer.available_at(start), start);
        pacer.take(2.0, start);

        let half = Duration::from_millis(500);
        assert_eq!(pacer.available_at(start), start + half - TOLERANCE);
        let later = start + Duration::from_secs(60);
        let interval = pacer.take(2.0, later);
        assert_eq!(pacer.available_at(later), later + half - TOLERANCE);
        pacer.refund(interval);
        assert_eq!(pacer.available_at(later), later);
    }

    proptest! {
        /// The reference, which admits a burst of `cells`, has a tolerance of `cells - 1` intervals.
        #[test]
        fn the_pacer_agrees_with_the_gcra_of_the_governor_crate(
            cells in 2u32..9,
            pauses in proptest::collection::vec(0u64..30_000, 1..300),
        ) {
            let period = TOLERANCE / (cells - 1);
            let quota = Quota::with_period(period).unwrap();
            let clock = FakeRelativeClock::default();
            let reference = RateLimiter::direct_with_clock(
                quota.allow_burst(NonZeroU32::new(cells).unwrap()),
                clock.clone(),
            );
            let rate = period.as_secs_f64().recip();
            let (mut pacer, mut now) = (Pacer::default(), Instant::now());
            for pause in pauses {
                let pause = Duration::from_micros(pause);
                now += pause;
                clock.advance(pause);

                let is_due = pacer.available_at(now) <= now;
                prop_assert_eq!(is_due, reference.check().is_ok());
                if is_due {
                    pacer.take(rate, now);
                }
            }
        }
    }
}
