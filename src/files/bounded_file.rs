//! Bounded file reader: reads whole files with limits on size and time. Every file named by a setting
//! or an environment variable is read here. Each read runs on its own thread, because file system calls
//! cannot be interrupted: if a network file system does not respond, the reader times out and leaves
//! the thread behind. Reads of the same path wait for that thread, so a path blocks at most one thread.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, FileType, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use bytesize::ByteSize;
use parking_lot::{Condvar, Mutex};
use rustix::fs::OFlags;

/// Maximum time to read a file, and to wait for an earlier read of the same path.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The kind of a file, which determines its maximum size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// PEM certificates. Up to 4 MiB; the bundle of a Linux distribution has about 300 KB.
    Certificates,
    /// Part of a credential, a profile file, or a bearer token. Up to 64 KiB.
    Credential,
    /// Fixtures of the emulator. Up to 16 MiB.
    Fixtures,
    /// A private key, or the key of a hash. Up to 64 KiB.
    Key,
    /// Digests of bearer tokens, one per line. Up to 4 MiB.
    Tokens,
}

impl FileKind {
    /// Returns the maximum size, in bytes.
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Credential | Self::Key => 64 << 10,
            Self::Certificates | Self::Tokens => 4 << 20,
            Self::Fixtures => 16 << 20,
        }
    }
}

/// The error of a read, with the path of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Reason {
    NotRegular(&'static str),
    System(ErrorKind, String),
    Timeout(Duration),
    TooLarge(u64),
}

impl ReadError {
    /// `true` if the file does not exist.
    pub fn is_not_found(&self) -> bool {
        let kind = self.kind();
        kind == Some(ErrorKind::NotFound) || kind == Some(ErrorKind::NotADirectory)
    }

    /// `true` if the process has no permission to read the file.
    pub fn is_permission_denied(&self) -> bool {
        self.kind() == Some(ErrorKind::PermissionDenied)
    }

    /// `true` if the file was not read in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.reason, Reason::Timeout(_))
    }

    fn kind(&self) -> Option<ErrorKind> {
        match self.reason {
            Reason::System(kind, _) => Some(kind),
            Reason::NotRegular(_) | Reason::Timeout(_) | Reason::TooLarge(_) => None,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.reason {
            Reason::NotRegular(what) => write!(f, "not a regular file but {what}"),
            Reason::System(_, error) => f.write_str(error),
            Reason::Timeout(time) => write!(
                f,
                "not read within {}: the file system does not respond, or the pipe has no data",
                humantime::format_duration(*time)
            ),
            Reason::TooLarge(max_bytes) => {
                write!(f, "larger than {:.0}", ByteSize(*max_bytes).display().iec())
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a regular file, following symbolic links. Rejects pipes and devices, which cannot be read
/// again when the file is reloaded.
///
/// Blocks for up to 5 s, and up to another 5 s if another thread reads the same path.
///
/// # Errors
///
/// Fails if the file does not exist, cannot be read, is not a regular file, exceeds the maximum size
/// of its kind, or is not read in time.
pub fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>, ReadError> {
    READS.read(path, kind, Pipes::Rejected, TIMEOUT)
}

/// Reads a file that is not read again: a regular file, or a pipe such as `<(command)` in a shell.
///
/// Blocks as [`read`] does.
///
/// # Errors
///
/// Fails as [`read`] does, and if the writer of a pipe does not close it in time.
pub fn read_once(path: &Path, kind: FileKind) -> Result<Vec<u8>, ReadError> {
    READS.read(path, kind, Pipes::Accepted, TIMEOUT)
}

/// Whether pipes are accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pipes {
    Accepted,
    Rejected,
}

/// The reads of this process. Global, because it bounds the threads of the process.
static READS: Reads = Reads {
    in_progress: Mutex::new(BTreeSet::new()),
    ended: Condvar::new(),
};

#[derive(Debug)]
struct Reads {
    /// The paths that a thread is reading.
    in_progress: Mutex<BTreeSet<PathBuf>>,
    ended: Condvar,
}

impl Reads {
    fn read(
        &'static self,
        path: &Path,
        kind: FileKind,
        pipes: Pipes,
        timeout: Duration,
    ) -> Result<Vec<u8>, ReadError> {
        let failed = |reason| ReadError {
            path: path.to_owned(),
            reason,
        };
        let in_progress = self.begin(path, timeout);
        let in_progress = in_progress.ok_or_else(|| failed(Reason::Timeout(timeout)))?;
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("file-reader".to_owned())
            .spawn(move || {
                let content = read_now(&in_progress.path, kind.max_bytes(), pipes);
                drop(in_progress);
                // Fails if the reader has timed out.
                let _ = sender.send(content);
            })
            .map_err(|error| failed(system(&error)))?;
        match receiver.recv_timeout(timeout) {
            Ok(content) => content.map_err(failed),
            Err(_) => Err(failed(Reason::Timeout(timeout))),
        }
    }

    /// Waits until no thread reads the path, and returns a guard that makes other reads of the path wait.
    /// Returns `None` on timeout.
    fn begin(&'static self, path: &Path, timeout: Duration) -> Option<InProgress> {
        let is_busy = |paths: &mut BTreeSet<PathBuf>| paths.contains(path);
        let mut paths = self.in_progress.lock();
        let waited = self.ended.wait_while_for(&mut paths, is_busy, timeout);
        if waited.timed_out() {
            return None;
        }
        paths.insert(path.to_owned());
        Some(InProgress {
            reads: self,
            path: path.to_owned(),
        })
    }
}

/// A read in progress, until it is dropped.
struct InProgress {
    reads: &'static Reads,
    path: PathBuf,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.reads.in_progress.lock().remove(&self.path);
        self.reads.ended.notify_all();
    }
}

fn read_now(path: &Path, max_bytes: u64, pipes: Pipes) -> Result<Vec<u8>, Reason> {
    // Checked before opening, because opening a device may have effects.
    let file_type = fs::metadata(path)
        .map_err(|error| system(&error))?
        .file_type();
    check_type(file_type, pipes)?;
    let file = open(path, file_type).map_err(|error| system(&error))?;
    let file_type = file.metadata().map_err(|error| system(&error))?.file_type();
    check_type(file_type, pipes)?;
    let mut content = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut content)
        .map_err(|error| system(&error))?;
    if content.len() as u64 > max_bytes {
        return Err(Reason::TooLarge(max_bytes));
    }
    Ok(content)
}

fn check_type(file_type: FileType, pipes: Pipes) -> Result<(), Reason> {
    if file_type.is_file() || (file_type.is_fifo() && pipes == Pipes::Accepted) {
        return Ok(());
    }
    let what = if file_type.is_fifo() {
        "a pipe, which cannot be read again"
    } else if file_type.is_dir() {
        "a directory"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Reason::NotRegular(what))
}

fn open(path: &Path, file_type: FileType) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    if file_type.is_fifo() {
        return options.open(path);
    }
    // If the file has been replaced by a pipe since the check, opening must not block.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = options.custom_flags(flags.bits().cast_signed()).open(path);
    match opened {
        // Another process holds a lease; a blocking open gives it time to release it (fcntl(2), F_SETLEASE).
        Err(error) if error.kind() == ErrorKind::WouldBlock => options.custom_flags(0).open(path),
        opened => opened,
    }
}

