//! Conventions of the sources that no lint checks.

use std::{fs, path::PathBuf};

use toml::Table;

use super::markdown::documents;

const MAX_NAME_LENGTH: usize = 70;

#[test]
fn names_of_functions_have_at_most_70_characters() {
    for (path, text) in sources(&["src", "crates", "tests", "benches", "fuzz/fuzz_targets"]) {
        for name in names(&text) {
            assert!(
                name.len() <= MAX_NAME_LENGTH,
                "{}: {name} has {} characters",
                path.display(),
                name.len()
            );
        }
    }
}

#[test]
fn tests_import_helpers_from_the_harness_only() {
    for (path, text) in sources(&["tests/facade"]) {
        for line in text.lines().filter(|line| line.contains("crate::")) {
            assert!(
                line.contains("crate::harness")
                    || path.ends_with("sources.rs")
                    || path.ends_with("imports.rs"),
                "{}: {line}",
                path.display()
            );
        }
    }
}

#[test]
fn sources_and_documents_name_the_actor() {
    // Assembled from two halves, or this file would contain them.
    let words = [
        ("who", "ever"),
        ("no", "body"),
        ("some", "body"),
        ("cor", "ridor"),
    ];
    let words = words.map(|(start, end)| format!("{start}{end}"));
    let folders = ["src", "crates", "tests", "benches", "fuzz/fuzz_targets"];
    let documents = documents().into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    });
    for (path, text) in sources(&folders).into_iter().chain(documents) {
        let text = text.to_lowercase();
        for word in &words {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_crates_depend_on_no_other_crate_of_the_workspace() {
    let manifest = |path: PathBuf| fs::read_to_string(path).unwrap().parse::<Table>().unwrap();
    let shared = manifest("Cargo.toml".into())["workspace"]["dependencies"].clone();
    let mut count = 0;
    for entry in fs::read_dir("crates").unwrap() {
        let path = entry.unwrap().path().join("Cargo.toml");
        let manifest = manifest(path.clone());
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        for table in tables.into_iter().filter_map(|name| manifest.get(name)) {
            for (name, dependency) in table.as_table().unwrap() {
                let dependency = shared.get(name).unwrap_or(dependency);
                assert!(
                    dependency.get("path").is_none(),
                    "{}: {name}",
                    path.display()
                );
                count += 1;
            }
        }
    }
    assert!(count > 0);
}

/// Returns the names of the functions in a source text.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn ").skip(1).filter_map(|rest| {
        rest.split(|character: char| !character.is_alphanumeric() && character != '_')
            .next()
    })
}

/// Returns the Rust files in these folders, with their texts.
pub(super) fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<_> = folders.iter().map(PathBuf::from).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    // An empty list would pass every test.
    assert!(sources.len() > 10);
    sources
}
