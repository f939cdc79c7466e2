//! Peer address: the client end of a connection, over TCP or over a Unix socket.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::Identity;

/// The client end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PeerAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A client of a Unix socket, which itself has no address.
    Unix {
        /// The path of the socket that the client has connected to.
        path: Arc<str>,
        /// The user id of its process when it connected, by the kernel.
        uid: u32,
    },
}

impl PeerAddress {
    /// Returns the port of the client, if it has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix { .. } => None,
        }
    }

    /// Returns the identity of a caller that is known by its connection only: its IP address, or the
    /// user id of its process.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Tcp(address) => Identity::of_address(address.ip()),
            Self::Unix { uid, .. } => Identity::Uid(*uid),
        }
    }
}

/// Writes the IP address or the path of the socket, as `network.peer.address` of OpenTelemetry.
impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.ip().fmt(f),
            Self::Unix { path, .. } => f.write_str(path),
        }
    }
}
