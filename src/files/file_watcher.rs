//! File watcher: holds a value parsed from files, and parses it again when their content changes. It
//! compares contents instead of subscribing to file system events, because Kubernetes updates mounted
//! files by replacing a symbolic link above them, which causes no event on the file. The caller decides
//! when to reload.

use std::{fmt, path::PathBuf, sync::Arc};

use parking_lot::{RwLock, RwLockReadGuard};
use sha2::{Digest, Sha256};

use super::{
    bounded_file::FileKind,
    settled_files::{self, SettleError},
};

/// Parses a value from the contents of the files, in the order of their paths.
type Parse<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

/// A value parsed from files. `Debug` shows neither the value nor the contents.
pub struct FileWatcher<T> {
    files: Vec<(PathBuf, FileKind)>,
    parse: Box<Parse<T>>,
    state: RwLock<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    content: Content,
    /// The last content that could not be used, and why, so that it is reported once.
    rejected: Option<(Content, String)>,
}

/// A digest of the contents, so that no second copy of a private key is held in memory; or why they
/// cannot be read.
type Content = Result<[u8; 32], SettleError>;

/// The result of a reload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reload {
    /// The files cannot be used, for this reason; the previous value is kept.
    Failed(String),
    /// The files could not be used before, and now have the content of the current value again.
    Recovered,
    /// The value was replaced.
    Replaced,
    /// The files have not changed, or fail for the same reason as before.
    Unchanged,
}

impl<T> FileWatcher<T> {
    /// Reads the files and parses the first value.
    ///
    /// # Errors
    ///
    /// Fails with a message if a file cannot be read or `parse` fails.
    pub fn read(
        files: Vec<(PathBuf, FileKind)>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let contents = settled_files::read(&files).map_err(|error| error.to_string())?;
        let state = State {
            value: Arc::new(parse(&contents)?),
            content: Ok(digest(&contents)),
            rejected: None,
        };
        Ok(Self {
            files,
            parse: Box::new(parse),
            state: RwLock::new(state),
        })
    }

    /// Returns the current value.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.state().value)
    }

    /// Reads the files again and replaces the value if their content has changed. Keeps the value if the
    /// files cannot be read or parsed, or if `check`, given the current and the new value, fails.
    ///
    /// Blocks while the files are read, as [`settled_files::read`] does.
    pub fn reload(&self, check: impl Fn(&T, &T) -> Result<(), String>) -> Reload {
        let contents = settled_files::read(&self.files);
        let content = contents.as_ref().map(|it| digest(it)).map_err(Clone::clone);
        let is_unchanged = |state: &State<T>| state.content == content;
        if is_unchanged(&self.state()) {
            let mut state = self.state.write();
            return match state.rejected.take() {
                Some(_) => Reload::Recovered,
                None => Reload::Unchanged,
            };
        }
        let contents = contents.map_err(|error| error.to_string());
        let parsed = contents.and_then(|contents| (self.parse)(&contents));
        let parsed = parsed.and_then(|value| check(&self.current(), &value).map(|()| value));
        let mut state = self.state.write();
        match parsed {
            Ok(value) => {
                *state = State {
                    value: Arc::new(value),
                    content,
                    rejected: None,
                };
                Reload::Replaced
            }
            Err(reason) => {
                let rejected = Some((content, reason.clone()));
                if state.rejected == rejected {
                    return Reload::Unchanged;
                }
                state.rejected = rejected;
                Reload::Failed(reason)
            }
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read()
    }
}

impl<T> fmt::Debug for FileWatcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatcher")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn digest(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for content in contents {
        // Includes the length, so that moving bytes from one file to the next changes the digest.
        digest.update(content.len().to_be_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn any(_: &u32, _: &u32) -> Result<(), String> {
        Ok(())
    }

    fn number(contents: &[Vec<u8>]) -> Result<u32, String> {
        let text = String::from_utf8_lossy(&contents[0]);
        text.trim().parse().map_err(|_| "no number".to_owned())
    }

    #[test]
    fn a_failed_reload_keeps_the_value_and_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        assert!(FileWatcher::read(vec![(path.clone(), FileKind::Key)], number).is_err());
        fs::write(&path, "1").unwrap();
        let files = FileWatcher::read(vec![(path.clone(), FileKind::Key)], number).unwrap();

        assert_eq!(files.reload(any), Reload::Unchanged);
        fs::write(&path, "2").unwrap();
        assert_eq!(files.reload(any), Reload::Replaced);
        assert_eq!(*files.current(), 2);

        fs::write(&path, "two").unwrap();
        assert_eq!(files.reload(any), Reload::Failed("no number".to_owned()));
        assert_eq!(files.reload(any), Reload::Unchanged);
        fs::remove_file(&path).unwrap();
        assert!(matches!(files.reload(any), Reload::Failed(_)));
        assert_eq!(files.reload(any), Reload::Unchanged);
        assert_eq!(*files.current(), 2);

        fs::write(&path, "2").unwrap();
        assert_eq!(files.reload(any), Reload::Recovered);
        assert_eq!(files.reload(any), Reload::Unchanged);
        fs::write(&path, "two").unwrap();
        assert_eq!(files.reload(any), Reload::Failed("no number".to_owned()));
        fs::write(&path, "3").unwrap();
        assert_eq!(files.reload(any), Reload::Replaced);
        assert_eq!(*files.current(), 3);
    }

    #[test]
    fn a_rejected_value_is_used_once_the_check_accepts_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let files = FileWatcher::read(vec![(path.clone(), FileKind::Key)], number).unwrap();
        let reject = |_: &u32, _: &u32| Err("too early".to_owned());

        fs::write(&path, "2").unwrap();
        assert_eq!(files.reload(reject), Reload::Failed("too early".to_owned()));
        assert_eq!(files.reload(reject), Reload::Unchanged);
        assert_eq!(*files.current(), 1);
        assert_eq!(files.reload(any), Reload::Replaced);
        assert_eq!(*files.current(), 2);
    }

    #[test]
    fn replacing_a_symbolic_link_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["1", "2"] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("number"), version).unwrap();
        }
        // Kubernetes mounts a secret like this: the file is a link into a linked directory, and an update
        // replaces the link to the directory.
        let data = folder.path().join("..data");
        symlink("1", &data).unwrap();
        let path = folder.path().join("number");
        symlink("..data/number", &path).unwrap();
        let files = FileWatcher::read(vec![(path, FileKind::Key)], number).unwrap();

        symlink("2", folder.path().join("..tmp")).unwrap();
        fs::rename(folder.path().join("..tmp"), &data).unwrap();

        assert_eq!(files.reload(any), Reload::Replaced);
        assert_eq!(*files.current(), 2);
    }
}
