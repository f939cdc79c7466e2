//! Many callers who ask for more than a small account may have.

use std::{collections::BTreeMap, time::Duration};

use iai_facade::emulator::Emulator;
use tokio::time::sleep;

use crate::{
    callers::{self, Caller, Outcome},
    replica::Replica,
    report::Report,
    upstream,
};

/// What the account may make, in calls a second.
const LIMIT: u32 = 20;

/// How many callers there are, of whom the first asks as often as all the others together.
const CALLERS: usize = 50;

/// What they ask for together, in calls a second.
const DEMAND: f64 = 200.0;

/// How long they wait.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a rate that must be found out is given to be found.
const SETTLING: Duration = Duration::from_secs(5);

/// The rate is set to what the account may make.
pub(crate) async fn rate(is_short: bool) -> Report {
    let emulator = upstream::start().await;
    emulator.limit_rate(Some(LIMIT));
    let replica = Replica::start(&emulator.endpoint(), &["--upstream-rate", "20"]);

    let duration = duration(is_short);
    let running = callers::run(crowd(&[&replica], DEMAND), duration);
    let (outcomes, (used, throttled)) = tokio::join!(running, usage(&emulator, duration, LIMIT));

    let mut report = Report::default();
    report.at_least(95.0, "of the limit used, %", used);
    report.at_most(0.5, "of upstream's answers throttled, %", throttled);
    report.at_least(
        0.5,
        "least caller's part of a fair share",
        least_share(&outcomes),
    );
    let mut refused: Vec<&Outcome> = outcomes.iter().filter(|it| it.is("RATE_LIMITED")).collect();
    refused.sort_by_key(|outcome| outcome.took);
    report.note("calls refused, %", percent(refused.len(), outcomes.len()));
    let median = refused.get(refused.len() / 2);
    let median = median.map_or(f64::NAN, |it| it.took.as_secs_f64() * 1_000.0);
    report.at_most(5.0, "refused within, median, ms", median);
    // Those who wait are refused later if so many others come that their turn would be too late.
    let (at_once, later): (Vec<&Outcome>, Vec<&Outcome>) =
        refused.iter().partition(|it| it.took < TIMEOUT / 50);
    let later = percent(later.len(), refused.len());
    report.note("of these refused when others had come, %", later);
    // Whoever would wait for less than its deadline is not refused, and nobody waits for more than
    // one call of each other before each of its own.
    let delays = at_once.iter().filter_map(|it| it.error.as_ref()?.1);
    report.at_most(
        0.0,
        "refusals without a delay",
        (at_once.len() - delays.clone().count()) as f64,
    );
    let delays: Vec<f64> = delays.map(|delay| delay.as_secs_f64()).collect();
    report.at_least(
        4.8,
        "shortest delay that a refusal asks for, s",
        least(&delays),
    );
    let longest = delays.iter().copied().fold(0.0, f64::max);
    report.at_most(10.0, "longest delay that a refusal asks for, s", longest);
    note_failures(&mut report, &outcomes);
    report
}

/// Nothing is set: the rate is found out.
pub(crate) async fn adaptive(is_short: bool) -> Report {
    let emulator = upstream::start().await;
    emulator.limit_rate(Some(LIMIT));
    let replica = Replica::start(&emulator.endpoint(), &[]);

    let duration = duration(is_short);
    let running = callers::run(crowd(&[&replica], DEMAND), SETTLING + duration);
    let (outcomes, (used, throttled)) =
        tokio::join!(running, settled_usage(&emulator, duration, LIMIT));

    let mut report = Report::default();
    report.at_least(80.0, "of the limit used, %", used);
    report.at_most(5.0, "of upstream's answers throttled, %", throttled);
    report.note(
        "least caller's part of a fair share",
        least_share(&outcomes),
    );
    note_failures(&mut report, &outcomes);
    report
}

