//! A rate that is found by being told that it is too high.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// What is left of the rate when upstream says that it is too high.
const BACKOFF: f64 = 0.7;

/// How fast the rate grows: the scale of the cubic curve, in calls a second per second cubed.
const SCALE: f64 = 0.4;

/// The least rate, in calls a second: with less, nothing would be learned any more.
const FLOOR: f64 = 0.5;

/// How often the rate drops at most. Upstream counts by the second: what it refuses in the rest of
/// one says nothing new.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stretch over which accepted calls are counted, in parts.
const MEASURED: Duration = Duration::from_secs(1);
const PARTS: u32 = 20;

/// A rate in calls a second, unknown until upstream first refuses a call for its rate.
///
/// It drops to 70 % of what was measured just before, and grows back along a cubic curve: fast at
/// first, slowly near the rate that was too high, and faster again beyond it, to find out whether
/// there is more now. That is CUBIC ([RFC 9438]) as the AWS SDKs apply it to request rates, with one
/// difference: measured are the calls that upstream accepted, and not those that were sent. A rate
/// ten times too high is found within a second, and not in seven steps.
///
/// Replicas that share a quota are refused at about the same time, those with the higher rates more
/// often. So they converge on a fair share without knowing of each other.
///
/// [RFC 9438]: https://www.rfc-editor.org/rfc/rfc9438
#[derive(Debug, Default)]
pub(super) struct AdaptiveRate {
    curve: Option<Curve>,
    accepted: Measured,
}

/// How the rate grows after it has dropped.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// When it dropped.
    since: Instant,
    /// The rate that was too high.
    top: f64,
}

impl Curve {
    fn rate(self, now: Instant) -> f64 {
        // How long the curve takes to come back to the rate that was too high.
        let plateau = (self.top * (1.0 - BACKOFF) / SCALE).cbrt();
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        let rate = SCALE.mul_add((elapsed - plateau).powi(3), self.top);
        rate.max(FLOOR)
    }
}

impl AdaptiveRate {
    /// Returns the rate, or nothing as long as upstream has not refused a call for it.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        self.curve.map(|curve| curve.rate(now))
    }

    /// Learns that upstream accepted a call.
    pub(super) fn accept(&mut self, now: Instant) {
        self.accepted.add(now);
    }

    /// Learns that upstream refused a call for its rate.
    pub(super) fn throttle(&mut self, now: Instant) {
        let is_too_soon = self
            .curve
            .is_some_and(|curve| now.saturating_duration_since(curve.since) < PATIENCE);
        if is_too_soon {
            return;
        }
        let measured = self.accepted.rate(now);
        let top = self.rate(now).map_or(measured, |rate| rate.min(measured));
        self.curve = Some(Curve { since: now, top });
    }
}

/// Counts calls over the last second.
#[derive(Debug, Default)]
struct Measured {
    /// The beginning of each part, and the calls in it.
    parts: VecDeque<(Instant, u32)>,
}

impl Measured {
    fn add(&mut self, now: Instant) {
        match self.parts.back_mut() {
            Some((since, calls)) if now < *since + MEASURED / PARTS => *calls += 1,
            _ => {
                self.forget(now);
                self.parts.push_back((now, 1));
            }
        }
    }

    /// Returns the calls of the last second.
    fn rate(&mut self, now: Instant) -> f64 {
        self.forget(now);
        self.parts.iter().map(|(_, calls)| f64::from(*calls)).sum()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((since, _)) = self.parts.front() {
            if now < *since + MEASURED {
                break;
            }
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::pace::Pace, *};

    /// An account that counts by the second, and replicas that always have more to ask.
    struct Simulation {
        start: Instant,
        replicas: Vec<(AdaptiveRate, Pace, u32)>,
        now: Instant,
        second: u64,
        in_second: u32,
        throttled: u32,
    }

    impl Simulation {
        fn new(replicas: usize, start: Instant) -> Self {
            Self {
                start,
                replicas: (0..replicas)
                    .map(|_| (AdaptiveRate::default(), Pace::default(), 0))
                    .collect(),
                now: start,
                second: 0,
                in_second: 0,
                throttled: 0,
            }
        }

        /// Runs for so many seconds against a limit, and returns the calls that were accepted of
        /// each replica, and those of all that were refused.
        fn run(&mut self, seconds: u64, limit: u32) -> (Vec<u32>, u32) {
            self.throttled = 0;
            self.replicas
                .iter_mut()
                .for_each(|(_, _, accepted)| *accepted = 0);
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                // A replica that knows no limit asks 100 times a second.
                let due = |(adaptive, pace, _): &(AdaptiveRate, Pace, u32)| {
                    pace.opens(0, adaptive.rate(self.now).unwrap_or(100.0), self.now)
                };
                let (place, at) = (0..self.replicas.len())
                    .map(|place| (place, due(&self.replicas[place])))
                    .min_by_key(|(_, at)| *at)
                    .unwrap();
                self.now = at.max(self.now + Duration::from_micros(200));
                let second = (self.now - self.start).as_secs();
                if second != self.second {
                    (self.second, self.in_second) = (second, 0);
                }
                self.in_second += 1;
                let (adaptive, pace, accepted) = &mut self.replicas[place];
                pace.take(adaptive.rate(self.now).unwrap_or(100.0), self.now);
                if self.in_second <= limit {
                    adaptive.accept(self.now);
                    *accepted += 1;
                } else {
                    adaptive.throttle(self.now);
                    self.throttled += 1;
                }
            }
            let accepted = self.replicas.iter().map(|(_, _, accepted)| *accepted);
            (accepted.collect(), self.throttled)
        }
    }

