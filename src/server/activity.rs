//! Connection activity: counts the calls in progress on one connection, and records when it was last
//! active.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    in_progress: AtomicUsize,
    idle: Notify,
    /// The time of the last activity, in nanoseconds since the connection was opened.
    last: AtomicU64,
    is_trusted: AtomicBool,
    displaced: Notify,
}

impl Activity {
    /// Creates the activity of a connection that is opened now.
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            in_progress: AtomicUsize::new(0),
            idle: Notify::new(),
            last: AtomicU64::new(0),
            is_trusted: AtomicBool::new(false),
            displaced: Notify::new(),
        }
    }

    /// Counts a call that arrived at `arrival` as in progress until the value is dropped.
    pub(super) fn call(self: &Arc<Self>, arrival: Instant) -> InProgress {
        self.touch(arrival);
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        InProgress(Arc::clone(self))
    }

    /// Records activity at `moment`.
    pub(super) fn touch(&self, moment: Instant) {
        let since_opened = moment.saturating_duration_since(self.opened);
        // 64 bits of nanoseconds suffice for 584 years.
        self.last
            .store(since_opened.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Marks the client as trusted: it has authenticated itself, or made a call that requires no
    /// authentication.
    pub(super) fn trust(&self) {
        // Avoids a write that would invalidate the cache line on other processors.
        if !self.is_trusted() {
            self.is_trusted.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether the client is [trusted](Self::trust).
    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted.load(Ordering::Relaxed)
    }

    /// Returns the time of the last activity: the opening of the connection, the arrival of a call, or
    /// the response to one.
    pub(super) fn last(&self) -> Instant {
        self.opened + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    /// Returns whether no call is in progress. Health and reflection streams do not count, since they
    /// may never end.
    pub(super) fn is_idle(&self) -> bool {
        self.in_progress.load(Ordering::Acquire) == 0
    }

    /// Waits until no call is in progress.
    pub(super) async fn idle(&self) {
        loop {
            // Registers before the check, so that no notification is lost in between.
            let mut idle = pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Waits until no call has been in progress for the duration of `pause`.
    pub(super) async fn quiet(&self, pause: Duration) {
        loop {
            self.idle().await;
            let mut next = pin!(self.idle.notified());
            next.as_mut().enable();
            tokio::select! {
                () = sleep(pause) => if self.is_idle() {
                    return;
                },
                // A call began and ended during the pause.
                () = next => {}
            }
        }
    }

    /// Asks the connection to close, to free its slot for another.
    pub(super) fn displace(&self) {
        self.displaced.notify_one();
    }

    /// Waits until the connection must close for another.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

/// A guard that counts a call as in progress until it is dropped.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Activity>);

impl InProgress {
    /// Records that the call completed at `moment`. It stays in progress until its response is sent.
    pub(super) fn completed(&self, moment: Instant) {
        self.0.touch(moment);
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if self.0.in_progress.fetch_sub(1, Ordering::Release) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
