//! Sliding window: counts the outcomes of the attempts of the last ten seconds.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The length of the window.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The step by which the window advances.
pub(super) const PART: Duration = Duration::from_secs(1);

/// The number of calls in the window below which no attempt is rejected.
const MIN_CALLS: u64 = 20;

/// The number of calls per accepted call above which attempts are rejected.
const K: f64 = 2.0;

/// The largest share that is rejected: the rest detects the recovery of upstream.
pub(super) const MAX_REJECTED: f64 = 0.9;

/// Counts of attempts by outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    /// Attempts with a response.
    pub(super) accepted: u64,
    /// Attempts that failed.
    pub(super) failed: u64,
    /// Attempts rejected, and not sent.
    pub(super) rejected: u64,
}

impl Counts {
    pub(super) const ACCEPTED: Self = Self {
        accepted: 1,
        failed: 0,
        rejected: 0,
    };
    pub(super) const FAILED: Self = Self {
        accepted: 0,
        failed: 1,
        rejected: 0,
    };
    pub(super) const REJECTED: Self = Self {
        accepted: 0,
        failed: 0,
        rejected: 1,
    };

    /// Returns the share of attempts to reject, from 0 to [`MAX_REJECTED`]. It is 0 without a failure in
    /// the window: rejections alone would keep the circuit breaker open from one burst to the next.
    pub(super) fn rejected_share(self) -> f64 {
        let calls = self.accepted + self.failed + self.rejected;
        if calls < MIN_CALLS || self.failed == 0 {
            return 0.0;
        }
        let (calls, accepted) = (calls as f64, self.accepted as f64);
        ((calls - K * accepted) / (calls + 1.0)).clamp(0.0, MAX_REJECTED)
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.failed += other.failed;
        self.rejected += other.rejected;
    }

    fn subtract(&mut self, other: Self) {
        self.accepted -= other.accepted;
        self.failed -= other.failed;
        self.rejected -= other.rejected;
    }
}

/// The outcomes of the last [`WINDOW`], in at most eleven parts.
#[derive(Debug, Default)]
pub(super) struct OutcomeWindow {
    parts: VecDeque<(Instant, Counts)>,
    sum: Counts,
}

impl OutcomeWindow {
    /// Adds outcomes at `now`.
    pub(super) fn add(&mut self, counts: Counts, now: Instant) {
        self.expire(now);
        self.sum.add(counts);
        match self.parts.back_mut() {
            Some((since, part)) if now < *since + PART => part.add(counts),
            Some(_) | None => self.parts.push_back((now, counts)),
        }
    }

    /// Returns the counts of the window that ends at `now`.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        self.expire(now);
        self.sum
    }

    /// Removes all outcomes.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.sum = Counts::default();
    }

    fn expire(&mut self, now: Instant) {
        while let Some((since, part)) = self.parts.front()
            && now >= *since + WINDOW
        {
            self.sum.subtract(*part);
            self.parts.pop_front();
        }
    }
}
