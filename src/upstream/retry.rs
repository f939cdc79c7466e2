//! Retries: bounds the attempts of each call, by the [retry policy](retry_policy), and those of all
//! calls together, by the [retry budget](super::retry_budget). It does not know how attempts are made.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    error::Error,
    retry_budget::RetryBudget,
    retry_policy::{self, Decision, Progress},
};
use crate::{
    context::{Activity, Context},
    error_policy::Retry,
};

/// The backoff after throttling if upstream sends no `Retry-After`.
const AFTER_THROTTLING: Duration = Duration::from_secs(1);

/// The same backoff if the rate limiter is adaptive: it has lowered its rate, and may make the retry wait
/// longer. Upstream counts by the second, and the second retry falls into a later one.
const AFTER_THROTTLING_WITH_LIMITER: Duration = Duration::from_millis(500);

/// The limits of retries, for each call and for all calls.
#[derive(Debug)]
pub(super) struct RetryLimits {
    budget: RetryBudget,
    max_attempts: u32,
    after_throttling: Duration,
}

/// The retries of one call.
#[derive(Debug)]
pub(super) struct Retries<'a> {
    budget: &'a RetryBudget,
    context: &'a Context,
    max_attempts: u32,
    after_throttling: Duration,
    is_corrected: bool,
    last_error: Option<Error>,
}

/// Why an attempt is retried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RetryReason {
    /// The clock was corrected.
    Clock,
    /// The credential was refreshed.
    Credential,
    /// Upstream throttled the attempt.
    Throttled,
    /// The failure is transient.
    Transient,
}

/// Why a retryable error was not followed by a retry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Withheld {
    /// The call has made its maximum number of attempts.
    Attempts,
    /// The retry budget is exhausted.
    Budget,
    /// The backoff would exceed the deadline.
    Deadline,
    /// The clock or the credential is the same as before, so that a retry would fail as well.
    Unchanged,
}

impl RetryReason {
    /// All values.
    pub(super) const ALL: [Self; 4] = [
        Self::Clock,
        Self::Credential,
        Self::Throttled,
        Self::Transient,
    ];

    /// Returns the name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Credential => "credential",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
        }
    }

    /// Returns why attempts with `error` are retried; `None` if they never are.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error.policy().retry {
            Retry::AfterThrottling => Some(Self::Throttled),
            Retry::Backoff => Some(Self::Transient),
            Retry::CorrectClock => Some(Self::Clock),
            Retry::Never => None,
            Retry::RefreshCredential => Some(Self::Credential),
        }
    }
}

impl Withheld {
    /// All values.
    pub(super) const ALL: [Self; 4] = [
        Self::Attempts,
        Self::Budget,
        Self::Deadline,
        Self::Unchanged,
    ];

    /// Returns the name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Unchanged => "unchanged",
        }
    }
}

impl RetryLimits {
    /// Creates limits for calls that make at most `max_attempts` each.
    pub(super) fn new(max_attempts: u32, is_limiter_adaptive: bool) -> Self {
        Self {
            budget: RetryBudget::new(Instant::now()),
            max_attempts,
            after_throttling: match is_limiter_adaptive {
                true => AFTER_THROTTLING_WITH_LIMITER,
                false => AFTER_THROTTLING,
            },
        }
    }

    /// Begins the attempts of a call.
    pub(super) fn begin<'a>(&'a self, context: &'a Context) -> Retries<'a> {
        self.budget.deposit(Instant::now());
        Retries {
            budget: &self.budget,
            context,
            // A client that retries itself would multiply the retries made here.
            max_attempts: if context.is_retry() {
                1
            } else {
                self.max_attempts
            },
            after_throttling: self.after_throttling,
            is_corrected: false,
            last_error: None,
        }
    }
}

impl Retries<'_> {
    /// Decides about an attempt that failed with `error`.
    pub(super) fn decide(&mut self, error: &Error) -> Decision {
        let progress = Progress {
            attempts: self.context.attempts(),
            max_attempts: self.max_attempts,
            is_corrected: self.is_corrected,
            remaining: self.context.deadline().remaining(Instant::now()),
            after_throttling: self.after_throttling,
        };
        let decision = retry_policy::decide(error, progress, fastrand::f64());
        tracing::debug!(attempt = progress.attempts, error.message = %error, ?decision, "attempt failed");
        self.is_corrected |= matches!(
            decision,
            Decision::CorrectClock | Decision::RefreshCredential
        );
        decision
    }

    /// Returns why an error that is retried for `reason` was not, after `decision`.
    pub(super) fn withheld(&self, reason: RetryReason, decision: Decision) -> Withheld {
        let is_backoff = matches!(reason, RetryReason::Throttled | RetryReason::Transient);
        match decision {
            Decision::Backoff(_) => Withheld::Budget,
            Decision::GiveUp if self.context.attempts() >= self.max_attempts => Withheld::Attempts,
            Decision::GiveUp if is_backoff => Withheld::Deadline,
            Decision::CorrectClock | Decision::GiveUp | Decision::RefreshCredential => {
                Withheld::Unchanged
            }
        }
    }

    /// Waits for the backoff and returns `true`, or returns `false` at once if the retry budget is
    /// exhausted.
    pub(super) async fn back_off(&self, pause: Duration) -> bool {
        let is_within_budget = self.budget.withdraw(Instant::now());
        if is_within_budget {
            let _timer = self.context.timer(Activity::Backoff);
            sleep(pause).await;
        }
        is_within_budget
    }

    /// Records that an attempt which failed with `error` is retried.
    pub(super) fn retry_after(&mut self, error: Error) {
        self.last_error = Some(error);
    }

    /// Returns the error of a call whose next attempt is not sent because of `rejection`: that of the
    /// last attempt, if one was sent.
    pub(super) fn end(self, rejection: Error) -> Error {
        match (self.last_error, rejection) {
            (Some(last), Error::RateLimited { wait }) => last.with_retry_after(wait),
            (Some(last), Error::CircuitOpen) => last,
            (_, rejection) => rejection,
        }
    }
}
