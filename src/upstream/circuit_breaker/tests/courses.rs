//! Recovery of the circuit breaker: random sequences of loads and faults, in simulated time.

use std::{collections::VecDeque, env};

use proptest::test_runner::Config;

use super::*;

/// Returns the number of cases: fewer by default, since a debug build is slow.
fn courses() -> Config {
    let cases = env::var("IAI_FACADE_TEST_COURSES").ok();
    Config::with_cases(cases.map_or(64, |cases| cases.parse().unwrap()))
}

/// The time from the recovery of upstream until nothing is rejected, beside two response times.
const RECOVERY: Duration = Duration::from_secs(10);

/// How calls arrive.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// Calls per second.
    rate: f64,
    /// The number of calls that arrive at once.
    burst: u32,
}

/// From one call per minute to ten times the quota of an account with 50 calls per second.
fn loads() -> impl Strategy<Value = Load> {
    let rate = (-1.78f64..2.7).prop_map(|exponent| 10f64.powf(exponent));
    (rate, 1u32..60).prop_map(|(rate, burst)| Load { rate, burst })
}

/// How upstream fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    /// Without an envelope.
    Hard,
    /// With a code of the class `transient`.
    Code,
}

/// A circuit breaker in front of an upstream that responds or fails after `latency`.
struct Simulation {
    breaker: CircuitBreaker,
    latency: Duration,
    /// Pending outcomes, and whether each is a success.
    pending: VecDeque<(Instant, Identity, ApiRequest, bool)>,
    failure: Failure,
    start: Instant,
    now: Instant,
    number: u32,
}

impl Simulation {
    fn new(latency: Duration, failure: Failure) -> Self {
        let now = Instant::now();
        Self {
            breaker: CircuitBreaker::new(true),
            latency,
            pending: VecDeque::new(),
            failure,
            start: now,
            now,
            number: 0,
        }
    }

    /// Delivers the outcomes that are due.
    fn deliver(&mut self) {
        while let Some((due, ..)) = self.pending.front()
            && *due <= self.now
        {
            let Some((due, caller, request, is_success)) = self.pending.pop_front() else {
                return;
            };
            let source = Source {
                caller: &caller,
                request: &request,
            };
            match (is_success, self.failure) {
                (true, _) => self.breaker.succeed(source, due),
                (false, Failure::Hard) => self.breaker.fail(due),
                (false, Failure::Code) => self.breaker.fail_with_code(source, due),
            }
        }
    }

    /// Makes a call now, and returns whether it was sent.
    fn call(&mut self, caller: &Identity, request: &ApiRequest, is_up: bool) -> bool {
        self.deliver();
        self.number += 1;
        let source = Source { caller, request };
        let is_sent = self
            .breaker
            .try_acquire(source, sample(self.number), self.now)
            .is_ok();
        if is_sent {
            let due = self.now + self.latency;
            self.pending
                .push_back((due, caller.clone(), request.clone(), is_up));
            self.deliver();
        }
        is_sent
    }

    /// Makes the calls of `load` for `length`, with callers and ids from `source_of`. Returns when each was
    /// made and whether it was sent.
    fn run(
        &mut self,
        load: Load,
        length: Duration,
        is_up: bool,
        source_of: impl Fn(u32) -> (Identity, ApiRequest),
    ) -> Vec<(Instant, bool)> {
        let end = self.now + length;
        let pause = Duration::from_secs_f64(f64::from(load.burst) / load.rate);
        let mut made = Vec::new();
        while self.now + pause <= end && made.len() < 20_000 {
            self.now += pause;
            for _ in 0..load.burst {
                let (caller, request) = source_of(self.number);
                let is_sent = self.call(&caller, &request, is_up);
                made.push((self.now, is_sent));
            }
        }
        self.now = end;
        self.deliver();
        made
    }
}

/// Returns the caller and request of each call: one of many ids, by one of many callers or by a single
/// gateway.
fn sources(is_gateway: bool) -> impl Fn(u32) -> (Identity, ApiRequest) {
    move |number| {
        let of = if is_gateway { 0 } else { number % 7 };
        (
            caller(&of.to_string()),
            request(&(number % 101).to_string()),
        )
    }
}

fn milliseconds(list: &'static [u64]) -> impl Strategy<Value = Duration> {
    proptest::sample::select(list).prop_map(Duration::from_millis)
}

