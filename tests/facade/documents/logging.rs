//! docs/logging.md against the fields of the log lines in the sources of the program.

use std::{collections::BTreeSet, fs};

use super::log_macros::{arguments, program_sources};

const DOCUMENT: &str = include_str!("../../../docs/logging.md");

/// The macros that write a line or open a span.
const MACROS: [&str; 7] = [
    "::trace!(",
    "::debug!(",
    "::info!(",
    "::warn!(",
    "::error!(",
    "::event!(",
    "::info_span!(",
];

#[test]
fn the_fields_of_a_call_are_documented_in_the_order_of_the_log() {
    let access_log = fs::read_to_string("src/server/access_log.rs").unwrap();
    assert_eq!(table("| field of a call | |"), fields(&access_log));
}

#[test]
fn every_field_of_any_line_is_documented_and_no_other() {
    let mut found: BTreeSet<String> = BTreeSet::new();
    for path in program_sources() {
        found.extend(fields(&fs::read_to_string(path).unwrap()));
    }
    let tables = ["| field of a call | |", "| field of other lines | |"].map(table);
    let documented: BTreeSet<String> = tables.concat().into_iter().collect();
    assert_eq!(documented, found);
}

#[test]
fn fields_are_found_in_sources() {
    let source = r#"
        tracing::warn!(target: T, { a.b = %f(1, "x, y = z"), c }, "d = {e}");
        tracing::event!(parent: None, Level::INFO, %f, ?g, h = i == 2, "text");
        tracing::info_span!("name", j);
        tracing::info!("k = l");
        #[cfg(test)]
        mod tests { tracing::warn!(m, "n"); }
    "#;
    assert_eq!(fields(source), ["a.b", "c", "f", "g", "h", "j"]);
}

/// Returns the fields that the rows of a table name.
fn table(head: &str) -> Vec<String> {
    let (_, rest) = DOCUMENT.split_once(&format!("{head}\n")).expect(head);
    let rows = rest.lines().skip(1);
    let cells = rows
        .take_while(|row| row.starts_with('|'))
        .map(|row| row.split(" | ").next().unwrap());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// Returns the fields of the log macros of a source file, in their order.
fn fields(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\n").next().unwrap();
    let mut found = Vec::new();
    for name in MACROS {
        found.extend(source.match_indices(name).map(|(at, _)| at + name.len()));
    }
    found.sort_unstable();
    let calls = found.into_iter().map(|at| arguments(&source[at..]));
    calls.flat_map(names).collect()
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
