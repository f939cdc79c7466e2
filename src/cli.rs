//! Command line: parses the arguments, runs the command, and returns the exit code.

mod checked_settings;
mod emulate;
mod emulated_upstream;
mod fixtures;
mod output;
mod report;
mod serve;
mod signals;

pub mod call;
pub mod check;
pub mod client;
pub mod probe;

use std::{env, ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

use self::{
    call::{CallArgs, call},
    check::{CheckArgs, check},
    emulate::emulate,
    output::print,
    probe::{Outcome, ProbeArgs, probe},
    report::logged,
    serve::serve,
    signals::interruptible,
};
pub use self::{output::print_error, report::usage_error};
use crate::config::{self, EmulateArgs, ServeArgs};

/// A gRPC service in front of Tencent Cloud Face Recognition (IAI)
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gRPC API
    Serve(Box<ServeArgs>),
    /// Emulate the API of Tencent Cloud, for tests and demonstrations
    Emulate(Box<EmulateArgs>),
    /// Check whether serve would work with these settings, and say why not. Exit codes: 0 it works, 1 report
    /// not written, 2 connection failed, 3 call failed, 4 no credential, 5 clock wrong, 6 responses differ
    /// from the documentation, 64 invalid settings
    Check(Box<CheckArgs>),
    /// Make one call to a running server and print the response
    Call(Box<CallArgs>),
    /// Check the health of a running server. Exit codes: 0 serving, 1 invalid arguments, 2 connection
    /// failed, 3 call failed, 4 not serving
    Probe(Box<ProbeArgs>),
    /// Print a shell completion script
    Completions {
        /// Shell of the script
        shell: Shell,
    },
}

/// Runs the command that the arguments of the process name.
pub async fn run() -> ExitCode {
    match parse() {
        Ok(cli) => cli.command.run().await,
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => usage_error(&not_utf8()),
        Err(error) if error.use_stderr() => usage_error(error.render().to_string().trim()),
        Err(error) => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let matches = config::without_empty_variables(Cli::command()).try_get_matches();
    match matches {
        // The help names every variable, including empty ones.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Cli::try_parse(),
        matches => Cli::from_arg_matches(&matches?),
    }
}

/// Returns an error that names the argument or variable that is not UTF-8, which the parser does not
/// name.
fn not_utf8() -> String {
    let is_bad = |text: &OsString| text.to_str().is_none();
    let named = match env::args_os().skip(1).find(is_bad) {
        Some(argument) => format!("the argument `{}`", argument.display()),
        None => match env::vars_os().find(|(_, value)| is_bad(value)) {
            Some((name, _)) => format!("the variable {}", name.display()),
            None => "an argument".to_owned(),
        },
    };
    format!("error: {named} is not UTF-8")
}

impl Command {
    async fn run(self) -> ExitCode {
        match self {
            Self::Serve(args) => logged(|log| serve(*args, log)).await,
            Self::Emulate(args) => logged(|log| emulate(*args, log)).await,
            Self::Check(args) => interruptible(async || check(*args).await).await,
            Self::Call(args) => {
                interruptible(async || match call(*args).await {
                    Ok(response) => print(&response),
                    Err(problem) => {
                        print_error(&problem);
                        ExitCode::FAILURE
                    }
                })
                .await
            }
            Self::Probe(args) => {
                interruptible(async move || {
                    let (outcome, line) = probe(&args).await;
                    if outcome == Outcome::Serving {
                        return print(&line);
                    }
                    print_error(&line);
                    outcome.into()
                })
                .await
            }
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "iai-facade", &mut script);
                print(&String::from_utf8_lossy(&script))
            }
        }
    }
}
