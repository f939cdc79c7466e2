//! docs/troubleshooting.md against the error reasons and the log messages of the program.

use std::{collections::BTreeSet, fs};

use super::{
    log_macros::{log_macros, program_sources},
    markdown::headings,
    tables::reasons,
};

const DOCUMENT: &str = include_str!("../../../docs/troubleshooting.md");
const LIST: &str = include_str!("../../data/troubleshooting.csv");

/// The parts of each section.
const PARTS: [&str; 4] = [
    "- **Symptom:**",
    "- **Shown by:**",
    "- **Cause:**",
    "- **What to do:**",
];

#[test]
fn the_list_has_every_error_reason() {
    assert_eq!(listed("reason"), reasons().collect());
}

#[test]
fn the_list_has_every_log_message_at_warn_and_error() {
    let mut expected = BTreeSet::new();
    for path in program_sources() {
        let source = fs::read_to_string(&path).unwrap();
        for message in messages(&source) {
            let message = message.unwrap_or_else(|call| panic!("{}: {call}", path.display()));
            expected.insert(message);
        }
    }
    assert_eq!(listed("message"), expected);
}

#[test]
fn every_row_has_its_section_and_every_section_its_row() {
    let mut named = BTreeSet::new();
    for (kind, section, name) in rows() {
        let heading = format!("\n### {section}\n");
        let (_, rest) = DOCUMENT.split_once(&heading).expect(section);
        let text = rest.split("\n#").next().unwrap();
        assert!(text.contains(&format!("`{name}`")), "{kind} {name}");
        for part in PARTS {
            assert_eq!(text.matches(part).count(), 1, "{section}: {part}");
        }
        named.insert(section);
    }
    let sections: BTreeSet<&str> = headings(DOCUMENT)
        .filter(|heading| DOCUMENT.contains(&format!("\n### {heading}\n")))
        .collect();
    assert_eq!(sections, named);
}

#[test]
fn each_section_names_a_metric_a_log_field_and_a_field_of_the_status() {
    let documented = ["metrics", "logging", "status-page"].map(|name| {
        let text = fs::read_to_string(format!("docs/{name}.md")).unwrap();
        let cells = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = cells.map(|row| format!("`{}", row.split(" | ").next().unwrap()));
        names.collect::<String>()
    });
    let sections = DOCUMENT.split("- **Shown by:** ").skip(1);
    let mut count = 0;
    for section in sections {
        let text = section.split("\n- **Cause:**").next().unwrap();
        let labels = ["metric:", "log:", "status:"];
        let parts: Vec<_> = text.split(';').map(str::trim).collect();
        assert_eq!(parts.len(), labels.len(), "{text}");
        for ((part, label), documented) in parts.iter().zip(labels).zip(&documented) {
            let names: Vec<_> = part.strip_prefix(label).expect(text).split('`').collect();
            assert!(names.len() > 1 || part.contains("none"), "{text}");
            for name in names.into_iter().skip(1).step_by(2) {
                assert!(documented.contains(&format!("`{name}`")), "{label} {name}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn log_messages_are_found_in_sources() {
    let source = r#"
        tracing::warn!(a = "b", %c, "first of \
            two");
        tracing::error!(target: T, { d.e = f("g") }, "second",);
        tracing::event!(Level::INFO, "not this");
        tracing::warn!("third");
        #[cfg(test)]
        mod tests { tracing::warn!("nor this"); }
    "#;
    let found: Vec<_> = messages(source).into_iter().map(Result::unwrap).collect();
    assert_eq!(found, ["first of two", "second", "third"]);
}

/// Returns the kind, section and name of each row.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    LIST.lines().skip(1).map(|row| {
        let (kind, rest) = row.split_once(';').unwrap();
        let (section, name) = rest.split_once(';').unwrap();
        (kind, section, name)
    })
}

fn listed(kind: &str) -> BTreeSet<String> {
    let rows = rows().filter(|row| row.0 == kind);
    rows.map(|(_, _, name)| name.to_owned()).collect()
}

/// Returns the messages that a source file logs at WARN, ERROR or a level chosen at runtime. Where a
/// macro does not end with a literal message, returns its arguments as an error.
fn messages(source: &str) -> Vec<Result<String, &str>> {
    let macros = log_macros(source).into_iter();
    let is_high = |name| ["warn", "error", "event"].contains(&name);
    let is_fixed = |arguments: &str| {
        let low = ["Level::INFO", "Level::DEBUG", "Level::TRACE"];
        low.iter().any(|level| arguments.contains(level))
    };
    macros
        .filter(|found| is_high(found.name) && !is_fixed(found.arguments))
        .map(|found| found.message().ok_or(found.arguments))
        .collect()
}
