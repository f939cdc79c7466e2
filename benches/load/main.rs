//! Load scenarios: the built program under load, compared with bounds.
//!
//! `cargo bench --bench load -- [--short] SCENARIO…` runs scenarios by name, `all` runs every one. Each
//! starts replicas of the program and an emulator in this process, prints every figure beside its bound,
//! and makes the exit code 1 if a figure exceeds its bound. `--short` shortens them.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a command-line program; a panic must stop the measurement"
)]

mod cache_effect;
mod cache_hit;
mod cache_memory;
mod cancelled;
mod circuit_breaker;
mod closed_loop;
mod connection_age;
mod emulator;
mod open_loop;
mod overload;
mod quota;
mod replica;
mod report;
mod saturation;
mod scrape;
mod soak;
mod upstream;

use std::{env, pin::Pin, process::ExitCode};

use mimalloc::MiMalloc;

use self::report::Report;

/// The program's allocator, so that the bare service of [`cache_hit`] differs in nothing else.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs a scenario, in its short form if the argument is `true`.
type Run = fn(bool) -> Pin<Box<dyn Future<Output = Report>>>;

/// The only list of the scenarios, in the order in which `all` runs them. `docs/benchmarks.md` has the
/// results of each.
const SCENARIOS: [(&str, Run); 15] = [
    ("fixed_rate", |is_short| {
        Box::pin(quota::fixed_rate(is_short))
    }),
    ("adaptive_rate", |is_short| {
        Box::pin(quota::adaptive_rate(is_short))
    }),
    ("replicas", |_| Box::pin(quota::replicas())),
    ("limit_change", |is_short| {
        Box::pin(quota::limit_change(is_short))
    }),
    ("circuit_breaker", |is_short| {
        Box::pin(circuit_breaker::run(is_short))
    }),
    ("cancelled", |is_short| Box::pin(cancelled::run(is_short))),
    ("emulator", |is_short| Box::pin(emulator::run(is_short))),
    ("cache_effect", |is_short| {
        Box::pin(cache_effect::run(is_short))
    }),
    ("cache_memory", |_| Box::pin(cache_memory::run())),
    ("cache_hit", |is_short| Box::pin(cache_hit::run(is_short))),
    ("overload", |is_short| Box::pin(overload::run(is_short))),
    ("saturation", |is_short| Box::pin(saturation::run(is_short))),
    ("scrape", |_| Box::pin(scrape::run())),
    ("connection_age", |_| Box::pin(connection_age::run())),
    ("soak", |is_short| Box::pin(soak::run(is_short))),
];

const USAGE_ERROR: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    if arguments == [cache_hit::BARE] {
        cache_hit::serve_bare().await;
    }
    let (flags, names): (Vec<_>, Vec<_>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|it| it.starts_with("--"));
    let is_short = flags == ["--short"];
    let unknown = flags.iter().find(|flag| **flag != "--short");
    let unknown = unknown.or_else(|| names.iter().find(|name| selected(name).next().is_none()));
    if let Some(unknown) = unknown {
        println!("unknown argument `{unknown}`; {}", usage());
        return ExitCode::from(USAGE_ERROR);
    }
    if names.is_empty() {
        println!("{}", usage());
    }

    let mut is_within_bounds = true;
    for (name, run) in names.into_iter().flat_map(selected) {
        let report = run(is_short).await;
        println!("{name}\n{report}");
        is_within_bounds &= report.is_within_bounds();
    }
    if is_within_bounds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the scenario of this name, or every scenario for `all`.
fn selected(argument: &str) -> impl Iterator<Item = &'static (&'static str, Run)> {
    SCENARIOS
        .iter()
        .filter(move |(name, _)| argument == "all" || argument == *name)
}

fn usage() -> String {
    let names = SCENARIOS.map(|(name, _)| name);
    format!(
        "usage: [--short] SCENARIO…, with `all` or these scenarios: {}",
        names.join(" ")
    )
}
