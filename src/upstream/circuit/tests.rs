use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(50);

fn circuit() -> (Circuit, Instant) {
    (Circuit::new(true), Instant::now())
}

/// Makes calls one step apart, of which upstream fails all or none, and returns how many were
/// refused here. The lots are those of a low-discrepancy sequence.
fn calls(circuit: &Circuit, now: &mut Instant, count: u32, is_up: bool) -> u32 {
    (0..count)
        .filter(|number| {
            *now += STEP;
            let lot = (f64::from(*number) * 0.618_034).fract();
            let is_refused = circuit.enter(lot, *now).is_err();
            match is_refused {
                true => {}
                false if is_up => circuit.succeed(*now),
                false => circuit.fail(*now),
            }
            is_refused
        })
        .count() as u32
}

#[test]
fn an_upstream_that_fails_is_asked_a_tenth_as_often_and_all_the_time_once_it_is_back() {
    let (circuit, mut now) = circuit();
    assert_eq!(calls(&circuit, &mut now, 100, true), 0);

    calls(&circuit, &mut now, 200, false);
    let refused = calls(&circuit, &mut now, 1_000, false);
    assert!((880..=920).contains(&refused), "{refused}");
    assert_eq!(circuit.state(now).refused_share, MAX_REFUSED);
    assert_eq!(circuit.state(now).opened, 1);

    let refused = calls(&circuit, &mut now, 60, true);
    assert!(refused < 40, "{refused}");
    assert_eq!(calls(&circuit, &mut now, 1_000, true), 0);
}

#[test]
fn fewer_than_20_calls_say_nothing() {
    let (circuit, mut now) = circuit();
    assert_eq!(calls(&circuit, &mut now, 19, false), 0);
    assert_eq!(circuit.state(now).refused_share, 0.0);
    calls(&circuit, &mut now, 1, false);
    assert!(circuit.state(now).refused_share > 0.0);
}

#[test]
fn what_was_10_seconds_ago_is_forgotten() {
    let (circuit, mut now) = circuit();
    calls(&circuit, &mut now, 100, false);
    assert_eq!(circuit.state(now + WINDOW + PART).refused_share, 0.0);
}

#[test]
fn a_circuit_that_is_off_refuses_nothing() {
    let (circuit, mut now) = (Circuit::new(false), Instant::now());
    assert_eq!(calls(&circuit, &mut now, 1_000, false), 0);
    assert_eq!(circuit.state(now).failures, 1_000);
}

proptest! {
    /// Ten seconds are not over, so nothing is forgotten but by recovery.
    #[test]
    fn the_share_is_that_of_the_book(
        outcomes in proptest::collection::vec((any::<bool>(), 0u64..20), 1..500),
    ) {
        let (circuit, mut now) = circuit();
        let (mut calls, mut accepted, mut in_a_row, mut is_open) = (0.0, 0.0, 0, false);
        for (is_up, pause) in outcomes {
            now += Duration::from_millis(pause);
            calls += 1.0;
            if is_up {
                accepted += 1.0;
                in_a_row += 1;
                circuit.succeed(now);
            } else {
                in_a_row = 0;
                circuit.fail(now);
            }
            let share_of_the_book = match calls {
                0.0..20.0 => 0.0,
                _ if in_a_row >= RECOVERED => 0.0,
                _ => ((calls - K * accepted) / (calls + 1.0)).clamp(0.0, MAX_REFUSED),
            };
            if is_open && in_a_row >= RECOVERED {
                (calls, accepted) = (0.0, 0.0);
            }
            if !is_up || in_a_row >= RECOVERED {
                is_open = share_of_the_book > 0.0;
            }
            let share = circuit.state(now).refused_share;
            prop_assert!((share - share_of_the_book).abs() < 1e-9);
            prop_assert_eq!(circuit.enter(share, now), Ok(()));
            // What is refused here counts as a call as well.
            let is_refused = circuit.enter((share - 1e-9).max(0.0), now).is_err();
            prop_assert_eq!(is_refused, share > 0.0);
            calls += f64::from(u8::from(is_refused));
        }
    }
}
