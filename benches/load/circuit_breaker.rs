//! The circuit breaker through an outage: upstream stops under load, and starts again.

use std::time::Duration;

use iai_emulator::Emulator;
use tokio::time::sleep;

use crate::{
    open_loop::{self, Caller, Outcome},
    replica::Replica,
    report::Report,
    upstream,
};

/// How long upstream is up before the outage, and how long success is measured after it.
const UP: Duration = Duration::from_secs(10);

/// How long the circuit breaker may take to open, and to close after the outage.
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
    let running = open_loop::run(callers.collect(), UP + down + TO_CLOSE + UP);
    let outage = async {
        sleep(UP).await;
        emulator.stop().await;
        sleep(down).await;
        Emulator::start(address, upstream::fixtures())
            .await
            .unwrap()
    };
    let (outcomes, _emulator) = tokio::join!(running, outage);

    let end_of_outage = UP + down;
    let mut report = Report::default();
    let before = share(&outcomes, Duration::ZERO, UP, Outcome::is_ok);
    report.at_least(99.9, "succeed before the outage, %", before);
    let is_rejected = |outcome: &Outcome| {
        let delay = outcome.error.as_ref().and_then(|(_, delay)| *delay);
        outcome.is("CIRCUIT_OPEN") && delay == Some(Duration::from_secs(1))
    };
    let rejected = share(&outcomes, UP + TO_OPEN, end_of_outage, is_rejected);
    report.at_least(
        85.0,
        "rejected without an attempt, with a retry delay, %",
        rejected,
    );
    let after = share(
        &outcomes,
        end_of_outage + TO_CLOSE,
        end_of_outage + TO_CLOSE + UP,
        Outcome::is_ok,
    );
    report.at_least(99.0, "succeed from 5 s after the outage, %", after);
    report
}

/// Returns the share, in percent, of the calls started between two times for which `predicate` holds.
fn share(
    outcomes: &[Outcome],
    from: Duration,
    to: Duration,
    predicate: impl Fn(&Outcome) -> bool,
) -> f64 {
    let calls = outcomes.iter().filter(|it| (from..to).contains(&it.at));
    let (total, matching) = calls.fold((0, 0), |(total, matching), outcome| {
        (total + 1, matching + u32::from(predicate(outcome)))
    });
    100.0 * f64::from(matching) / f64::from(total)
}
