//! The vendor's profile file: `~/.tencentcloud/credentials`, and where else it may be.

use std::{io, path::PathBuf};

use super::{Credential, NotOffered, Surroundings, local_file};

pub(super) const NAME: &str = "the profile file";

/// The system-wide file, which the vendor's Python SDK reads where a user has none.
pub(super) const SYSTEM_FILE: &str = "/etc/tencentcloud/credentials";

const CREDENTIALS_FILE: &str = "TENCENTCLOUD_CREDENTIALS_FILE";
const HOME: &str = "HOME";
const DEFAULT_PROFILE: &str = "default";

/// Reads the credential of a profile, `default` unless another is named.
///
/// A file or a profile that somebody names must be there; the usual ones may be absent.
pub(super) fn read(
    profile: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Credential, NotOffered> {
    let (path, text) = file(surroundings)?;
    let broken = |problem| NotOffered::Broken(format!("{}: {problem}", path.display()));

    let name = profile.unwrap_or(DEFAULT_PROFILE);
    let entries = section(&text, name).map_err(|error| broken(error.to_string()))?;
    let Some(entries) = entries else {
        let problem = format!("{}: there is no [{name}] in it", path.display());
        return Err(match profile {
            Some(_) => NotOffered::Broken(problem),
            None => NotOffered::Nothing(problem),
        });
    };
    let entry = |wanted: &str| {
        let named = entries
            .iter()
            .rfind(|(key, _)| key.eq_ignore_ascii_case(wanted));
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

/// Returns the file to read, and its text.
fn file(surroundings: &Surroundings) -> Result<(PathBuf, String), NotOffered> {
    let named = surroundings.variable(CREDENTIALS_FILE).map(PathBuf::from);
    let is_named = named.is_some();
    let candidates = match named {
        Some(path) => vec![path],
        None => {
            let home = surroundings.variable(HOME).map(PathBuf::from);
            let user = home.map(|home| home.join(".tencentcloud/credentials"));
            user.into_iter()
                .chain([surroundings.system_profile.clone()])
                .collect()
        }
    };
    for path in &candidates {
        match local_file::read(path) {
            Ok(text) => return Ok((path.clone(), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => {}
            Err(error) => {
                let variable = if is_named {
                    "the file of TENCENTCLOUD_CREDENTIALS_FILE, "
                } else {
                    ""
                };
                let problem = format!("{variable}{}: {error}", path.display());
                return Err(NotOffered::Broken(problem));
            }
        }
    }
    let paths: Vec<_> = candidates
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Err(NotOffered::Nothing(format!(
        "{CREDENTIALS_FILE} is not set, and there is no {}",
        paths.join(" and no ")
    )))
}

/// A line that is none of an INI file. Its text is not repeated: it may be a key.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {0} is none of [section], key = value and # comment")]
struct NotIni(usize);

/// Returns the entries of the section `name`, if there is one.
///
/// Values are taken as the vendor's SDKs take them: whole lines are comments, a `#` within a value is
/// part of it, and quotes around a value are not. No library is used, since those there are repeat a
/// line that they do not understand, or end a key at its first `#`.
fn section<'a>(text: &'a str, name: &str) -> Result<Option<Vec<(&'a str, &'a str)>>, NotIni> {
    let mut found = None;
    let mut is_inside = false;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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
        let text = "\u{feff}# comment\n; comment\n[other]\nsecret_id = x\n[ default ]\r\n\
                    Secret_Id= \"AKID\"\nsecret_key :k#e;y=\n";

        let entries = section(text, "default").unwrap().unwrap();

        assert_eq!(entries, [("Secret_Id", "AKID"), ("secret_key", "k#e;y=")]);
        assert_eq!(section(text, "none"), Ok(None));
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number() {
        for (text, line) in [("[default", 1), ("[default]\nAKID", 2), ("\n\n= x", 3)] {
            assert_eq!(section(text, "default"), Err(NotIni(line)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(\\PC|[\\[\\]=:\n\"'# ]){0,60}") {
            let _ = section(&text, "default");
        }
    }
}
