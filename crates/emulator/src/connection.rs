//! HTTP/1.1 server connection of the emulator: serves requests until the client or a fault closes it.

use std::{error::Error, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{faults::Cut, reply::Closed, worlds::Worlds};

/// Serves a connection until it closes.
pub(super) async fn serve(stream: TcpStream, worlds: Arc<Worlds>) {
    let handler = service_fn(move |request| {
        let worlds = Arc::clone(&worlds);
        Box::pin(async move { worlds.call(request).await })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_header_size(MAX_HEADER_BYTES)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), handler);
    let Err(error) = (&mut connection).await else {
        return;
    };
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Closed(cut)) => send_partial(&connection.into_parts().io.into_inner(), *cut).await,
        None => tracing::trace!(%error, "emulator connection failed"),
    }
}

/// Sends the beginning of a response. Dropping the stream then closes the connection.
async fn send_partial(stream: &TcpStream, cut: Cut) {
    let part: &[u8] = match cut {
        Cut::BeforeHeaders => return,
        Cut::InsideHeaders => b"HTTP/1.1 200 OK\r\nContent-Type: appl",
        Cut::InsideBody => {
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n\
              {\"Response\":{\"Gro"
        }
    };
    // So few bytes fit into the send buffer at once. A failed write means that the client has disconnected.
    if stream.writable().await.is_ok() {
        let _ = stream.try_write(part);
    }
}

/// Idle timeout between requests. The API also closes idle connections after one minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum size of the request line and headers together, in bytes: twice the longest query that the API
/// accepts. Larger requests receive status 431.
const MAX_HEADER_BYTES: usize = 64 << 10;
