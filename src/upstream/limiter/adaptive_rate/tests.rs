//! Tests of the adaptive rate, alone and with replicas that share a quota.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::{pacer::Pacer, throughput_meter::PART},
    *,
};

/// The response times of upstream.
const THROTTLING: Duration = Duration::from_millis(5);
const RESPONDING: Duration = Duration::from_millis(200);

/// The rate of a replica without an adaptive rate, in calls per second.
const DEMAND: f64 = 100.0;

/// An account whose quota is counted by the second, and replicas with unlimited demand.
struct Simulation {
    start: Instant,
    replicas: Vec<Replica>,
    now: Instant,
    second: u64,
    in_second: u32,
    /// Pending responses by their time and replica: when the attempt was sent, and whether it is
    /// accepted.
    pending: BTreeMap<(Instant, usize), (Instant, bool)>,
}

struct Replica {
    adaptive: AdaptiveRate,
    pacer: Pacer,
    accepted: u32,
    throttled: u32,
}

impl Replica {
    fn new() -> Self {
        Self {
            adaptive: AdaptiveRate::new(None),
            pacer: Pacer::default(),
            accepted: 0,
            throttled: 0,
        }
    }
}

impl Simulation {
    fn new(replicas: usize, start: Instant) -> Self {
        Self {
            start,
            replicas: (0..replicas).map(|_| Replica::new()).collect(),
            now: start,
            second: 0,
            in_second: 0,
            pending: BTreeMap::new(),
        }
    }

    /// Runs for `seconds` against a limit. Returns the accepted attempts of each replica, and the
    /// throttled attempts of all.
    fn run(&mut self, seconds: u64, limit: u32) -> (Vec<u32>, u32) {
        for replica in &mut self.replicas {
            (replica.accepted, replica.throttled) = (0, 0);
        }
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            let due =
                |replica_index: usize| self.replicas[replica_index].pacer.available_at(self.now);
            let (at, replica_index) = (0..self.replicas.len())
                .map(|replica_index| (due(replica_index), replica_index))
                .min()
                .unwrap();
            self.now = at.max(self.now + Duration::from_micros(200));
            self.receive();
            self.send(replica_index, limit);
        }
        let accepted = self.replicas.iter().map(|replica| replica.accepted);
        let throttled = self.replicas.iter().map(|replica| replica.throttled);
        (accepted.collect(), throttled.sum())
    }

    fn send(&mut self, replica_index: usize, limit: u32) {
        let second = (self.now - self.start).as_secs();
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        self.in_second += 1;
        let is_accepted = self.in_second <= limit;
        let replica = &mut self.replicas[replica_index];
        let rate = replica.adaptive.rate(self.now).unwrap_or(DEMAND);
        replica.pacer.take(rate, self.now);
        let after = match is_accepted {
            true => RESPONDING,
            false => THROTTLING,
        };
        let response = (self.now, is_accepted);
        self.pending
            .insert((self.now + after, replica_index), response);
    }

    fn receive(&mut self) {
        while let Some(first) = self.pending.first_entry()
            && first.key().0 <= self.now
        {
            let ((at, replica_index), (sent, is_accepted)) = first.remove_entry();
            let replica = &mut self.replicas[replica_index];
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
fn one_replica_finds_the_limit_and_rarely_exceeds_it() {
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
fn replicas_share_the_quota_fairly_without_coordination() {
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
fn a_changed_limit_is_followed_within_10_seconds() {
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
fn repeated_throttling_does_not_lower_the_rate_below_the_floor() {
    for (configured, floor) in [(None, 0.5), (Some(10), 0.5), (Some(100), 5.0)] {
        let mut rate = AdaptiveRate::new(configured.and_then(NonZeroU32::new));
        let mut now = Instant::now();
        assert_eq!(rate.rate(now), None);
        for _ in 0..100 {
            rate.throttle(now, now);
            now += PATIENCE;
        }
        rate.throttle(now, now);
        assert_eq!(rate.rate(now), Some(floor));
    }
}

#[test]
fn a_low_rate_drops_to_10_per_second_and_halves_from_there() {
    let (mut rate, mut now) = (AdaptiveRate::new(None), Instant::now());
    let mut tops = Vec::new();
    for _ in 0..4 {
        rate.throttle(now, now);
        tops.push(rate.curve.unwrap().top.round());
        now += PATIENCE;
    }
    assert_eq!(tops[0], QUIET);
    assert!(
        tops.is_sorted_by(|before, after| after < before),
        "{tops:?}"
    );
}

#[test]
fn a_burst_throttled_before_its_responses_is_measured_by_responses() {
    let (mut rate, start) = (AdaptiveRate::new(None), Instant::now());
    let responded = start + RESPONDING;
    for _ in 0..80 {
        rate.throttle(start, start + THROTTLING);
    }
    assert!(rate.rate(responded).unwrap() < QUIET);
    for _ in 0..20 {
        rate.accept(start);
    }

    let climbed = rate.rate(responded).unwrap();
    assert!((13.5..=20.0).contains(&climbed), "{climbed}");
}

#[test]
fn a_rate_is_forgotten_15_s_after_its_last_drop_even_when_idle() {
    let (mut rate, start) = (AdaptiveRate::new(None), Instant::now());
    rate.throttle(start, start);
    let later = start + Duration::from_secs(5);
    rate.throttle(later, later);

    let almost = later + Duration::from_millis(14_999);
    assert!(rate.rate(almost).unwrap() > 1_000.0);
    assert_eq!(rate.rate(later + MEMORY), None);
}

#[test]
fn the_time_for_calls_follows_the_curve() {
    let (mut rate, start) = (AdaptiveRate::new(None), Instant::now());
    for _ in 0..20 {
        rate.accept(start);
    }
    rate.throttle(start, start);

    assert_eq!(rate.time_for(0, start), Duration::ZERO);
    for calls in [1, 5, 20, 40, 100] {
        // Step by step, as the calls are made.
        let (mut now, mut made) = (start, 0.0);
        while made < f64::from(calls) {
            made += rate.rate(now).unwrap() * 0.001;
            now += Duration::from_millis(1);
        }
        let expected = rate.time_for(calls as usize, start);
        let error = Duration::from_millis(5);
        assert!(now - start < expected + error, "{calls}");
        // The estimate ignores exponential growth.
        if calls <= 40 {
            assert!(now - start > expected - error, "{calls}");
        }
    }
}

proptest! {
    #[test]
    fn the_rate_drops_once_a_second_at_most_to_70_percent_of_throughput(
        steps in proptest::collection::vec((0u64..200, any::<bool>()), 1..500),
    ) {
        let (mut rate, mut now) = (AdaptiveRate::new(None), Instant::now());
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
            // Attempts are counted in parts, so that those at the edge may be counted or not.
            let within = |second| accepted.iter().filter(|at| now < **at + second).count() as f64;
            let bounds = [MEASURED - PART, MEASURED].map(|second| {
                let before = before.unwrap_or(f64::INFINITY);
                let top = within(second).max(QUIET.min(before / 2.0)).min(before);
                (BACKOFF * top).max(FLOOR)
            });
            prop_assert!(after >= bounds[0] - 1e-9 && after <= bounds[1] + 1e-9);
            dropped = Some(now);
        }
    }
}
