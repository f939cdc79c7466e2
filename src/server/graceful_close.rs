//! Graceful close: keeps a connection usable after GOAWAY for calls that clients have already begun.
//!
//! To close a connection, h2 sends GOAWAY with the highest stream id, and a PING. After the PING's
//! acknowledgement it accepts no more calls. But clients such as grpcio acknowledge before they send
//! the calls that they had begun, and h2 treats the frames of these calls as a protocol error, which
//! fails all calls of the connection. Therefore the acknowledgement is withheld from h2. Clients close
//! the connection after their last call, as GOAWAY requires; the server closes it for those that do
//! not.

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

use super::preface::PREFACE;

/// The frame that acknowledges h2's PING.
const PING_ACK: [u8; 17] = *b"\0\0\x08\x06\x01\0\0\0\0\x0b\x7b\xa2\xf0\x8b\x9b\xfe\x54";

/// A flag that starts the graceful close of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct GracefulClose(Arc<AtomicBool>);

impl GracefulClose {
    /// Starts the graceful close.
    pub(super) fn start(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Wraps `stream`, so that h2 does not receive the acknowledgement once the close has started.
    pub(super) fn wrap<S>(&self, stream: S) -> AckFilter<S> {
        AckFilter {
            stream,
            close: self.clone(),
            frames: Frames::default(),
        }
    }
}

/// A stream that removes the acknowledgement of the PING from what is read.
#[derive(Debug)]
pub(super) struct AckFilter<S> {
    stream: S,
    close: GracefulClose,
    frames: Frames,
}

/// The position in what the client sends: the preface, and then frames. A message may contain the bytes
/// of an acknowledgement, so these count only where a frame begins.
#[derive(Debug)]
struct Frames {
    /// The number of bytes of the current frame, or of the preface, that are still to come.
    rest: usize,
    /// The number of bytes read of a header that is not complete, and the length of its payload, as far
    /// as it is read.
    header: usize,
    length: usize,
}

/// The length of the header of a frame, and that of the number in front, which is the length of its
/// payload ([RFC 9113, section 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).
const HEADER: usize = 9;
const LENGTH: usize = 3;

impl Default for Frames {
    fn default() -> Self {
        Self {
            rest: PREFACE.len(),
            header: 0,
            length: 0,
        }
    }
}

impl Frames {
    /// Moves on by what was read, and removes the acknowledgement from it if `is_closing`. Returns the
    /// remaining length.
    ///
    /// An acknowledgement that arrives in two reads is not recognized: h2 then closes the connection as it
    /// would without this filter.
    fn advance(&mut self, read: &mut [u8], is_closing: bool) -> usize {
        let mut end = read.len();
        let mut at = 0;
        while at < end {
            if self.rest > 0 {
                let passed = self.rest.min(end - at);
                self.rest -= passed;
                at += passed;
            } else if is_closing && self.header == 0 && read[at..end].starts_with(&PING_ACK) {
                read.copy_within(at + PING_ACK.len()..end, at);
                end -= PING_ACK.len();
            } else {
                if self.header < LENGTH {
                    self.length = self.length << 8 | usize::from(read[at]);
                }
                self.header += 1;
                at += 1;
                if self.header == HEADER {
                    self.rest = std::mem::take(&mut self.length);
                    self.header = 0;
                }
            }
        }
        end
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AckFilter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            let this = &mut *self;
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let is_closing = this.close.0.load(Ordering::Relaxed);
            let read = &mut buffer.filled_mut()[before..];
            let is_end = read.is_empty();
            let length = this.frames.advance(read, is_closing);
            buffer.set_filled(before + length);
            // A read of zero bytes would mean that the peer has closed the connection.
            if length > 0 || is_end {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AckFilter<S> {
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

    /// Returns a frame of DATA.
    fn data(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], b"\0\0\0\0\0\x01", payload].concat()
    }

    /// Returns what is left of `sent` if it arrives in reads of `size` bytes.
    fn filtered(sent: &[u8], size: usize) -> Vec<u8> {
        let mut frames = Frames::default();
        let mut left = Vec::new();
        for read in sent.chunks(size) {
            let mut read = read.to_vec();
            let length = frames.advance(&mut read, true);
            left.extend(&read[..length]);
        }
        left
    }

    #[test]
    fn the_acknowledgement_is_removed_from_between_other_frames() {
        let (before, after) = (data(b"before"), data(&[b'a'; 300]));
        let sent = [&PREFACE[..], &before, &PING_ACK, &after].concat();

        let left = filtered(&sent, sent.len());

        assert_eq!(left, [&PREFACE[..], &before, &after].concat());
        let sent = [&PREFACE[..], &PING_ACK].concat();
        assert_eq!(filtered(&sent, sent.len()), PREFACE);
        assert_eq!(filtered(&sent, PREFACE.len()), PREFACE);
    }

    #[test]
    fn an_acknowledgement_within_a_message_is_part_of_it() {
        let message = data(&[&PING_ACK[..], b"x", &PING_ACK].concat());
        let sent = [&PREFACE[..], &message, &data(&PING_ACK), &data(b"")].concat();

        for size in 1..=sent.len() {
            assert_eq!(filtered(&sent, size), sent, "{size}");
        }
    }

    #[test]
    fn before_the_close_the_acknowledgement_is_read() {
        let mut sent = [&PREFACE[..], &PING_ACK].concat();

        let length = Frames::default().advance(&mut sent, false);

        assert_eq!(length, sent.len());
    }
}