fn system(error: &io::Error) -> Reason {
    Reason::System(error.kind(), error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{io::Write, process::Command};

    use tempfile::{NamedTempFile, TempDir};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    fn fifo() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        (folder, path)
    }

    #[test]
    fn a_file_is_read_up_to_the_maximum_size_of_its_kind() {
        let mut file = NamedTempFile::new().unwrap();
        for kind in [
            FileKind::Certificates,
            FileKind::Credential,
            FileKind::Fixtures,
            FileKind::Key,
            FileKind::Tokens,
        ] {
            file.as_file().set_len(kind.max_bytes()).unwrap();
            assert_eq!(
                read(file.path(), kind).unwrap().len() as u64,
                kind.max_bytes()
            );
            file.as_file().set_len(kind.max_bytes() + 1).unwrap();
            let error = read(file.path(), kind).unwrap_err().to_string();
            let limit = ByteSize(kind.max_bytes()).display().iec().to_string();
            let limit = limit.replace(".0", "");
            assert!(
                error.ends_with(&format!(": larger than {limit}")),
                "{error}"
            );
        }
        file.as_file().set_len(0).unwrap();
        file.write_all(b"content").unwrap();
        assert_eq!(read_once(file.path(), FileKind::Key).unwrap(), b"content");
    }

    #[test]
    fn a_file_that_is_not_regular_is_rejected_with_its_type() {
        let (folder, fifo) = fifo();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (folder.path(), "a directory"),
            (&fifo, "a pipe, which cannot be read again"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read(path, FileKind::Tokens).unwrap_err().to_string();
            let expected = format!("{}: not a regular file but {what}", path.display());
            assert_eq!(error, expected);
        }
        for path in [folder.path(), &socket, Path::new("/dev/zero")] {
            assert!(read_once(path, FileKind::Tokens).is_err());
        }
        let nothing = folder.path().join("nothing");
        assert!(read(&nothing, FileKind::Key).unwrap_err().is_not_found());
        let below = fifo.join("below");
        assert!(read(&below, FileKind::Key).unwrap_err().is_not_found());
    }

    #[test]
    fn a_pipe_is_accepted_where_the_file_is_read_once() {
        let (_folder, path) = fifo();
        let writer = path.clone();
        let writer = thread::spawn(move || fs::write(writer, "content").unwrap());
        assert_eq!(read_once(&path, FileKind::Credential).unwrap(), b"content");
        writer.join().unwrap();
    }

    #[test]
    fn a_read_that_does_not_end_blocks_one_thread_per_path() {
        static READS: Reads = Reads {
            in_progress: Mutex::new(BTreeSet::new()),
            ended: Condvar::new(),
        };
        let (_folder, path) = fifo();
        let read = || READS.read(&path, FileKind::Key, Pipes::Accepted, SHORT);
        for _ in 0..3 {
            let error = read().unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert_eq!(READS.in_progress.lock().len(), 1);
        }
        let other = NamedTempFile::new().unwrap();
        let other = READS.read(other.path(), FileKind::Key, Pipes::Rejected, TIMEOUT);
        assert_eq!(other, Ok(Vec::new()));

        // Once it ends, the path can be read again.
        fs::write(&path, "late").unwrap();
        let ended = READS.begin(&path, TIMEOUT);
        assert!(ended.is_some());
        drop(ended);
        assert!(READS.in_progress.lock().is_empty());
    }
}
