//! Readiness: whether clients should send calls, as reported by `grpc.health.v1` and `/readyz`.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::credentials::Credentials;

/// The condition that `--verify-upstream` adds.
const ACCEPTED: &str = "credential accepted by upstream";

/// The conditions of readiness, in the order in which they are met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    has_credential: bool,
    is_verified: bool,
    is_listening: bool,
    is_stopping: bool,
    are_watches_over: bool,
}

impl Conditions {
    /// Returns whether the service is ready.
    pub(super) fn are_met(self) -> bool {
        self.has_credential && self.is_verified && self.is_listening && !self.is_stopping
    }

    /// Returns for each condition, under its name in metrics, whether it is met. Without verification, the
    /// credential counts as accepted.
    pub(super) fn by_name(self) -> [(&'static str, bool); 4] {
        [
            ("credential_obtained", self.has_credential),
            ("credential_accepted", self.is_verified),
            ("listening", self.is_listening),
            ("not_stopping", !self.is_stopping),
        ]
    }

    /// Returns whether health watches must end, since nothing will change any more.
    pub(super) fn are_watches_over(self) -> bool {
        self.are_watches_over
    }
}

/// A condition of readiness.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Condition {
    pub(super) name: &'static str,
    pub(super) is_met: bool,
    /// The reason why it is not met, if known.
    pub(super) reason: Option<String>,
}

/// A readiness tracker. Clones share its state.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    conditions: Arc<watch::Sender<Conditions>>,
    credentials: Credentials,
    /// The reason why upstream has not accepted a request yet; `None` if verification is off.
    verification: Option<Arc<Mutex<String>>>,
}

impl Readiness {
    /// Creates a readiness tracker in the not-ready state.
    ///
    /// With `must_verify`, it is a condition that upstream accepts `credentials`.
    pub(super) fn new(credentials: Credentials, must_verify: bool) -> Self {
        let conditions = Arc::new(watch::Sender::new(Conditions {
            is_verified: !must_verify,
            ..Conditions::default()
        }));
        Self {
            conditions,
            credentials,
            verification: must_verify
                .then(|| Arc::new(Mutex::new("no request sent yet".to_owned()))),
        }
    }

    /// Records that a credential was obtained.
    pub(super) fn set_credential_obtained(&self) {
        self.change(|conditions| conditions.has_credential = true);
    }

    /// Returns whether readiness still requires a request that upstream accepts.
    pub(super) fn awaits_verification(&self) -> bool {
        !self.conditions.borrow().is_verified
    }

    /// Records that upstream has accepted a request.
    pub(super) fn set_verified(&self) {
        self.change(|conditions| conditions.is_verified = true);
    }

    /// Records the reason why upstream has not accepted a request yet.
    pub(super) fn set_unverified(&self, reason: String) {
        if let Some(verification) = &self.verification {
            *verification.lock() = reason;
        }
    }

    /// Records that connections are accepted.
    pub(super) fn set_listening(&self) {
        self.change(|conditions| conditions.is_listening = true);
    }

    /// Records that the service is stopping.
    pub(super) fn set_stopping(&self) {
        self.change(|conditions| conditions.is_stopping = true);
    }

    /// Ends the health watches after their last status.
    ///
    /// They do not end by themselves, and would delay the drain.
    pub(super) fn end_watches(&self) {
        self.change(|conditions| conditions.are_watches_over = true);
    }

    /// Returns the current conditions.
    pub(super) fn conditions(&self) -> Conditions {
        *self.conditions.borrow()
    }

    /// Returns a receiver of all changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Conditions> {
        self.conditions.subscribe()
    }

    /// Returns whether the service is ready, and the conditions that it depends on.
    pub(super) fn report(&self) -> (bool, Vec<Condition>) {
        let conditions = self.conditions();
        let verification = self.verification.as_ref().map(|reason| {
            let reason = reason.lock();
            (ACCEPTED, conditions.is_verified, Some(reason.clone()))
        });
        let failure = self.credentials.failure();
        let failure = failure.map(|failure| failure.to_string());
        let all = [
            Some(("credential obtained", conditions.has_credential, failure)),
            verification,
            Some(("listening", conditions.is_listening, None)),
            Some(("not stopping", !conditions.is_stopping, None)),
        ];
        let all = all
            .into_iter()
            .flatten()
            .map(|(name, is_met, reason)| Condition {
                name,
                is_met,
                reason: reason.filter(|_| !is_met),
            });
        (conditions.are_met(), all.collect())
    }

    fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }
}

/// Writes the line of `/readyz?verbose`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_met { '+' } else { '-' };
        write!(f, "[{mark}] {}", self.name)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