    #[test]
    fn the_rate_of_one_is_found_and_hardly_ever_exceeded() {
        for limit in [20, 50] {
            let mut simulation = Simulation::new(1, Instant::now());
            simulation.run(5, limit);
            let (accepted, throttled) = simulation.run(60, limit);

            let used = f64::from(accepted[0]) / 60.0 / f64::from(limit);
            assert!(used > 0.9, "{used} of {limit}");
            let share = f64::from(throttled) / f64::from(accepted[0] + throttled);
            assert!(share < 0.05, "{share} of {limit}");
        }
    }

    #[test]
    fn replicas_that_do_not_know_of_each_other_share_fairly() {
        for (replicas, limit) in [(2, 20), (3, 20), (5, 50), (10, 200)] {
            let mut simulation = Simulation::new(replicas, Instant::now());
            simulation.run(5, limit);
            let (accepted, throttled) = simulation.run(60, limit);

            let all = f64::from(accepted.iter().sum::<u32>());
            assert!(all / 60.0 / f64::from(limit) > 0.9);
            assert!(f64::from(throttled) / (all + f64::from(throttled)) < 0.1);
            let fair = all / f64::from(u32::try_from(replicas).unwrap());
            let shares: Vec<_> = accepted.iter().map(|one| f64::from(*one) / fair).collect();
            assert!(
                shares.iter().all(|share| (0.6..1.6).contains(share)),
                "{shares:?}"
            );
        }
    }

    #[test]
    fn a_limit_that_changes_is_followed_within_10_seconds() {
        for (before, after) in [(20, 5), (20, 50), (5, 50)] {
            let mut simulation = Simulation::new(1, Instant::now());
            simulation.run(30, before);
            simulation.run(10, after);
            let (accepted, throttled) = simulation.run(5, after);

            let used = f64::from(accepted[0]) / 5.0 / f64::from(after);
            assert!(used > 0.8, "{used} of {after} after {before}");
            assert!(throttled <= 3, "{throttled} of {after} after {before}");
        }
    }

    #[test]
    fn a_rate_that_is_refused_again_and_again_has_a_floor() {
        let (mut rate, mut now) = (AdaptiveRate::default(), Instant::now());
        assert_eq!(rate.rate(now), None);
        for _ in 0..100 {
            rate.throttle(now);
            assert_eq!(rate.rate(now), Some(FLOOR));
            now += PATIENCE;
        }
    }

    proptest! {
        #[test]
        fn the_rate_drops_at_most_once_a_second_and_to_70_percent_of_what_was_accepted(
            steps in proptest::collection::vec((0u64..200, any::<bool>()), 1..500),
        ) {
            let (mut rate, mut now) = (AdaptiveRate::default(), Instant::now());
            let mut dropped: Option<Instant> = None;
            for (pause, is_accepted) in steps {
                now += Duration::from_millis(pause);
                if is_accepted {
                    rate.accept(now);
                    continue;
                }
                let (before, measured) = (rate.rate(now), rate.accepted.rate(now));
                rate.throttle(now);
                let after = rate.rate(now).unwrap();
                prop_assert!(after >= FLOOR);
                if dropped.is_some_and(|dropped| now < dropped + PATIENCE) {
                    prop_assert_eq!(Some(after), before);
                } else {
                    let expected = BACKOFF * before.unwrap_or(measured).min(measured);
                    prop_assert!((after - expected.max(FLOOR)).abs() < 1e-9);
                    dropped = Some(now);
                }
            }
        }
    }
}
