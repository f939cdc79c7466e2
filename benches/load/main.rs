//! What the service does under load, held to what is promised of it.
//!
//! `cargo bench --bench load -- [--short] SCENARIO…` runs scenarios by name, each against replicas of
//! the built program and an emulator in this process. It prints what was measured beside its bound,
//! and ends with 1 if a bound was broken.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people, which has no use for a load that did not happen"
)]

mod abandoned;
mod callers;
mod circuit;
mod crowd;
mod endings;
mod hit;
mod leverage;
mod memory;
mod overload;
mod quota;
mod replica;
mod report;
mod soak;
mod swarm;
mod upstream;

use std::{env, process::ExitCode};

use mimalloc::MiMalloc;

use self::report::Report;

/// As in the program, so that what is compared with it differs in nothing else.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The names of the scenarios, in the order in which they run.
const SCENARIOS: [&str; 13] = [
    "rate",
    "adaptive",
    "replicas",
    "changes",
    "circuit",
    "abandoned",
    "leverage",
    "memory",
    "hit",
    "overload",
    "crowd",
    "endings",
    "soak",
];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    if arguments == [hit::BARE] {
        hit::serve_bare().await;
    }
    let (flags, names): (Vec<_>, Vec<_>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|it| it.starts_with("--"));
    if names.is_empty() {
        println!("name what to run: {}", SCENARIOS.join(" "));
    }
    let is_short = flags == ["--short"];
    if !is_short && !flags.is_empty() {
        println!("there is no flag but --short");
        return ExitCode::from(64);
    }

    let mut is_kept = true;
    for name in names {
        let report: Report = match name {
            "rate" => quota::rate(is_short).await,
            "adaptive" => quota::adaptive(is_short).await,
            "replicas" => quota::replicas().await,
            "changes" => quota::changes(is_short).await,
            "circuit" => circuit::run(is_short).await,
            "abandoned" => abandoned::run(is_short).await,
            "leverage" => leverage::run(is_short).await,
            "memory" => memory::run(is_short).await,
            "hit" => hit::run(is_short).await,
            "crowd" => crowd::run(is_short).await,
            "overload" => overload::run(is_short).await,
            "endings" => endings::run().await,
            "soak" => soak::run(is_short).await,
            _ => {
                println!(
                    "there is no scenario `{name}`, only: {}",
                    SCENARIOS.join(" ")
                );
                return ExitCode::from(64);
            }
        };
        println!("{name}\n{report}");
        is_kept &= report.is_kept();
    }
    if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
