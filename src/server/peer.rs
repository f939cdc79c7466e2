//! The other end of a connection, and what it has in progress.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::callers::Shown;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Where the connection comes from.
    pub(super) address: SocketAddr,
    /// What it has shown of itself.
    pub(super) shown: Shown,
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    in_progress: AtomicUsize,
    idle: Notify,
}

impl Peer {
    /// Returns a peer that has no calls in progress.
    pub(super) fn new(address: SocketAddr, shown: Shown) -> Self {
        Self {
            address,
            shown,
            calls: Arc::default(),
        }
    }

    /// Counts a call as in progress until the value is dropped.
    pub(super) fn call(&self) -> InProgress {
        self.calls.in_progress.fetch_add(1, Ordering::Relaxed);
        InProgress(Arc::clone(&self.calls))
    }

    /// Tells whether no call is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.in_progress.load(Ordering::Acquire) == 0
    }

    /// Waits until no call has been in progress for so long. Those of health and reflection, which may
    /// never end, do not count.
    pub(super) async fn quiet(&self, pause: Duration) {
        loop {
            self.idle().await;
            let mut next = pin!(self.calls.idle.notified());
            next.as_mut().enable();
            tokio::select! {
                () = sleep(pause) => if self.is_idle() {
                    return;
                },
                // A call has begun, and ended.
                () = next => {}
            }
        }
    }

    /// Waits until no call is in progress.
    pub(super) async fn idle(&self) {
        loop {
            // Listens before it looks, so that nothing ends unnoticed in between.
            let mut idle = pin!(self.calls.idle.notified());
            idle.as_mut().enable();
            if self.is_idle() {
                return;
            }
            idle.await;
        }
    }
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Calls>);

impl Drop for InProgress {
    fn drop(&mut self) {
        if self.0.in_progress.fetch_sub(1, Ordering::Release) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
