//! How many repetitions all calls together can afford.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Bounds the repetitions of all calls together, so that an upstream in trouble is not called three
/// times as often.
///
/// A bucket that holds at most 10: each call puts in 0.1, each second 1, and each repetition takes
/// out 1.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<(f64, Instant)>);

const BURST: f64 = 10.0;
const GAIN_BY_CALL: f64 = 0.1;
const GAIN_BY_SECOND: f64 = 1.0;

impl RetryBudget {
    /// Returns a full budget.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new((BURST, now)))
    }

    /// Puts in what a call brings.
    pub(super) fn deposit(&self, now: Instant) {
        self.change(now, GAIN_BY_CALL);
    }

    /// Takes out what a repetition costs, and tells whether that much was there.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        self.change(now, -1.0)
    }

    /// Adds `amount` if the sum is not below zero, and tells whether it is not.
    fn change(&self, now: Instant, amount: f64) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, last) = *bucket;
        let seconds = now.saturating_duration_since(last).as_secs_f64();
        let tokens = (tokens + seconds * GAIN_BY_SECOND).min(BURST);
        let is_enough = tokens + amount >= 0.0;
        let tokens = if is_enough { tokens + amount } else { tokens };
        *bucket = (tokens.min(BURST), now.max(last));
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn a_budget_is_spent_by_repetitions_and_filled_by_calls_and_time() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let withdrawn = |now| (0..100).take_while(|_| budget.withdraw(now)).count();

        assert_eq!(withdrawn(start), 10);
        (0..25).for_each(|_| budget.deposit(start));
        assert_eq!(withdrawn(start), 2);
        let later = start + Duration::from_secs(3);
        assert_eq!(withdrawn(later), 3);
        assert_eq!(withdrawn(later + Duration::from_secs(3_600)), 10);
    }

    proptest! {
        #[test]
        fn repetitions_never_exceed_burst_plus_a_tenth_of_calls_plus_the_seconds(
            steps in proptest::collection::vec((0u64..50, any::<bool>()), 1..2_000),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _guard = runtime.enter();
            let start = Instant::now();
            let budget = RetryBudget::new(start);
            let (mut now, mut calls, mut repetitions) = (start, 0.0, 0.0);
            for (milliseconds, is_call) in steps {
                now += Duration::from_millis(milliseconds);
                if is_call {
                    budget.deposit(now);
                    calls += 1.0;
                } else if budget.withdraw(now) {
                    repetitions += 1.0;
                }
            }
            let allowed = BURST + calls * GAIN_BY_CALL + (now - start).as_secs_f64();
            prop_assert!(repetitions <= allowed + 1e-6, "{} of {}", repetitions, allowed);
        }
    }
}
