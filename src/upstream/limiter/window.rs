//! A bound on how many calls are made in any stretch of time.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// The stretch in which no more calls are made than the rate says.
///
/// Upstream counts by the second, as it sees the calls arrive. The 20 ms more are what calls may
/// gain on each other on the way: without them, two that were a second apart could arrive in one.
const WIDTH: Duration = Duration::from_millis(1_020);

/// Never lets more than so many calls pass in any 1.02 s.
///
/// A window loses 2 % of the rate. A bucket with a burst would lose more, to refusals: it lets a burst
/// pass, and then the steady rate beside it in the same second.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    /// The last calls, at most as many as the limit.
    calls: VecDeque<Instant>,
}

impl Window {
    /// Returns a window that has seen no call, for a rate in calls a second.
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self {
            limit: usize::try_from(rate.get()).unwrap_or(usize::MAX),
            calls: VecDeque::new(),
        }
    }

    /// Returns when a call may be made that has so many others `ahead` of it: not before `now`.
    pub(super) fn opens(&self, ahead: usize, now: Instant) -> Instant {
        let (whole, rest) = (ahead / self.limit, ahead % self.limit);
        let before = (self.calls.len() + rest).checked_sub(self.limit);
        let opens = before.map_or(now, |place| now.max(self.calls[place] + WIDTH));
        opens + WIDTH.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX))
    }

    /// Notes a call, made at `now`.
    pub(super) fn take(&mut self, now: Instant) {
        if self.calls.len() == self.limit {
            self.calls.pop_front();
        }
        self.calls.push_back(now);
    }

    /// Takes back the last call, which was not made after all.
    pub(super) fn give_back(&mut self) {
        self.calls.pop_back();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(rate: u32) -> Window {
        Window::new(NonZeroU32::new(rate).unwrap())
    }

    #[test]
    fn the_call_after_the_last_of_the_rate_waits_until_the_first_has_left() {
        let start = Instant::now();
        let second = start + Duration::from_millis(300);
        let mut window = window(2);
        window.take(start);
        assert_eq!(window.opens(0, second), second);
        window.take(second);

        assert_eq!(window.opens(0, second), start + WIDTH);
        assert_eq!(window.opens(1, second), second + WIDTH);
        assert_eq!(window.opens(2, second), start + WIDTH * 2);
        assert_eq!(window.opens(5, second), second + WIDTH * 3);
        window.give_back();
        assert_eq!(window.opens(0, second), second);
    }

    proptest! {
        #[test]
        fn no_window_of_any_position_holds_more_calls_than_the_rate(
            rate in 1u32..30,
            pauses in proptest::collection::vec(0u64..200, 1..500),
        ) {
            let mut window = window(rate);
            let mut now = Instant::now();
            let mut calls: Vec<Instant> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                if window.opens(0, now) <= now {
                    window.take(now);
                    calls.push(now);
                }
                // The count of a plain list is the judge.
                let last = calls.iter().filter(|call| now < **call + WIDTH).count();
                prop_assert!(last <= rate as usize);
                let is_full = last == rate as usize;
                prop_assert_eq!(window.opens(0, now) > now, is_full);
            }
        }

        #[test]
        fn a_turn_comes_when_it_was_expected(
            rate in 1u32..30,
            ahead in 0usize..200,
            pauses in proptest::collection::vec(0u64..100, 0..60),
        ) {
            let mut window = window(rate);
            let mut now = Instant::now();
            for pause in pauses {
                now = window.opens(0, now + Duration::from_millis(pause));
                window.take(now);
            }
            let expected = window.opens(ahead, now);
            for _ in 0..ahead {
                now = window.opens(0, now);
                window.take(now);
            }
            prop_assert_eq!(window.opens(0, now), expected);
        }
    }
}
