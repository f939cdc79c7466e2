//! Whether the service should be sent calls, as `grpc.health.v1` and `/readyz` tell it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::{
    credentials::Credentials, proto::face_recognition_service_server::FaceRecognitionServiceServer,
    service::FaceRecognition,
};

/// The names that health knows: the whole server, and its one service.
const NAMES: [&str; 2] = [
    "",
    <FaceRecognitionServiceServer<FaceRecognition> as NamedService>::NAME,
];

/// The condition that `--verify-upstream` adds.
const ACCEPTED: &str = "credential accepted by upstream";

/// What must be true for the service to be called, in the order in which it becomes so.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    has_credential: bool,
    is_verified: bool,
    is_listening: bool,
    is_stopping: bool,
}

impl Conditions {
    fn are_met(self) -> bool {
        self.has_credential && self.is_verified && self.is_listening && !self.is_stopping
    }
}

/// Tells both ways of asking the same.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    conditions: Arc<watch::Sender<Conditions>>,
    reporter: HealthReporter,
    credentials: Credentials,
    /// Why upstream has not accepted a call yet, if it has to.
    verification: Option<Arc<Mutex<String>>>,
}

impl Readiness {
    /// Returns a readiness that is not, and the health service that tells so.
    ///
    /// Whether upstream accepts `credentials` is one of the conditions if they are to be verified.
    pub(super) async fn new(
        credentials: Credentials,
        are_verified: bool,
    ) -> (Self, HealthServer<impl Health>) {
        let (reporter, server) = health_reporter();
        let conditions = Arc::new(watch::Sender::new(Conditions {
            is_verified: !are_verified,
            ..Conditions::default()
        }));
        let readiness = Self {
            conditions,
            reporter,
            credentials,
            verification: are_verified.then(|| Arc::new(Mutex::new("not called yet".to_owned()))),
        };
        // tonic-health begins with the whole server as SERVING.
        readiness.change(|_| {}).await;
        (readiness, server)
    }

    /// Tells that there is a credential to sign with.
    pub(super) async fn set_credential_obtained(&self) {
        self.change(|conditions| conditions.has_credential = true)
            .await;
    }

    /// Tells whether upstream must have accepted a call.
    pub(super) fn awaits_verification(&self) -> bool {
        !self.conditions.borrow().is_verified
    }

    /// Tells that upstream has accepted a call.
    pub(super) async fn set_verified(&self) {
        self.change(|conditions| conditions.is_verified = true)
            .await;
    }

    /// Tells why upstream has accepted no call yet.
    pub(super) fn set_unverified(&self, reason: String) {
        if let Some(verification) = &self.verification {
            *verification.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        }
    }

    /// Tells that connections are accepted.
    pub(super) async fn set_listening(&self) {
        self.change(|conditions| conditions.is_listening = true)
            .await;
    }

    /// Tells that the service should be called no more.
    pub(super) async fn set_stopping(&self) {
        self.change(|conditions| conditions.is_stopping = true)
            .await;
    }

    /// Tells whether the service should be called, with a line for each condition, and in it why
    /// the condition is not met, where that is known.
    pub(super) fn report(&self) -> (bool, String) {
        let conditions = *self.conditions.borrow();
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

    /// Ends the streams that watch the health, after they have told the last of it.
    ///
    /// They have no end of their own, and would hold up the drain.
    pub(super) async fn end_watches(mut self) {
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
        let status = match self.conditions.borrow().are_met() {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
