//! Counters of the response cache and of singleflight.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    context::Origin,
    metrics::{Histogram, RESPONSE_AGE_BUCKETS},
};

/// Counters since the start of the process, and present sizes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheStatistics {
    /// Calls served from a fresh entry.
    pub hits: u64,
    /// Calls that sent a request upstream.
    pub misses: u64,
    /// Calls that shared the request of another call.
    pub shared: u64,
    /// Calls served from a stale entry.
    pub stale: u64,
    /// The number of entries. The most recent changes may be missing.
    pub entries: u64,
    /// The weight of these entries, in bytes.
    pub bytes: u64,
    /// The maximum weight, in bytes; 0 without a cache.
    pub max_bytes: u64,
    /// Entries evicted because the cache was full.
    pub evictions: u64,
    /// Shared and background requests in flight.
    pub requests_in_flight: usize,
    /// Calls that wait for these requests.
    pub waiters: usize,
}

/// Counters of calls by the origin of their response.
#[derive(Debug)]
pub(super) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
    stale: AtomicU64,
    ages: Histogram,
}

impl Counters {
    /// Creates counters at zero.
    pub(super) fn new() -> Self {
        Self {
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            ages: Histogram::new(RESPONSE_AGE_BUCKETS),
        }
    }

    /// Counts a call that ended with a response or an error.
    pub(super) fn count(&self, origin: Origin) {
        let counter = match origin {
            Origin::Hit => &self.hits,
            Origin::Miss => &self.misses,
            Origin::Shared => &self.shared,
            Origin::Stale => &self.stale,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the age of a response from the cache.
    pub(super) fn count_age(&self, age: Duration) {
        self.ages.observe(age.as_secs_f64());
    }

    /// Returns the ages of responses from the cache, in seconds.
    pub(super) fn ages(&self) -> &Histogram {
        &self.ages
    }

    /// Returns statistics with these counters only.
    pub(super) fn read(&self) -> CacheStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStatistics {
            hits: read(&self.hits),
            misses: read(&self.misses),
            shared: read(&self.shared),
            stale: read(&self.stale),
            ..CacheStatistics::default()
        }
    }
}
