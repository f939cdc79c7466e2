//! Tests of the circuit breaker: when it opens, for which callers, and when it closes.

mod courses;

use std::time::Duration;

use proptest::prelude::*;

use super::{
    outcome_window::{MAX_REJECTED, PART},
    transient_failures::{MAX_CALLERS, MAX_IDS},
    *,
};
use crate::upstream::ApiRequest;

const STEP: Duration = Duration::from_millis(50);

fn breaker() -> (CircuitBreaker, Instant) {
    (CircuitBreaker::new(true), Instant::now())
}

fn caller(name: &str) -> Identity {
    Identity::Token(name.into())
}

/// Returns a request whose parameters are its id.
fn request(id: &str) -> ApiRequest {
    ApiRequest {
        action: "Act",
        parameters: id.to_owned().into(),
        id: |parameters| Some(String::from_utf8_lossy(parameters).into_owned()),
    }
}

/// Returns a number of a low-discrepancy sequence from 0 to 1.
fn sample(number: u32) -> f64 {
    (f64::from(number) * 0.618_034).fract()
}

/// Makes calls one step apart, which upstream all serves or all fails, and returns how many were
/// rejected.
fn calls(breaker: &CircuitBreaker, now: &mut Instant, count: u32, is_up: bool) -> u32 {
    let (caller, request) = (caller("orders"), request("aaa"));
    let source = Source {
        caller: &caller,
        request: &request,
    };
    (0..count)
        .filter(|number| {
            *now += STEP;
            let is_rejected = breaker.try_acquire(source, sample(*number), *now).is_err();
            match is_rejected {
                true => {}
                false if is_up => breaker.succeed(source, *now),
                false => breaker.fail(*now),
            }
            is_rejected
        })
        .count() as u32
}

/// Fails calls of a caller for an id with a code of the class `transient`, one step apart, and returns
/// how many were rejected.
fn fail_with_code(
    breaker: &CircuitBreaker,
    now: &mut Instant,
    (of, id): (&str, &str),
    count: u32,
) -> u32 {
    let (caller, request) = (caller(of), request(id));
    let source = Source {
        caller: &caller,
        request: &request,
    };
    (0..count)
        .filter(|number| {
            *now += STEP;
            let is_rejected = breaker.try_acquire(source, sample(*number), *now).is_err();
            if !is_rejected {
                breaker.fail_with_code(source, *now);
            }
            is_rejected
        })
        .count() as u32
}

#[test]
fn a_failing_upstream_receives_a_tenth_and_all_once_it_recovers() {
    let (breaker, mut now) = breaker();
    assert_eq!(calls(&breaker, &mut now, 100, true), 0);

    calls(&breaker, &mut now, 200, false);
    let rejected = calls(&breaker, &mut now, 1_000, false);
    assert!((880..=920).contains(&rejected), "{rejected}");
    assert_eq!(breaker.state(now).rejected_share, MAX_REJECTED);
    assert_eq!(breaker.state(now).opened, 1);

    let rejected = calls(&breaker, &mut now, 60, true);
    assert!(rejected < 40, "{rejected}");
    assert_eq!(calls(&breaker, &mut now, 1_000, true), 0);
}

#[test]
fn fewer_than_20_calls_do_not_open_the_circuit_breaker() {
    let (breaker, mut now) = breaker();
    assert_eq!(calls(&breaker, &mut now, 19, false), 0);
    assert_eq!(breaker.state(now).rejected_share, 0.0);
    calls(&breaker, &mut now, 1, false);
    assert!(breaker.state(now).rejected_share > 0.0);
}

#[test]
fn outcomes_older_than_10_seconds_do_not_count() {
    let (breaker, mut now) = breaker();
    calls(&breaker, &mut now, 100, false);
    assert_eq!(breaker.state(now + WINDOW + PART).rejected_share, 0.0);
}

#[test]
fn a_disabled_circuit_breaker_rejects_nothing() {
    let (breaker, mut now) = (CircuitBreaker::new(false), Instant::now());
    assert_eq!(calls(&breaker, &mut now, 1_000, false), 0);
    assert_eq!(
        fail_with_code(&breaker, &mut now, ("orders", "aaa"), 1_000),
        0
    );
    assert_eq!(breaker.state(now).failures, 2_000);
}

#[test]
fn a_failing_id_is_rejected_for_its_caller_only() {
    let (breaker, mut now) = breaker();

    let rejected = fail_with_code(&breaker, &mut now, ("scan", "bad"), 1_000);

    assert!(rejected > 800, "{rejected}");
    assert_eq!(breaker.state(now).rejected_share, 0.0);
    for (of, id) in [("scan", "aaa"), ("orders", "bad"), ("orders", "aaa")] {
        let (caller, request) = (caller(of), request(id));
        let source = Source {
            caller: &caller,
            request: &request,
        };
        assert_eq!(breaker.try_acquire(source, 0.0, now), Ok(()), "{of} {id}");
    }
    // A probe detects the recovery within a second, and after 3 successes nothing is rejected.
    let (caller, request) = (caller("scan"), request("bad"));
    let source = Source {
        caller: &caller,
        request: &request,
    };
    for _ in 0..RECOVERED {
        now += PROBE_INTERVAL;
        assert_eq!(breaker.try_acquire(source, 0.0, now), Ok(()));
        breaker.succeed(source, now);
    }
    assert_eq!(breaker.try_acquire(source, 0.0, now), Ok(()));
    assert_eq!(breaker.try_acquire(source, 0.0, now), Ok(()));
}

