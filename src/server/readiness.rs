//! Whether the service should be sent calls, as `grpc.health.v1` and `/readyz` tell it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::credentials::Credentials;

/// The condition that `--verify-upstream` adds.
const ACCEPTED: &str = "credential accepted by upstream";

/// What must be true for the service to be called, in the order in which it becomes so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    has_credential: bool,
    is_verified: bool,
    is_listening: bool,
    is_stopping: bool,
    are_watches_over: bool,
}

impl Conditions {
    /// Tells whether the service should be called.
    pub(super) fn are_met(self) -> bool {
        self.has_credential && self.is_verified && self.is_listening && !self.is_stopping
    }

    /// Tells whether nothing more will change.
    pub(super) fn are_watches_over(self) -> bool {
        self.are_watches_over
    }
}

/// Tells all ways of asking the same.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    conditions: Arc<watch::Sender<Conditions>>,
    credentials: Credentials,
    /// Why upstream has not accepted a call yet, if it has to.
    verification: Option<Arc<Mutex<String>>>,
}

impl Readiness {
    /// Returns a readiness that is not.
    ///
    /// Whether upstream accepts `credentials` is one of the conditions if they are to be verified.
    pub(super) fn new(credentials: Credentials, are_verified: bool) -> Self {
        let conditions = Arc::new(watch::Sender::new(Conditions {
            is_verified: !are_verified,
            ..Conditions::default()
        }));
        Self {
            conditions,
            credentials,
            verification: are_verified.then(|| Arc::new(Mutex::new("not called yet".to_owned()))),
        }
    }

    /// Tells that there is a credential to sign with.
    pub(super) fn set_credential_obtained(&self) {
        self.change(|conditions| conditions.has_credential = true);
    }

    /// Tells whether upstream must have accepted a call.
    pub(super) fn awaits_verification(&self) -> bool {
        !self.conditions.borrow().is_verified
    }

    /// Tells that upstream has accepted a call.
    pub(super) fn set_verified(&self) {
        self.change(|conditions| conditions.is_verified = true);
    }

    /// Tells why upstream has accepted no call yet.
    pub(super) fn set_unverified(&self, reason: String) {
        if let Some(verification) = &self.verification {
            *verification.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        }
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

    /// Tells whether the service should be called, with a line for each condition, and in it why
    /// the condition is not met, where that is known.
    pub(super) fn report(&self) -> (bool, String) {
        let conditions = self.conditions();
        let verification = self.verification.as_ref().map(|reason| {
            let reason = reason.lock().unwrap_or_else(PoisonError::into_inner);
            (ACCEPTED, conditions.is_verified, reason.clone())
        });
        let failure = self.credentials.failure();
        let failure = failure
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        let lines = [
            Some(("credential obtained", conditions.has_credential, failure)),
            verification,
            Some(("listening", conditions.is_listening, String::new())),
            Some(("not stopping", !conditions.is_stopping, String::new())),
        ];
        let lines: String = lines
            .into_iter()
            .flatten()
            .map(
                |(condition, is_met, reason)| match (is_met, reason.as_str()) {
                    (true, _) => format!("[+] {condition}\n"),
                    (false, "") => format!("[-] {condition}\n"),
                    (false, reason) => format!("[-] {condition}: {reason}\n"),
                },
            )
            .collect();
        (conditions.are_met(), lines)
    }

    fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }
}
