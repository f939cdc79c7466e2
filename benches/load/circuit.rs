//! Upstream goes down under load, and comes back.

use std::time::Duration;

use iai_facade::emulator::Emulator;
use tokio::time::sleep;

use crate::{
    callers::{self, Caller, Outcome},
    replica::Replica,
    report::Report,
    upstream,
};

/// How long it works before it goes down, and how long it is watched after its return.
const UP: Duration = Duration::from_secs(10);

/// By when most calls must be refused, and by when they must succeed again.
const TO_OPEN: Duration = Duration::from_secs(10);
const TO_CLOSE: Duration = Duration::from_secs(5);

pub(crate) async fn run(is_short: bool) -> Report {
    let down = Duration::from_secs(if is_short { 20 } else { 60 });
    let emulator = upstream::start().await;
    let address = emulator.address();
    let replica = Replica::start(&emulator.endpoint(), &[]);

    let callers = (0..20).map(|number| Caller {
        number,
        service: replica.address,
        rate: 5.0,
        timeout: Duration::from_secs(2),
    });
    let running = callers::run(callers.collect(), UP + down + TO_CLOSE + UP);
    let outage = async {
        sleep(UP).await;
        emulator.stop().await;
        sleep(down).await;
        Emulator::start(address, upstream::fixtures())
            .await
            .unwrap()
    };
    let (outcomes, _emulator) = tokio::join!(running, outage);

    let back = UP + down;
    let mut report = Report::default();
    let before = share(&outcomes, Duration::ZERO, UP, Outcome::is_ok);
    report.at_least(99.9, "succeed before, %", before);
    let is_refused = |outcome: &Outcome| {
        let delay = outcome.error.as_ref().and_then(|(_, delay)| *delay);
        outcome.is("CIRCUIT_OPEN") && delay == Some(Duration::from_secs(1))
    };
    let refused = share(&outcomes, UP + TO_OPEN, back, is_refused);
    report.at_least(85.0, "refused without an attempt, with a delay, %", refused);
    let after = share(
        &outcomes,
        back + TO_CLOSE,
        back + TO_CLOSE + UP,
        Outcome::is_ok,
    );
    report.at_least(99.0, "succeed 5 s after the return, %", after);
    report
}

/// Returns the share of the calls made between two moments of which something holds, in percent.
fn share(
    outcomes: &[Outcome],
    from: Duration,
    to: Duration,
    holds: impl Fn(&Outcome) -> bool,
) -> f64 {
    let calls = outcomes.iter().filter(|it| (from..to).contains(&it.at));
    let (all, those) = calls.fold((0, 0), |(all, those), outcome| {
        (all + 1, those + u32::from(holds(outcome)))
    });
    100.0 * f64::from(those) / f64::from(all)
}
