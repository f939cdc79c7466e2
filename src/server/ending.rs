//! Keeps a connection that is to end open for the calls that are on their way to it.
//!
//! To end a connection, h2 sends GOAWAY without a last call, and a ping. Once that is answered, it
//! takes no more calls. But clients such as grpcio answer before they send the calls that they had
//! begun, and h2 takes what belongs to these for an error of protocol, which ends all calls of the
//! connection. So the answer is kept from it. Clients close the connection after their last call, as
//! GOAWAY asks them to, and it is closed for those that do not.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The answer to h2's ping, as a frame.
const PONG: [u8; 17] = *b"\0\0\x08\x06\x01\0\0\0\0\x0b\x7b\xa2\xf0\x8b\x9b\xfe\x54";

/// Tells a connection that it is to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending(Arc<AtomicBool>);

impl Ending {
    /// Begins the end.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns `stream` as h2 is to see it.
    pub(super) fn watch<S>(&self, stream: S) -> Unhurried<S> {
        Unhurried {
            stream,
            ending: self.clone(),
        }
    }
}

/// A stream on which the answer to the ping does not arrive.
#[derive(Debug)]
pub(super) struct Unhurried<S> {
    stream: S,
    ending: Ending,
}

impl<S: AsyncRead + Unpin> AsyncRead for Unhurried<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if !self.ending.0.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let read = &mut buffer.filled_mut()[before..];
            let Some(length) = without_pong(read) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before + length);
            // Nothing would mean that the peer has closed the connection.
            if length > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Takes the answer out of what was read, and returns how much is left.
///
/// One that arrives in two parts is not seen: h2 then does what it would have done.
fn without_pong(read: &mut [u8]) -> Option<usize> {
    let at = read.windows(PONG.len()).position(|frame| frame == PONG)?;
    read.copy_within(at + PONG.len().., at);
    Some(read.len() - PONG.len())
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unhurried<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_taken_out_of_what_is_around_it() {
        let mut read = [b"before", &PONG[..], b"after"].concat();

        let length = without_pong(&mut read).unwrap();

        assert_eq!(&read[..length], b"beforeafter");
        assert_eq!(without_pong(&mut read[..length]), None);
        assert_eq!(without_pong(&mut PONG.clone()), Some(0));
    }
}
