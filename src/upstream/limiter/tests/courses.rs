//! Recovery of the rate limiter: random sequences of load, throttling and idle time against a simulated
//! upstream, in simulated time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    env,
    num::NonZeroU32,
    time::Duration,
};

use proptest::{prelude::*, test_runner::Config as ProptestConfig};
use tokio::time::Instant;

use super::super::quota::Quota;
use crate::config;

/// The documented time after which all calls of a load within the quota succeed again.
const RECOVERY: Duration = Duration::from_secs(10);

/// The response times of the simulated upstream.
const THROTTLING: Duration = Duration::from_millis(5);
const RESPONDING: Duration = Duration::from_millis(60);

/// The backoff of a throttled call before it enters the queue again.
const BACKOFF: Duration = Duration::from_millis(500);

/// The maximum number of attempts per call, including the first.
const ATTEMPTS: u32 = 3;

/// Returns the number of cases: fewer by default, since a debug build is slow.
fn courses() -> ProptestConfig {
    let cases = env::var("IAI_FACADE_TEST_COURSES").ok();
    ProptestConfig::with_cases(cases.map_or(500, |cases| cases.parse().unwrap()))
}

/// How calls arrive.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// Calls per second.
    rate: f64,
    /// The number of calls that arrive at once.
    burst: u32,
    /// The timeout of each call.
    timeout: Duration,
}

/// A fault of upstream.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Throttles the first attempt that arrives.
    One,
    /// Throttles every attempt.
    All,
    /// Leaves only this share of the quota: other replicas use the rest.
    Share(f64),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Served,
    /// With the expected wait that the caller received.
    RateLimited(Duration),
    Throttled,
}

/// One call, from its arrival.
#[derive(Clone, Copy, Debug)]
struct Call {
    arrival: Instant,
    attempts: u32,
}

/// A pending response of upstream.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Pending {
    at: Instant,
    sent: Instant,
    is_accepted: bool,
    arrival: Instant,
    attempts: u32,
}

/// A rate limiter and an upstream that counts by the second, as a sequence of events.
struct Simulation {
    limits: Quota,
    queue: VecDeque<Call>,
    pending: BinaryHeap<Reverse<Pending>>,
    /// Throttled calls in backoff: the end of the backoff, the arrival, and the number of attempts.
    backoffs: BinaryHeap<Reverse<(Instant, Instant, u32)>>,
    start: Instant,
    now: Instant,
    quota: u32,
    fault: Option<Fault>,
    second: u64,
    in_second: u32,
    /// The ends of calls, with their arrivals.
    ends: Vec<(Instant, End)>,
    sent: u32,
    lowest: f64,
}

impl Simulation {
    fn new(quota: u32, configured: Option<u32>) -> Self {
        let start = Instant::now();
        Self {
            limits: Quota::new(&config::Quota {
                rate: configured.and_then(NonZeroU32::new),
                is_adaptive: true,
                has_circuit: false,
            }),
            queue: VecDeque::new(),
            pending: BinaryHeap::new(),
            backoffs: BinaryHeap::new(),
            start,
            now: start,
            quota,
            fault: None,
            second: 0,
            in_second: 0,
            ends: Vec::new(),
            sent: 0,
            lowest: f64::INFINITY,
        }
    }

    /// Generates `load` for `duration`, from now on.
    fn run(&mut self, load: Load, duration: Duration) {
        let end = self.now + duration;
        let period = Duration::from_secs_f64(f64::from(load.burst) / load.rate);
        let mut arrival = self.now;
        while arrival < end {
            self.advance(arrival, load.timeout);
            for _ in 0..load.burst {
                self.arrive(
                    Call {
                        arrival,
                        attempts: 0,
                    },
                    load.timeout,
                );
            }
            arrival += period;
        }
        self.advance(end, load.timeout);
    }

