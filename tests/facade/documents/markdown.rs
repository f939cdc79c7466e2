//! Markdown files: their links, headings and code blocks.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders with documents, relative to the root of the repository.
const FOLDERS: [&str; 8] = [
    "",
    "docs",
    "clients/junit-iai-emulator",
    "clients/pytest-iai-emulator",
    "clients/python",
    "crates/emulator",
    "crates/signature",
    "deploy/helm/iai-facade",
];

/// Returns the paths of all documents.
pub(super) fn documents() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(Path::new(".").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
}

/// A fenced code block.
pub(super) struct Block {
    /// The language behind the opening fence.
    pub(super) language: String,
    pub(super) text: String,
    /// The line before the opening fence.
    pub(super) before: String,
}

/// Returns the text without fenced code blocks, and the blocks.
pub(super) fn split(text: &str) -> (String, Vec<Block>) {
    let mut prose = String::new();
    let mut blocks: Vec<Block> = Vec::new();
    let mut before = String::new();
    let mut is_open = false;
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(language) => {
                is_open = true;
                blocks.push(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    before: before.clone(),
                });
            }
            None if is_open => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        line.clone_into(&mut before);
    }
    assert!(!is_open, "a code block is not closed");
    (prose, blocks)
}

/// Returns the targets of all links, `[text](target)` and `[name]: target`.
pub(super) fn links(prose: &str) -> Vec<String> {
    let inline = prose.split("](").skip(1);
    let inline = inline.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let named = prose.lines().filter(|line| line.starts_with('['));
    let named = named.filter_map(|line| line.split_once("]: ").map(|(_, target)| target));
    inline.chain(named).map(str::to_owned).collect()
}

/// Returns the anchors of all headings, as GitHub derives them: in lower case, without punctuation,
/// with hyphens for spaces.
pub(super) fn anchors(prose: &str) -> Vec<String> {
    headings(prose)
        .map(|heading| {
            let kept = heading.chars().filter_map(|character| match character {
                ' ' => Some('-'),
                '-' | '_' => Some(character),
                _ if character.is_alphanumeric() => Some(character),
                _ => None,
            });
            kept.collect::<String>().to_lowercase()
        })
        .collect()
}

/// Returns the text of all headings.
pub(super) fn headings(prose: &str) -> impl Iterator<Item = &str> {
    prose.lines().filter_map(|line| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len())
            .then(|| text.strip_prefix(' '))
            .flatten()
    })
}

/// Returns the cells of the table of `document` that begins with `header`, without code marks.
pub(super) fn table(document: &str, header: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(document).unwrap();
    let (_, rest) = text.split_once(header).unwrap();
    let rows = rest
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    })
    .collect()
}
