//! Fixtures of the emulator.

use std::path::Path;

use iai_emulator::Fixtures;

use crate::files::bounded_file::{self, FileKind};

/// Reads the file of fixtures, or returns the examples of the vendor's documentation.
pub(super) fn read_fixtures(path: Option<&Path>) -> Result<Fixtures, String> {
    let Some(path) = path else {
        return Ok(Fixtures::default());
    };
    let text = bounded_file::read_once(path, FileKind::Fixtures).map_err(|it| it.to_string())?;
    let text = String::from_utf8(text).map_err(|_| format!("{}: not UTF-8", path.display()))?;
    Fixtures::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}
