//! Profile provider: the vendor's profile file, `~/.tencentcloud/credentials` or another location.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use super::{
    credential::Credential,
    local_file,
    provider::{CredentialProvider, Loading, ProviderError},
    provider_context::ProviderContext,
    provider_setup::ProviderSetup,
};
use crate::{
    config::DEFAULT_PROFILE,
    files::{
        bounded_file::{self, FileKind},
        secret_text,
    },
};

const CREDENTIALS_FILE: &str = "TENCENTCLOUD_CREDENTIALS_FILE";
const HOME: &str = "HOME";

/// Returns the provider.
pub(super) fn provider(setup: &ProviderSetup<'_>) -> Box<dyn CredentialProvider> {
    let name = setup.settings.profile.clone();
    let profile = Profile::new(name, &setup.context);
    Box::new(ProfileFile(Arc::new(profile)))
}

struct ProfileFile(Arc<Profile>);

impl CredentialProvider for ProfileFile {
    fn name(&self) -> &'static str {
        "the profile file"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async {
            let profile = Arc::clone(&self.0);
            Ok(local_file::blocking(move || profile.read()).await?.into())
        })
    }
}

/// A profile, and the possible locations of its file.
struct Profile {
    /// The configured name.
    name: Option<String>,
    files: Files,
    /// Logs unreadable files once.
    skipped: Once,
}

enum Files {
    /// The file of `TENCENTCLOUD_CREDENTIALS_FILE`.
    Named(PathBuf),
    /// The default locations, in order of precedence.
    Default(Vec<PathBuf>),
}

impl Profile {
    /// Returns the profile `name`, or [`DEFAULT_PROFILE`].
    fn new(name: Option<String>, context: &ProviderContext) -> Self {
        let named = context.variable(CREDENTIALS_FILE).map(PathBuf::from);
        let files = named.map_or_else(
            || {
                let home = context.variable(HOME).map(PathBuf::from);
                let user = home.map(|home| home.join(".tencentcloud/credentials"));
                let files = user.into_iter().chain([context.system_profile.clone()]);
                Files::Default(files.collect())
            },
            Files::Named,
        );
        Self {
            name,
            files,
            skipped: Once::new(),
        }
    }

    /// Reads the credential of the profile. Blocks while the file is read.
    ///
    /// A configured file or profile must exist and be readable; the default ones need not exist.
    fn read(&self) -> Result<Credential, ProviderError> {
        let (path, content) = self.file()?;
        let broken = |problem| ProviderError::Invalid(format!("{}: {problem}", path.display()));

        let text = secret_text::decode(&content).map_err(|error| broken(error.to_string()))?;
        let name = self.name.as_deref().unwrap_or(DEFAULT_PROFILE);
        let entries = section(text, name).map_err(|error| broken(error.to_string()))?;
        let Some(entries) = entries else {
            let problem = format!("{}: no section [{name}]", path.display());
            return Err(match self.name {
                Some(_) => ProviderError::Invalid(problem),
                None => ProviderError::Absent(problem),
            });
        };
        let entry = |key: &str| {
            let named = entries
                .iter()
                .rfind(|(name, _)| name.eq_ignore_ascii_case(key));
            named
                .map(|(_, value)| (*value).to_owned())
                .filter(|value| !value.is_empty())
        };
        let required = |key| entry(key).ok_or_else(|| broken(format!("[{name}] has no {key}")));
        Credential::new(
            required("secret_id")?,
            required("secret_key")?,
            entry("token"),
        )
        .map_err(|error| broken(format!("[{name}]: {error}")))
    }

    /// Returns the file to read, and its content.
    fn file(&self) -> Result<(&Path, Vec<u8>), ProviderError> {
        let read = |path| bounded_file::read(path, FileKind::Credential);
        let paths = match &self.files {
            Files::Named(path) => {
                let content = read(path).map_err(|error| {
                    ProviderError::Invalid(format!("the file of {CREDENTIALS_FILE}, {error}"))
                })?;
                return Ok((path, content));
            }
            Files::Default(paths) => paths,
        };
        let mut unreadable = Vec::new();
        for path in paths {
            match read(path) {
                Ok(content) => return Ok((path, content)),
                Err(error) if error.is_not_found() => {}
                // HOME may be that of another user. A configured profile must be readable, however.
                Err(error) if error.is_permission_denied() && self.name.is_none() => {
                    self.skipped.call_once(|| {
                        tracing::warn!(error.message = %error, "profile file not readable, skipped");
                    });
                    unreadable.push(error.to_string());
                }
                Err(error) => return Err(ProviderError::Invalid(error.to_string())),
            }
        }
        if !unreadable.is_empty() {
            return Err(ProviderError::Absent(unreadable.join(", ")));
        }
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Err(ProviderError::Absent(format!(
            "{CREDENTIALS_FILE} is not set, and no file at {}",
            paths.join(" or ")
        )))
    }
}

/// An invalid line of the INI file. Its text is not repeated, because it may be a secret.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {0} is not a [section], key = value or # comment")]
struct NotIni(usize);

/// Returns the entries of the section `name`, or `None` if it is missing.
///
/// Parses like the vendor's SDKs: comments are whole lines, a `#` within a value is part of it, and
/// quotes around a value are not. Existing libraries are unsuitable: they repeat invalid lines in their
/// errors, or end a value at the first `#`.
fn section<'a>(text: &'a str, name: &str) -> Result<Option<Vec<(&'a str, &'a str)>>, NotIni> {
    let mut found = None;
    let mut is_inside = false;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header.strip_suffix(']').ok_or(NotIni(number))?;
            is_inside = header.trim() == name;
            if is_inside {
                found.get_or_insert_with(Vec::new);
            }
            continue;
        }
        let at = line
            .find(['=', ':'])
            .filter(|at| *at > 0)
            .ok_or(NotIni(number))?;
        if let (true, Some(entries)) = (is_inside, &mut found) {
            entries.push((line[..at].trim(), unquoted(line[at + 1..].trim())));
        }
    }
    Ok(found)
}

fn unquoted(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_are_read_as_the_vendors_sdks_read_them() {
        let text = "# comment\n; comment\n[other]\nsecret_id = x\n[ default ]\r\n\
                    Secret_Id= \"AKID\"\nsecret_key :k#e;y=\n";

        let entries = section(text, "default").unwrap().unwrap();

        assert_eq!(entries, [("Secret_Id", "AKID"), ("secret_key", "k#e;y=")]);
        assert_eq!(section(text, "none"), Ok(None));
    }

    #[test]
    fn an_invalid_line_is_named_by_its_number() {
        for (text, line) in [("[default", 1), ("[default]\nAKID", 2), ("\n\n= x", 3)] {
            assert_eq!(section(text, "default"), Err(NotIni(line)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "(\\PC|[\\[\\]=:\n\"'# ]){0,60}") {
            let _ = section(&text, "default");
        }
    }
}