    /// Advances the time, and processes all events up to `until`.
    fn advance(&mut self, until: Instant, timeout: Duration) {
        loop {
            let response = self.pending.peek().map(|Reverse(response)| response.at);
            let pause = self.backoffs.peek().map(|Reverse(pause)| pause.0);
            let due = (!self.queue.is_empty()).then(|| self.limits.available_at(0, self.now));
            let next = response.into_iter().chain(pause).chain(due).min();
            let Some(next) = next.filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if response.is_some_and(|at| at <= self.now) {
                self.receive(timeout);
            } else if pause.is_some_and(|at| at <= self.now)
                && let Some(Reverse((_, arrival, attempts))) = self.backoffs.pop()
            {
                self.arrive(Call { arrival, attempts }, timeout);
            } else if let Some(call) = self.queue.pop_front() {
                if call.arrival + timeout < self.now {
                    let wait = self.limits.available_at(0, self.now) - self.now;
                    self.ends.push((call.arrival, End::RateLimited(wait)));
                } else {
                    self.send(call);
                }
            }
        }
        self.now = self.now.max(until);
    }

    fn arrive(&mut self, call: Call, timeout: Duration) {
        let available_at = self.limits.available_at(self.queue.len(), self.now);
        if self.queue.is_empty() && available_at <= self.now {
            self.send(call);
        } else if available_at > call.arrival + timeout {
            let end = End::RateLimited(available_at - self.now);
            self.ends.push((call.arrival, end));
        } else {
            self.queue.push_back(call);
        }
    }

    fn send(&mut self, call: Call) {
        self.limits.take(self.now);
        self.sent += 1;
        let second = (self.now - self.start).as_secs();
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        let quota = match self.fault {
            None => self.quota,
            Some(Fault::One) => {
                self.fault = None;
                0
            }
            Some(Fault::All) => 0,
            Some(Fault::Share(share)) => (f64::from(self.quota) * share) as u32,
        };
        // Upstream does not count throttled attempts against the quota.
        let is_accepted = self.in_second < quota;
        self.in_second += u32::from(is_accepted);
        let after = if is_accepted { RESPONDING } else { THROTTLING };
        let response = Pending {
            at: self.now + after,
            sent: self.now,
            is_accepted,
            arrival: call.arrival,
            attempts: call.attempts + 1,
        };
        self.pending.push(Reverse(response));
    }

    fn receive(&mut self, timeout: Duration) {
        let Some(Reverse(response)) = self.pending.pop() else {
            return;
        };
        let Pending {
            at,
            sent,
            is_accepted,
            arrival,
            attempts,
        } = response;
        if is_accepted {
            self.limits.accept(sent);
            self.ends.push((arrival, End::Served));
            return;
        }
        self.limits.throttle(sent, at);
        self.lowest = self.lowest.min(self.limits.adaptive_rate(at).unwrap());
        if attempts < ATTEMPTS && at + BACKOFF < arrival + timeout {
            self.backoffs
                .push(Reverse((at + BACKOFF, arrival, attempts)));
        } else {
            self.ends.push((arrival, End::Throttled));
        }
    }

    fn failed_since(&self, since: Instant) -> Vec<(Duration, End)> {
        let failed = self.ends.iter().filter(|(_, end)| *end != End::Served);
        failed
            .filter(|(arrival, _)| *arrival >= since)
            .map(|(arrival, end)| (*arrival - since, *end))
            .collect()
    }
}

/// A number between two bounds with a uniform logarithm: as likely between 1 and 10 as between 10 and
/// 100.
fn by_magnitude(least: f64, most: f64) -> impl Strategy<Value = f64> {
    (least.ln()..most.ln()).prop_map(f64::exp)
}

fn quota() -> impl Strategy<Value = u32> {
    by_magnitude(1.0, 1_001.0).prop_map(|quota| quota as u32)
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::One),
        Just(Fault::All),
        (0.0..1.0).prop_map(Fault::Share),
    ]
}

/// Returns a load of a share of the quota: in any interval of a second at most the quota arrives.
fn fitting(quota: u32, share: f64, burst: f64, timeout: u64) -> Load {
    let rate = (f64::from(quota) * share).max(1.0 / 60.0);
    let most = (f64::from(quota) - rate).max(1.0);
    Load {
        rate,
        burst: (most * burst).max(1.0) as u32,
        timeout: Duration::from_millis(timeout),
    }
}

