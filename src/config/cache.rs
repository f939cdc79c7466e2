//! Settings of request coalescing (singleflight) and of the response cache.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;

use super::{Invalid, Problems, parsed};

/// The settings of request coalescing and of the response cache, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Request coalescing and cache")]
pub(super) struct CacheArgs {
    /// Coalesce identical concurrent calls into one upstream call (singleflight): true or false
    #[arg(long, env = "IAI_FACADE_SHARE_CALLS", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, default_missing_value = "true")]
    share_calls: String,

    /// Time to live of cached responses, from 0s to 1d; 0s disables the cache
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_TTL",
        value_name = "DURATION",
        default_value = "0s"
    )]
    cache_ttl: String,

    /// Time to live of cached NOT_FOUND responses, from 0s to 2s; at most --cache-ttl
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_NEGATIVE_TTL",
        value_name = "DURATION",
        default_value = "2s"
    )]
    cache_negative_ttl: String,

    /// Time after --cache-ttl during which a stale response is served while it is revalidated in the
    /// background, from 0s to 1d
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_STALE_WHILE_REVALIDATE",
        value_name = "DURATION",
        default_value = "0s"
    )]
    cache_stale_while_revalidate: String,

    /// Time after --cache-ttl during which a stale response is served if upstream throttles or is
    /// unavailable, from 0s to 1d
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_STALE_IF_ERROR",
        value_name = "DURATION",
        default_value = "0s"
    )]
    cache_stale_if_error: String,

    /// Maximum size of the cache, from 1MiB to 64GiB
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_MAX_BYTES",
        value_name = "BYTES",
        default_value = "64MiB"
    )]
    cache_max_bytes: String,
}

/// Request coalescing and the response cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Whether identical concurrent calls become one upstream call.
    pub is_sharing: bool,
    /// The time to live of responses; zero disables the cache.
    pub ttl: Duration,
    /// The time to live of NOT_FOUND responses, at most [`Self::ttl`].
    pub negative_ttl: Duration,
    /// The time after [`Self::ttl`] during which a stale response is served while it is revalidated.
    pub stale_while_revalidate: Duration,
    /// The time after [`Self::ttl`] during which a stale response is served if upstream throttles or
    /// is unavailable.
    pub stale_if_error: Duration,
    /// The maximum size of the cache, in bytes.
    pub max_bytes: u64,
}

impl CacheArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Cache, Invalid> {
        const DAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

        let is_sharing = problems.take("share-calls", parsed::switch(&self.share_calls));
        let ttl = problems.take("cache-ttl", parsed::duration(&self.cache_ttl, DAY));

        let bounds = Duration::ZERO..=Duration::from_secs(2);
        let negative_ttl = parsed::duration(&self.cache_negative_ttl, bounds);
        let negative_ttl = problems.take("cache-negative-ttl", negative_ttl);

        let mut window = |flag, text| {
            let window = problems.take(flag, parsed::duration(text, DAY))?;
            if !window.is_zero() && ttl == Ok(Duration::ZERO) {
                problems.note(flag, "requires --cache-ttl above 0s");
            }
            Ok(window)
        };
        let stale_while_revalidate = window(
            "cache-stale-while-revalidate",
            &self.cache_stale_while_revalidate,
        );
        let stale_if_error = window("cache-stale-if-error", &self.cache_stale_if_error);

        let max_bytes = parsed::bytes(&self.cache_max_bytes, 1 << 20..=64 << 30);
        let max_bytes = problems.take("cache-max-bytes", max_bytes);

        let ttl = ttl?;
        Ok(Cache {
            is_sharing: is_sharing?,
            ttl,
            negative_ttl: negative_ttl?.min(ttl),
            stale_while_revalidate: stale_while_revalidate?,
            stale_if_error: stale_if_error?,
            max_bytes: max_bytes?,
        })
    }
}
