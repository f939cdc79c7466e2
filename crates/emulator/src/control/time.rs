//! Times in the control API.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Returns a time, in milliseconds since 1970, as RFC 3339 has it: `2026-01-02T03:04:05.678Z`.
pub(super) fn rfc3339(milliseconds: i64) -> String {
    let nanoseconds = i128::from(milliseconds) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    // The emulator's clock stays within the years that the format can express.
    text.unwrap_or_default()
}
