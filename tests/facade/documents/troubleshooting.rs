//! docs/troubleshooting.md and docs/logging.md against the error reasons and the log messages of the program.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{markdown::headings, tables::reasons};

const DOCUMENT: &str = include_str!("../../../docs/troubleshooting.md");
const LIST: &str = include_str!("../../data/troubleshooting.csv");

/// The parts of each section.
const PARTS: [&str; 3] = ["- **Symptom:**", "- **Cause:**", "- **What to do:**"];

#[test]
fn the_list_has_every_error_reason() {
    assert_eq!(listed("reason"), reasons().collect());
}

#[test]
fn the_list_has_every_log_message_at_warn_and_error() {
    let mut expected = BTreeSet::new();
    let folders = ["src", "crates"].map(Path::new);
    for path in folders.into_iter().flat_map(sources) {
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

#[test]
fn the_fields_of_a_call_are_those_of_the_log() {
    let document = fs::read_to_string("docs/logging.md").unwrap();
    let (_, rest) = document.split_once("| field of a call | |\n").unwrap();
    let rows = rest
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let documented: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();

    let access_log = fs::read_to_string("src/server/access_log.rs").unwrap();
    let (_, call) = access_log.split_once("tracing::event!(").unwrap();
    let fields = arguments(call)
        .lines()
        .filter_map(|line| line.split_once(" = "));
    let logged: Vec<&str> = fields.map(|(name, _)| name.trim()).collect();
    assert_eq!(documented, logged);
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

/// Returns the source files below a folder, without those of tests.
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

/// Returns the messages that a source file logs at WARN, ERROR or a level chosen at runtime. Where a
/// macro does not end with a literal message, returns its arguments as an error.
fn messages(source: &str) -> Vec<Result<String, &str>> {
    let source = source.split("#[cfg(test)]\n").next().unwrap();
    let mut found = Vec::new();
    for name in ["::warn!(", "::error!(", "::event!("] {
        for (at, _) in source.match_indices(name) {
            let arguments = arguments(&source[at + name.len()..]);
            let is_low = ["INFO", "DEBUG", "TRACE"]
                .iter()
                .any(|level| arguments.contains(&format!("Level::{level}")));
            if !is_low {
                found.push((at, message(arguments)));
            }
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, message)| message).collect()
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

/// Returns the literal at the end of the arguments.
fn message(arguments: &str) -> Result<String, &str> {
    let text = arguments.trim_end().trim_end_matches(',');
    let literal = text.strip_suffix('"').and_then(|text| {
        let (_, literal) = text.rsplit_once('"')?;
        Some(literal)
    });
    let mut lines = literal.ok_or(arguments)?.lines();
    let mut message = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        message = message.trim_end_matches('\\').to_owned() + line.trim_start();
    }
    Ok(message)
}
