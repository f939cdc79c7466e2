//! The list of state changes against the macros that log them and the tests that drive them.

use std::fs;

use super::log_macros::{log_macros, program_sources};

const LIST: &str = include_str!("../../data/state_changes.csv");

/// A row: a message, its level, its fields, and the test that drives it, as a path and a name.
struct Row {
    message: &'static str,
    level: &'static str,
    fields: Vec<&'static str>,
    case: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    LIST.lines().skip(1).map(|row| {
        let cells: Vec<_> = row.split(';').collect();
        let [message, level, fields, case] = cells[..] else {
            panic!("{row}");
        };
        let fields = fields.split(' ').filter(|field| !field.is_empty());
        Row {
            message,
            level,
            fields: fields.collect(),
            case,
        }
    })
}

#[test]
fn each_state_change_is_logged_at_its_level_with_its_fields() {
    let sources = program_sources().into_iter().map(fs::read_to_string);
    let sources: Vec<_> = sources.map(Result::unwrap).collect();
    for row in rows() {
        let is_logged = sources
            .iter()
            .flat_map(|source| log_macros(source))
            .any(|found| {
                found.message().as_deref() == Some(row.message)
                    && found.name == row.level.to_lowercase()
                    && found.fields() == row.fields
            });
        assert!(is_logged, "{} {} {:?}", row.message, row.level, row.fields);
        assert!(["INFO", "WARN", "ERROR"].contains(&row.level));
    }
}

#[test]
fn each_state_change_has_a_case_that_waits_for_its_line() {
    for row in rows() {
        let (path, case) = row.case.rsplit_once(':').unwrap();
        let source = fs::read_to_string(path).unwrap();
        // A program of CI drives what needs a collector.
        let keyword = if path.ends_with(".py") { "def" } else { "fn" };
        let head = format!("{keyword} {case}(");
        assert!(source.contains(&head), "{}", row.case);
        assert!(
            source.contains(&format!("\"{}\"", row.message)),
            "{}",
            row.case
        );
    }
}
