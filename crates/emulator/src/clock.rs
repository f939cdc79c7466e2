//! Emulator clock: the system clock plus a configurable offset.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::SystemTime,
};

use http::HeaderValue;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// A clock with an adjustable offset.
#[derive(Debug)]
pub(super) struct Clock {
    offset: AtomicI64,
}

impl Clock {
    /// Creates a clock that is `offset` seconds ahead of the system clock, or behind if negative.
    pub(super) fn new(offset: i64) -> Self {
        Self {
            offset: AtomicI64::new(offset),
        }
    }

    /// Replaces the offset.
    pub(super) fn set_offset(&self, seconds: i64) {
        self.offset.store(seconds, Ordering::Relaxed);
    }

    /// Returns the offset from the system clock, in seconds.
    pub(super) fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Returns the Unix time in seconds, clamped to the years 1970 to 9999, which every date format can
    /// express.
    pub(super) fn now(&self) -> i64 {
        self.now_milliseconds() / 1_000
    }

    /// Returns the Unix time in milliseconds, clamped to the same years.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the emulator reads the time"
    )]
    pub(super) fn now_milliseconds(&self) -> i64 {
        let system = OffsetDateTime::from(SystemTime::now());
        let system = system.unix_timestamp() * 1_000 + i64::from(system.millisecond());
        system
            .saturating_add(self.offset().saturating_mul(1_000))
            .clamp(0, LAST_SECOND * 1_000 + 999)
    }

    /// Returns the time as a `Date` header, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(super) fn http_date(&self) -> Option<HeaderValue> {
        http_date(self.now())
    }
}

fn http_date(unix: i64) -> Option<HeaderValue> {
    let moment = OffsetDateTime::from_unix_timestamp(unix).ok()?;
    HeaderValue::try_from(moment.format(IMF_FIXDATE).ok()?).ok()
}

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// RFC 9110, section 5.6.7.
const IMF_FIXDATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_has_the_format_of_rfc_9110() {
        let date = http_date(784_111_777).unwrap();
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_clock_stays_within_the_years_1970_to_9999() {
        let clock = Clock::new(i64::MAX);
        assert_eq!(clock.now(), LAST_SECOND);
        assert_eq!(clock.http_date().unwrap(), "Fri, 31 Dec 9999 23:59:59 GMT");
        clock.set_offset(i64::MIN);
        assert_eq!(clock.now(), 0);
    }
}
