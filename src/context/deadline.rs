//! Deadline of a call: the earlier of the client's timeout and the server's limit.

use std::time::Duration;

use tokio::time::Instant;

/// The earlier of the client's deadline and `--max-call-time`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline {
    at: Instant,
    bound: Bound,
}

/// The origin of a deadline, which determines the error when it passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// The client, with `grpc-timeout`.
    Caller,
    /// The service, with `--max-call-time`.
    Service,
}

impl Deadline {
    /// Returns the deadline of a call that arrived at `arrival`.
    ///
    /// A client's timeout ends early here, so that the error reaches the client before its own deadline:
    /// by 2 %, since clients round the timeout up (grpcio sends 2 s as `2010m`), but by at least 5 ms
    /// and at most 100 ms.
    pub fn new(arrival: Instant, timeout: Option<Duration>, max_call_time: Duration) -> Self {
        let by_service = Self {
            at: arrival + max_call_time,
            bound: Bound::Service,
        };
        let Some(timeout) = timeout else {
            return by_service;
        };
        let margin = (timeout / 50).clamp(Duration::from_millis(5), Duration::from_millis(100));
        let allowed = timeout.saturating_sub(margin);
        if allowed > max_call_time {
            return by_service;
        }
        Self {
            at: arrival + allowed,
            bound: Bound::Caller,
        }
    }

    /// Returns the instant at which it passes.
    pub fn at(self) -> Instant {
        self.at
    }

    /// Returns the remaining time, zero if it has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    /// Returns its origin.
    pub fn bound(self) -> Bound {
        self.bound
    }
}

/// Parses a `grpc-timeout` header value: at most eight digits and a unit, as the [gRPC protocol] defines
/// it.
///
/// Returns `None` for any other text: such a call has no timeout.
///
/// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
pub fn parse_grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_CALL_TIME: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_clients_timeout_ends_2_percent_early_by_5_to_100_ms() {
        let cases = [
            (0, 0),
            (4, 0),
            (50, 45),
            (1_000, 980),
            (2_010, 1_970),
            (9_000, 8_900),
        ];

        for (timeout, allowed) in cases {
            let arrival = Instant::now();
            let timeout = Duration::from_millis(timeout);
            let deadline = Deadline::new(arrival, Some(timeout), MAX_CALL_TIME);

            let rest = deadline.at() - arrival;
            assert!(rest.abs_diff(Duration::from_millis(allowed)) < Duration::from_millis(1));
            assert_eq!(deadline.bound(), Bound::Caller);
        }
    }

    #[tokio::test]
    async fn max_call_time_bounds_calls_with_a_longer_timeout_or_none() {
        for timeout in [None, Some(Duration::from_secs(11)), Some(Duration::MAX)] {
            let arrival = Instant::now();
            let deadline = Deadline::new(arrival, timeout, MAX_CALL_TIME);

            assert_eq!(deadline.at() - arrival, MAX_CALL_TIME);
            assert_eq!(deadline.bound(), Bound::Service);
        }
    }

    #[test]
    fn every_unit_of_a_timeout_is_parsed() {
        let cases = [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("2010m", Duration::from_millis(2_010)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ];

        for (text, expected) in cases {
            assert_eq!(parse_grpc_timeout(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_malformed_timeout_is_none() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "100000000S",
            "1\u{b5}",
        ] {
            assert_eq!(parse_grpc_timeout(text), None, "{text}");
        }
    }
}
