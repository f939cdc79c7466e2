//! One answer, in as little room as it needs.

use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use triomphe::ThinArc;

use super::super::{Error, Refusal, Reply};

/// How long after a renewal that failed none is tried, so that an upstream in trouble is not asked
/// with every call.
const PAUSE: Duration = Duration::from_secs(1);

/// What upstream answered to a call, and when: in one piece of memory, and cheap to clone.
///
/// `Debug` shows nothing of the answer.
#[derive(Clone)]
pub(in crate::upstream) struct Kept(ThinArc<Head, u8>);

struct Head {
    received_at: Instant,
    /// Until how long after it was received no renewal is tried, in milliseconds.
    pause_ends: AtomicU32,
    is_negative: bool,
    content: Content,
}

enum Content {
    Refused(Box<Refusal>),
    /// The bytes are the body, and the id of the call behind it unless the body has it: exactly what
    /// is needed of the buffer that both were received in.
    Replied {
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
            Some(start) => (Cow::Borrowed(body), start),
            None => (Cow::Owned([body, id].concat()), body.len()),
        };
        // No answer has more than 64 MiB, and its id is a part of it.
        let content = Content::Replied {
            body_length: body.len() as u32,
            id_start: id_start as u32,
            id_length: id.len() as u32,
        };
        Self::new(content, &bytes, is_negative, now)
    }

    /// Returns a refusal to be kept, which says that there is no such thing.
    pub(super) fn refusal(refusal: &Refusal, now: Instant) -> Self {
        let content = Content::Refused(Box::new(refusal.clone()));
        Self::new(content, &[], true, now)
    }

    fn new(content: Content, bytes: &[u8], is_negative: bool, now: Instant) -> Self {
        let head = Head {
            received_at: now,
            pause_ends: AtomicU32::new(0),
            is_negative,
            content,
        };
        Self(ThinArc::from_header_and_slice(head, bytes))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// Returns what upstream answered.
    pub(in crate::upstream) fn outcome(&self) -> Result<Reply, Error> {
        let bytes = &self.0.slice;
        match &self.head().content {
            Content::Refused(refusal) => Err(Error::Refused(Refusal::clone(refusal))),
            Content::Replied {
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
        self.head().is_negative
    }

    /// Returns how long ago it was received.
    pub(in crate::upstream) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.head().received_at)
    }

    /// Tells whether a renewal may be tried.
    pub(in crate::upstream) fn is_renewable(&self, now: Instant) -> bool {
        let pause_ends =
            Duration::from_millis(self.head().pause_ends.load(Ordering::Relaxed).into());
        self.age(now) >= pause_ends
    }

    /// Lets no renewal be tried for a moment.
    pub(in crate::upstream) fn postpone(&self, now: Instant) {
        // Two days of milliseconds, which is the longest that anything is kept, are far below it.
        let until = u32::try_from((self.age(now) + PAUSE).as_millis()).unwrap_or(u32::MAX);
        self.head().pause_ends.store(until, Ordering::Relaxed);
    }

    /// Returns how many bytes it has beside those that each has.
    pub(super) fn size(&self) -> usize {
        match &self.head().content {
            Content::Refused(refusal) => {
                let texts = [&refusal.code, &refusal.message, &refusal.request_id];
                size_of::<Refusal>() + texts.map(String::len).iter().sum::<usize>()
            }
            Content::Replied { .. } => self.0.slice.len(),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
