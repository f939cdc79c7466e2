//! State of the model: its calls, entries and upstream requests.

use super::UpstreamOutcome;
use crate::context::Origin;

/// Tenths of a second since the start.
pub(super) type Time = u64;

/// The account and id of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) is_other_account: bool,
    pub(super) id: u8,
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Late,
    Completed {
        /// `None` if both a miss and a shared response are correct: after a shared request has ended
        /// at its deadline, any of its waiters may start the next one.
        origin: Option<Origin>,
        age: Time,
        outcome: UpstreamOutcome,
        /// The number of the upstream request.
        number: usize,
    },
}

/// An upstream request in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) number: usize,
    pub(super) key: Key,
    /// Its deadline, or those of all calls that may have started it.
    pub(super) deadlines: Vec<Time>,
    pub(super) kind: Kind,
    pub(super) waiters: Vec<usize>,
}

/// The origin of an upstream request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A single call. The response is cached or not.
    Own { is_cached: bool },
    /// A refresh of the entry with this number.
    Refresh(usize),
    /// All calls with the same key.
    Shared,
}

/// A call in progress or ended.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) key: Key,
    pub(super) deadline: Time,
    /// When the call falls back to a stale entry.
    pub(super) fallback_at: Option<Time>,
    pub(super) falls_back: bool,
    pub(super) origin: Option<Origin>,
    pub(super) end: Option<End>,
    pub(super) is_cancelled: bool,
}

/// A cache entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: usize,
    pub(super) outcome: UpstreamOutcome,
    pub(super) received: Time,
    pub(super) pause_ends: Time,
}

impl InFlight {
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self.kind, Kind::Own { .. })
    }

    /// Returns the deadline of the request itself.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.kind {
            Kind::Own { .. } => None,
            Kind::Refresh(_) | Kind::Shared => self.deadlines.first().copied(),
        }
    }
}

impl Caller {
    pub(super) fn is_waiting(&self) -> bool {
        self.end.is_none() && !self.is_cancelled
    }
}

/// Returns whether a response says that the resource does not exist.
pub(super) fn is_negative(outcome: UpstreamOutcome) -> bool {
    matches!(
        outcome,
        UpstreamOutcome::NotFound | UpstreamOutcome::UnknownPerson
    )
}
