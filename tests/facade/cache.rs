//! The response cache: cache entries, singleflight and stale entries.

mod entries;
mod singleflight;
mod stale;
