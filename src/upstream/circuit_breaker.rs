//! Circuit breaker (adaptive client-side throttling): rejects a share of the attempts while upstream
//! fails, without sending them. It does not know how attempts are made or retried.

mod outcome_window;
mod recovery;
mod transient_failures;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(super) use self::transient_failures::Source;
use self::{
    outcome_window::{Counts, OutcomeWindow, WINDOW},
    recovery::{PROBE_INTERVAL, RECOVERED},
    transient_failures::TransientFailures,
};
use crate::context::Identity;

/// An adaptive circuit breaker: it rejects a share of the attempts, in proportion to how many of them
/// fail.
///
/// It implements the client-side throttling of Google's [Site Reliability Engineering], chapter 21: the
/// share is `(calls - K * accepted) / (calls + 1)` over the last 10 s. Rejected attempts count as calls,
/// so that the share grows while upstream is down.
///
/// Codes of the class `transient` count against one caller and id, until they are attributed to
/// upstream: see [`transient_failures`].
///
/// [Site Reliability Engineering]: https://sre.google/sre-book/handling-overload/
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    is_enabled: bool,
    inner: Mutex<Inner>,
}

/// State of the circuit breaker, and its counters since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CircuitBreakerState {
    /// The share of attempts that is rejected now, from 0 (closed) to 0.9.
    pub rejected_share: f64,
    /// Attempts rejected.
    pub rejected: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// How often the circuit breaker opened.
    pub opened: u64,
}

/// A rejection: the attempt must not be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rejected;

impl CircuitBreaker {
    /// Creates a closed circuit breaker, which stays closed unless `is_enabled`.
    pub(super) fn new(is_enabled: bool) -> Self {
        Self {
            is_enabled,
            inner: Mutex::default(),
        }
    }

    /// Admits or rejects an attempt of `source`. `sample`, a random number from 0 to 1, selects the
    /// attempts that are rejected.
    ///
    /// The outcome of an admitted attempt is reported by [`succeed`](Self::succeed),
    /// [`fail`](Self::fail) or [`fail_with_code`](Self::fail_with_code), or not at all if it says
    /// nothing about upstream.
    ///
    /// # Errors
    ///
    /// Fails if the attempt must not be sent.
    pub(super) fn try_acquire(
        &self,
        source: Source<'_>,
        sample: f64,
        now: Instant,
    ) -> Result<(), Rejected> {
        let mut inner = self.inner.lock();
        if self.is_enabled {
            inner.note_caller(source.caller, now);
            let is_probe_due = inner
                .last_admitted
                .is_none_or(|last| now >= last + PROBE_INTERVAL);
            if sample < inner.rejected_share(now) && !is_probe_due {
                inner.calls.add(Counts::REJECTED, now);
                inner.state.rejected += 1;
                return Err(Rejected);
            }
            if !inner.transient.is_empty() && inner.transient.rejects(source, sample, now) {
                inner.state.rejected += 1;
                return Err(Rejected);
            }
        }
        inner.last_admitted = Some(now);
        Ok(())
    }

    /// Records a response to `source`, of whatever content.
    pub(super) fn succeed(&self, source: Source<'_>, now: Instant) {
        if !self.is_enabled {
            return;
        }
        let mut inner = self.inner.lock();
        inner.calls.add(Counts::ACCEPTED, now);
        if !inner.transient.is_empty() {
            inner.transient.succeed(source, now);
        }
        inner.successes = inner.successes.saturating_add(1);
        if inner.is_open && inner.successes >= RECOVERED {
            inner.calls.clear();
            inner.transient.clear();
            inner.is_open = false;
        }
    }

    /// Records a failed attempt without an error code.
    pub(super) fn fail(&self, now: Instant) {
        let mut inner = self.inner.lock();
        inner.state.failures += 1;
        if !self.is_enabled {
            return;
        }
        inner.calls.add(Counts::FAILED, now);
        inner.successes = 0;
        inner.update(now);
    }

    /// Records an attempt of `source` that failed with a code of the class `transient`.
    pub(super) fn fail_with_code(&self, source: Source<'_>, now: Instant) {
        let mut inner = self.inner.lock();
        inner.state.failures += 1;
        if !self.is_enabled {
            return;
        }
        match inner.transient.fail(source, now) {
            None => {
                inner.calls.add(Counts::FAILED, now);
                inner.successes = 0;
            }
            Some(share) => {
                if inner.transient_failures(now) > 0 {
                    inner.successes = 0;
                } else if share > 0.0 {
                    inner.log_for_caller(source.caller, share, now);
                }
            }
        }
        inner.update(now);
    }

    /// Returns the state and counters.
    pub(super) fn state(&self, now: Instant) -> CircuitBreakerState {
        let mut inner = self.inner.lock();
        let rejected_share = if self.is_enabled {
            inner.rejected_share(now)
        } else {
            0.0
        };
        CircuitBreakerState {
            rejected_share,
            ..inner.state
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// The outcomes that count for all callers, without those in `transient`.
    calls: OutcomeWindow,
    transient: TransientFailures,
    /// The caller and time of the last attempt, and the time of the last attempt of another caller.
    last: Option<(Identity, Instant)>,
    last_of_another: Option<Instant>,
    /// The successes since the last failure that counts for all callers.
    successes: u32,
    /// When an attempt was last admitted.
    last_admitted: Option<Instant>,
    is_open: bool,
    /// When a rejection for one caller was last logged.
    logged_for_caller_at: Option<Instant>,
    state: CircuitBreakerState,
}

impl Inner {
    /// Records the caller of an attempt.
    fn note_caller(&mut self, caller: &Identity, now: Instant) {
        match &mut self.last {
            Some((last, at)) if last == caller => *at = now,
            Some((last, at)) => {
                self.last_of_another = Some(*at);
                (*last, *at) = (caller.clone(), now);
            }
            None => self.last = Some((caller.clone(), now)),
        }
    }

    /// Returns the number of failures with codes of the class `transient` that count for all callers.
    fn transient_failures(&mut self, now: Instant) -> u64 {
        let is_one_caller = self.last_of_another.is_none_or(|last| now >= last + WINDOW);
        self.transient.attributed_to_upstream(is_one_caller, now)
    }

    /// Returns the share of attempts to reject.
    fn rejected_share(&mut self, now: Instant) -> f64 {
        if self.successes >= RECOVERED {
            return 0.0;
        }
        let mut counts = self.calls.counts(now);
        if !self.transient.is_empty() {
            counts.failed += self.transient_failures(now);
        }
        counts.rejected_share()
    }

    /// Updates whether the circuit breaker is open.
    fn update(&mut self, now: Instant) {
        let was_open = self.is_open;
        self.is_open = self.rejected_share(now) > 0.0;
        self.state.opened += u64::from(self.is_open && !was_open);
    }

    /// Logs, at most once in 10 s, that attempts of one caller are rejected.
    fn log_for_caller(&mut self, caller: &Identity, share: f64, now: Instant) {
        if self
            .logged_for_caller_at
            .is_none_or(|at| now >= at + WINDOW)
        {
            self.logged_for_caller_at = Some(now);
            tracing::warn!(
                %caller,
                rejected_share = (share * 1e3).round() / 1e3,
                "circuit breaker opened for one id of one caller"
            );
        }
    }
}

#[cfg(test)]
mod tests;
