//! Listener: accepts connections up to a maximum, and owns them.

use std::time::Duration;

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

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
                    tracing::debug!(%error, "emulator failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Maximum number of open connections. Further connections wait in the listen queue.
const MAX_CONNECTIONS: usize = 2_048;

/// Backoff after a failed accept, so that the loop does not spin while, for example, the process has no
/// free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
