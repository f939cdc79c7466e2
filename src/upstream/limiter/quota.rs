//! Quota: combines the configured rate and the adaptive rate into the time at which the next attempt
//! may be sent. It does not know callers or queues.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use super::{adaptive_rate::AdaptiveRate, pacer::Pacer, sliding_window::SlidingWindow};
use crate::config;

/// The quota: a sliding window for the configured rate and a GCRA pacer for the adaptive rate.
#[derive(Debug)]
pub(super) struct Quota {
    rate: Option<NonZeroU32>,
    window: Option<SlidingWindow>,
    adaptive: Option<AdaptiveRate>,
    pacer: Pacer,
}

/// The quota that an admitted attempt used, for a refund.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Grant {
    at: Instant,
    /// The delay that it added to the next attempt.
    interval: Duration,
}

impl Quota {
    /// Creates a quota by `settings`, which is unlimited if neither rate is configured.
    pub(super) fn new(settings: &config::Quota) -> Self {
        Self {
            rate: settings.rate,
            window: settings.rate.map(SlidingWindow::new),
            adaptive: settings
                .is_adaptive
                .then(|| AdaptiveRate::new(settings.rate)),
            pacer: Pacer::default(),
        }
    }

    /// Returns when an attempt with `position` others ahead of it may be sent, `now` at the earliest.
    pub(super) fn available_at(&self, position: usize, now: Instant) -> Instant {
        let by_window = self
            .window
            .as_ref()
            .map(|window| window.available_at(position, now));
        let adaptive = self.adaptive.as_ref().filter(|it| it.rate(now).is_some());
        let by_pace = adaptive.map(|adaptive| {
            let next = self.pacer.available_at(now);
            next + adaptive.time_for(position, next)
        });
        by_window.max(by_pace).unwrap_or(now)
    }

    /// Uses quota for an attempt sent at `now`.
    pub(super) fn take(&mut self, now: Instant) -> Grant {
        if let Some(window) = &mut self.window {
            window.take(now);
        }
        let rate = self.adaptive_rate(now);
        let interval = rate.map_or(Duration::ZERO, |rate| self.pacer.take(rate, now));
        Grant { at: now, interval }
    }

    /// Returns the quota of an attempt that was not sent after all.
    pub(super) fn refund(&mut self, grant: Grant) {
        if let Some(window) = &mut self.window {
            window.refund(grant.at);
        }
        self.pacer.refund(grant.interval);
    }

    /// Records that upstream did not throttle an attempt sent at `sent`.
    pub(super) fn accept(&mut self, sent: Instant) {
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.accept(sent);
        }
    }

    /// Records that upstream throttled an attempt sent at `sent`.
    pub(super) fn throttle(&mut self, sent: Instant, now: Instant) {
        let before = self.adaptive_rate(now);
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.throttle(sent, now);
        }
        let after = self.adaptive_rate(now);
        if let Some(rate) = after.filter(|_| before != after) {
            // The next attempt keeps its distance from the throttled one.
            self.pacer.take(rate, now);
        }
    }

    /// Returns the configured rate, in attempts per second.
    pub(super) fn rate(&self) -> Option<NonZeroU32> {
        self.rate
    }

    /// Returns the adaptive rate, in attempts per second.
    pub(super) fn adaptive_rate(&self, now: Instant) -> Option<f64> {
        self.adaptive.as_ref()?.rate(now)
    }

    /// Returns whether the rate adapts when upstream throttles.
    pub(super) fn is_adaptive(&self) -> bool {
        self.adaptive.is_some()
    }
}
