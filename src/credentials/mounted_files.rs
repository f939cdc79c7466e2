//! Files that hold one part of a credential each, as orchestrators mount secrets.

use std::path::Path;

use super::{Credential, NotOffered, local_file};
use crate::config::CredentialFiles;

pub(super) const NAME: &str = "--secret-id-file and --secret-key-file";

/// How often the files are read at most until two readings agree.
const MAX_READINGS: usize = 5;

/// Reads a credential from the files that are named in the settings.
///
/// Orchestrators swap all files at once, but they are read one after the other: what is read must
/// have been there as a whole, or the identifier of one credential is taken with the key of another.
pub(super) fn read(files: Option<&CredentialFiles>) -> Result<Credential, NotOffered> {
    let Some(files) = files else {
        return Err(NotOffered::Nothing("not given".to_owned()));
    };
    agreed(|| parts(files))
        .and_then(|[secret_id, secret_key, token]| {
            let [secret_id, secret_key] = [secret_id, secret_key].map(Option::unwrap_or_default);
            Credential::new(secret_id, secret_key, token).map_err(|error| error.to_string())
        })
        .map_err(NotOffered::Broken)
}

/// Reads until two readings, one after the other, say the same.
fn agreed<T: PartialEq>(mut read: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut last = read();
    for _ in 1..MAX_READINGS {
        let again = read();
        if again == last {
            return last;
        }
        last = again;
    }
    Err("the files change while they are read".to_owned())
}

fn parts(files: &CredentialFiles) -> Result<[Option<String>; 3], String> {
    let token = files.token.as_deref().map(part).transpose()?;
    Ok([
        Some(part(&files.secret_id)?),
        Some(part(&files.secret_key)?),
        token,
    ])
}

/// Reads a file, without the newline that editors and `echo` put at its end.
fn part(path: &Path) -> Result<String, String> {
    let text = local_file::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_swapped_between_two_of_them_are_read_again() {
        let mut readings = [
            ("old", "old"),
            ("old", "new"),
            ("new", "new"),
            ("new", "new"),
        ]
        .into_iter();

        // The first reading and the second do not agree, nor do the second and the third.
        let answer = agreed(|| Ok(readings.next().unwrap()));

        assert_eq!(answer, Ok(("new", "new")));
    }

    #[test]
    fn files_that_never_stand_still_are_broken() {
        let mut count = 0;
        let answer = agreed(|| {
            count += 1;
            Ok(count)
        });

        assert!(answer.unwrap_err().contains("change while"));
    }
}