fn failures() -> impl Strategy<Value = Failure> {
    proptest::sample::select(&[Failure::Hard, Failure::Code][..])
}

proptest! {
    #![proptest_config(courses())]

    #[test]
    fn a_failing_upstream_is_spared_and_serves_all_10_s_after_recovery(
        loads in (loads(), loads(), loads()),
        seconds in (0u64..30, 20u64..120),
        latency in milliseconds(&[0, 60, 900]),
        failure in failures(),
        is_gateway: bool,
    ) {
        let mut simulation = Simulation::new(latency, failure);
        let [up, down] = [seconds.0, seconds.1].map(Duration::from_secs);
        simulation.run(loads.0, up, true, sources(is_gateway));

        let began = simulation.now;
        let made = simulation.run(loads.1, down, false, sources(is_gateway));
        let settled = began + WINDOW + PART + latency;
        let late: Vec<_> = made.iter().filter(|(at, _)| *at >= settled).collect();
        let sent = late.iter().filter(|(_, is_sent)| *is_sent).count() as f64;
        let Load { rate, burst } = loads.1;
        // A tenth, one probe per second, and per ten seconds those that must be sent before the
        // circuit breaker can open: the minimum of calls, and those sent before the first failure.
        let seconds = down.as_secs_f64();
        let unknown = 20.0 + rate * latency.as_secs_f64() + f64::from(burst);
        let allowed = 0.12 * late.len() as f64 + seconds + (seconds / 10.0 + 1.0) * unknown;
        prop_assert!(sent <= allowed, "{} of {} sent, {} allowed", sent, late.len(), allowed);

        let back = simulation.now;
        let rest = Duration::from_secs(120);
        let made = simulation.run(loads.2, rest, true, sources(is_gateway));
        for (at, is_sent) in made {
            let is_recovered = at >= back + RECOVERY + 2 * latency;
            prop_assert!(is_sent || !is_recovered, "rejected {:?} after the recovery", at - back);
        }
    }

    #[test]
    fn a_failing_id_of_one_caller_costs_other_callers_no_call(
        load in loads(),
        others in 1u32..9,
        bad_rate in 1.0f64..2_000.0,
        latency in milliseconds(&[0, 60]),
        strays in proptest::sample::select(&[0u32, 500, 200][..]),
    ) {
        let mut simulation = Simulation::new(latency, Failure::Code);
        let (bad_requester, bad_request) = (caller("scan"), request("bad"));
        let bad_pause = Duration::from_secs_f64(bad_rate.recip());
        let pause = Duration::from_secs_f64(load.rate.recip());
        let end = simulation.start + Duration::from_secs(30);
        let (mut next_bad, mut next) = (simulation.start, simulation.start);
        let (mut made, mut rejected, mut stray) = (0, 0, 0);
        while next_bad.min(next) < end {
            simulation.now = next_bad.min(next);
            if next_bad <= next {
                next_bad += bad_pause;
                simulation.call(&bad_requester, &bad_request, false);
                continue;
            }
            next += pause;
            made += 1;
            let of = caller(&(made % others).to_string());
            let request = request(&(made % 101).to_string());
            let is_stray = strays > 0 && made % strays == 0;
            stray += u32::from(is_stray);
            rejected += u32::from(!simulation.call(&of, &request, !is_stray));
        }
        // A failure of another caller may count for all until its next response.
        let allowed = if stray > 0 { f64::from(made) / 100.0 } else { 0.0 };
        prop_assert!(f64::from(rejected) <= allowed, "{} of {}, {} strays", rejected, made, stray);
    }

    #[test]
    fn an_outage_by_code_is_detected_as_fast_as_one_without_responses(
        load in loads(),
        up in 0u64..30,
        is_gateway: bool,
        latency in milliseconds(&[0, 60]),
    ) {
        let first_rejected = [Failure::Hard, Failure::Code].map(|failure| {
            let mut simulation = Simulation::new(latency, failure);
            let [up, down] = [up, 60].map(Duration::from_secs);
            simulation.run(load, up, true, sources(is_gateway));
            let made = simulation.run(load, down, false, sources(is_gateway));
            made.iter().position(|(_, is_sent)| !is_sent).unwrap_or(usize::MAX)
        });
        prop_assert!(first_rejected[1] <= first_rejected[0], "{:?}", first_rejected);
    }
}
