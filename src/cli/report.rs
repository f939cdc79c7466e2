//! Errors of commands: reports them in the log or as text, and returns the exit code.

use std::{env, error::Error, process::ExitCode};

use super::{output::print_error, probe::Outcome};
use crate::{
    config::{self, ALWAYS_LOGGED, Format, Problems},
    error_chain::error_chain,
    telemetry::{LogControl, StartError},
};

/// Exit code of configuration and usage errors (`EX_USAGE` of `sysexits.h`).
const EX_USAGE: u8 = 64;

/// The error of a command.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// A usage error, with the message of the argument parser.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Reports a usage error: as a log line for commands that log in JSON, otherwise as text.
pub fn usage_error(problem: &str) -> ExitCode {
    let command = env::args_os().nth(1).unwrap_or_default();
    let is_logged = command == "serve" || command == "emulate";
    if is_logged && log_format() == Format::Json {
        return match LogControl::start(Format::Json) {
            Ok(log) => finish(Err(Usage(problem.to_owned()).into()), Format::Json, &log),
            Err(error) => without_log(&error),
        };
    }
    print_error(problem);
    match command == "probe" {
        true => Outcome::BadArguments.into(),
        false => ExitCode::from(EX_USAGE),
    }
}

/// Starts the log and runs a command with it.
pub(super) async fn logged<F>(command: impl FnOnce(LogControl) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    let format = log_format();
    match LogControl::start(format) {
        Ok(log) => finish(command(log.clone()).await, format, &log),
        Err(error) => without_log(&error),
    }
}

/// Returns the log format from the unparsed arguments and variables.
fn log_format() -> Format {
    config::intended_log_format(env::args_os(), env::var_os(config::LOG_FORMAT_VARIABLE))
}

/// Reports the error of a command, if any, and returns the exit code.
fn finish(outcome: Result<(), Failure>, format: Format, log: &LogControl) -> ExitCode {
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_usage = error.is::<Problems>() || error.is::<Usage>();
            let text = error_chain(&*error);
            match format {
                Format::Text => log.write(&format!("iai-facade: {text}\n")),
                Format::Json if error.is::<Problems>() => text.lines().for_each(|problem| {
                    tracing::error!(target: ALWAYS_LOGGED, { error.message = problem }, "invalid configuration");
                }),
                Format::Json if is_usage => {
                    tracing::error!(target: ALWAYS_LOGGED, { error.message = text }, "invalid arguments");
                }
                Format::Json => {
                    tracing::error!(target: ALWAYS_LOGGED, { error.message = text }, "cannot start");
                }
            }
            match is_usage {
                true => ExitCode::from(EX_USAGE),
                false => ExitCode::FAILURE,
            }
        }
    };
    log.flush();
    code
}

fn without_log(error: &StartError) -> ExitCode {
    print_error(&format!("iai-facade: {}", error_chain(error)));
    ExitCode::FAILURE
}