#[test]
fn codes_received_by_a_second_caller_count_for_all() {
    let (breaker, mut now) = breaker();
    fail_with_code(&breaker, &mut now, ("scan", "bad"), 30);
    assert_eq!(breaker.state(now).rejected_share, 0.0);

    fail_with_code(&breaker, &mut now, ("orders", "aaa"), 1);

    assert!(breaker.state(now).rejected_share > 0.8);
}

#[test]
fn a_third_id_counts_for_all_only_while_one_caller_calls() {
    for is_alone in [true, false] {
        let (breaker, mut now) = breaker();
        if !is_alone {
            let (other, request) = (caller("orders"), request("aaa"));
            let source = Source {
                caller: &other,
                request: &request,
            };
            breaker.try_acquire(source, 0.0, now).unwrap();
        }
        fail_with_code(&breaker, &mut now, ("gateway", "1"), 10);
        fail_with_code(&breaker, &mut now, ("gateway", "2"), 10);
        assert_eq!(breaker.state(now).rejected_share, 0.0);

        fail_with_code(&breaker, &mut now, ("gateway", "3"), 1);

        assert_eq!(breaker.state(now).rejected_share > 0.8, is_alone);
    }
}

#[test]
fn single_failures_of_healthy_callers_do_not_count_for_all() {
    let (breaker, mut now) = breaker();
    let (other, request) = (caller("orders"), request("aaa"));
    let source = Source {
        caller: &other,
        request: &request,
    };
    fail_with_code(&breaker, &mut now, ("scan", "bad"), 100);
    for _ in 0..5 {
        breaker.succeed(source, now);
    }

    breaker.fail_with_code(source, now);

    assert_eq!(breaker.try_acquire(source, 0.0, now), Ok(()));
    assert_eq!(breaker.state(now).rejected_share, 0.0);
}

#[test]
fn callers_and_ids_beyond_the_bounds_are_not_stored() {
    let (breaker, now) = breaker();
    for number in 0..10 * MAX_IDS {
        let (caller, request) = (caller("scan"), request(&number.to_string()));
        let source = Source {
            caller: &caller,
            request: &request,
        };
        breaker.fail_with_code(source, now);
    }
    for number in 0..10 * MAX_CALLERS {
        let (caller, request) = (caller(&number.to_string()), request("aaa"));
        let source = Source {
            caller: &caller,
            request: &request,
        };
        breaker.fail_with_code(source, now);
    }

    let mut inner = breaker.inner.lock();
    assert!(inner.transient.size() <= (MAX_CALLERS, MAX_IDS));
    // Failures that are not tracked are attributed to upstream.
    assert_eq!(inner.calls.counts(now).failed, 9 * 64 + 1);
}

#[test]
fn callers_and_ids_are_stored_as_hashes_only() {
    let (breaker, mut now) = breaker();
    fail_with_code(&breaker, &mut now, ("scan", "alice"), 10);
    let printed = format!("{:?}", breaker.inner.lock().transient);
    assert!(
        !printed.contains("alice") && !printed.contains("scan"),
        "{printed}"
    );
}

proptest! {
    /// All within ten seconds, so that only a recovery resets the counts.
    #[test]
    fn the_rejected_share_is_that_of_the_sre_book(
        outcomes in proptest::collection::vec((any::<bool>(), 0u64..20), 1..500),
    ) {
        let (breaker, mut now) = breaker();
        let (caller, request) = (caller("orders"), request("aaa"));
        let source = Source { caller: &caller, request: &request };
        let (mut calls, mut accepted, mut in_a_row, mut is_open) = (0.0, 0.0f64, 0, false);
        for (is_up, pause) in outcomes {
            now += Duration::from_millis(pause);
            calls += 1.0;
            if is_up {
                accepted += 1.0;
                in_a_row += 1;
                breaker.succeed(source, now);
            } else {
                in_a_row = 0;
                breaker.fail(now);
            }
            let expected_share = match calls {
                0.0..20.0 => 0.0,
                _ if in_a_row >= RECOVERED => 0.0,
                _ => ((calls - 2.0 * accepted) / (calls + 1.0)).clamp(0.0, MAX_REJECTED),
            };
            if is_open && in_a_row >= RECOVERED {
                (calls, accepted) = (0.0, 0.0);
            }
            if !is_up || in_a_row >= RECOVERED {
                is_open = expected_share > 0.0;
            }
            let share = breaker.state(now).rejected_share;
            prop_assert!((share - expected_share).abs() < 1e-9);
            prop_assert_eq!(breaker.try_acquire(source, share, now), Ok(()));
            // A rejected attempt counts as a call as well.
            let is_rejected = breaker.try_acquire(source, (share - 1e-9).max(0.0), now).is_err();
            prop_assert_eq!(is_rejected, share > 0.0);
            calls += f64::from(u8::from(is_rejected));
        }
    }
}
