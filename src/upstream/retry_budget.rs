//! Retry budget: a token bucket that bounds the retries of all calls together, as in Finagle and tower.
//! It does not know which calls are retried.

use parking_lot::Mutex;
use tokio::time::Instant;

/// A token-bucket retry budget, so that a failing upstream does not receive three times the load.
///
/// The bucket holds at most 10 tokens. Each call deposits 0.1, each second 1, and each retry withdraws
/// 1.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<(f64, Instant)>);

const BURST: f64 = 10.0;
const GAIN_BY_CALL: f64 = 0.1;
const GAIN_BY_SECOND: f64 = 1.0;

impl RetryBudget {
    /// Creates a full budget.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new((BURST, now)))
    }

    /// Deposits the tokens of a call.
    pub(super) fn deposit(&self, now: Instant) {
        self.change(now, GAIN_BY_CALL);
    }

    /// Withdraws the token of a retry. Returns `false` if the budget is exhausted.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        self.change(now, -1.0)
    }

    /// Adds `amount` unless that makes the balance negative. Returns whether it was added.
    fn change(&self, now: Instant, amount: f64) -> bool {
        let mut bucket = self.0.lock();
        let (tokens, last) = *bucket;
        let seconds = now.saturating_duration_since(last).as_secs_f64();
        let tokens = (tokens + seconds * GAIN_BY_SECOND).min(BURST);
        let is_sufficient = tokens + amount >= 0.0;
        let tokens = if is_sufficient {
            tokens + amount
        } else {
            tokens
        };
        *bucket = (tokens.min(BURST), now.max(last));
        is_sufficient
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn retries_spend_the_budget_and_calls_and_time_refill_it() {
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
        fn retries_never_exceed_the_burst_a_tenth_of_calls_and_the_seconds(
            steps in proptest::collection::vec((0u64..50, any::<bool>()), 1..2_000),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _guard = runtime.enter();
            let start = Instant::now();
            let budget = RetryBudget::new(start);
            let (mut now, mut calls, mut retries) = (start, 0.0, 0.0);
            for (milliseconds, is_call) in steps {
                now += Duration::from_millis(milliseconds);
                if is_call {
                    budget.deposit(now);
                    calls += 1.0;
                } else if budget.withdraw(now) {
                    retries += 1.0;
                }
            }
            let allowed = BURST + calls * GAIN_BY_CALL + (now - start).as_secs_f64();
            prop_assert!(retries <= allowed + 1e-6, "{} of {}", retries, allowed);
        }

        /// At one call per minute to 500 per second, all of which fail for a while.
        #[test]
        fn the_retry_budget_is_full_10_s_after_the_last_retry(
            rate in (-1.78f64..2.7).prop_map(|exponent| 10f64.powf(exponent)),
            seconds in 1u64..120,
        ) {
            let start = Instant::now();
            let budget = RetryBudget::new(start);
            let pause = Duration::from_secs_f64(rate.recip());
            let end = start + Duration::from_secs(seconds);
            let (mut now, mut calls, mut retries) = (start, 0.0, 0.0);
            while now < end {
                now += pause;
                budget.deposit(now);
                calls += 1.0;
                while budget.withdraw(now) {
                    retries += 1.0;
                }
            }
            let allowed = BURST + calls * GAIN_BY_CALL + (now - start).as_secs_f64();
            prop_assert!(retries <= allowed + 1e-6, "{} of {}", retries, allowed);

            let later = now + Duration::from_secs(10);
            prop_assert_eq!((0..100).take_while(|_| budget.withdraw(later)).count(), 10);
        }
    }
}
