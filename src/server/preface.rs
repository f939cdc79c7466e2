//! Reads the first bytes of an HTTP/2 connection, before anything is kept for it.
//!
//! hyper waits for them without end, and cannot be told to go away meanwhile.

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What every client must send first, by [RFC 9113, section 3.4].
///
/// [RFC 9113, section 3.4]: https://www.rfc-editor.org/rfc/rfc9113#section-3.4
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client of HTTP/1.1 is told, in words that it understands.
const NOT_HTTP1: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    connection: close\r\ncontent-type: text/plain\r\n\r\n\
    This port serves gRPC, over HTTP/2 only.\n";

/// Waits for the preface, and returns the connection of these halves as if it had not been read.
///
/// # Errors
///
/// Fails if anything else arrives, or nothing more.
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
            // What arrives unread would reset the connection before the peer has read the answer.
            tokio::io::copy(&mut receiving, &mut tokio::io::sink()).await?;
            return Err(io::Error::other("the peer does not speak HTTP/2"));
        }
    }
    Ok(tokio::io::join(
        Cursor::new(first).chain(receiving),
        sending,
    ))
}
