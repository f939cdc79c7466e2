//! The other end of a connection, and what it has in progress.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use super::callers::Shown;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Where the connection comes from.
    pub(super) address: SocketAddr,
    /// What it has shown of itself.
    pub(super) shown: Shown,
    calls: Arc<watch::Sender<usize>>,
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
        self.calls.send_modify(|calls| *calls += 1);
        InProgress(Arc::clone(&self.calls))
    }

    /// Tells whether no call is in progress.
    pub(super) fn is_idle(&self) -> bool {
        *self.calls.borrow() == 0
    }

    /// Waits until no call is in progress.
    pub(super) async fn idle(&self) {
        // It fails only without a sender, of which this value holds one.
        let _ = self.calls.subscribe().wait_for(|calls| *calls == 0).await;
    }
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct InProgress(Arc<watch::Sender<usize>>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}
