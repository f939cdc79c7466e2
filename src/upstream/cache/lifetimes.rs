//! How old an answer may be.

use std::time::Duration;

use crate::config;

/// How long answers are good, and for how long after that they are good enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    ttl: Duration,
    negative_ttl: Duration,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
}

/// For what an answer is good enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::upstream) enum Freshness {
    /// For every call.
    Fresh,
    /// No longer for every call.
    Stale {
        /// It is while it is renewed.
        is_enough_while_renewed: bool,
        /// It is if upstream throttles or is down.
        is_enough_if_error: bool,
    },
    /// For none.
    Useless,
}

impl Lifetimes {
    /// Returns what `settings` say, or nothing if nothing is to be kept.
    pub(super) fn new(settings: &config::Cache) -> Option<Self> {
        (!settings.ttl.is_zero()).then_some(Self {
            ttl: settings.ttl,
            negative_ttl: settings.negative_ttl.min(settings.ttl),
            stale_while_revalidate: settings.stale_while_revalidate,
            stale_if_error: settings.stale_if_error,
        })
    }

    /// Tells for what something of an age is good enough.
    ///
    /// That there is no such thing is never given when stale: it may have been made since.
    pub(super) fn freshness(&self, is_negative: bool, age: Duration) -> Freshness {
        let is_enough_while_renewed = age < self.ttl + self.stale_while_revalidate;
        let is_enough_if_error = age < self.ttl + self.stale_if_error;
        match is_negative {
            true if age < self.negative_ttl => Freshness::Fresh,
            true => Freshness::Useless,
            false if age < self.ttl => Freshness::Fresh,
            false if is_enough_while_renewed || is_enough_if_error => Freshness::Stale {
                is_enough_while_renewed,
                is_enough_if_error,
            },
            false => Freshness::Useless,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetimes(ttl: u64, [negative, while_renewed, if_error]: [u64; 3]) -> Option<Lifetimes> {
        Lifetimes::new(&config::Cache {
            is_sharing: false,
            ttl: Duration::from_secs(ttl),
            negative_ttl: Duration::from_secs(negative),
            stale_while_revalidate: Duration::from_secs(while_renewed),
            stale_if_error: Duration::from_secs(if_error),
            max_bytes: 1 << 20,
        })
    }

    #[test]
    fn both_windows_begin_when_the_ttl_ends_and_the_end_of_each_is_no_longer_in_it() {
        let lifetimes = lifetimes(10, [2, 5, 20]).unwrap();
        let stale = |is_enough_while_renewed, is_enough_if_error| Freshness::Stale {
            is_enough_while_renewed,
            is_enough_if_error,
        };
        let cases = [
            (0, Freshness::Fresh),
            (9_999, Freshness::Fresh),
            (10_000, stale(true, true)),
            (14_999, stale(true, true)),
            (15_000, stale(false, true)),
            (29_999, stale(false, true)),
            (30_000, Freshness::Useless),
        ];

        for (age, expected) in cases {
            let age = Duration::from_millis(age);
            assert_eq!(lifetimes.freshness(false, age), expected, "{age:?}");
        }
    }

    #[test]
    fn not_found_is_kept_for_its_own_time_which_is_never_longer_and_is_never_stale() {
        for (ttl, negative, good) in [(10, 2, 2_000), (1, 2, 1_000), (10, 0, 0)] {
            let lifetimes = lifetimes(ttl, [negative, 60, 60]).unwrap();
            for age in 0..3_000 {
                let expected = if age < good {
                    Freshness::Fresh
                } else {
                    Freshness::Useless
                };
                let age = Duration::from_millis(age);
                assert_eq!(lifetimes.freshness(true, age), expected, "{age:?} of {ttl}");
            }
        }
    }

    #[test]
    fn without_a_ttl_nothing_is_kept() {
        assert!(lifetimes(0, [2, 0, 0]).is_none());
    }
}
