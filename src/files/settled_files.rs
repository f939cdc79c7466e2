//! Settled files: reads files until two successive reads return the same contents. An orchestrator
//! replaces all files at once, but they are read one after the other: a rotation between two reads would
//! combine an old certificate with a new key, or the id of one credential with the key of another.

use std::path::PathBuf;

use super::bounded_file::{self, FileKind, ReadError};

/// Maximum number of reads until two successive reads are equal.
const MAX_READS: usize = 5;

/// Why there are no contents.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettleError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// No two successive reads were equal.
    #[error("the files changed while they were read")]
    Unsettled,
}

/// Reads files until two successive reads return the same contents, up to five times. Returns the
/// contents in the order of the files.
///
/// Blocks while the files are read; [`bounded_file`] bounds the time.
///
/// # Errors
///
/// Fails if a file cannot be read, or if the files change on every read. A read that timed out is not
/// repeated.
pub fn read(files: &[(PathBuf, FileKind)]) -> Result<Vec<Vec<u8>>, SettleError> {
    settle(|| {
        let read = |(path, kind): &(PathBuf, FileKind)| bounded_file::read(path, *kind);
        files.iter().map(read).collect()
    })
}

fn settle<T: PartialEq>(mut read: impl FnMut() -> Result<T, ReadError>) -> Result<T, SettleError> {
    let mut last = read();
    for _ in 1..MAX_READS {
        if last.as_ref().is_err_and(ReadError::is_timeout) {
            break;
        }
        let again = read();
        if again == last {
            return Ok(last?);
        }
        last = again;
    }
    last?;
    Err(SettleError::Unsettled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_replaced_between_two_reads_are_read_again() {
        let mut readings = [
            ("old", "old"),
            ("old", "new"),
            ("new", "new"),
            ("new", "new"),
        ]
        .into_iter();

        // The first and second read differ, and so do the second and third.
        let contents = settle(|| Ok(readings.next().unwrap()));

        assert_eq!(contents, Ok(("new", "new")));
    }

    #[test]
    fn files_that_change_on_every_read_are_not_used() {
        let mut count = 0;
        let contents = settle(|| {
            count += 1;
            Ok(count)
        });

        assert_eq!(contents, Err(SettleError::Unsettled));
    }
}
