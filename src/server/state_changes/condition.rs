//! A condition whose begin and end are logged, at most one line in 10 s. It does not know what the lines say.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two lines of one condition. A change within that time is logged afterwards, unless
/// it has been reverted.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// Decides which changes of a condition are logged.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// When the condition began, and its count of events before, if the last line says that it holds.
    began: Option<(Instant, u64)>,
    last_line: Option<Instant>,
    last_event: Option<Instant>,
}

/// A change that is to be logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// It holds now.
    Began {
        /// Events since the reading before.
        events: u64,
    },
    /// It does not hold any more.
    Ended {
        /// Events while it held.
        events: u64,
        /// How long it held.
        time: Duration,
    },
}

impl Condition {
    /// Observes whether the condition holds, and the counts of its events before and now. Returns a change
    /// that is to be logged.
    pub(super) fn observe(
        &mut self,
        holds: bool,
        before: u64,
        count: u64,
        now: Instant,
    ) -> Option<Change> {
        if self.last_line.is_some_and(|at| now < at + MIN_INTERVAL) {
            return None;
        }
        let change = match self.began {
            None if holds => {
                self.began = Some((now, before));
                Change::Began {
                    events: count.saturating_sub(before),
                }
            }
            Some((since, first)) if !holds => {
                self.began = None;
                Change::Ended {
                    events: count.saturating_sub(first),
                    time: now - since,
                }
            }
            None | Some(_) => return None,
        };
        self.last_line = Some(now);
        Some(change)
    }

    /// Observes a condition that holds while events occur, until `calm` has passed without one.
    pub(super) fn observe_events(
        &mut self,
        before: u64,
        count: u64,
        calm: Duration,
        now: Instant,
    ) -> Option<Change> {
        if count > before {
            self.last_event = Some(now);
        }
        let holds = self.last_event.is_some_and(|at| now < at + calm);
        self.observe(holds, before, count, now)
    }

    /// Returns whether the last line says that the condition holds.
    #[cfg(test)]
    pub(super) fn is_logged(&self) -> bool {
        self.began.is_some()
    }
}
