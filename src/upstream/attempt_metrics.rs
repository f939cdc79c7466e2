//! Metrics of attempts, counted as they are admitted, end, and are retried.

use std::time::Duration;

use super::{
    error::Error,
    error_code,
    retry::{RetryReason, Withheld},
};
use crate::{
    error_policy::FailureClass,
    metrics::{
        Counter, Family, Histogram, Histograms, Labels, Registry, Unit, latency_histogram,
        latency_histograms,
    },
    proto::METHODS,
};

/// Classes of attempts, beside those of errors.
const OK: &str = "ok";
const CANCELLED: &str = "cancelled";

/// Outcomes of attempts, beside those above: upstream responded with an error, or did not respond.
const REJECTED: &str = "rejected";
const FAILED: &str = "failed";

/// The failures of an attempt that was sent.
const FAILURES: [FailureClass; 5] = [
    FailureClass::InvalidResponse,
    FailureClass::ServerError,
    FailureClass::Throttled,
    FailureClass::Unreachable,
    FailureClass::Untrusted,
];

/// Metrics that are counted while attempts are made.
#[derive(Clone, Debug)]
pub(super) struct AttemptMetrics {
    attempts: Family<Labels<2>, Counter>,
    durations: Histograms<2>,
    retries: Family<Labels<1>, Counter>,
    withheld: Family<Labels<1>, Counter>,
    waits: Histogram,
}

impl AttemptMetrics {
    /// Creates the metrics, at zero for every combination of labels.
    pub(super) fn new() -> Self {
        let metrics = Self {
            attempts: Family::default(),
            durations: latency_histograms(),
            retries: Family::default(),
            withheld: Family::default(),
            waits: latency_histogram(),
        };
        let errors = error_code::documented_codes().map(|code| error_code::classify(code).name());
        let failures = FAILURES.map(FailureClass::name);
        let classes: Vec<_> = errors.chain(failures).chain([OK, CANCELLED]).collect();
        // An action has the name of its method.
        for method in METHODS.iter() {
            let action = ("action", &*method.name);
            for class in &classes {
                drop(metrics.attempts.get_or_create(&[action, ("class", class)]));
            }
            for outcome in [OK, REJECTED, FAILED, CANCELLED] {
                let labels = [action, ("outcome", outcome)];
                drop(metrics.durations.get_or_create(&labels));
            }
        }
        for reason in RetryReason::ALL {
            drop(metrics.retries.get_or_create(&[("reason", reason.name())]));
        }
        for reason in Withheld::ALL {
            drop(metrics.withheld.get_or_create(&[("reason", reason.name())]));
        }
        metrics
    }

    /// Counts an attempt that ended, after `duration`.
    pub(super) fn ended(&self, action: &'static str, error: Option<&Error>, duration: Duration) {
        let (class, outcome) = match error {
            None => (OK, OK),
            Some(error @ Error::Api(_)) => (error.class_name(), REJECTED),
            Some(error) => (error.class_name(), FAILED),
        };
        self.count(action, class, outcome, duration);
    }

    /// Counts an attempt that was cancelled before it ended, after `duration`.
    pub(super) fn cancelled(&self, action: &'static str, duration: Duration) {
        self.count(action, CANCELLED, CANCELLED, duration);
    }

    fn count(
        &self,
        action: &'static str,
        class: &'static str,
        outcome: &'static str,
        duration: Duration,
    ) {
        let action = ("action", action);
        self.attempts
            .get_or_create(&[action, ("class", class)])
            .inc();
        self.durations
            .get_or_create(&[action, ("outcome", outcome)])
            .observe(duration.as_secs_f64());
    }

    /// Counts a retry.
    pub(super) fn retried(&self, reason: RetryReason) {
        self.retries
            .get_or_create(&[("reason", reason.name())])
            .inc();
    }

    /// Counts a call whose retryable error was returned instead of being retried.
    pub(super) fn withheld(&self, reason: Withheld) {
        self.withheld
            .get_or_create(&[("reason", reason.name())])
            .inc();
    }

    /// Counts an attempt that the rate limiter admitted after `wait`.
    pub(super) fn admitted(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
    }

    /// Registers the metrics.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "iai_facade_upstream_attempts",
            "Attempts that ended, by the class of the error of Tencent Cloud or of the failure",
            self.attempts.clone(),
        );
        registry.register_with_unit(
            "iai_facade_upstream_attempt_duration",
            "Time from sending the request of an attempt to its response",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "iai_facade_upstream_retries",
            "Attempts that followed a failed one of the same call",
            self.retries.clone(),
        );
        registry.register(
            "iai_facade_upstream_retries_withheld",
            "Calls whose retryable error was returned instead of being retried",
            self.withheld.clone(),
        );
        registry.register_with_unit(
            "iai_facade_quota_wait",
            "Time for which an attempt waited for the rate limiter, if it was admitted",
            Unit::Seconds,
            self.waits.clone(),
        );
    }
}
