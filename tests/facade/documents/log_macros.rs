//! The macros that write log lines, in the sources of the program: their levels, fields and messages.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The macros that write a line or open a span.
const MACROS: [&str; 7] = [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "info_span",
];

/// A macro in a source file.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogMacro<'a> {
    /// Its name, which is that of its level except for `event` and `info_span`.
    pub(super) name: &'static str,
    /// The text between its parentheses.
    pub(super) arguments: &'a str,
}

/// Returns the macros of a source file without its tests, in their order.
pub(super) fn log_macros(source: &str) -> Vec<LogMacro<'_>> {
    let source = source.split("#[cfg(test)]\n").next().unwrap();
    let mut found = Vec::new();
    for name in MACROS {
        let start = format!("::{name}!(");
        found.extend(source.match_indices(&start).map(|(at, _)| {
            let arguments = arguments(&source[at + start.len()..]);
            (at, LogMacro { name, arguments })
        }));
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, found)| found).collect()
}

impl LogMacro<'_> {
    /// Returns the names of its fields, in their order.
    pub(super) fn fields(self) -> Vec<String> {
        names(self.arguments)
    }

    /// Returns the literal at the end of its arguments, or `None` if they end with anything else.
    pub(super) fn message(self) -> Option<String> {
        let text = self.arguments.trim_end().trim_end_matches(',');
        let (_, literal) = text.strip_suffix('"')?.rsplit_once('"')?;
        let mut lines = literal.lines();
        let mut message = lines.next().unwrap_or_default().to_owned();
        for line in lines {
            message = message.trim_end_matches('\\').to_owned() + line.trim_start();
        }
        Some(message)
    }
}

/// Returns the source files of the program, without those of tests.
pub(super) fn program_sources() -> Vec<PathBuf> {
    let folders = ["src", "crates"].map(Path::new);
    folders.into_iter().flat_map(sources).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() && name != "tests" {
            paths.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && name != "tests.rs" {
            paths.push(path);
        }
    }
    paths
}

/// Returns the names of the fields among the arguments of a macro.
fn names(arguments: &str) -> Vec<String> {
    let mut names = Vec::new();
    for argument in split(arguments) {
        let argument = without_comments(argument);
        let argument = argument.trim();
        if let Some(group) = argument.strip_prefix('{') {
            names.extend(self::names(group.trim_end_matches('}')));
            continue;
        }
        let is_other = ["target:", "parent:", "Level::", "\""]
            .iter()
            .any(|prefix| argument.starts_with(prefix));
        if !is_other && !argument.is_empty() {
            let name = argument.split(" = ").next().unwrap();
            names.push(name.trim_start_matches(['%', '?']).to_owned());
        }
    }
    names
}

fn without_comments(argument: &str) -> String {
    let lines = argument.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// Splits arguments at the commas outside of brackets, literals and comments.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0, 0);
    let (mut is_literal, mut is_comment, mut last) = (false, false, ' ');
    let mut parts = Vec::new();
    for (at, character) in arguments.char_indices() {
        match character {
            '\n' => is_comment = false,
            _ if is_comment => {}
            '"' if last != '\\' => is_literal = !is_literal,
            _ if is_literal => {}
            '/' if last == '/' => is_comment = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&arguments[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        last = character;
    }
    parts.push(&arguments[start..]);
    parts
}

/// Returns the text up to the parenthesis that closes a macro.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    let mut is_literal = false;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_literal => is_escaped = true,
            '"' => is_literal = !is_literal,
            '(' if !is_literal => depth += 1,
            ')' if !is_literal => {
                depth -= 1;
                if depth == 0 {
                    return &text[..at];
                }
            }
            _ => {}
        }
    }
    text
}
