//! A rate that is found by being told that it is too high.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
    time::Duration,
};

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

/// The stretch over which accepted calls are counted.
const MEASURED: Duration = Duration::from_secs(1);

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
        let (Some(curve), Some(rate)) = (self.curve, self.rate(now)) else {
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

/// The calls that upstream accepted, by when they were sent.
#[derive(Debug, Default)]
struct Accepted {
    /// The calls of each part of a second, by when the first of them was sent.
    parts: BTreeMap<Instant, u32>,
}

/// How fine the parts are.
const PART: Duration = Duration::from_millis(50);

/// How long they are kept: refusals for the rate come back sooner than that.
const KEPT: Duration = Duration::from_secs(4);

impl Accepted {
    fn add(&mut self, sent: Instant) {
        match self.parts.range_mut(..=sent).next_back() {
            Some((since, calls)) if sent < *since + PART => *calls += 1,
            _ => drop(self.parts.insert(sent, 1)),
        }
        while let Some(first) = self.parts.first_entry()
            && *first.key() + KEPT < sent
        {
            first.remove();
        }
    }

    /// Returns how many were sent in the second up to `moment`.
    fn count(&self, moment: Instant) -> f64 {
        let after = moment.checked_sub(MEASURED).unwrap_or(moment);
        let parts = self.parts.range((Excluded(after), Included(moment)));
        parts.map(|(_, calls)| f64::from(*calls)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::pace::Pace, *};

    /// How long upstream takes to refuse, and to answer.
    const REFUSING: Duration = Duration::from_millis(5);
    const ANSWERING: Duration = Duration::from_millis(200);

    /// What a replica asks for that knows of no limit, in calls a second.
    const DEMAND: f64 = 100.0;

    /// An account that counts by the second, and replicas that always have more to ask.
    struct Simulation {
        start: Instant,
        replicas: Vec<Replica>,
        now: Instant,
        second: u64,
        in_second: u32,
        /// What upstream has yet to say, by when: to which replica, of a call sent when, and whether
        /// it is accepted.
        answers: BTreeMap<(Instant, usize), (Instant, bool)>,
    }

    #[derive(Default)]
    struct Replica {
        adaptive: AdaptiveRate,
        pace: Pace,
        accepted: u32,
        throttled: u32,
    }

    impl Simulation {
        fn new(replicas: usize, start: Instant) -> Self {
            Self {
                start,
                replicas: (0..replicas).map(|_| Replica::default()).collect(),
                now: start,
                second: 0,
                in_second: 0,
                answers: BTreeMap::new(),
            }
        }

        /// Runs for so many seconds against a limit, and returns the calls that were accepted of
        /// each replica, and those of all that were refused.
        fn run(&mut self, seconds: u64, limit: u32) -> (Vec<u32>, u32) {
            for replica in &mut self.replicas {
                (replica.accepted, replica.throttled) = (0, 0);
            }
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                let due = |place: usize| self.replicas[place].pace.opens(self.now);
                let (at, place) = (0..self.replicas.len())
                    .map(|place| (due(place), place))
                    .min()
                    .unwrap();
                self.now = at.max(self.now + Duration::from_micros(200));
                self.hear();
                self.send(place, limit);
            }
            let accepted = self.replicas.iter().map(|replica| replica.accepted);
            let throttled = self.replicas.iter().map(|replica| replica.throttled);
            (accepted.collect(), throttled.sum())
        }

        fn send(&mut self, place: usize, limit: u32) {
            let second = (self.now - self.start).as_secs();
            if second != self.second {
                (self.second, self.in_second) = (second, 0);
            }
            self.in_second += 1;
            let is_accepted = self.in_second <= limit;
            let replica = &mut self.replicas[place];
            let rate = replica.adaptive.rate(self.now).unwrap_or(DEMAND);
            replica.pace.take(rate, self.now);
            let after = match is_accepted {
                true => ANSWERING,
                false => REFUSING,
            };
            let answer = (self.now, is_accepted);
            self.answers.insert((self.now + after, place), answer);
        }

        fn hear(&mut self) {
            while let Some(first) = self.answers.first_entry()
                && first.key().0 <= self.now
            {
                let ((at, place), (sent, is_accepted)) = first.remove_entry();
                let replica = &mut self.replicas[place];
                if is_accepted {
                    replica.adaptive.accept(sent);
                    replica.accepted += 1;
                } else {
                    replica.adaptive.throttle(sent, at);
                    replica.throttled += 1;
                }
            }
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
            rate.throttle(now, now);
            assert_eq!(rate.rate(now), Some(FLOOR));
            now += PATIENCE;
        }
    }

    #[test]
    fn a_burst_whose_refusals_come_first_is_measured_by_its_answers() {
        let (mut rate, start) = (AdaptiveRate::default(), Instant::now());
        let answered = start + ANSWERING;
        for _ in 0..80 {
            rate.throttle(start, start + REFUSING);
        }
        assert_eq!(rate.rate(answered), Some(FLOOR));
        for _ in 0..20 {
            rate.accept(start);
        }

        let climbed = rate.rate(answered).unwrap();
        assert!((13.5..=20.0).contains(&climbed), "{climbed}");
    }

    #[test]
    fn a_rate_is_not_forgotten_while_little_is_asked_for() {
        let (mut rate, start) = (AdaptiveRate::default(), Instant::now());
        for _ in 0..20 {
            rate.accept(start);
        }
        rate.throttle(start, start);

        for seconds in [10, 60, 86_400] {
            let later = start + Duration::from_secs(seconds);
            assert_eq!(rate.rate(later), Some(20.0));
        }
    }

    #[test]
    fn the_time_for_some_calls_is_that_of_the_curve() {
        let (mut rate, start) = (AdaptiveRate::default(), Instant::now());
        for _ in 0..20 {
            rate.accept(start);
        }
        rate.throttle(start, start);

        for calls in [1, 5, 20, 40, 100] {
            // Step by step, as the calls would be made.
            let (mut now, mut made) = (start, 0.0);
            while made < f64::from(calls) {
                made += rate.rate(now).unwrap() * 0.001;
                now += Duration::from_millis(1);
            }
            let expected = rate.time_for(calls as usize, start);
            assert!(
                (now - start).abs_diff(expected) < Duration::from_millis(5),
                "{calls}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_rate_drops_at_most_once_a_second_and_to_70_percent_of_what_was_accepted(
            steps in proptest::collection::vec((0u64..200, any::<bool>()), 1..500),
        ) {
            let (mut rate, mut now) = (AdaptiveRate::default(), Instant::now());
            let mut dropped: Option<Instant> = None;
            let mut accepted: Vec<Instant> = Vec::new();
            for (pause, is_accepted) in steps {
                now += Duration::from_millis(pause);
                if is_accepted {
                    rate.accept(now);
                    accepted.push(now);
                    continue;
                }
                let before = rate.rate(now);
                rate.throttle(now, now);
                let after = rate.rate(now).unwrap();
                prop_assert!(after >= FLOOR);
                if dropped.is_some_and(|dropped| now < dropped + PATIENCE) {
                    prop_assert_eq!(Some(after), before);
                    continue;
                }
                // Calls are counted in parts, so that those at the edge may count or not.
                let within = |second| accepted.iter().filter(|at| now < **at + second).count() as f64;
                let bounds = [MEASURED - PART, MEASURED].map(|second| {
                    let top = before.unwrap_or(f64::INFINITY).min(within(second));
                    (BACKOFF * top).max(FLOOR)
                });
                prop_assert!(after >= bounds[0] - 1e-9 && after <= bounds[1] + 1e-9);
                dropped = Some(now);
            }
        }
    }
}
