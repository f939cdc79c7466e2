//! The rate limiter under a load of ten times the account's quota.

use std::{collections::BTreeMap, time::Duration};

use iai_emulator::Emulator;
use tokio::time::sleep;

use crate::{
    open_loop::{self, Caller, Outcome},
    replica::Replica,
    report::Report,
    upstream,
};

/// The account's quota, in calls per second.
const LIMIT: u32 = 20;

/// Number of callers. The first sends as many calls as all the others together.
const CALLERS: usize = 50;

/// The load of all callers together, in calls per second.
const OFFERED_LOAD: f64 = 200.0;

/// The deadline of a call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The time that the adaptive rate gets to converge.
const CONVERGENCE: Duration = Duration::from_secs(5);

/// A fixed rate, set to the quota.
pub(crate) async fn fixed_rate(is_short: bool) -> Report {
    let emulator = upstream::start().await;
    emulator.set_rate_limit(Some(LIMIT));
    let replica = Replica::start(&emulator.endpoint(), &["--upstream-rate", "20"]);

    let duration = duration(is_short);
    let running = open_loop::run(callers(&[&replica], OFFERED_LOAD), duration);
    let (outcomes, (used, throttled)) =
        tokio::join!(running, quota_usage(&emulator, duration, LIMIT));

    let mut report = Report::default();
    report.at_least(95.0, "quota used, %", used);
    report.at_most(0.5, "upstream responses throttled, %", throttled);
    report.at_least(
        0.5,
        "smallest caller's part of its fair share",
        smallest_share(&outcomes),
    );
    let mut rejected: Vec<&Outcome> = outcomes.iter().filter(|it| it.is("RATE_LIMITED")).collect();
    rejected.sort_by_key(|outcome| outcome.took);
    report.note("calls rejected, %", percent(rejected.len(), outcomes.len()));
    let median = rejected.get(rejected.len() / 2);
    let median = median.map_or(f64::NAN, |it| it.took.as_secs_f64() * 1_000.0);
    report.at_most(5.0, "time to rejection, median, ms", median);
    // A waiting call is rejected later if calls of other callers move it behind its deadline.
    let (at_once, later): (Vec<&Outcome>, Vec<&Outcome>) =
        rejected.iter().partition(|it| it.took < TIMEOUT / 50);
    let later = percent(later.len(), rejected.len());
    report.note("of these rejected after waiting, %", later);
    // A call that would be served before its deadline is not rejected, and each call of a caller waits
    // for at most one call of each other caller.
    let delays = at_once.iter().filter_map(|it| it.error.as_ref()?.1);
    report.at_most(
        0.0,
        "rejections without a retry delay",
        (at_once.len() - delays.clone().count()) as f64,
    );
    let delays: Vec<f64> = delays.map(|delay| delay.as_secs_f64()).collect();
    report.at_least(4.8, "shortest retry delay, s", minimum(&delays));
    let longest = delays.iter().copied().fold(0.0, f64::max);
    report.at_most(10.0, "longest retry delay, s", longest);
    note_failures(&mut report, &outcomes);
    report
}

/// The default: an adaptive rate.
pub(crate) async fn adaptive_rate(is_short: bool) -> Report {
    let emulator = upstream::start().await;
    emulator.set_rate_limit(Some(LIMIT));
    let replica = Replica::start(&emulator.endpoint(), &[]);

    let duration = duration(is_short);
    let running = open_loop::run(callers(&[&replica], OFFERED_LOAD), CONVERGENCE + duration);
    let (outcomes, (used, throttled)) =
        tokio::join!(running, converged_quota_usage(&emulator, duration, LIMIT));

    let mut report = Report::default();
    report.at_least(80.0, "quota used, %", used);
    report.at_most(5.0, "upstream responses throttled, %", throttled);
    report.note(
        "smallest caller's part of its fair share",
        smallest_share(&outcomes),
    );
    note_failures(&mut report, &outcomes);
    report
}