proptest! {
    #![proptest_config(courses())]

    /// The effects of a fault end within 10 s and one call.
    #[test]
    fn a_load_within_the_quota_succeeds_again_10_s_after_a_fault(
        quota in quota(),
        share in by_magnitude(0.001, 0.8),
        burst in 0.0..1.0,
        timeout in 1_000u64..10_000,
        before in by_magnitude(0.001, 10.0),
        fault in fault(),
        // The durations before the fault, of the fault, and of the idle time after it.
        (healthy, faulty, idle) in (0u64..3_000, 1u64..6_000, prop_oneof![Just(0u64), 0u64..20_000]),
    ) {
        let mut simulation = Simulation::new(quota, None);
        let load = fitting(quota, share, burst, timeout);
        let before_load = Load { rate: f64::from(quota) * before, burst: 1, ..load };
        simulation.run(before_load, Duration::from_millis(healthy));
        simulation.fault = Some(fault);
        simulation.run(before_load, Duration::from_millis(faulty));
        simulation.fault = None;
        let end = simulation.now;
        simulation.advance(end + Duration::from_millis(idle), load.timeout);

        let period = Duration::from_secs_f64(f64::from(load.burst) / load.rate);
        let since = simulation.now.max(end + RECOVERY) + period;
        let measured = (2 * period).max(Duration::from_secs(1));
        simulation.run(load, since + measured - simulation.now);
        simulation.advance(simulation.now + load.timeout, load.timeout);

        prop_assert_eq!(simulation.failed_since(since), []);
    }

    /// One throttled attempt fails at most one call of a caller with a low rate.
    #[test]
    fn one_throttled_attempt_costs_a_low_rate_caller_at_most_one_call(
        rate in by_magnitude(1.0 / 60.0, 10.0),
        timeout in 1_000u64..10_000,
        healthy in 0u64..3_000,
    ) {
        let mut simulation = Simulation::new(1_000, None);
        let load = Load { rate, burst: 1, timeout: Duration::from_millis(timeout) };
        simulation.run(load, Duration::from_millis(healthy));
        let since = simulation.now;
        simulation.fault = Some(Fault::One);
        simulation.run(load, Duration::from_secs(20).max(Duration::from_secs_f64(3.0 / rate)));

        let failed = simulation.failed_since(since);
        prop_assert!(failed.len() <= 1, "{failed:?}");
        for (_, end) in failed {
            prop_assert!(!matches!(end, End::RateLimited(wait) if wait > Duration::from_secs(1)));
        }
    }

    /// The configured rate bounds how low the adaptive rate falls, and for how long.
    #[test]
    fn the_configured_rate_bounds_the_adaptive_rate_from_below(
        configured in quota(),
        load in by_magnitude(0.01, 10.0),
        faulty in 1u64..30_000,
    ) {
        let mut simulation = Simulation::new(configured, Some(configured));
        let rate = f64::from(configured);
        let load = Load {
            rate: rate * load,
            burst: 1,
            timeout: Duration::from_secs(2),
        };
        simulation.fault = Some(Fault::All);
        simulation.run(load, Duration::from_millis(faulty));
        prop_assert!(simulation.lowest >= (rate / 20.0).max(0.5) - 1e-9);

        simulation.fault = None;
        let end = simulation.now;
        simulation.pending.clear();
        let adaptive = simulation.limits.adaptive_rate(end + RECOVERY);
        prop_assert!(adaptive.is_none_or(|adaptive| adaptive >= rate), "{adaptive:?}");
    }

    /// A persistently throttling upstream receives attempts at the minimum rate only.
    #[test]
    fn an_upstream_that_throttles_everything_receives_few_attempts(
        quota in quota(),
        load in by_magnitude(0.01, 10.0),
        timeout in 1_000u64..10_000,
    ) {
        let mut simulation = Simulation::new(quota, None);
        let load = Load {
            rate: (f64::from(quota) * load).max(1.0 / 60.0),
            burst: 1,
            timeout: Duration::from_millis(timeout),
        };
        simulation.fault = Some(Fault::All);
        simulation.run(load, RECOVERY);
        let before = simulation.sent;
        simulation.run(load, Duration::from_secs(20));
        prop_assert!(simulation.sent - before <= 30, "{}", simulation.sent - before);
    }
}
