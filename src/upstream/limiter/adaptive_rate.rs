//! A rate that is found by being told that it is too high.

use std::time::Duration;

use tokio::time::Instant;

use super::accepted::{Accepted, MEASURED};

/// What is left of the rate when upstream says that it is too high.
const BACKOFF: f64 = 0.7;

/// How fast the rate grows: the scale of the cubic curve, in calls a second per second cubed.
const SCALE: f64 = 0.4;

/// The least rate, in calls a second: with less, nothing would be learned any more.
const FLOOR: f64 = 0.5;

/// How often the rate drops at most. Upstream counts by the second: what it refuses in the rest of
/// one says nothing new.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much faster than what is measured the rate may grow. It would otherwise be forgotten while
/// callers ask for less.
const HEADROOM: f64 = 2.0;

/// A rate in calls a second, unknown until upstream first refuses a call for its rate.
///
/// It drops to 70 % of what was measured just before, and grows back along a cubic curve: fast at
/// first, slowly near the rate that was too high, and faster again beyond it, to find out whether
/// there is more now. That is CUBIC ([RFC 9438]) as the AWS SDKs apply it to request rates, with one
/// difference: measured are the calls that upstream accepted of those sent in the second before the
/// one that it refused, and not all that were sent. A rate ten times too high is found at once, and
/// not in seven steps.
///
/// Replicas that share a quota are refused at about the same time, those with the higher rates more
/// often. So they converge on a fair share without knowing of each other.
///
/// [RFC 9438]: https://www.rfc-editor.org/rfc/rfc9438
#[derive(Debug, Default)]
pub(super) struct AdaptiveRate {
    curve: Option<Curve>,
    accepted: Accepted,
}

/// How the rate grows after it has dropped.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// When it dropped.
    since: Instant,
    /// When the call was sent that was refused.
    refused: Instant,
    /// The rate before.
    before: f64,
    /// The rate that was too high.
    top: f64,
}

impl Curve {
    /// Returns how long the curve takes to come back to the rate that was too high, in seconds.
    fn plateau(self) -> f64 {
        (self.top * (1.0 - BACKOFF) / SCALE).cbrt()
    }

    fn elapsed(self, now: Instant) -> f64 {
        now.saturating_duration_since(self.since).as_secs_f64()
    }

    fn rate(self, now: Instant) -> f64 {
        let rate = SCALE.mul_add((self.elapsed(now) - self.plateau()).powi(3), self.top);
        rate.max(FLOOR)
    }

    /// Tells whether a call belongs to the second by which the rate was measured.
    fn is_measured_by(self, sent: Instant) -> bool {
        sent <= self.refused && self.refused < sent + MEASURED
    }
}

impl AdaptiveRate {
    /// Returns the rate, or nothing as long as upstream has not refused a call for it.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let curve = self.curve?;
        let used = HEADROOM * self.accepted.count(now);
        Some(curve.rate(now).min(used.max(curve.top)).max(FLOOR))
    }

    /// Returns how long so many calls take from `now` on. Where the curve goes beyond the rate that
    /// was too high, that is not counted on.
    pub(super) fn time_for(&self, calls: usize, now: Instant) -> Duration {
        let (Some(curve), Some(rate), 1..) = (self.curve, self.rate(now), calls) else {
            return Duration::ZERO;
        };
        let calls = calls as f64;
        let climb = curve.plateau() - curve.elapsed(now);
        if climb <= 0.0 || rate <= FLOOR {
            return seconds(calls / rate);
        }
        // The integral of the curve: how many calls it allows in so many seconds of the climb.
        let allowed = |time: f64| {
            let rest = (climb - time).powi(4) - climb.powi(4);
            curve.top.mul_add(time, SCALE / 4.0 * rest)
        };
        let by_plateau = allowed(climb);
        if calls > by_plateau {
            return seconds(climb + (calls - by_plateau) / curve.top);
        }
        let (mut least, mut most) = (0.0, climb);
        while most - least > 0.001 {
            let middle = f64::midpoint(least, most);
            match allowed(middle) < calls {
                true => least = middle,
                false => most = middle,
            }
        }
        seconds(most)
    }

    /// Learns that upstream accepted a call that was sent at this time.
    pub(super) fn accept(&mut self, sent: Instant) {
        self.accepted.add(sent);
        // Refusals come back faster than answers: a call of the same second counts later, too.
        if let Some(curve) = &mut self.curve
            && curve.is_measured_by(sent)
        {
            curve.top = (curve.top + 1.0).min(curve.before);
        }
    }

    /// Learns that upstream refused a call for its rate, that was sent at this time.
    pub(super) fn throttle(&mut self, sent: Instant, now: Instant) {
        let is_too_soon = self
            .curve
            .is_some_and(|curve| now.saturating_duration_since(curve.since) < PATIENCE);
        if is_too_soon {
            return;
        }
        let before = self.rate(now).unwrap_or(f64::INFINITY);
        self.curve = Some(Curve {
            since: now,
            refused: sent,
            before,
            top: self.accepted.count(sent).min(before),
        });
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_TIME)
}

/// Longer than any call waits.
const MAX_TIME: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests;