/// Three replicas, each with its own adaptive rate, share the quota.
pub(crate) async fn replicas() -> Report {
    let emulator = upstream::start().await;
    emulator.set_rate_limit(Some(LIMIT));
    let replicas = [(); 3].map(|()| Replica::start(&emulator.endpoint(), &[]));

    // Always the long form: shares oscillate over seconds, so in 15 s one may be below the bound.
    let duration = duration(false);
    let callers = callers(&replicas.iter().collect::<Vec<_>>(), OFFERED_LOAD);
    let running = open_loop::run(callers, CONVERGENCE + duration);
    let (outcomes, (used, throttled)) =
        tokio::join!(running, converged_quota_usage(&emulator, duration, LIMIT));

    let mut report = Report::default();
    report.at_least(80.0, "quota used, %", used);
    report.at_most(10.0, "upstream responses throttled, %", throttled);
    let converged = || {
        outcomes
            .iter()
            .filter(|it| it.is_ok() && it.at >= CONVERGENCE)
    };
    let shares = [0, 1, 2].map(|replica| {
        let of_replica = converged().filter(|it| it.caller / CALLERS == replica);
        percent(of_replica.count(), converged().count())
    });
    report.at_least(20.0, "smallest share of a replica, %", minimum(&shares));
    note_failures(&mut report, &outcomes);
    report
}

/// The account's quota changes under load.
pub(crate) async fn limit_change(is_short: bool) -> Report {
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &[]);
    let convergence = Duration::from_secs(10);
    let duration = duration(is_short) / 2;
    let limits = [20, 5, 50];

    let total = (convergence + duration) * u32::try_from(limits.len()).unwrap();
    let running = tokio::spawn(open_loop::run(callers(&[&replica], OFFERED_LOAD), total));
    let mut report = Report::default();
    for limit in limits {
        emulator.set_rate_limit(Some(limit));
        sleep(convergence).await;
        let (used, throttled) = quota_usage(&emulator, duration, limit).await;
        report.at_least(
            80.0,
            format!("quota of {limit} used, 10 s after the change, %"),
            used,
        );
        report.at_most(15.0, "upstream responses throttled, %", throttled);
    }
    note_failures(&mut report, &running.await.unwrap());
    report
}

/// Returns the callers of all replicas, with `load` calls per second together. The first caller of each
/// replica makes as many calls as its others together.
fn callers(replicas: &[&Replica], load: f64) -> Vec<Caller> {
    let half = load / replicas.len() as f64 / 2.0;
    let callers = replicas.iter().enumerate().flat_map(|(index, replica)| {
        (0..CALLERS).map(move |number| Caller {
            number: index * CALLERS + number,
            service: replica.address,
            rate: match number {
                0 => half,
                _ => half / (CALLERS - 1) as f64,
            },
            timeout: TIMEOUT,
        })
    });
    callers.collect()
}

/// Measures for `duration`, and returns in percent which part of the quota was used, and which part of the
/// upstream responses was throttled.
async fn quota_usage(emulator: &Emulator, duration: Duration, limit: u32) -> (f64, f64) {
    let before = upstream::counts(emulator);
    sleep(duration).await;
    let after = upstream::counts(emulator);
    let total = after.total - before.total;
    let throttled = after.throttled - before.throttled;
    let quota = duration.as_secs_f64() * f64::from(limit);
    let used = 100.0 * (total - throttled) as f64 / quota;
    (used, 100.0 * throttled as f64 / total as f64)
}

async fn converged_quota_usage(emulator: &Emulator, duration: Duration, limit: u32) -> (f64, f64) {
    sleep(CONVERGENCE).await;
    quota_usage(emulator, duration, limit).await
}

/// Returns the served calls of the caller with the fewest, relative to its fair share.
fn smallest_share(outcomes: &[Outcome]) -> f64 {
    let mut served: BTreeMap<usize, u32> = (0..CALLERS).map(|caller| (caller, 0)).collect();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_ok()) {
        *served.entry(outcome.caller).or_default() += 1;
    }
    let fair = f64::from(served.values().sum::<u32>()) / served.len() as f64;
    let shares: Vec<f64> = served
        .values()
        .map(|calls| f64::from(*calls) / fair)
        .collect();
    minimum(&shares)
}

/// Adds the share of calls that failed for each reason.
fn note_failures(report: &mut Report, outcomes: &[Outcome]) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, _) in outcomes.iter().filter_map(|outcome| outcome.error.as_ref()) {
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, calls) in reasons {
        report.note(
            format!("calls failed with {reason}, %"),
            percent(calls, outcomes.len()),
        );
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

/// Returns the smallest figure, or NaN if there is none or one of them is NaN: NaN exceeds every bound.
fn minimum(figures: &[f64]) -> f64 {
    let minimum = figures
        .iter()
        .copied()
        .reduce(|minimum, figure| match minimum < figure {
            true => minimum,
            false if figure.is_nan() || minimum >= figure => figure,
            false => minimum,
        });
    minimum.unwrap_or(f64::NAN)
}

fn duration(is_short: bool) -> Duration {
    Duration::from_secs(if is_short { 15 } else { 60 })
}
