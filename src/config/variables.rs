//! Environment variables: ignores empty ones, and parses the one that sets the number of threads.

use std::{env, ffi::OsStr};

use clap::{Command, builder::Resettable};

/// Returns `command` without the variables that are empty in the environment of the process. An empty
/// variable counts as unset, because manifests and Compose files leave variables empty to omit them.
#[must_use]
pub fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|argument| {
            let is_unset = argument.get_env().is_some_and(is_empty);
            match is_unset {
                true => argument.env(Resettable::Reset),
                false => argument,
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// Returns an environment variable of the process. A value that is not UTF-8 is returned with
/// replacement characters, so that it is rejected later and not taken for unset.
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Parses `TOKIO_WORKER_THREADS`: a number of worker threads from 1 to 1024, or `None` if it is unset
/// or empty. The runtime itself would panic over an invalid number.
///
/// # Errors
///
/// Fails with a message that names the variable and the bounds.
pub fn worker_threads(text: Option<&str>) -> Result<Option<usize>, String> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| super::parsed::number(text, 1..=1_024))
        .transpose()
        .map_err(|problem| format!("{WORKER_THREADS_VARIABLE}: {problem}"))
}

/// The variable of the number of worker threads of Tokio's runtime.
pub const WORKER_THREADS_VARIABLE: &str = "TOKIO_WORKER_THREADS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_threads_are_a_number_or_unset() {
        assert_eq!(worker_threads(None), Ok(None));
        assert_eq!(worker_threads(Some("")), Ok(None));
        assert_eq!(worker_threads(Some("3")), Ok(Some(3)));
        for text in ["0", "-1", "two", " 2", "1025", "\u{fffd}"] {
            let problem = worker_threads(Some(text)).unwrap_err();
            assert!(problem.contains("TOKIO_WORKER_THREADS: "), "{problem}");
        }
    }
}
