//! The account's rate limit.

/// Counts calls by the second of the emulator's clock, over all actions together.
///
/// The windows are fixed: a second starts with its full allowance, whatever the one before it saw.
#[derive(Debug)]
pub(super) struct RateLimit {
    calls_per_second: Option<u32>,
    second: i64,
    calls: u32,
}

impl RateLimit {
    /// Creates a limit, or none.
    pub(super) fn new(calls_per_second: Option<u32>) -> Self {
        Self {
            calls_per_second,
            second: 0,
            calls: 0,
        }
    }

    /// Replaces the limit. Calls of the current second that were counted stay counted.
    pub(super) fn replace(&mut self, calls_per_second: Option<u32>) {
        self.calls_per_second = calls_per_second;
    }

    /// Counts a call made in `second` and tells whether it is within the limit.
    pub(super) fn admit(&mut self, second: i64) -> bool {
        if self.second != second {
            self.second = second;
            self.calls = 0;
        }
        self.calls = self.calls.saturating_add(1);
        self.calls_per_second
            .is_none_or(|limit| self.calls <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_as_many_calls_as_the_limit_says() {
        let mut limit = RateLimit::new(Some(2));
        let admitted = [7, 7, 7, 8].map(|second| limit.admit(second));
        assert_eq!(admitted, [true, true, false, true]);
    }

    #[test]
    fn a_new_limit_counts_the_calls_already_made_in_the_second() {
        let mut limit = RateLimit::new(None);
        assert!(limit.admit(7));
        limit.replace(Some(1));
        assert!(!limit.admit(7));
    }

    #[test]
    fn a_limit_of_zero_admits_nothing() {
        assert!(!RateLimit::new(Some(0)).admit(7));
    }
}
