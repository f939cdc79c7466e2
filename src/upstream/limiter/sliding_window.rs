//! Sliding window: bounds the number of attempts in any interval of its length.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// The length of the window.
///
/// Upstream counts arrivals by the second. The extra 20 ms allow for differences in network latency:
/// without them, two attempts sent a second apart could arrive within one second. An attempt that
/// has to open a connection first may be delayed by more than that.
const WIDTH: Duration = Duration::from_millis(1_020);

/// A sliding window that admits at most `limit` attempts in any 1.02 s.
///
/// The window costs 2 % of the rate. A token bucket with a burst would cost more, by throttling: it
/// admits the burst and the steady rate within the same second.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    limit: usize,
    /// The times of the last attempts, at most `limit`.
    attempts: VecDeque<Instant>,
}

impl SlidingWindow {
    /// Creates an empty window for a rate in attempts per second.
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self {
            limit: usize::try_from(rate.get()).unwrap_or(usize::MAX),
            attempts: VecDeque::new(),
        }
    }

    /// Returns when an attempt with `position` others ahead of it may be sent, `now` at the earliest.
    pub(super) fn available_at(&self, position: usize, now: Instant) -> Instant {
        let (whole, rest) = (position / self.limit, position % self.limit);
        let before = (self.attempts.len() + rest).checked_sub(self.limit);
        let available_at = before.map_or(now, |index| now.max(self.attempts[index] + WIDTH));
        available_at + WIDTH.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX))
    }

    /// Records an attempt sent at `now`.
    pub(super) fn take(&mut self, now: Instant) {
        if self.attempts.len() == self.limit {
            self.attempts.pop_front();
        }
        self.attempts.push_back(now);
    }

    /// Removes an attempt recorded at `moment` that was not sent after all.
    pub(super) fn refund(&mut self, moment: Instant) {
        if let Some(index) = self.attempts.iter().rposition(|attempt| *attempt == moment) {
            self.attempts.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(rate: u32) -> SlidingWindow {
        SlidingWindow::new(NonZeroU32::new(rate).unwrap())
    }

    #[test]
    fn an_attempt_beyond_the_limit_waits_until_the_first_leaves_the_window() {
        let start = Instant::now();
        let second = start + Duration::from_millis(300);
        let mut window = window(2);
        window.take(start);
        assert_eq!(window.available_at(0, second), second);
        window.take(second);

        assert_eq!(window.available_at(0, second), start + WIDTH);
        assert_eq!(window.available_at(1, second), second + WIDTH);
        assert_eq!(window.available_at(2, second), start + WIDTH * 2);
        assert_eq!(window.available_at(5, second), second + WIDTH * 3);
        window.refund(second);
        assert_eq!(window.available_at(0, second), second);
    }

    proptest! {
        #[test]
        fn no_window_at_any_time_holds_more_attempts_than_the_limit(
            rate in 1u32..30,
            pauses in proptest::collection::vec(0u64..200, 1..500),
        ) {
            let mut window = window(rate);
            let mut now = Instant::now();
            let mut attempts: Vec<Instant> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                if window.available_at(0, now) <= now {
                    window.take(now);
                    attempts.push(now);
                }
                // The reference: a count over a plain list.
                let last = attempts.iter().filter(|attempt| now < **attempt + WIDTH).count();
                prop_assert!(last <= rate as usize);
                let is_full = last == rate as usize;
                prop_assert_eq!(window.available_at(0, now) > now, is_full);
            }
        }

        #[test]
        fn an_attempt_is_admitted_at_the_expected_time(
            rate in 1u32..30,
            ahead in 0usize..200,
            pauses in proptest::collection::vec(0u64..100, 0..60),
        ) {
            let mut window = window(rate);
            let mut now = Instant::now();
            for pause in pauses {
                now = window.available_at(0, now + Duration::from_millis(pause));
                window.take(now);
            }
            let expected = window.available_at(ahead, now);
            for _ in 0..ahead {
                now = window.available_at(0, now);
                window.take(now);
            }
            prop_assert_eq!(window.available_at(0, now), expected);
        }
    }
}
