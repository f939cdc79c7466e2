use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::{accepted::PART, pace::Pace},
    *,
};

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

    assert_eq!(rate.time_for(0, start), Duration::ZERO);
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
