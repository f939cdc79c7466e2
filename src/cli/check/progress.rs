//! Progress line: names the step in progress on a terminal, and nothing elsewhere.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use super::step::Step;

/// Moves to the start of the line and clears it (ECMA-48: CR, EL).
const CLEAR: &str = "\r\u{1b}[K";

/// A line on standard error that is replaced as the check proceeds.
pub(super) struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Creates the line; it is shown if standard error is a terminal that can clear a line.
    pub(super) fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal() && !is_dumb(),
        }
    }

    /// Shows the step.
    pub(super) fn show(&self, step: Step) {
        if self.is_shown {
            write(&format!("{CLEAR}checking {} …", step.name()));
        }
    }

    /// Removes the line, before a result is printed.
    pub(super) fn clear(&self) {
        if self.is_shown {
            write(CLEAR);
        }
    }
}

/// Returns whether the terminal understands no control sequences.
pub(super) fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Writes to standard error. A terminal that is gone is no error.
fn write(text: &str) {
    let mut stderr = io::stderr();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
