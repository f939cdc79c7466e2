//! Clock offset: corrects the timestamps of signatures by the clock skew to the server that verifies them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use time::{Duration, UtcDateTime};

/// Minimum change of the offset. Smaller changes are network latency and rounding, and cannot cause a
/// rejection: the server tolerates a skew of 300 s.
const MIN_CHANGE_SECONDS: u64 = 60;

/// The server's time minus the local time, in whole seconds.
#[derive(Debug, Default)]
pub struct ClockOffset {
    seconds: AtomicI64,
    changes: AtomicU64,
}

impl ClockOffset {
    /// Returns the server's time when the local clock shows `now`.
    pub fn corrected(&self, now: UtcDateTime) -> UtcDateTime {
        let offset = Duration::seconds(self.seconds());
        now.saturating_add(offset)
    }

    /// Updates the offset from the server's time and the local time of the same moment. Returns whether it
    /// has changed, so that a new signature may be accepted.
    pub fn learn(&self, local: UtcDateTime, server: UtcDateTime) -> bool {
        let offset = (server - local).whole_seconds();
        let previous = self.seconds();
        let has_changed = offset.abs_diff(previous) >= MIN_CHANGE_SECONDS;
        if has_changed {
            self.seconds.store(offset, Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                offset_seconds = offset,
                "clock skew detected, adjusting signature timestamps"
            );
        }
        has_changed
    }

    /// Returns the offset, in seconds.
    pub fn seconds(&self) -> i64 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// Returns how often the offset has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}

/// Parses the server's time from the error message of an expired signature, such as `… server time
/// 1706406788.`. The format is not documented: returns `None` for any other message.
pub fn server_time(message: &str) -> Option<UtcDateTime> {
    let (_, rest) = message.rsplit_once("server time ")?;
    let digits = rest
        .split(|character: char| !character.is_ascii_digit())
        .next()?;
    UtcDateTime::from_unix_timestamp(digits.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> UtcDateTime {
        UtcDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn an_offset_is_applied_and_reported_as_changed_once() {
        let offset = ClockOffset::default();

        assert!(offset.learn(at(10_000), at(13_600)));
        assert_eq!(offset.corrected(at(10_001)), at(13_601));
        assert!(!offset.learn(at(20_000), at(23_630)));

        // The local clock is corrected.
        assert!(offset.learn(at(30_000), at(30_000)));
        assert_eq!(offset.corrected(at(30_001)), at(30_001));
    }

    #[test]
    fn the_largest_offset_does_not_overflow() {
        let offset = ClockOffset::default();
        let end = UtcDateTime::MAX;

        assert!(offset.learn(at(0), end));
        assert_eq!(offset.corrected(end), end);
    }

    #[test]
    fn the_server_time_is_parsed_from_the_error_message() {
        let cases = [
            (
                "The signature has expired, server time 1706406788.",
                Some(at(1_706_406_788)),
            ),
            ("server time 5, server time 6", Some(at(6))),
            ("server time soon", None),
            ("server time 99999999999999999999", None),
            ("1706406788", None),
            ("", None),
        ];

        for (message, expected) in cases {
            assert_eq!(server_time(message), expected, "{message}");
        }
    }

    proptest! {
        /// Both clocks jump at random, and calls arrive at random. The server tolerates 300 s.
        #[test]
        fn the_clock_offset_is_correct_after_one_rejected_call(
            jumps in proptest::collection::vec((-100_000i64..100_000, 0i64..100_000), 1..50),
        ) {
            let offset = ClockOffset::default();
            let mut local = 1_000_000_000;
            for (ahead, pause) in jumps {
                local += pause;
                let server = at(local + ahead);
                let is_accepted = || (offset.corrected(at(local)) - server).abs() <= Duration::seconds(300);
                if !is_accepted() {
                    prop_assert!(offset.learn(at(local), server));
                }
                prop_assert!(is_accepted());
            }
        }
    }
}
