//! Raw TCP upstream: runs a function on each connection, for behaviour that HTTP servers do not have.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::harness::LOOPBACK;

/// A TCP server that runs the same function on each connection. Dropping it stops the server.
pub(crate) struct RawUpstream {
    address: SocketAddr,
    open: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl RawUpstream {
    /// Starts a server that runs `serve` on each connection and then closes the connection.
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, open) = watch::channel(0);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        count.send_modify(|open| *open += 1);
                        connections.spawn(serve(accepted.unwrap().0));
                    }
                    Some(_) = connections.join_next() => count.send_modify(|open| *open -= 1),
                }
            }
        });
        Self {
            address,
            open,
            _server: server,
        }
    }

    /// Returns the URL of the server.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until no connection is open.
    pub(crate) async fn wait_until_closed(&mut self) {
        self.open.wait_for(|open| *open == 0).await.unwrap();
    }
}

/// Reads one request and returns whether it was complete.
pub(crate) async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() >= length {
                return true;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return false;
        }
    }
}

/// Reads a request and writes the bytes of `response`.
pub(crate) async fn respond(mut stream: TcpStream, response: impl AsRef<[u8]>) -> TcpStream {
    if read_request(&mut stream).await {
        let _ = stream.write_all(response.as_ref()).await;
    }
    stream
}

/// Waits until the peer closes the connection.
pub(crate) async fn hold(mut stream: TcpStream) {
    let mut rest = Vec::new();
    while stream
        .read_buf(&mut rest)
        .await
        .is_ok_and(|length| length > 0)
    {
        rest.clear();
    }
}

/// Makes the connection end with a TCP reset when it is dropped.
pub(crate) fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}
