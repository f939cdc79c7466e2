//! An attempt, and what its outcome reports to the circuit breaker, the rate limiter, the latency
//! estimator and the metrics. It does not know why the attempt was made, nor whether it is retried.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    attempt_metrics::AttemptMetrics,
    circuit_breaker::{CircuitBreaker, Rejected, Source},
    error::Error,
    latency::LatencyEstimator,
    limiter::{Limiter, TooLate},
};
use crate::{
    credentials::{Credential, Unavailable},
    error_policy::Health,
};

/// Why an attempt has no response.
#[derive(Debug)]
pub(super) enum FailedAttempt {
    /// It was not sent: the circuit breaker or the rate limiter rejected it, or no credential is
    /// available.
    NotSent(Error),
    /// It was sent with this credential, and failed.
    Sent(Error, Arc<Credential>),
}

impl From<Rejected> for FailedAttempt {
    fn from(Rejected: Rejected) -> Self {
        Self::NotSent(Error::CircuitOpen)
    }
}

impl From<TooLate> for FailedAttempt {
    fn from(TooLate { wait }: TooLate) -> Self {
        Self::NotSent(Error::RateLimited { wait })
    }
}

impl From<Unavailable> for FailedAttempt {
    fn from(unavailable: Unavailable) -> Self {
        Self::NotSent(Error::Credentials(unavailable))
    }
}

/// An attempt in flight, whose outcome is reported when it [completes](Self::complete).
///
/// If it is dropped before, it counts as a failure of upstream only if upstream had at least its usual
/// response time: a caller with a shorter deadline says nothing about upstream.
pub(super) struct AttemptReport<'a> {
    circuit_breaker: &'a CircuitBreaker,
    limiter: &'a Limiter,
    latency: &'a LatencyEstimator,
    metrics: &'a AttemptMetrics,
    source: Source<'a>,
    sent: Instant,
    is_complete: bool,
}

impl<'a> AttemptReport<'a> {
    /// Creates the report of an attempt that is sent now.
    pub(super) fn new(
        circuit_breaker: &'a CircuitBreaker,
        limiter: &'a Limiter,
        latency: &'a LatencyEstimator,
        metrics: &'a AttemptMetrics,
        source: Source<'a>,
    ) -> Self {
        Self {
            circuit_breaker,
            limiter,
            latency,
            metrics,
            source,
            sent: Instant::now(),
            is_complete: false,
        }
    }

    /// Reports how the attempt ended.
    pub(super) fn complete(mut self, error: Option<&Error>) {
        self.is_complete = true;
        let now = Instant::now();
        self.metrics
            .ended(self.source.request.action, error, now - self.sent);
        let health = error.map_or(Health::Responding, |error| error.policy().health);
        match health {
            Health::Responding => self.limiter.accept(self.sent),
            Health::Throttling => self.limiter.throttle(self.sent, now),
            Health::Failing | Health::FailingForId | Health::Unknown => {}
        }
        match health {
            Health::Responding | Health::Throttling => {
                self.latency.record(now - self.sent, now);
                self.circuit_breaker.succeed(self.source, now);
            }
            Health::Failing => self.circuit_breaker.fail(now),
            Health::FailingForId => self.circuit_breaker.fail_with_code(self.source, now),
            Health::Unknown => {}
        }
    }
}

impl Drop for AttemptReport<'_> {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let now = Instant::now();
        self.metrics
            .cancelled(self.source.request.action, now - self.sent);
        if now - self.sent >= self.latency.record_cancelled(self.sent, now) {
            self.circuit_breaker.fail(now);
        }
    }
}
