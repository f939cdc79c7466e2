//! Fixtures of the emulator.

use std::path::Path;

use iai_emulator::Fixtures;

use crate::files::bounded_file::{self, FileKind};

/// Reads the file of fixtures, or returns the examples of the vendor's documentation.
///
/// # Errors
///
/// Fails with all mistakes of the file, each with the path, the line and the column.
pub(super) fn read_fixtures(path: Option<&Path>) -> Result<Fixtures, Vec<String>> {
    let Some(path) = path else {
        return Ok(Fixtures::default());
    };
    let text = bounded_file::read_once(path, FileKind::Fixtures);
    let text = text.map_err(|error| vec![error.to_string()])?;
    let located = |mistake: &str| format!("{}: {mistake}", path.display());
    let text = String::from_utf8(text).map_err(|_| vec![located("not UTF-8")])?;
    Fixtures::parse(&text).map_err(|error| {
        let mistakes = error.mistakes().iter();
        mistakes.map(|mistake| located(mistake)).collect()
    })
}
