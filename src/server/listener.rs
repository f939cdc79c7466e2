//! Listener: binds a port whose listen queue holds a burst of new connections.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

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
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        // The test accepts none: a connection beyond the queue times out.
        let connections = (0..BURST).map(|_| TcpStream::connect_timeout(&address, TIMEOUT));
        let connected = connections.collect::<io::Result<Vec<_>>>().unwrap();
        assert_eq!(connected.len(), BURST);
    }
}