/// Three replicas that do not know of each other find out what each may have.
pub(crate) async fn replicas() -> Report {
    let emulator = upstream::start().await;
    emulator.limit_rate(Some(LIMIT));
    let replicas = [(); 3].map(|()| Replica::start(&emulator.endpoint(), &[]));

    // Their shares swing for some seconds at a time: in 15 s one may have less.
    let duration = duration(false);
    let callers = crowd(&replicas.iter().collect::<Vec<_>>(), DEMAND);
    let running = callers::run(callers, SETTLING + duration);
    let (outcomes, (used, throttled)) =
        tokio::join!(running, settled_usage(&emulator, duration, LIMIT));

    let mut report = Report::default();
    report.at_least(80.0, "of the limit used, %", used);
    report.at_most(10.0, "of upstream's answers throttled, %", throttled);
    let settled = || outcomes.iter().filter(|it| it.is_ok() && it.at >= SETTLING);
    let shares = [0, 1, 2].map(|replica| {
        let of_replica = settled().filter(|it| it.caller / CALLERS == replica);
        percent(of_replica.count(), settled().count())
    });
    report.at_least(20.0, "least replica's share of it all, %", least(&shares));
    note_failures(&mut report, &outcomes);
    report
}

/// The account's limit changes while calls are made.
pub(crate) async fn changes(is_short: bool) -> Report {
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &[]);
    let following = Duration::from_secs(10);
    let duration = duration(is_short) / 2;
    let limits = [20, 5, 50];

    let whole = (following + duration) * u32::try_from(limits.len()).unwrap();
    let running = tokio::spawn(callers::run(crowd(&[&replica], DEMAND), whole));
    let mut report = Report::default();
    for limit in limits {
        emulator.limit_rate(Some(limit));
        sleep(following).await;
        let (used, throttled) = usage(&emulator, duration, limit).await;
        report.at_least(
            80.0,
            format!("of a limit of {limit} used 10 s later, %"),
            used,
        );
        report.at_most(15.0, "of upstream's answers throttled, %", throttled);
    }
    note_failures(&mut report, &running.await.unwrap());
    report
}

/// Returns callers who ask so many calls a second of each replica's share, the first of each replica
/// as many as its others together.
fn crowd(replicas: &[&Replica], demand: f64) -> Vec<Caller> {
    let demand = demand / replicas.len() as f64 / 2.0;
    let callers = replicas.iter().enumerate().flat_map(|(place, replica)| {
        (0..CALLERS).map(move |number| Caller {
            number: place * CALLERS + number,
            service: replica.address,
            rate: match number {
                0 => demand,
                _ => demand / (CALLERS - 1) as f64,
            },
            timeout: TIMEOUT,
        })
    });
    callers.collect()
}

/// Returns how much of a limit upstream's answers use from now on, and how many of them are
/// refusals for their rate, both in percent.
async fn usage(emulator: &Emulator, duration: Duration, limit: u32) -> (f64, f64) {
    let before = upstream::answered(emulator);
    sleep(duration).await;
    let after = upstream::answered(emulator);
    let (all, throttled) = (after.0 - before.0, after.1 - before.1);
    let limit = duration.as_secs_f64() * f64::from(limit);
    let used = 100.0 * (all - throttled) as f64 / limit;
    (used, 100.0 * throttled as f64 / all as f64)
}

async fn settled_usage(emulator: &Emulator, duration: Duration, limit: u32) -> (f64, f64) {
    sleep(SETTLING).await;
    usage(emulator, duration, limit).await
}

/// Returns how much the caller got that got least, of what each would have got of equal shares.
fn least_share(outcomes: &[Outcome]) -> f64 {
    let mut served: BTreeMap<usize, u32> = (0..CALLERS).map(|caller| (caller, 0)).collect();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_ok()) {
        *served.entry(outcome.caller).or_default() += 1;
    }
    let fair = f64::from(served.values().sum::<u32>()) / served.len() as f64;
    let shares: Vec<f64> = served
        .values()
        .map(|calls| f64::from(*calls) / fair)
        .collect();
    least(&shares)
}

/// Adds how many calls failed for each reason.
fn note_failures(report: &mut Report, outcomes: &[Outcome]) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, _) in outcomes.iter().filter_map(|outcome| outcome.error.as_ref()) {
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, calls) in reasons {
        report.note(
            format!("of all calls {reason}, %"),
            percent(calls, outcomes.len()),
        );
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

fn least(figures: &[f64]) -> f64 {
    // Of nothing, or with what is no number among them, it is no number either, and keeps no bound.
    let least = figures
        .iter()
        .copied()
        .reduce(|least, figure| match least < figure {
            true => least,
            false if figure.is_nan() || least >= figure => figure,
            false => least,
        });
    least.unwrap_or(f64::NAN)
}

fn duration(is_short: bool) -> Duration {
    Duration::from_secs(if is_short { 15 } else { 60 })
}
