//! What is made of files, and made anew when they change.
//!
//! Files are read by content and not watched by name: Kubernetes swaps symbolic links above them,
//! which the system does not tell of.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use sha2::{Digest, Sha256};

/// How often files are read that change meanwhile. What they hold then is used, and read again soon.
const MAX_READINGS: usize = 3;

/// Makes a value of the contents of files, in the order in which they were named.
type Make<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

/// A value that was made of files. `Debug` shows neither the value nor what is in the files.
pub struct WatchedFiles<T> {
    files: Vec<PathBuf>,
    make: Box<Make<T>>,
    state: RwLock<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    content: Content,
    /// What nothing could be made of, so that it is told once.
    refused: Option<Content>,
}

/// A digest of what is in the files, so that a key is kept in one place only; or why they cannot be
/// read.
type Content = Result<[u8; 32], String>;

/// What became of reading the files anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reload {
    /// Nothing can be made of them, and the value is the one before. With the reason.
    Kept(String),
    /// There is another value now.
    Replaced,
    /// They hold what they held when they were last read.
    Unchanged,
}

impl<T> WatchedFiles<T> {
    /// Makes the first value.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or nothing can be made of them, and says why.
    pub fn read(
        files: Vec<PathBuf>,
        make: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let contents = settled(&files)?;
        let state = State {
            value: Arc::new(make(&contents)?),
            content: Ok(digest(&contents)),
            refused: None,
        };
        Ok(Self {
            files,
            make: Box::new(make),
            state: RwLock::new(state),
        })
    }

    /// Returns the latest value.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.state().value)
    }

    /// Reads the files anew. Files of which nothing can be made leave the value as it is.
    ///
    /// It blocks while they are read.
    pub fn reload(&self) -> Reload {
        let contents = settled(&self.files);
        let content = contents.as_ref().map(|it| digest(it)).map_err(Clone::clone);
        {
            let state = self.state();
            let is_refused = state.refused.as_ref() == Some(&content);
            if is_refused || (state.content == content && state.refused.is_none()) {
                return Reload::Unchanged;
            }
        }
        let made = contents.and_then(|contents| (self.make)(&contents));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(_) if state.content == content => {
                state.refused = None;
                Reload::Unchanged
            }
            Ok(value) => {
                *state = State {
                    value: Arc::new(value),
                    content,
                    refused: None,
                };
                Reload::Replaced
            }
            Err(reason) => {
                state.refused = Some(content);
                Reload::Kept(reason)
            }
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for WatchedFiles<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFiles")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Reads files until twice the same is in them, as they may be swapped while they are read: the
/// certificate before, and the key after it.
fn settled(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let mut contents = read(files);
    for _ in 0..MAX_READINGS {
        let again = read(files);
        let is_settled = again == contents;
        contents = again;
        if is_settled {
            break;
        }
    }
    contents
}

fn read(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read =
        |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    files.iter().map(read).collect()
}

fn digest(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for content in contents {
        // With the length, so that what moves from one file to the next is a change.
        digest.update(content.len().to_be_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn number(contents: &[Vec<u8>]) -> Result<u32, String> {
        let text = String::from_utf8_lossy(&contents[0]);
        text.trim().parse().map_err(|_| "no number".to_owned())
    }

    #[test]
    fn what_cannot_be_read_or_used_keeps_the_value_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        assert!(WatchedFiles::read(vec![path.clone()], number).is_err());
        fs::write(&path, "1").unwrap();
        let files = WatchedFiles::read(vec![path.clone()], number).unwrap();

        assert_eq!(files.reload(), Reload::Unchanged);
        fs::write(&path, "2").unwrap();
        assert_eq!(files.reload(), Reload::Replaced);
        assert_eq!(*files.current(), 2);

        fs::write(&path, "two").unwrap();
        assert_eq!(files.reload(), Reload::Kept("no number".to_owned()));
        assert_eq!(files.reload(), Reload::Unchanged);
        fs::remove_file(&path).unwrap();
        assert!(matches!(files.reload(), Reload::Kept(_)));
        assert_eq!(files.reload(), Reload::Unchanged);
        assert_eq!(*files.current(), 2);

        fs::write(&path, "2").unwrap();
        assert_eq!(files.reload(), Reload::Unchanged);
        fs::write(&path, "two").unwrap();
        assert_eq!(files.reload(), Reload::Kept("no number".to_owned()));
        fs::write(&path, "3").unwrap();
        assert_eq!(files.reload(), Reload::Replaced);
        assert_eq!(*files.current(), 3);
    }

    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["1", "2"] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("number"), version).unwrap();
        }
        // As Kubernetes mounts a secret: the file is a link below a link that is replaced.
        let data = folder.path().join("..data");
        symlink("1", &data).unwrap();
        let path = folder.path().join("number");
        symlink("..data/number", &path).unwrap();
        let files = WatchedFiles::read(vec![path], number).unwrap();

        symlink("2", folder.path().join("..tmp")).unwrap();
        fs::rename(folder.path().join("..tmp"), &data).unwrap();

        assert_eq!(files.reload(), Reload::Replaced);
        assert_eq!(*files.current(), 2);
    }
}
