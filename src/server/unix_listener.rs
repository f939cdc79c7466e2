//! Unix socket listener: creates the socket file with its mode, replaces one that a killed process has
//! left behind, and removes its own on drop.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::context::PeerAddress;

/// A listener on a Unix socket.
#[derive(Debug)]
pub(super) struct UnixSocketListener {
    listener: UnixListener,
    path: Arc<str>,
    _file: SocketFile,
}

impl UnixSocketListener {
    /// Creates a socket file with exactly the permissions `mode`, whatever the umask, and listens on it. Up to
    /// `queue` connections wait to be accepted.
    ///
    /// # Errors
    ///
    /// Fails if the path is in use by a process or by a file of another kind, or if the file cannot be
    /// created.
    pub(super) fn bind(path: &Path, mode: u32, queue: u32) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let file = SocketFile::new(path)?;
        // Before `listen`, no client can connect, whatever the umask has allowed.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(Self {
            listener: socket.listen(queue)?,
            path: path.to_string_lossy().into(),
            _file: file,
        })
    }

    /// Accepts a connection. Cancel safe: no connection is lost.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, PeerAddress)> {
        let (stream, _) = self.listener.accept().await?;
        let address = PeerAddress::Unix {
            path: Arc::clone(&self.path),
            uid: stream.peer_cred()?.uid(),
        };
        Ok((stream, address))
    }
}

/// Removes a socket that no process listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        let problem = "the file exists and is not a socket: remove it, or use another path";
        return Err(io::Error::new(ErrorKind::AlreadyExists, problem));
    }
    match connects(path) {
        Ok(()) => {
            let problem = "a process listens on this socket: stop it, or use another path";
            Err(io::Error::new(ErrorKind::AddrInUse, problem))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Connects without waiting: `connect` blocks while the listen queue of a process is full.
fn connects(path: &Path) -> io::Result<()> {
    let address = rustix::net::SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
        None,
    )?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A socket file, removed on drop unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            id: file_id(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use tempfile::TempDir;

    use super::*;

    const MODE: u32 = 0o600;

    #[tokio::test]
    async fn a_socket_has_its_mode_and_is_removed_on_drop() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        for mode in [0o600, 0o660, 0o777] {
            let listener = UnixSocketListener::bind(&path, mode, 8).unwrap();
            let permissions = fs::metadata(&path).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o7777, mode);
            drop(listener);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn only_a_socket_without_a_listener_is_replaced() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());

        let listener = UnixSocketListener::bind(&path, MODE, 8).unwrap();
        let error = UnixSocketListener::bind(&path, MODE, 8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        net::UnixStream::connect(&path).unwrap();
        drop(listener);

        for (name, make) in [
            (
                "file",
                (|path| fs::write(path, "kept").unwrap()) as fn(&Path),
            ),
            ("folder", |path| fs::create_dir(path).unwrap()),
            ("link", |path| {
                std::os::unix::fs::symlink("/nowhere", path).unwrap()
            }),
        ] {
            let path = folder.path().join(name);
            make(&path);
            let error = UnixSocketListener::bind(&path, MODE, 8).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
            assert!(fs::symlink_metadata(&path).is_ok(), "{name}");
        }
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_not_removed() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixSocketListener::bind(&path, MODE, 8).unwrap();
        fs::rename(&path, folder.path().join("other")).unwrap();
        let successor = UnixSocketListener::bind(&path, MODE, 8).unwrap();

        drop(listener);

        net::UnixStream::connect(&path).unwrap();
        drop(successor);
    }
}
