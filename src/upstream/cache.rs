//! Response cache: stores responses, including NOT_FOUND, by the hash of their request. The library
//! (`moka`) stores, weighs and evicts; [`freshness`] decides how old an entry may be served, by the time
//! since boot, so that the time of a suspended machine counts. It does not send requests.

mod entry;
mod freshness;
mod key;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use self::freshness::{Freshness, FreshnessPolicy};
pub(super) use self::{entry::Entry, key::Key};
use super::{
    error::Error,
    response::{ApiResponse, Cacheable},
};
use crate::{clock::Clock, config, context::Origin, error_policy::Caching};

/// The memory of an entry beside the bytes of its response, in bytes: for the library, its key and the
/// allocator, as measured in a process with many entries.
const OVERHEAD: usize = 400;

/// An entry takes at most one part in this number of the cache: a larger one would evict too many others.
const MAX_SHARE: u64 = 8;

/// The weight from which an insertion runs the library's pending tasks at once. Otherwise up to 64
/// insertions of any weight would wait before they count against the capacity.
const HEAVY: u32 = 16 << 10;

/// A cache of responses. When it is full, it evicts those that are used least.
pub(super) struct Cache {
    entries: moka::sync::Cache<Key, Entry>,
    max_weight: u64,
    max_bytes: u64,
    evictions: Arc<AtomicU64>,
    policy: FreshnessPolicy,
    clock: Clock,
}

/// Whether a call is served from the cache.
#[derive(Debug)]
pub(super) enum Lookup {
    /// From this entry.
    Serve(Found),
    /// From this entry, which is stale and should be refreshed in the background.
    ServeAndRefresh(Found),
    /// From a stale entry, but only if upstream fails: see [`Cache::fallback`].
    StaleIfError,
    /// From none.
    Miss,
}

/// An entry that may be served.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) origin: Origin,
    pub(super) age: Duration,
}

impl Found {
    fn new(entry: Entry, origin: Origin, age: Duration) -> Self {
        Self { entry, origin, age }
    }
}

impl Cache {
    /// Creates an empty cache whose entries age by the boot time of `clock`. Returns `None` if
    /// `settings` disable the cache.
    pub(super) fn new(settings: &config::Cache, clock: Clock) -> Option<Self> {
        let policy = FreshnessPolicy::new(settings)?;
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.max_bytes)
            .weigher(|_, entry| weight(entry))
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Some(Self {
            entries,
            max_weight: settings.max_bytes / MAX_SHARE,
            max_bytes: settings.max_bytes,
            evictions,
            policy,
            clock,
        })
    }

    /// Returns whether a call is served from the entry of `key`.
    ///
    /// Expired entries remain until they are replaced or evicted. Expiry by the library would cost
    /// more memory than that, in every entry.
    pub(super) fn look_up(&self, key: &Key) -> Lookup {
        let Some(entry) = self.entries.get(key) else {
            return Lookup::Miss;
        };
        let now = self.clock.boot_time();
        let age = entry.age(now);
        match self.policy.freshness(entry.is_negative(), age) {
            Freshness::Fresh => Lookup::Serve(Found::new(entry, Origin::Hit, age)),
            Freshness::Stale {
                is_usable_while_revalidating: true,
                ..
            } if entry.may_refresh(now) => {
                Lookup::ServeAndRefresh(Found::new(entry, Origin::Stale, age))
            }
            Freshness::Stale {
                is_usable_while_revalidating: true,
                ..
            } => Lookup::Serve(Found::new(entry, Origin::Stale, age)),
            Freshness::Stale { .. } => Lookup::StaleIfError,
            Freshness::Expired => Lookup::Miss,
        }
    }

    /// Returns the entry of `key` for a call that upstream has failed to serve. It is fresh if another
    /// call has refreshed it in the meantime.
    pub(super) fn fallback(&self, key: &Key) -> Option<Found> {
        let entry = self.entries.get(key)?;
        let age = entry.age(self.clock.boot_time());
        let origin = match self.policy.freshness(entry.is_negative(), age) {
            Freshness::Fresh => Origin::Hit,
            Freshness::Stale {
                is_usable_if_error: true,
                ..
            } => Origin::Stale,
            Freshness::Stale { .. } | Freshness::Expired => return None,
        };
        Some(Found::new(entry, origin, age))
    }

    /// Prevents a refresh of `entry` for 1 s.
    pub(super) fn postpone_refresh(&self, entry: &Entry) {
        entry.postpone_refresh(self.clock.boot_time());
    }

    /// Caches a response, and returns whether it was cached. A response that is not cacheable, or takes
    /// more than an eighth of the cache, is not.
    pub(super) fn insert(&self, key: &Key, response: &ApiResponse, cacheable: Cacheable) -> bool {
        let is_negative = match cacheable {
            Cacheable::Positive => false,
            Cacheable::Negative => true,
            Cacheable::No => return false,
        };
        let now = self.clock.boot_time();
        self.insert_entry(key, Entry::response(response, is_negative, now))
    }

    /// Caches an error if it says that the resource does not exist.
    pub(super) fn insert_error(&self, key: &Key, error: &Error) {
        if let Error::Api(api_error) = error
            && error.policy().caching == Caching::Insert
        {
            self.insert_entry(key, Entry::not_found(api_error, self.clock.boot_time()));
        }
    }

    fn insert_entry(&self, key: &Key, entry: Entry) -> bool {
        let weight = weight(&entry);
        if u64::from(weight) > self.max_weight {
            // The previous entry is outdated.
            self.entries.invalidate(key);
            return false;
        }
        // Even with a TTL of 0, it replaces the outdated entry.
        self.entries.insert(key.clone(), entry);
        if weight > HEAVY {
            self.entries.run_pending_tasks();
        }
        true
    }

    /// Returns the number of entries and their weight in bytes. The most recent changes may be missing.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Returns the maximum weight of all entries, in bytes.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Returns the number of entries evicted because the cache was full.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

fn weight(entry: &Entry) -> u32 {
    u32::try_from(OVERHEAD + entry.size()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
