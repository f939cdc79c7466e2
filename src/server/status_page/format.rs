//! Formats numbers as the status page shows them.

use bytesize::ByteSize;

/// What is shown in place of a value that does not exist.
pub(super) const NONE: &str = "–";

/// Formats a number with a comma between groups of three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of events per second.
pub(super) fn rate(per_second: f64) -> String {
    format!("{}/s", significant(per_second))
}

/// Formats a rate limit. One that recovers grows without bound, since it no longer limits anything.
pub(super) fn limit(per_second: f64) -> String {
    match per_second {
        _ if per_second > 100_000.0 => "over 100,000/s".to_owned(),
        _ => rate(per_second),
    }
}

/// Formats a share from 0 to 1 in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", significant(share * 100.0))
}

/// Formats a duration in milliseconds.
pub(super) fn milliseconds(duration: Option<f64>) -> String {
    match duration {
        None => NONE.to_owned(),
        Some(duration) if duration < 1_000.0 => format!("{} ms", significant(duration)),
        Some(duration) => format!("{} s", significant(duration / 1e3)),
    }
}

/// Formats a duration in its two largest units.
pub(super) fn seconds(duration: u64) -> String {
    let (minutes, seconds) = (duration / 60, duration % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let (days, hours) = (hours / 24, hours % 24);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if seconds == 0 => format!("{minutes} min"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Formats a size.
pub(super) fn bytes(size: u64) -> String {
    ByteSize(size).display().iec().to_string()
}

/// Formats an RFC 3339 timestamp in UTC without its fraction.
pub(super) fn time(timestamp: &str) -> String {
    let time = timestamp.split(['.', 'Z']).next().unwrap_or_default();
    time.replace('T', " ")
}

/// Formats a number with about three digits.
fn significant(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if size < 9.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(1.25), "1.2/s");
        assert_eq!(rate(123.4), "123/s");
        assert_eq!(limit(3.0), "3.0/s");
        assert_eq!(limit(1e9), "over 100,000/s");
        assert_eq!(percent(0.055), "5.5 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(milliseconds(None), "–");
        assert_eq!(milliseconds(Some(0.25)), "0.2 ms");
        assert_eq!(milliseconds(Some(2_400.0)), "2.4 s");
        assert_eq!(seconds(7), "7 s");
        assert_eq!(seconds(900), "15 min");
        assert_eq!(seconds(67), "1 min 7 s");
        assert_eq!(seconds(7_260), "2 h 1 min");
        assert_eq!(seconds(90_000), "1 d 1 h");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1 << 20), "1.0 MiB");
        assert_eq!(time("2026-11-27T13:05:08.815Z"), "2026-11-27 13:05:08");
        assert_eq!(time("2026-11-27T13:05:08Z"), "2026-11-27 13:05:08");
    }
}
