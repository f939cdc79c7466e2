//! Server connection of the emulator: HTTP/1.1, in plain text or over TLS, until the client or a fault
//! closes it.

use std::{error::Error, io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{faults::Cut, reply::Closed, worlds::Worlds};

/// Serves a connection until it closes. With `tls`, the client chooses between TLS and plain text by its
/// first byte.
pub(super) async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, worlds: Arc<Worlds>) {
    match timeout(IDLE_TIMEOUT, open(stream, tls)).await {
        Ok(Ok(stream)) => serve_http(stream, worlds).await,
        Ok(Err(error)) => tracing::trace!(error.message = %error, "emulator connection failed"),
        Err(_) => tracing::trace!("emulator closed a connection without data"),
    }
}

/// A connection after its TLS handshake, if it has one.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Accepts a TLS handshake, if the connection begins with one. The log has the reason if it fails, which
/// many clients hide.
async fn open(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Box<dyn Stream>> {
    if !begins_with_tls(&stream).await? {
        return Ok(Box::new(stream));
    }
    let Some(tls) = tls else {
        tracing::info!(
            "client began a TLS handshake, but the emulator has no certificate: use http://, or start \
             the emulator with a certificate"
        );
        // The response to invalid HTTP makes clients report that the server does not use TLS.
        return Ok(Box::new(stream));
    };
    match tls.accept(stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            tracing::info!(error.message = %error, "TLS handshake with a client failed");
            Err(error)
        }
    }
}

/// Waits for the first byte of a connection, and returns whether it is that of a TLS handshake.
async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let received = stream.peek(&mut first).await?;
    Ok(first[..received] == [TLS_HANDSHAKE])
}

async fn serve_http(stream: Box<dyn Stream>, worlds: Arc<Worlds>) {
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
        Some(Closed(cut)) => send_partial(connection.into_parts().io.into_inner(), *cut).await,
        None => tracing::trace!(error.message = %error, "emulator connection failed"),
    }
}

/// Sends the beginning of a response. Dropping the stream then closes the connection, in TLS without the
/// message that announces it.
async fn send_partial(mut stream: Box<dyn Stream>, cut: Cut) {
    let part: &[u8] = match cut {
        Cut::BeforeHeaders => return,
        Cut::InsideHeaders => b"HTTP/1.1 200 OK\r\nContent-Type: appl",
        Cut::InsideBody => {
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n\
              {\"Response\":{\"Gro"
        }
    };
    let sent = async {
        stream.write_all(part).await?;
        stream.flush().await
    };
    // It fails only if the client has disconnected, and waits only if the client does not read.
    let _: Result<io::Result<()>, _> = timeout(IDLE_TIMEOUT, sent).await;
}

/// The content type of a handshake record, the first byte of a TLS connection (RFC 8446, section 5.1).
/// No request of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Idle timeout between requests, and timeout of the TLS handshake. The API also closes idle connections after one minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum size of the request line and headers together, in bytes: twice the longest query that the API
/// accepts. Larger requests receive status 431.
const MAX_HEADER_BYTES: usize = 64 << 10;
