//! Calls at a steady pace.

use std::time::Duration;

use tokio::time::Instant;

/// How much too early a call may be made, so that a late one is made up for: timers are late by a
/// millisecond or two, and every call would lose as much.
const TOLERANCE: Duration = Duration::from_millis(20);

/// Keeps calls apart by the reciprocal of a rate, which may change from one call to the next.
///
/// It is the generic cell rate algorithm ([ITU-T I.371]) with hardly a burst: a rate that upstream
/// shares out by the second is found by calls that are spread over the second.
///
/// [ITU-T I.371]: https://www.itu.int/rec/T-REC-I.371
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the next call is due. Before the first, any time.
    due: Option<Instant>,
}

impl Pace {
    /// Returns when a call may be made, at `rate` calls a second, that has so many others `ahead` of
    /// it: not before `now`.
    pub(super) fn opens(&self, ahead: usize, rate: f64, now: Instant) -> Instant {
        let due = self.due.map_or(now, |due| now.max(due));
        let due = due + interval(rate).saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        due.checked_sub(TOLERANCE).map_or(now, |due| now.max(due))
    }

    /// Notes a call, made at `now`.
    pub(super) fn take(&mut self, rate: f64, now: Instant) {
        let due = self.due.map_or(now, |due| now.max(due));
        self.due = Some(due + interval(rate));
    }

    /// Takes back the last call, which was not made after all.
    pub(super) fn give_back(&mut self, rate: f64) {
        self.due = self.due.and_then(|due| due.checked_sub(interval(rate)));
    }
}

fn interval(rate: f64) -> Duration {
    Duration::try_from_secs_f64(rate.recip()).unwrap_or(MAX_INTERVAL)
}

/// For a rate of nothing, which no adaptive rate comes near.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_are_as_far_apart_as_the_rate_says_and_an_idle_time_saves_nothing_up() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.opens(0, 2.0, start), start);
        pace.take(2.0, start);

        let half = Duration::from_millis(500);
        assert_eq!(pace.opens(0, 2.0, start), start + half - TOLERANCE);
        assert_eq!(pace.opens(3, 2.0, start), start + half * 4 - TOLERANCE);
        let later = start + Duration::from_secs(60);
        pace.take(2.0, later);
        assert_eq!(pace.opens(0, 2.0, later), later + half - TOLERANCE);
        pace.give_back(2.0);
        assert_eq!(pace.opens(0, 2.0, later), later);
    }

    proptest! {
        /// A cell rate limiter that lets a burst of `cells` pass has a tolerance of as many
        /// intervals but one.
        #[test]
        fn a_call_is_due_when_another_limiter_of_the_kind_says_so(
            cells in 2u32..9,
            pauses in proptest::collection::vec(0u64..30_000, 1..300),
        ) {
            let period = TOLERANCE / (cells - 1);
            let quota = Quota::with_period(period).unwrap();
            let clock = FakeRelativeClock::default();
            let judge = RateLimiter::direct_with_clock(
                quota.allow_burst(NonZeroU32::new(cells).unwrap()),
                clock.clone(),
            );
            let rate = period.as_secs_f64().recip();
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            for pause in pauses {
                let pause = Duration::from_micros(pause);
                now += pause;
                clock.advance(pause);

                let is_due = pace.opens(0, rate, now) <= now;
                prop_assert_eq!(is_due, judge.check().is_ok());
                if is_due {
                    pace.take(rate, now);
                }
            }
        }
    }
}
