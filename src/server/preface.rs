//! HTTP/2 preface: reads the first bytes of a connection before hyper does, which would wait for them
//! without a timeout and could not shut down gracefully meanwhile.

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The first bytes that every client must send, by [RFC 9113, section 3.4].
///
/// [RFC 9113, section 3.4]: https://www.rfc-editor.org/rfc/rfc9113#section-3.4
pub(super) const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The response to a client that does not speak HTTP/2, in HTTP/1.1.
const NOT_HTTP1: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    connection: close\r\ncontent-type: text/plain\r\n\r\n\
    This port serves gRPC, over HTTP/2 only.\n";

/// Waits for the preface, and returns the connection from its two halves, with the preface still to be
/// read.
///
/// # Errors
///
/// Returns an error if the client sends anything else or closes the connection.
pub(super) async fn read<R, W>(
    mut receiving: R,
    mut sending: W,
) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let mut first = [0; PREFACE.len()];
    let mut length = 0;
    while length < first.len() {
        match receiving.read(&mut first[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
        if first[..length] != PREFACE[..length] {
            sending.write_all(NOT_HTTP1).await?;
            sending.shutdown().await?;
            // Unread bytes would reset the connection before the client has read the response.
            tokio::io::copy(&mut receiving, &mut tokio::io::sink()).await?;
            return Err(io::Error::other("the client does not speak HTTP/2"));
        }
    }
    Ok(tokio::io::join(
        Cursor::new(first).chain(receiving),
        sending,
    ))
}
