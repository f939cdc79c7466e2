//! Rate limit of the account: a fixed window of one second over all actions.

/// A fixed-window rate limit, counted per second of the emulator's clock.
///
/// Each second starts with the full limit, independent of the previous one.
#[derive(Debug)]
pub(super) struct RateLimit {
    requests_per_second: Option<u32>,
    second: i64,
    requests: u32,
}

impl RateLimit {
    /// Creates a limit; `None` means unlimited.
    pub(super) fn new(requests_per_second: Option<u32>) -> Self {
        Self {
            requests_per_second,
            second: 0,
            requests: 0,
        }
    }

    /// Replaces the limit and keeps the count of the current second.
    pub(super) fn replace(&mut self, requests_per_second: Option<u32>) {
        self.requests_per_second = requests_per_second;
    }

    /// Returns the limit, or `None` for unlimited.
    pub(super) fn requests_per_second(&self) -> Option<u32> {
        self.requests_per_second
    }

    /// Counts a request made in `second` and returns whether it is within the limit.
    pub(super) fn admit(&mut self, second: i64) -> bool {
        if self.second != second {
            self.second = second;
            self.requests = 0;
        }
        self.requests = self.requests.saturating_add(1);
        self.requests_per_second
            .is_none_or(|limit| self.requests <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_as_many_requests_as_the_limit() {
        let mut limit = RateLimit::new(Some(2));
        let admitted = [7, 7, 7, 8].map(|second| limit.admit(second));
        assert_eq!(admitted, [true, true, false, true]);
    }

    #[test]
    fn a_new_limit_keeps_the_count_of_the_current_second() {
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
