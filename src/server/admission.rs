//! How many calls are answered at the same time, over all connections.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Lets calls in while there is room for them.
#[derive(Debug)]
pub(super) struct Admission {
    max_in_progress: usize,
    /// Calls that were let in, and are not answered yet.
    pub(super) in_progress: AtomicUsize,
    /// Calls that were refused since the start.
    pub(super) refused: AtomicU64,
}

impl Admission {
    /// Returns an admission of at most `max_in_progress` calls.
    pub(super) fn new(max_in_progress: usize) -> Self {
        Self {
            max_in_progress,
            in_progress: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Lets a call in until the value is dropped, or refuses it if there is no room.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        let one_more = |in_progress| Some(in_progress + 1).filter(|it| *it <= self.max_in_progress);
        // It guards a number and nothing else, so no order with other memory is needed.
        let admitted =
            self.in_progress
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if admitted.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted.ok().map(|_| Admitted(Arc::clone(self)))
    }
}

/// The place of a call that was let in.
#[derive(Debug)]
pub(super) struct Admitted(Arc<Admission>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_ends_makes_room_for_the_next() {
        let admission = Arc::new(Admission::new(2));
        let first = admission.admit();
        let second = admission.admit();
        assert!(first.is_some() && second.is_some());

        assert!(admission.admit().is_none());
        drop(first);
        let third = admission.admit();

        assert!(third.is_some());
        assert!(admission.admit().is_none());
        assert_eq!(admission.in_progress.load(Ordering::Relaxed), 2);
        assert_eq!(admission.refused.load(Ordering::Relaxed), 2);
    }
}
