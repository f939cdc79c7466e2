//! Listener: accepts connections up to a maximum, and owns them.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};

/// Binds a listener to an address.
///
/// # Errors
///
/// Fails if the address cannot be bound.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As `TcpListener::bind` does: an emulator can start at once where another stopped.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(address)?;
    socket.listen(LISTEN_QUEUE)
}

/// Serves each accepted connection in a task until the listener is dropped.
pub(super) async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream));
                }
                Err(error) => {
                    tracing::debug!(error.message = %error, "emulator failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Maximum number of open connections. Further connections wait in the listen queue.
const MAX_CONNECTIONS: usize = 2_048;

/// Maximum number of connections that wait to be accepted; the system may have a lower one. In a burst of
/// more, connections are delayed by a second or more, until the client repeats its first packet. That
/// happened in tests with the 128 of `TcpListener::bind`.
const LISTEN_QUEUE: u32 = 1_024;

/// Backoff after a failed accept, so that the loop does not spin while, for example, the process has no
/// free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    /// More than the default listen queue. Systems allow at least 4,096 since Linux 5.4.
    const BURST: usize = 512;

    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        // Nothing accepts: a connection beyond the queue times out.
        let connections = (0..BURST).map(|_| TcpStream::connect_timeout(&address, TIMEOUT));
        let connected = connections.collect::<io::Result<Vec<_>>>().unwrap();
        assert_eq!(connected.len(), BURST);
    }

    const TIMEOUT: Duration = Duration::from_secs(10);
}
