//! What the model knows of calls and answers at one moment.

use super::Answer;
use crate::context::Origin;

/// Tenths of a second since the beginning.
pub(super) type Time = u64;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) is_other_account: bool,
    pub(super) id: u8,
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Late,
    Told {
        /// `None` if it is as well a miss as it is shared: one of those whose flight ended by its
        /// deadline begins another, whichever comes first.
        origin: Option<Origin>,
        age: Time,
        answer: Answer,
        /// The call upstream that brought it.
        number: usize,
    },
}

/// A call upstream under way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) number: usize,
    pub(super) key: Key,
    /// Its deadline, or those of all who may have begun it.
    pub(super) deadlines: Vec<Time>,
    pub(super) kind: Kind,
    pub(super) waiters: Vec<usize>,
}

/// Whom a call upstream is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// One call, and is kept or not.
    Own { is_kept: bool },
    /// The entry with this number.
    Renewal(usize),
    /// Whoever makes the call.
    Shared,
}

/// One who calls, or has called.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) key: Key,
    pub(super) deadline: Time,
    /// When it gives up waiting for anything better than an old answer.
    pub(super) last_moment: Option<Time>,
    pub(super) falls_back: bool,
    pub(super) origin: Option<Origin>,
    pub(super) end: Option<End>,
    pub(super) has_left: bool,
}

/// An answer that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: usize,
    pub(super) answer: Answer,
    pub(super) received: Time,
    pub(super) pause_ends: Time,
}

impl Asked {
    pub(super) fn is_flight(&self) -> bool {
        !matches!(self.kind, Kind::Own { .. })
    }

    /// Returns when the call ends by itself.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.kind {
            Kind::Own { .. } => None,
            Kind::Renewal(_) | Kind::Shared => self.deadlines.first().copied(),
        }
    }
}

impl Caller {
    pub(super) fn is_waiting(&self) -> bool {
        self.end.is_none() && !self.has_left
    }
}

/// Tells whether an answer is that there is no such thing.
pub(super) fn is_negative(answer: Answer) -> bool {
    matches!(answer, Answer::NotFound | Answer::UnknownPerson)
}
