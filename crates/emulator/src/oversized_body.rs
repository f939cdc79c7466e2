//! Oversized response body: streams a JSON body of any size without holding it in memory.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

/// The JSON object `{"Response":{"Padding":"xxx…"}}`, padded to a given size.
///
/// It has no `Content-Length`, so a client must enforce its limit while it reads.
#[derive(Debug)]
pub(super) struct OversizedBody {
    stage: Stage,
    padding: u64,
}

#[derive(Debug)]
enum Stage {
    Head,
    Padding,
    Done,
}

impl OversizedBody {
    /// Creates a body of `bytes` bytes, or of the 27 bytes that the object has without padding.
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            stage: Stage::Head,
            padding: bytes.saturating_sub((HEAD.len() + TAIL.len()) as u64),
        }
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Head => {
                self.stage = Stage::Padding;
                Some(Bytes::from_static(HEAD))
            }
            Stage::Padding if self.padding > 0 => {
                let length =
                    usize::try_from(self.padding).map_or(CHUNK.len(), |n| n.min(CHUNK.len()));
                self.padding -= length as u64;
                Some(Bytes::from_static(&CHUNK[..length]))
            }
            Stage::Padding => {
                self.stage = Stage::Done;
                Some(Bytes::from_static(TAIL))
            }
            Stage::Done => None,
        }
    }
}

impl http_body::Body for OversizedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_chunk().map(|chunk| Ok(Frame::data(chunk))))
    }
}

const HEAD: &[u8] = br#"{"Response":{"Padding":""#;
const TAIL: &[u8] = br#""}}"#;
static CHUNK: [u8; 16 * 1024] = [b'x'; 16 * 1024];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_of_the_given_size() {
        for bytes in [27, 28, 1_000, 100_000] {
            let mut body = OversizedBody::new(bytes);
            let text: Vec<u8> = std::iter::from_fn(|| body.next_chunk()).flatten().collect();
            assert_eq!(text.len() as u64, bytes);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        }
    }
}
