//! Text report: a line for each step, and what it found, within 80 columns.

use std::{
    env,
    fmt::Write,
    io::{self, IsTerminal},
    time::Duration,
};

use textwrap::{Options, WordSplitter};

use super::{
    advice::Advice,
    progress::is_dumb,
    step::{Finding, Status, StepResult},
};
use crate::cli::client::printable;

/// The width of the report, in columns.
const WIDTH: usize = 80;

/// The width of the columns before the summary: status, step and duration.
const COLUMNS: usize = 34;

/// The margin of what follows the summary: the width of the status.
const MARGIN: usize = 9;

/// The style of a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    is_colored: bool,
}

impl Style {
    /// Returns the style for standard output: colored on a terminal, unless `NO_COLOR` is set.
    pub(super) fn of_stdout() -> Self {
        let is_off = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_colored: io::stdout().is_terminal() && !is_off && !is_dumb(),
        }
    }

    fn paint(self, status: Status, text: &str) -> String {
        let color = match status {
            Status::Ok => "32",
            Status::Warning | Status::Differs => "33",
            Status::Failed => "31",
            Status::Skipped => "2",
        };
        match self.is_colored {
            true => format!("\u{1b}[{color}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// Formats the result of a step.
pub(super) fn step(result: &StepResult, style: Style) -> String {
    let StepResult {
        step,
        finding,
        duration,
    } = result;
    let status = style.paint(finding.status, &format!("{:<8}", finding.status.name()));
    let duration = duration.map_or(String::new(), milliseconds);
    let summary = wrapped(&finding.summary, COLUMNS, COLUMNS);
    let mut text = format!(
        "{status} {:<14} {duration:>8}  {}",
        step.name(),
        summary.trim_start()
    );
    for paragraph in paragraphs(finding) {
        let _ = write!(text, "\n{}", wrapped(&paragraph, MARGIN, MARGIN + 2));
    }
    text
}

/// Formats the end of the report.
pub(super) fn end(results: &[StepResult], is_offline: bool, style: Style) -> String {
    let with = |status| {
        let mut results = results.iter();
        results.find(move |result| result.finding.status == status)
    };
    let (status, text) = if let Some(failed) = with(Status::Failed) {
        let text = format!("The step {} failed.", failed.step.name());
        (Status::Failed, text)
    } else if with(Status::Differs).is_some() {
        let text = "The service works; responses differ from the documentation.";
        (Status::Differs, text.to_owned())
    } else if is_offline {
        (Status::Ok, "The settings are valid.".to_owned())
    } else if with(Status::Warning).is_some() {
        (
            Status::Warning,
            "The service works, with warnings.".to_owned(),
        )
    } else {
        (
            Status::Ok,
            "The service works with these settings.".to_owned(),
        )
    };
    format!("\n{}", style.paint(status, &text))
}

/// Returns what was found beside the summary.
fn paragraphs(finding: &Finding) -> Vec<String> {
    let mut paragraphs = finding.details.clone();
    let is_named = |code: &&String| !finding.summary.contains(code.as_str());
    if let Some(code) = finding.code.as_ref().filter(is_named) {
        paragraphs.push(format!("code: {code}"));
    }
    if let Some(request_id) = &finding.request_id {
        paragraphs.push(format!("RequestId: {request_id}"));
    }
    if let Some(Advice { cause, remedy }) = &finding.advice {
        paragraphs.push(format!("Likely cause: {cause}"));
        paragraphs.push(format!("What to do: {remedy}"));
    }
    paragraphs
}

/// Breaks a paragraph into lines of at most 80 columns, the first with a margin of `first` columns and the
/// others of `rest`. Paths, URLs and ids stay whole.
fn wrapped(text: &str, first: usize, rest: usize) -> String {
    let [first, rest] = [first, rest].map(|columns| " ".repeat(columns));
    let options = Options::new(WIDTH)
        .initial_indent(&first)
        .subsequent_indent(&rest)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(&printable(text), options)
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
