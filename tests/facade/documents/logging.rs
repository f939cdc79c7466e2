//! docs/logging.md against the fields of the log lines in the sources of the program.

use std::{collections::BTreeSet, fs};

use super::log_macros::{LogMacro, log_macros, program_sources};

const DOCUMENT: &str = include_str!("../../../docs/logging.md");

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
    let macros = log_macros(source).into_iter();
    macros.flat_map(LogMacro::fields).collect()
}
