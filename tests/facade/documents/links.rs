//! Links, code blocks and sizes of the documents.

use std::{collections::BTreeSet, fs, path::Path};

use super::markdown::{anchors, documents, links, split};

const MAX_README_LINES: usize = 200;
const MAX_ARCHITECTURE_LINES: usize = 200;

#[test]
fn every_relative_link_and_anchor_resolves() {
    for path in documents() {
        let (prose, _) = split(&fs::read_to_string(&path).unwrap());
        for link in links(&prose) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                _ => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let (prose, _) = split(&fs::read_to_string(&target).unwrap());
                let anchor = anchor.to_owned();
                assert!(
                    anchors(&prose).contains(&anchor),
                    "{}: {link}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_readme_is_short_and_lists_every_document() {
    let readme = fs::read_to_string("README.md").unwrap();
    assert!(readme.lines().count() <= MAX_README_LINES);

    // CI runs the documents of these rows.
    let listed: BTreeSet<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| ["))
        .filter_map(|line| line.split_once("](")?.1.split_once(") |"))
        .map(|(target, _)| target)
        .collect();
    let existing: Vec<String> = documents()
        .iter()
        .filter(|path| path.starts_with("./docs"))
        .map(|path| path.strip_prefix(".").unwrap().display().to_string())
        .collect();
    assert_eq!(listed, existing.iter().map(String::as_str).collect());
}

#[test]
fn the_architecture_is_short_and_names_only_files_that_exist() {
    let text = fs::read_to_string("ARCHITECTURE.md").unwrap();
    assert!(text.lines().count() <= MAX_ARCHITECTURE_LINES);

    let is_path = |code: &&str| code.contains('/') && !code.contains(['*', ' ']);
    let paths: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(paths.len() > 20);
    for path in paths {
        assert!(Path::new(path).exists(), "{path}");
    }
}

#[test]
fn each_document_begins_with_what_its_reader_can_do() {
    for path in documents() {
        if path.starts_with("./docs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            assert!(lines.next().unwrap().starts_with("# "), "{path:?}");
            assert_eq!(lines.next(), Some(""), "{path:?}");
            let first = lines.next().unwrap();
            let beginning = "After reading this page, you can ";
            assert!(first.starts_with(beginning), "{path:?}");
        }
    }
}

#[test]
fn every_command_block_is_run_by_ci_or_says_why_not() {
    for path in documents() {
        if path.starts_with("./docs") || path == Path::new("./README.md") {
            for block in split(&fs::read_to_string(&path).unwrap()).1 {
                match &*block.language {
                    "console" => assert!(block.text.starts_with("$ "), "{path:?} {}", block.text),
                    "" | "bash" | "sh" | "shell" => assert!(
                        block.before.starts_with("<!-- not run by CI: "),
                        "{path:?} {}",
                        block.text
                    ),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn the_readme_shows_the_whole_python_example() {
    let (_, blocks) = split(&fs::read_to_string("README.md").unwrap());
    let block = blocks.iter().find(|block| block.language == "python");
    let example = fs::read_to_string("clients/python/example.py").unwrap();
    assert_eq!(block.unwrap().text, example);
}
