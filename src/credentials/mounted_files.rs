//! Files that hold one part of a credential each, as orchestrators mount secrets.

use std::{fs, path::Path};

use super::{Credential, NotOffered};
use crate::config;

pub(super) const NAME: &str = "--secret-id-file and --secret-key-file";

/// Reads a credential from the files that are named in the settings.
pub(super) fn read(settings: &config::Credentials) -> Result<Credential, NotOffered> {
    let Some(pair) = &settings.files else {
        return Err(NotOffered::Nothing("not given".to_owned()));
    };
    let read = || {
        let secret_id = part(&pair.secret_id)?;
        let secret_key = part(&pair.secret_key)?;
        let token = pair.token.as_deref().map(part).transpose()?;
        Credential::new(secret_id, secret_key, token).map_err(|error| error.to_string())
    };
    read().map_err(NotOffered::Broken)
}

/// Reads a file, without the newline that editors and `echo` put at its end.
fn part(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
