//! Adaptive rate limit (CUBIC): the rate drops when upstream throttles an attempt, grows
//! while upstream does not, and is forgotten 15 s after the last drop. It does not know the queue.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use super::throughput_meter::{MEASURED, ThroughputMeter};

/// The factor by which throttling lowers the rate.
const BACKOFF: f64 = 0.7;

/// How fast the rate grows: the scale of the cubic curve, in attempts per second per second cubed.
const SCALE: f64 = 0.4;

/// The longest time in which the curve returns to the throttled rate, in seconds. Rates above about
/// 160 per second grow faster than the cubic curve, to stay within it.
const MAX_PLATEAU: f64 = 5.0;

/// The time from the plateau to the start of exponential growth, in seconds. A load that saturates the
/// quota has been throttled by then.
const PATIENT_PROBE: f64 = 2.0;

/// The acceleration of exponential growth, per second squared: from 0.5 attempts per second the rate
/// exceeds 800 within 9 s of its drop, and in the first second it grows by 28 %.
const PROBE_GROWTH: f64 = 0.25;

/// The time after a drop in which the rate is used. After that it is obsolete: the quota may have
/// changed, and no attempt was throttled meanwhile.
const MEMORY: Duration = Duration::from_secs(15);

/// The minimum rate, in attempts per second: with fewer, nothing would be learned.
const FLOOR: f64 = 0.5;

/// The minimum as a share of the configured rate. Each of up to twenty replicas that
/// share a quota can fall to its share.
const FLOOR_SHARE: f64 = 0.05;

/// The rate, in attempts per second, below which one throttled attempt does not show that the rate of
/// this replica was too high: other replicas may have used the quota. Below it, the rate halves with
/// each further throttled attempt.
const QUIET: f64 = 10.0;

/// The minimum time between two drops. Upstream counts by the second: throttling in the rest of the
/// same second says nothing new.
const PATIENCE: Duration = Duration::from_secs(1);

/// A rate in attempts per second, unknown until upstream first throttles an attempt.
///
/// The rate drops to 70 % of the measured throughput and grows along a cubic curve: fast at first,
/// slowly near the throttled rate, and faster again beyond it, to probe for more quota. This is CUBIC
/// ([RFC 9438]) as the AWS SDKs apply it to request rates, with these differences:
///
/// - The throughput counts only the attempts that upstream accepted, of those sent in the second before
///   the throttled one, not all attempts sent. A rate ten times too high is corrected in one step
///   instead of seven.
/// - Two seconds after the curve has returned to the throttled rate, growth becomes exponential. From
///   any drop, the rate exceeds 800 per second within 9 s, used or not.
/// - A replica with a low rate has too few accepted attempts to measure. Its throughput counts as 10 per
///   second, or as half of its rate if that is less.
/// - The rate does not fall below 0.5 per second, nor below a twentieth of the configured rate.
///
/// Replicas that share a quota are throttled at about the same time, those with higher rates more
/// often. They therefore converge on fair shares without coordination.
///
/// [RFC 9438]: https://www.rfc-editor.org/rfc/rfc9438
#[derive(Debug)]
pub(super) struct AdaptiveRate {
    floor: f64,
    curve: Option<Curve>,
    accepted: ThroughputMeter,
}

/// The growth of the rate after a drop.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// The time of the drop.
    since: Instant,
    /// When the throttled attempt was sent.
    throttled: Instant,
    /// The rate before the drop.
    before: f64,
    /// The throttled rate.
    top: f64,
}

impl Curve {
    /// Returns the time that the curve takes to return to the throttled rate, in seconds.
    fn plateau(self) -> f64 {
        (self.drop() / SCALE).cbrt().min(MAX_PLATEAU)
    }

    /// Returns the size of the drop.
    fn drop(self) -> f64 {
        self.top * (1.0 - BACKOFF)
    }

    /// Returns the scale of the curve up to its plateau.
    fn scale(self) -> f64 {
        self.drop() / self.plateau().powi(3)
    }

    fn elapsed(self, now: Instant) -> f64 {
        now.saturating_duration_since(self.since).as_secs_f64()
    }

    fn rate(self, now: Instant) -> f64 {
        let beyond = self.elapsed(now) - self.plateau();
        if beyond <= 0.0 {
            return self.scale().mul_add(beyond.powi(3), self.top);
        }
        let cubic = SCALE.mul_add(beyond.powi(3), self.top);
        let probing = (beyond - PATIENT_PROBE).max(0.0);
        cubic.max(self.top * (PROBE_GROWTH * probing.powi(2)).exp())
    }

    /// Returns whether an attempt was sent in the second over which the throughput was measured.
    fn is_measured_by(self, sent: Instant) -> bool {
        sent <= self.throttled && self.throttled < sent + MEASURED
    }
}

impl AdaptiveRate {
    /// Creates an unknown rate with a minimum by the `configured` one, in attempts per second.
    pub(super) fn new(configured: Option<NonZeroU32>) -> Self {
        let share = configured.map_or(0.0, |rate| FLOOR_SHARE * f64::from(rate.get()));
        Self {
            floor: share.max(FLOOR),
            curve: None,
            accepted: ThroughputMeter::default(),
        }
    }

    /// Returns the rate, or `None` if it has not dropped in the last 15 s.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let curve = self.known(now)?;
        Some(curve.rate(now).max(self.floor))
    }

    /// Returns how long `calls` attempts take from `now` on. Growth beyond the throttled rate is not
    /// counted.
    pub(super) fn time_for(&self, calls: usize, now: Instant) -> Duration {
        let (Some(curve), Some(rate), 1..) = (self.known(now), self.rate(now), calls) else {
            return Duration::ZERO;
        };
        let calls = calls as f64;
        let climb = curve.plateau() - curve.elapsed(now);
        if climb <= 0.0 || rate <= self.floor {
            return seconds(calls / rate);
        }
        // The integral of the curve: the number of attempts in the first `time` seconds of the climb.
        let allowed = |time: f64| {
            let rest = (climb - time).powi(4) - climb.powi(4);
            curve.top.mul_add(time, curve.scale() / 4.0 * rest)
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

    /// Records that upstream accepted an attempt sent at `sent`.
    pub(super) fn accept(&mut self, sent: Instant) {
        self.accepted.add(sent);
        // Upstream throttles faster than it serves: an attempt of the measured second still counts if
        // its response arrives after the drop.
        if let Some(curve) = &mut self.curve
            && curve.is_measured_by(sent)
        {
            let measured = self.accepted.count(curve.throttled);
            curve.top = curve.top.max(measured).min(curve.before);
        }
    }

    /// Records that upstream throttled an attempt sent at `sent`.
    pub(super) fn throttle(&mut self, sent: Instant, now: Instant) {
        let is_too_soon = self
            .curve
            .is_some_and(|curve| now.saturating_duration_since(curve.since) < PATIENCE);
        if is_too_soon {
            return;
        }
        let before = self.rate(now).unwrap_or(f64::INFINITY);
        let least = QUIET.min(before / 2.0);
        self.curve = Some(Curve {
            since: now,
            throttled: sent,
            before,
            top: self.accepted.count(sent).max(least).min(before),
        });
    }

    /// Returns the curve, unless it is obsolete.
    fn known(&self, now: Instant) -> Option<Curve> {
        self.curve
            .filter(|curve| now.saturating_duration_since(curve.since) < MEMORY)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_TIME)
}

/// Longer than any call waits.
const MAX_TIME: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests;
