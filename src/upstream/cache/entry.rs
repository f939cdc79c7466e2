//! Cache entry: a response in as little memory as it needs.

use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use memchr::memmem;
use triomphe::ThinArc;

use crate::{
    clock::BootTime,
    upstream::{
        error::{ApiError, Error},
        response::{ApiResponse, Decode, Reply},
    },
};

/// The pause after a failed refresh, so that an overloaded upstream does not receive a refresh with
/// every call.
const PAUSE: Duration = Duration::from_secs(1);

/// A cached response and the time of its receipt, in one allocation and cheap to clone.
///
/// `Debug` omits the response.
#[derive(Clone)]
pub(in crate::upstream) struct Entry(ThinArc<Head, u8>);

struct Head {
    received_at: BootTime,
    /// The age until which no refresh is started, in milliseconds.
    pause_ends: AtomicU32,
    is_negative: bool,
    content: Content,
}

enum Content {
    Error(Box<ApiError>),
    /// The bytes are the body, followed by the request id unless the body contains it. They are copied
    /// from the receive buffer, which may be larger.
    Response {
        body_length: u32,
        id_start: u32,
        id_length: u32,
    },
}

impl Entry {
    /// Creates an entry for a successful response.
    pub(super) fn response(response: &ApiResponse, is_negative: bool, now: BootTime) -> Self {
        let id = response.request_id.as_bytes();
        let body = response.body.as_ref();
        let (bytes, id_start) = match memmem::rfind(body, id) {
            Some(start) => (Cow::Borrowed(body), start),
            None => (Cow::Owned([body, id].concat()), body.len()),
        };
        // A response has at most 64 MiB, and contains its id.
        let content = Content::Response {
            body_length: body.len() as u32,
            id_start: id_start as u32,
            id_length: id.len() as u32,
        };
        Self::new(content, &bytes, is_negative, now)
    }

    /// Creates an entry for an API error that says that the resource does not exist.
    pub(super) fn not_found(error: &ApiError, now: BootTime) -> Self {
        let content = Content::Error(Box::new(error.clone()));
        Self::new(content, &[], true, now)
    }

    fn new(content: Content, bytes: &[u8], is_negative: bool, now: BootTime) -> Self {
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

    /// Returns the response, decoded, or the error.
    pub(in crate::upstream) fn reply<T>(&self, decode: Decode<T>) -> Result<Reply<T>, Error> {
        let bytes = &self.0.slice;
        match &self.head().content {
            Content::Error(error) => Err(Error::Api(ApiError::clone(error))),
            Content::Response {
                body_length,
                id_start,
                id_length,
            } => {
                let (_, id) = bytes.split_at(*id_start as usize);
                let (id, _) = id.split_at(*id_length as usize);
                let (body, _) = bytes.split_at(*body_length as usize);
                let request_id = String::from_utf8_lossy(id).into_owned();
                Ok(Reply {
                    message: decode(body, &request_id).message,
                    request_id,
                })
            }
        }
    }

    /// Returns whether the response says that the resource does not exist.
    pub(super) fn is_negative(&self) -> bool {
        self.head().is_negative
    }

    /// Returns the time since the receipt of the response.
    pub(super) fn age(&self, now: BootTime) -> Duration {
        now.saturating_duration_since(self.head().received_at)
    }

    /// Returns whether a refresh may be started.
    pub(super) fn may_refresh(&self, now: BootTime) -> bool {
        let pause_ends =
            Duration::from_millis(self.head().pause_ends.load(Ordering::Relaxed).into());
        self.age(now) >= pause_ends
    }

    /// Prevents a refresh for 1 s.
    pub(super) fn postpone_refresh(&self, now: BootTime) {
        // Entries are served for at most two days, which in milliseconds is far below the maximum.
        let until = u32::try_from((self.age(now) + PAUSE).as_millis()).unwrap_or(u32::MAX);
        self.head().pause_ends.store(until, Ordering::Relaxed);
    }

    /// Returns the size of the entry beside the fixed overhead, in bytes.
    pub(super) fn size(&self) -> usize {
        match &self.head().content {
            Content::Error(error) => {
                let texts = [&error.code, &error.message, &error.request_id];
                size_of::<ApiError>() + texts.map(String::len).iter().sum::<usize>()
            }
            Content::Response { .. } => self.0.slice.len(),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}
