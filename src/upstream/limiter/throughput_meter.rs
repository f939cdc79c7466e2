//! Throughput meter: counts the attempts per second that upstream did not throttle.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
    time::Duration,
};

use tokio::time::Instant;

/// The length of the interval over which attempts are counted.
pub(super) const MEASURED: Duration = Duration::from_secs(1);

/// The resolution of the counts.
pub(super) const PART: Duration = Duration::from_millis(50);

/// How long counts are retained: a throttled attempt returns sooner.
const RETENTION: Duration = Duration::from_secs(4);

/// The attempts that upstream did not throttle, by the time at which they were sent.
#[derive(Debug, Default)]
pub(super) struct ThroughputMeter {
    /// The number of attempts in each part, by the time of the first.
    parts: BTreeMap<Instant, u32>,
}

impl ThroughputMeter {
    /// Adds an attempt sent at `sent`.
    pub(super) fn add(&mut self, sent: Instant) {
        match self.parts.range_mut(..=sent).next_back() {
            Some((since, calls)) if sent < *since + PART => *calls += 1,
            _ => drop(self.parts.insert(sent, 1)),
        }
        while let Some(first) = self.parts.first_entry()
            && *first.key() + RETENTION < sent
        {
            first.remove();
        }
    }

    /// Returns the number of attempts sent in the second up to `moment`.
    pub(super) fn count(&self, moment: Instant) -> f64 {
        let after = moment.checked_sub(MEASURED).unwrap_or(moment);
        let parts = self.parts.range((Excluded(after), Included(moment)));
        parts.map(|(_, calls)| f64::from(*calls)).sum()
    }
}
