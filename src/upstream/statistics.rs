//! What there is to count about sharing and the cache.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::Origin;

/// How calls were answered, and what is kept and under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Calls that were answered from the cache.
    pub hits: u64,
    /// Calls for which upstream was asked.
    pub misses: u64,
    /// Calls that were answered with another's.
    pub shared: u64,
    /// Calls that were answered from the cache although the answer was older than it should be.
    pub stale: u64,
    /// The entries of the cache, but for those of the last moments.
    pub entries: u64,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// The entries that had to go for lack of room.
    pub evictions: u64,
    /// The calls upstream under way that others may wait for, or that renew an answer.
    pub flights_in_progress: usize,
    /// The calls that wait for these.
    pub waiters: usize,
}

/// How calls were answered.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
    stale: AtomicU64,
}

impl Counters {
    /// Counts a call that was answered, with whatever.
    pub(super) fn count(&self, origin: Origin) {
        let counter = match origin {
            Origin::Hit => &self.hits,
            Origin::Miss => &self.misses,
            Origin::Shared => &self.shared,
            Origin::Stale => &self.stale,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts, and nothing of what is not counted here.
    pub(super) fn read(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            hits: read(&self.hits),
            misses: read(&self.misses),
            shared: read(&self.shared),
            stale: read(&self.stale),
            ..Statistics::default()
        }
    }
}
