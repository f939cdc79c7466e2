//! Listener: binds an address with a listen queue that holds a burst of new connections.

use std::{io, net::SocketAddr};

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};

use super::unix_listener::UnixSocketListener;
use crate::{config::ListenAddress, context::PeerAddress};

/// The TCP user timeout: how long sent bytes may remain unacknowledged. Equals the time for which the
/// keepalive lets a peer be silent.
const UNSENT_TIMEOUT_MS: u32 = 40_000;

/// A listener on an address or on a Unix socket.
#[derive(Debug)]
pub(super) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, whose file is removed on drop.
    Unix(UnixSocketListener),
}

/// A new connection.
#[derive(Debug)]
pub(super) enum Socket {
    /// Of a TCP listener, with the address of the client.
    Tcp(TcpStream, SocketAddr),
    /// Of a Unix socket.
    Unix(UnixStream),
}

/// What accepts new connections.
pub(super) trait Accept {
    /// A new connection.
    type Socket;
    /// Its client end.
    type Peer;

    /// Accepts a connection. Cancel safe: no connection is lost.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Socket, Self::Peer)>> + Send;
}

impl Listener {
    /// Binds a listener, and returns it with its address, which has the port that the system assigned
    /// for port 0. A Unix socket receives the permissions `mode`.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be bound.
    pub(super) fn bind(address: &ListenAddress, mode: u32) -> io::Result<(Self, ListenAddress)> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = bind_tcp(*address)?;
                let address = listener.local_addr()?;
                Ok((Self::Tcp(listener), ListenAddress::Tcp(address)))
            }
            ListenAddress::Unix(path) => {
                let listener = UnixSocketListener::bind(path, mode, LISTEN_QUEUE)?;
                Ok((Self::Unix(listener), address.clone()))
            }
        }
    }
}

impl Accept for Listener {
    type Socket = Socket;
    /// The client end, and the port that it has connected to.
    type Peer = (PeerAddress, Option<u16>);

    async fn accept(&self) -> io::Result<(Socket, Self::Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = Accept::accept(listener).await?;
                let port = listener.local_addr()?.port();
                let peer = (PeerAddress::Tcp(address), Some(port));
                Ok((Socket::Tcp(stream, address), peer))
            }
            Self::Unix(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Socket::Unix(stream), (address, None)))
            }
        }
    }
}

impl Accept for TcpListener {
    type Socket = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        // Responses are small; Nagle's algorithm would delay them.
        let _ = stream.set_nodelay(true);
        // To a peer that reads nothing, not even GOAWAY can be sent.
        let _ = set_tcp_user_timeout(&stream, UNSENT_TIMEOUT_MS);
        Ok((stream, address))
    }
}

/// Binds a TCP listener. An IPv6 address serves IPv6 only, except `[::]`, which also serves IPv4 unless
/// the system forbids it (`net.ipv6.bindv6only`).
///
/// # Errors
///
/// Fails if the address cannot be bound.
pub(super) fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As `TcpListener::bind` does: a restarted server can bind while old connections are in TIME_WAIT.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(address)?;
    socket.listen(LISTEN_QUEUE)
}

/// Maximum number of connections that wait to be accepted; the system may have a lower one, such as
/// `net.core.somaxconn` of Linux. The server delays connections of a larger burst, such as that of all
/// clients after a restart, by a second or more, until they repeat their first packet; `TcpListener::bind`
/// has 128.
const LISTEN_QUEUE: u32 = 1_024;

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpStream},
        time::Duration,
    };

    use super::*;

    /// More than the default listen queue, and less than that of Linux since 5.4, 4,096.
    const BURST: usize = 512;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted() {
        let listener = bind_tcp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        // The test accepts none: a connection beyond the queue times out.
        let connections = (0..BURST).map(|_| TcpStream::connect_timeout(&address, TIMEOUT));
        let connected = connections.collect::<io::Result<Vec<_>>>().unwrap();
        assert_eq!(connected.len(), BURST);
    }
}
