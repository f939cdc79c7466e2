//! What travels with one call beside its request.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::deadline::Deadline;

/// Until when a call may last, what it asks for, and what has been done for it so far.
///
/// One is made as a call arrives, and every room on its way sees the same one: the log line and the
/// error of a call that ends in the middle still know how far it came.
#[derive(Debug)]
pub struct Context {
    deadline: Deadline,
    attempts: AtomicU32,
    subject: OnceLock<Subject>,
}

impl Context {
    /// Returns the context of a call for which nothing has been done yet.
    pub fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            attempts: AtomicU32::new(0),
            subject: OnceLock::new(),
        }
    }

    /// Returns the moment by which the call must be answered.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns how often upstream has been asked for this call.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Counts one more attempt upstream.
    pub fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what the call asks for; nothing until its message has been read.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.get()
    }

    /// Keeps what the call asks for. A call has one subject: a second is not kept.
    pub fn set_subject(&self, subject: Subject) {
        let _ = self.subject.set(subject);
    }
}

/// The one thing that a call asks for, and how its request speaks of it.
///
/// The id may name a person in a library of faces, so `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct Subject {
    /// The upstream action that is called.
    pub action: &'static str,
    /// The fields of the request, by their names in the protocol; first the one with the id.
    pub fields: &'static [&'static str],
    /// The id, as the caller sent it.
    pub id: String,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("action", &self.action)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
