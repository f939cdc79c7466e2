//! Standard output and standard error.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Writes a line to standard error.
#[expect(
    clippy::print_stderr,
    reason = "there may be no log, and the text is for human readers"
)]
pub fn print_error(problem: &str) {
    eprintln!("{problem}");
}

/// Writes to standard output. A reader that closes it early is no error.
pub(super) fn print(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            print_error(&format!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
