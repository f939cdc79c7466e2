//! Keeps answers, and that there is none, for a while.
//!
//! The library stores, weighs and evicts. How old an answer may be is decided in
//! [`lifetimes`], by times that are passed in.

mod kept;
mod key;
mod lifetimes;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use self::lifetimes::Lifetimes;
pub(super) use self::{kept::Kept, key::Key, lifetimes::Freshness};
use super::{
    Call, Error, Meaning, Reply,
    error_code::{self, Class},
};
use crate::config;

/// What an entry takes beside the bytes of its answer, in the library, for its key, and lost to the
/// allocator: as the memory of a process shows that keeps many.
const OVERHEAD: usize = 400;

/// Answers by their calls, the most useful ones if there is no room for all.
pub(super) struct Cache {
    entries: moka::sync::Cache<Key, Kept>,
    evictions: Arc<AtomicU64>,
    lifetimes: Lifetimes,
}

impl Cache {
    /// Returns an empty cache, or nothing if `settings` want none.
    pub(super) fn new(settings: &config::Cache) -> Option<Self> {
        let lifetimes = Lifetimes::new(settings)?;
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.max_bytes)
            .weigher(|_, kept| weight(kept))
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Some(Self {
            entries,
            evictions,
            lifetimes,
        })
    }

    /// Returns what is kept for a call, however old.
    ///
    /// What is too old to be of use takes room until it is replaced, or makes room for others: to let
    /// the library look after it would take more room than that, in every entry.
    pub(super) fn find(&self, key: &Key) -> Option<Kept> {
        self.entries.get(key)
    }

    /// Tells for what an entry is still good enough.
    pub(super) fn freshness(&self, kept: &Kept, now: Instant) -> Freshness {
        self.lifetimes.freshness(kept.is_negative(), kept.age(now))
    }

    /// Keeps what upstream answered to a call if it is an answer, or that there is none, and tells
    /// whether it is.
    pub(super) fn keep(
        &self,
        key: &Key,
        call: &Call,
        outcome: &Result<Reply, Error>,
        now: Instant,
    ) -> bool {
        let kept = match outcome {
            Ok(reply) => match (call.meaning)(&reply.body) {
                Meaning::Answer => Kept::answer(reply, false, now),
                Meaning::NotFound => Kept::answer(reply, true, now),
                Meaning::Nothing => return false,
            },
            Err(Error::Refused(refusal))
                if matches!(error_code::classify(&refusal.code), Class::NotFound(_)) =>
            {
                Kept::refusal(refusal, now)
            }
            Err(_) => return false,
        };
        // Even if it will never be given again, it takes the place of what is no longer so.
        self.entries.insert(key.clone(), kept);
        true
    }

    /// Returns the number of entries, and what they weigh in bytes: both without what was done in
    /// the last moments.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Returns how many entries had to go for lack of room.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

fn weight(kept: &Kept) -> u32 {
    u32::try_from(OVERHEAD + kept.size()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
