//! What calls have in common: those under way, and answers that are kept.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;

use super::{Problems, parsed};

/// The settings of sharing and of the cache, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sharing and cache")]
pub(super) struct CacheArgs {
    /// Make one upstream call of equal calls that are under way at the same time: true or false
    #[arg(long, env = "IAI_FACADE_SHARE_CALLS", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    share_calls: String,

    /// How long answers are kept and given again, from 0s, which is never, to 1d
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_TTL",
        value_name = "DURATION",
        default_value = "0s"
    )]
    cache_ttl: String,

    /// How long NOT_FOUND is kept, from 0s to 2s, and never longer than answers are
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_NEGATIVE_TTL",
        value_name = "DURATION",
        default_value = "2s"
    )]
    cache_negative_ttl: String,

    /// For how long after --cache-ttl an answer is given while it is renewed, from 0s to 1d
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_STALE_WHILE_REVALIDATE",
        value_name = "DURATION",
        default_value = "0s"
    )]
    cache_stale_while_revalidate: String,

    /// For how long after --cache-ttl an answer is given if upstream throttles or is down, from 0s
    /// to 1d
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_STALE_IF_ERROR",
        value_name = "DURATION",
        default_value = "0s"
    )]
    cache_stale_if_error: String,

    /// How much is kept, from 1MiB to 64GiB
    #[arg(
        long,
        env = "IAI_FACADE_CACHE_MAX_BYTES",
        value_name = "BYTES",
        default_value = "64MiB"
    )]
    cache_max_bytes: String,
}

/// What calls have in common.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Whether equal calls that are under way at the same time become one.
    pub is_sharing: bool,
    /// How long answers are kept, zero for never.
    pub ttl: Duration,
    /// How long NOT_FOUND is kept, at most as long as answers.
    pub negative_ttl: Duration,
    /// For how long after its time an answer is given while it is renewed.
    pub stale_while_revalidate: Duration,
    /// For how long after its time an answer is given if upstream throttles or is down.
    pub stale_if_error: Duration,
    /// How much is kept.
    pub max_bytes: u64,
}

impl CacheArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Cache> {
        const DAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

        let is_sharing = problems.take("share-calls", parsed::switch(&self.share_calls));
        let ttl = problems.take("cache-ttl", parsed::duration(&self.cache_ttl, DAY));

        let bounds = Duration::ZERO..=Duration::from_secs(2);
        let negative_ttl = parsed::duration(&self.cache_negative_ttl, bounds);
        let negative_ttl = problems.take("cache-negative-ttl", negative_ttl);

        let mut window = |flag, text| {
            let window = problems.take(flag, parsed::duration(text, DAY))?;
            if !window.is_zero() && ttl == Some(Duration::ZERO) {
                problems.note(
                    flag,
                    "nothing is kept that could be stale without --cache-ttl",
                );
            }
            Some(window)
        };
        let stale_while_revalidate = window(
            "cache-stale-while-revalidate",
            &self.cache_stale_while_revalidate,
        );
        let stale_if_error = window("cache-stale-if-error", &self.cache_stale_if_error);

        let max_bytes = parsed::bytes(&self.cache_max_bytes, 1 << 20..=64 << 30);
        let max_bytes = problems.take("cache-max-bytes", max_bytes);

        let ttl = ttl?;
        Some(Cache {
            is_sharing: is_sharing?,
            ttl,
            negative_ttl: negative_ttl?.min(ttl),
            stale_while_revalidate: stale_while_revalidate?,
            stale_if_error: stale_if_error?,
            max_bytes: max_bytes?,
        })
    }
}
