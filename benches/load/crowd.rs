//! Four times as many callers as there are places, where it is the two cores that are short: the
//! callers, the service and upstream share them, and upstream answers at once.
//!
//! The callers do as they are told: whoever is refused waits before the next call. Callers who do not
//! would need most of the two cores only to call, and to be refused.

use std::time::Duration;

use crate::{
    replica::Replica,
    report::Report,
    swarm::{self, Tally},
    upstream,
};

/// How many calls may be in progress, unless it is set otherwise.
const PLACES: usize = 1_024;

/// How many times as many callers there are as in the measurement before.
const OVERLOAD: usize = 4;

/// What the process may hold in memory.
const MAX_RESIDENT_MIB: f64 = 256.0;

pub(crate) async fn run(is_short: bool) -> Report {
    let duration = Duration::from_secs(if is_short { 8 } else { 20 });
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &[]);
    // Connections are opened, and tables have their size.
    swarm::run(replica.address, PLACES, Duration::from_secs(2)).await;

    let mut report = Report::default();
    let mut before: Option<f64> = None;
    // A quarter of the places keeps the two cores busy already, and costs the least for each call.
    for callers in [PLACES / OVERLOAD, PLACES, PLACES * OVERLOAD] {
        let Tally { answered, refused } = swarm::run(replica.address, callers, duration).await;
        let goodput = answered as f64 / duration.as_secs_f64();
        report.note(
            format!("{callers} callers: answered, calls a second"),
            goodput,
        );
        let refused = refused as f64 / duration.as_secs_f64();
        let name = format!("{callers} callers: refused, calls a second");
        match callers > PLACES {
            true => report.note(name, refused),
            false => report.at_most(0.0, name, refused),
        }
        if let Some(before) = before {
            let share = 100.0 * goodput / before;
            report.at_least(
                80.0,
                "answered, % of what a quarter of the callers is",
                share,
            );
        }
        before = Some(goodput);
    }
    let resident = replica.resident() as f64 / f64::from(1 << 20);
    report.at_most(MAX_RESIDENT_MIB, "resident afterwards, MiB", resident);
    report
}
