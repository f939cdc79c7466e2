//! Freshness policy: decides from the age of an entry whether it may be served.

use std::time::Duration;

use crate::config;

/// The TTLs, and the stale windows that follow the TTL of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct FreshnessPolicy {
    ttl: Duration,
    negative_ttl: Duration,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
}

/// Freshness of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    /// Served without a request.
    Fresh,
    /// Older than its TTL, within at least one stale window.
    Stale {
        /// Served while a refresh is in flight (`stale-while-revalidate`).
        is_usable_while_revalidating: bool,
        /// Served if upstream throttles or is down (`stale-if-error`).
        is_usable_if_error: bool,
    },
    /// Never served.
    Expired,
}

impl FreshnessPolicy {
    /// Creates a policy by `settings`. Returns `None` if they disable the cache.
    pub(super) fn new(settings: &config::Cache) -> Option<Self> {
        (!settings.ttl.is_zero()).then_some(Self {
            ttl: settings.ttl,
            negative_ttl: settings.negative_ttl.min(settings.ttl),
            stale_while_revalidate: settings.stale_while_revalidate,
            stale_if_error: settings.stale_if_error,
        })
    }

    /// Returns the freshness of an entry of an age.
    ///
    /// NOT_FOUND is never served stale: the resource may have been created since.
    pub(super) fn freshness(&self, is_negative: bool, age: Duration) -> Freshness {
        let is_usable_while_revalidating = age < self.ttl + self.stale_while_revalidate;
        let is_usable_if_error = age < self.ttl + self.stale_if_error;
        match is_negative {
            true if age < self.negative_ttl => Freshness::Fresh,
            true => Freshness::Expired,
            false if age < self.ttl => Freshness::Fresh,
            false if is_usable_while_revalidating || is_usable_if_error => Freshness::Stale {
                is_usable_while_revalidating,
                is_usable_if_error,
            },
            false => Freshness::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(
        ttl: u64,
        [negative, while_revalidating, if_error]: [u64; 3],
    ) -> Option<FreshnessPolicy> {
        FreshnessPolicy::new(&config::Cache {
            is_sharing: false,
            ttl: Duration::from_secs(ttl),
            negative_ttl: Duration::from_secs(negative),
            stale_while_revalidate: Duration::from_secs(while_revalidating),
            stale_if_error: Duration::from_secs(if_error),
            max_bytes: 1 << 20,
        })
    }

    #[test]
    fn stale_windows_begin_at_the_end_of_the_ttl_and_exclude_their_end() {
        let policy = policy(10, [2, 5, 20]).unwrap();
        let stale = |is_usable_while_revalidating, is_usable_if_error| Freshness::Stale {
            is_usable_while_revalidating,
            is_usable_if_error,
        };
        let cases = [
            (0, Freshness::Fresh),
            (9_999, Freshness::Fresh),
            (10_000, stale(true, true)),
            (14_999, stale(true, true)),
            (15_000, stale(false, true)),
            (29_999, stale(false, true)),
            (30_000, Freshness::Expired),
        ];

        for (age, expected) in cases {
            let age = Duration::from_millis(age);
            assert_eq!(policy.freshness(false, age), expected, "{age:?}");
        }
    }

    #[test]
    fn not_found_has_its_own_shorter_ttl_and_is_never_stale() {
        for (ttl, negative, good) in [(10, 2, 2_000), (1, 2, 1_000), (10, 0, 0)] {
            let policy = policy(ttl, [negative, 60, 60]).unwrap();
            for age in 0..3_000 {
                let expected = if age < good {
                    Freshness::Fresh
                } else {
                    Freshness::Expired
                };
                let age = Duration::from_millis(age);
                assert_eq!(policy.freshness(true, age), expected, "{age:?} of {ttl}");
            }
        }
    }

    #[test]
    fn a_ttl_of_0_disables_the_cache() {
        assert!(policy(0, [2, 0, 0]).is_none());
    }
}
