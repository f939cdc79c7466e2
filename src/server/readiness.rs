//! Whether the service should be sent calls, as `grpc.health.v1` and `/readyz` tell it.

use std::sync::Arc;

use tokio::sync::watch;

/// What must be true for the service to be called, in the order in which it becomes so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    has_credential: bool,
    is_listening: bool,
    is_stopping: bool,
    are_watches_over: bool,
}

impl Conditions {
    /// Tells whether the service should be called.
    pub(super) fn are_met(self) -> bool {
        self.has_credential && self.is_listening && !self.is_stopping
    }

    /// Tells whether nothing more will change.
    pub(super) fn are_watches_over(self) -> bool {
        self.are_watches_over
    }
}

/// Tells all ways of asking the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness {
    conditions: Arc<watch::Sender<Conditions>>,
}

impl Readiness {
    /// Tells that there is a credential to sign with.
    pub(super) fn set_credential_obtained(&self) {
        self.change(|conditions| conditions.has_credential = true);
    }

    /// Tells that connections are accepted.
    pub(super) fn set_listening(&self) {
        self.change(|conditions| conditions.is_listening = true);
    }

    /// Tells that the service should be called no more.
    pub(super) fn set_stopping(&self) {
        self.change(|conditions| conditions.is_stopping = true);
    }

    /// Ends the streams that watch the health, after they have told the last of it.
    ///
    /// They have no end of their own, and would hold up the drain.
    pub(super) fn end_watches(&self) {
        self.change(|conditions| conditions.are_watches_over = true);
    }

    /// Returns how it is now.
    pub(super) fn conditions(&self) -> Conditions {
        *self.conditions.borrow()
    }

    /// Returns how it is from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Conditions> {
        self.conditions.subscribe()
    }

    /// Tells whether the service should be called, with a line for each condition.
    pub(super) fn report(&self) -> (bool, String) {
        let conditions = self.conditions();
        let lines = [
            ("credential obtained", conditions.has_credential),
            ("listening", conditions.is_listening),
            ("not stopping", !conditions.is_stopping),
        ];
        let lines = lines.map(|(condition, is_met)| {
            format!("[{}] {condition}\n", if is_met { '+' } else { '-' })
        });
        (conditions.are_met(), lines.concat())
    }

    fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }
}
