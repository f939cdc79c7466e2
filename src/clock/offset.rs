//! How far our clock is from that of a server that verifies signatures.

use std::sync::atomic::{AtomicI64, Ordering};

use time::{Duration, UtcDateTime};

/// The least change that can be what upstream complains of: it allows five minutes, and tells the
/// time in whole seconds, some time ago.
const LEAST_CHANGE_SECONDS: u64 = 60;

/// What is added to our clock for signatures, in whole seconds.
#[derive(Debug, Default)]
pub struct ClockOffset(AtomicI64);

impl ClockOffset {
    /// Returns the time that upstream's clock shows when ours shows `now`.
    pub fn corrected(&self, now: UtcDateTime) -> UtcDateTime {
        let offset = Duration::seconds(self.0.load(Ordering::Relaxed));
        now.saturating_add(offset)
    }

    /// Learns that upstream's clock shows `theirs` when ours shows `ours`, and tells whether that is
    /// news: a signature made now would carry another time.
    pub fn learn(&self, ours: UtcDateTime, theirs: UtcDateTime) -> bool {
        let offset = (theirs - ours).whole_seconds();
        let known = self.0.load(Ordering::Relaxed);
        let is_news = offset.abs_diff(known) >= LEAST_CHANGE_SECONDS;
        if is_news {
            self.0.store(offset, Ordering::Relaxed);
            tracing::warn!(
                offset_seconds = offset,
                "the clock of this machine is not upstream's; signatures are corrected"
            );
        }
        is_news
    }
}

/// Reads the time out of a refusal for a signature that is too old, such as `… server time
/// 1706406788.`: no documented form, and so nothing where there is none.
pub fn server_time(message: &str) -> Option<UtcDateTime> {
    let (_, rest) = message.rsplit_once("server time ")?;
    let digits = rest
        .split(|character: char| !character.is_ascii_digit())
        .next()?;
    UtcDateTime::from_unix_timestamp(digits.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UtcDateTime {
        UtcDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn what_is_learned_corrects_and_is_news_once() {
        let offset = ClockOffset::default();

        assert!(offset.learn(at(10_000), at(13_600)));
        assert_eq!(offset.corrected(at(10_001)), at(13_601));
        assert!(!offset.learn(at(20_000), at(23_630)));

        // Our clock was set right.
        assert!(offset.learn(at(30_000), at(30_000)));
        assert_eq!(offset.corrected(at(30_001)), at(30_001));
    }

    #[test]
    fn no_time_is_too_far_to_be_corrected() {
        let offset = ClockOffset::default();
        let end = UtcDateTime::MAX;

        assert!(offset.learn(at(0), end));
        assert_eq!(offset.corrected(end), end);
    }

    #[test]
    fn the_server_time_is_read_where_it_stands() {
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
}
