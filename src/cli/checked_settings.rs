//! Checked settings of `serve`: parses the settings and reads the files that they name, so that all mistakes
//! are reported at once.

use iai_emulator::Fixtures;

use super::fixtures::read_fixtures;
use crate::{
    auth::AuthFiles,
    config::{self, Problems, ServeArgs, variable},
};

/// The settings of `serve`, with the contents of their files.
pub(super) struct CheckedSettings {
    pub(super) settings: config::Serve,
    pub(super) files: AuthFiles,
    /// The examples of the vendor's documentation unless the emulator is enabled with others.
    pub(super) fixtures: Fixtures,
}

/// Checks the settings and reads their files.
///
/// # Errors
///
/// Fails with the mistakes of all settings and files.
pub(super) fn checked_settings(args: ServeArgs) -> Result<CheckedSettings, Problems> {
    let mut problems = Problems::default();
    let (caller_files, fixtures) = (args.caller_files(), args.fixtures());
    let settings = problems.merge(args.checked(variable));
    let files = problems.merge(AuthFiles::read(&caller_files));
    let fixtures = problems.take_all("fixtures", read_fixtures(fixtures.as_deref()));
    let (Ok(settings), Ok(files), Ok(fixtures)) = (settings, files, fixtures) else {
        return Err(problems);
    };
    Ok(CheckedSettings {
        settings,
        files,
        fixtures,
    })
}
