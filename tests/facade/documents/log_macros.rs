//! The macros that write log lines, in the sources of the program.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// Returns the text up to the parenthesis that closes a macro.
pub(super) fn arguments(text: &str) -> &str {
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
