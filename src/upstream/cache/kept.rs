//! One answer, in as little room as it needs.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::super::{Error, Refusal, Reply};

/// How long after a renewal that failed none is tried, so that an upstream in trouble is not asked
/// with every call.
const PAUSE: Duration = Duration::from_secs(1);

/// What upstream answered to a call, and when.
///
/// `Debug` shows nothing of the answer.
pub(in crate::upstream) struct Kept {
    received_at: Instant,
    /// Until how long after it was received no renewal is tried, in milliseconds.
    pause_ends: AtomicU32,
    is_negative: bool,
    content: Content,
}

enum Content {
    Refused(Box<Refusal>),
    Replied {
        /// The body, and the id of the call behind it unless the body has it: exactly what is needed
        /// of the buffer that both were received in.
        bytes: Box<[u8]>,
        body_length: u32,
        id_start: u32,
        id_length: u32,
    },
}

impl Kept {
    /// Returns an answer to be kept.
    pub(super) fn answer(reply: &Reply, is_negative: bool, now: Instant) -> Self {
        let id = reply.request_id.as_bytes();
        let body = reply.body.as_ref();
        let is_id = |part: &[u8]| part == id;
        let (bytes, id_start) = match body.windows(id.len().max(1)).rposition(is_id) {
            Some(start) => (body.into(), start),
            None => ([body, id].concat().into(), body.len()),
        };
        // No answer has more than 64 MiB, and its id is a part of it.
        let content = Content::Replied {
            bytes,
            body_length: body.len() as u32,
            id_start: id_start as u32,
            id_length: id.len() as u32,
        };
        Self::new(content, is_negative, now)
    }

    /// Returns a refusal to be kept, which says that there is no such thing.
    pub(super) fn refusal(refusal: &Refusal, now: Instant) -> Self {
        Self::new(Content::Refused(Box::new(refusal.clone())), true, now)
    }

    fn new(content: Content, is_negative: bool, now: Instant) -> Self {
        Self {
            received_at: now,
            pause_ends: AtomicU32::new(0),
            is_negative,
            content,
        }
    }

    /// Returns what upstream answered.
    pub(in crate::upstream) fn outcome(&self) -> Result<Reply, Error> {
        match &self.content {
            Content::Refused(refusal) => Err(Error::Refused(Refusal::clone(refusal))),
            Content::Replied {
                bytes,
                body_length,
                id_start,
                id_length,
            } => {
                let (_, id) = bytes.split_at(*id_start as usize);
                let (id, _) = id.split_at(*id_length as usize);
                let (body, _) = bytes.split_at(*body_length as usize);
                Ok(Reply {
                    body: Bytes::copy_from_slice(body),
                    request_id: String::from_utf8_lossy(id).into_owned(),
                })
            }
        }
    }

    /// Tells whether the answer is that there is no such thing.
    pub(super) fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Returns how long ago it was received.
    pub(in crate::upstream) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received_at)
    }

    /// Tells whether a renewal may be tried.
    pub(in crate::upstream) fn is_renewable(&self, now: Instant) -> bool {
        let pause_ends = Duration::from_millis(self.pause_ends.load(Ordering::Relaxed).into());
        self.age(now) >= pause_ends
    }

    /// Lets no renewal be tried for a moment.
    pub(in crate::upstream) fn postpone(&self, now: Instant) {
        // Two days of milliseconds, which is the longest that anything is kept, are far below it.
        let until = u32::try_from((self.age(now) + PAUSE).as_millis()).unwrap_or(u32::MAX);
        self.pause_ends.store(until, Ordering::Relaxed);
    }

    /// Returns how many bytes its parts have.
    pub(super) fn size(&self) -> usize {
        let content = match &self.content {
            Content::Refused(refusal) => {
                let texts = [&refusal.code, &refusal.message, &refusal.request_id];
                size_of::<Refusal>() + texts.map(String::len).iter().sum::<usize>()
            }
            Content::Replied { bytes, .. } => bytes.len(),
        };
        size_of::<Self>() + content
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
