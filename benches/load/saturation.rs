//! Throughput at saturation: four times as many callers as calls may be in progress, with an upstream
//! that responds at once, so that the two cores are the bottleneck. Callers, service and upstream share
//! them, and the bounds hold for the calls served per second of processor time of these three: what other
//! processes of the machine take does not count.
//!
//! The callers obey the retry hint: after a rejection they wait before the next call. Callers that do not
//! would spend most of the two cores on sending calls that are rejected.

use std::{array, process, time::Duration};

use crate::{
    closed_loop,
    replica::{self, Replica},
    report::Report,
    upstream,
};

/// The default of `--max-concurrent-calls`.
const MAX_CONCURRENT_CALLS: usize = 1_024;

/// The ratio of the callers of two successive measurements.
const FACTOR: usize = 4;

/// Upper bound of the resident memory of the process.
const MAX_RESIDENT_MIB: f64 = 256.0;

/// A quarter of the limit saturates both cores already, and has the lowest cost per call.
const CALLERS: [usize; 3] = [
    MAX_CONCURRENT_CALLS / FACTOR,
    MAX_CONCURRENT_CALLS,
    MAX_CONCURRENT_CALLS * FACTOR,
];

/// Number of rounds, which measure all numbers of callers in turn. The speed of a shared machine changes
/// by a fifth within seconds, so the reported figures are medians, and shares are those within a round.
const ROUNDS: usize = 7;

/// Before each round, not measured: lets tables grow, and the calls end that the previous round has
/// cancelled.
const WARM_UP: Duration = Duration::from_secs(1);

pub(crate) async fn run(is_short: bool) -> Report {
    let duration = Duration::from_secs(if is_short { 2 } else { 5 });
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &[]);

    let mut served = [[0.0; ROUNDS]; CALLERS.len()];
    let mut efficiency = [[0.0; ROUNDS]; CALLERS.len()];
    let mut rejected = [[0.0; ROUNDS]; CALLERS.len()];
    for round in 0..ROUNDS {
        closed_loop::run(replica.address, MAX_CONCURRENT_CALLS, WARM_UP).await;
        for (place, callers) in CALLERS.into_iter().enumerate() {
            let before = processor_time(&replica);
            let counts = closed_loop::run(replica.address, callers, duration).await;
            let processor_time = processor_time(&replica) - before;
            served[place][round] = counts.served as f64 / duration.as_secs_f64();
            efficiency[place][round] = counts.served as f64 / processor_time.as_secs_f64();
            rejected[place][round] = counts.rejected as f64 / duration.as_secs_f64();
        }
    }

    let mut report = Report::default();
    for (place, callers) in CALLERS.into_iter().enumerate() {
        let name = format!("{callers} callers: served per second");
        report.note(name, median(served[place]));
        let name = format!("{callers} callers: served per second of processor time");
        report.note(name, median(efficiency[place]));
        let name = format!("{callers} callers: rejected per second");
        match callers > MAX_CONCURRENT_CALLS {
            true => report.note(name, median(rejected[place])),
            false => report.at_most(0.0, name, rejected[place].into_iter().sum()),
        }
        if place > 0 {
            let shares: [f64; ROUNDS] = array::from_fn(|round| {
                100.0 * efficiency[place][round] / efficiency[place - 1][round]
            });
            let name = "processor time: served, % of a quarter of the callers";
            report.at_least(80.0, name, median(shares));
        }
    }
    let resident = replica.resident() as f64 / f64::from(1 << 20);
    report.at_most(MAX_RESIDENT_MIB, "resident afterwards, MiB", resident);
    report
}

/// Returns the processor time of the service, and of this process with the callers and the upstream.
fn processor_time(replica: &Replica) -> Duration {
    replica.processor_time() + replica::processor_time(process::id())
}

fn median(mut figures: [f64; ROUNDS]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[ROUNDS / 2]
}
