//! What upstream accepts, over the last second.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
    time::Duration,
};

use tokio::time::Instant;

/// The stretch over which calls are counted.
pub(super) const MEASURED: Duration = Duration::from_secs(1);

/// How fine the parts are in which they are.
pub(super) const PART: Duration = Duration::from_millis(50);

/// How long they are kept: refusals for the rate come back sooner than that.
const KEPT: Duration = Duration::from_secs(4);

/// The calls that upstream accepted, by when they were sent.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// The calls of each part of a second, by when the first of them was sent.
    parts: BTreeMap<Instant, u32>,
}

impl Accepted {
    /// Adds a call that was sent at this time.
    pub(super) fn add(&mut self, sent: Instant) {
        match self.parts.range_mut(..=sent).next_back() {
            Some((since, calls)) if sent < *since + PART => *calls += 1,
            _ => drop(self.parts.insert(sent, 1)),
        }
        while let Some(first) = self.parts.first_entry()
            && *first.key() + KEPT < sent
        {
            first.remove();
        }
    }

    /// Returns how many were sent in the second up to `moment`.
    pub(super) fn count(&self, moment: Instant) -> f64 {
        let after = moment.checked_sub(MEASURED).unwrap_or(moment);
        let parts = self.parts.range((Excluded(after), Included(moment)));
        parts.map(|(_, calls)| f64::from(*calls)).sum()
    }
}
