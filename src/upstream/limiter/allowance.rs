//! What the rates allow: the one that is set, and the one that was found out.

use std::num::NonZeroU32;

use tokio::time::Instant;

use super::{adaptive_rate::AdaptiveRate, pace::Pace, window::Window};
use crate::config;

/// Tells when upstream may be called.
#[derive(Debug)]
pub(super) struct Allowance {
    rate: Option<NonZeroU32>,
    window: Option<Window>,
    adaptive: Option<AdaptiveRate>,
    pace: Pace,
}

impl Allowance {
    /// Returns what the settings allow, which is everything if neither rate is wanted.
    pub(super) fn new(settings: &config::Quota) -> Self {
        Self {
            rate: settings.rate,
            window: settings.rate.map(Window::new),
            adaptive: settings.is_adaptive.then(AdaptiveRate::default),
            pace: Pace::default(),
        }
    }

    /// Returns when a call may be made that has so many others `ahead` of it: not before `now`.
    pub(super) fn opens(&self, ahead: usize, now: Instant) -> Instant {
        let by_window = self.window.as_ref().map(|window| window.opens(ahead, now));
        let by_pace = self
            .adaptive_rate(now)
            .map(|rate| self.pace.opens(ahead, rate, now));
        by_window.max(by_pace).unwrap_or(now)
    }

    /// Notes a call, made at `now`.
    pub(super) fn take(&mut self, now: Instant) {
        if let Some(window) = &mut self.window {
            window.take(now);
        }
        if let Some(rate) = self.adaptive_rate(now) {
            self.pace.take(rate, now);
        }
    }

    /// Takes back the last call, which was not made after all.
    pub(super) fn give_back(&mut self, now: Instant) {
        if let Some(window) = &mut self.window {
            window.give_back();
        }
        if let Some(rate) = self.adaptive_rate(now) {
            self.pace.give_back(rate);
        }
    }

    /// Learns that upstream accepted a call's rate.
    pub(super) fn accept(&mut self, now: Instant) {
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.accept(now);
        }
    }

    /// Learns that upstream refused a call for its rate, and tells whether the rate is another now.
    pub(super) fn throttle(&mut self, now: Instant) -> bool {
        let before = self.adaptive_rate(now);
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.throttle(now);
        }
        let after = self.adaptive_rate(now);
        let has_changed = before != after;
        if let Some(rate) = after.filter(|_| has_changed) {
            // The next call keeps its distance from the one that was refused.
            self.pace.take(rate, now);
        }
        has_changed
    }

    /// Returns the rate that is set, in calls a second.
    pub(super) fn rate(&self) -> Option<NonZeroU32> {
        self.rate
    }

    /// Returns the rate that was found out, in calls a second.
    pub(super) fn adaptive_rate(&self, now: Instant) -> Option<f64> {
        self.adaptive.as_ref()?.rate(now)
    }

    /// Tells whether a rate is found out when upstream refuses calls for theirs.
    pub(super) fn is_adaptive(&self) -> bool {
        self.adaptive.is_some()
    }
}
