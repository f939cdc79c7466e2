//! Reads the first bytes of an HTTP/2 connection, before anything is kept for it.
//!
//! hyper waits for them without end, and cannot be told to go away meanwhile.

use std::io::{self, Cursor};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// What every client must send first, by [RFC 9113, section 3.4].
///
/// [RFC 9113, section 3.4]: https://www.rfc-editor.org/rfc/rfc9113#section-3.4
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client of HTTP/1.1 is told, in words that it understands.
const NOT_HTTP1: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    connection: close\r\ncontent-type: text/plain\r\n\r\n\
    This port serves gRPC, over HTTP/2 only.\n";

/// Waits for the preface, and returns the connection as if it had not been read.
///
/// # Errors
///
/// Fails if anything else arrives, or nothing more.
pub(super) async fn read(
    mut stream: TcpStream,
) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin> {
    let mut first = [0; PREFACE.len()];
    let mut length = 0;
    while length < first.len() {
        match stream.read(&mut first[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
        if first[..length] != PREFACE[..length] {
            stream.write_all(NOT_HTTP1).await?;
            stream.shutdown().await?;
            // What arrives unread would reset the connection before the peer has read the answer.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Err(io::Error::other("the peer does not speak HTTP/2"));
        }
    }
    let (receiving, sending) = stream.into_split();
    Ok(tokio::io::join(
        Cursor::new(first).chain(receiving),
        sending,
    ))
}
