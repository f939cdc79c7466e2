//! One connection: HTTP/1.1, until the client or a fault closes it.

use std::{error::Error, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{faults::Cut, service::Service};

/// Serves a connection until it is closed.
pub(super) async fn serve(stream: TcpStream, service: Arc<Service>) {
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        Box::pin(async move { service.call(request).await })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), handler);
    let Err(error) = (&mut connection).await else {
        return;
    };
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Closed(cut)) => send_part(&connection.into_parts().io.into_inner(), *cut).await,
        None => tracing::trace!(%error, "emulator lost a connection"),
    }
}

/// Told to the HTTP server instead of a response: the connection ends here, cut as said.
#[derive(Debug, thiserror::Error)]
#[error("the connection is to be closed")]
pub(super) struct Closed(pub(super) Cut);

/// Sends the beginning of a response. The stream is closed when it is dropped.
async fn send_part(stream: &TcpStream, cut: Cut) {
    let part: &[u8] = match cut {
        Cut::BeforeHeaders => return,
        Cut::InsideHeaders => b"HTTP/1.1 200 OK\r\nContent-Type: appl",
        Cut::InsideBody => {
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n\
              {\"Response\":{\"Gro"
        }
    };
    // So few bytes go out at once; if the client is gone already, there is nobody to tell.
    if stream.writable().await.is_ok() {
        let _ = stream.try_write(part);
    }
}

/// How long a client may take for its next request: as long as the API, which closes idle
/// connections after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
