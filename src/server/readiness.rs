//! Whether the service should be sent calls, as `grpc.health.v1` and `/readyz` tell it.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::{
    proto::face_recognition_service_server::FaceRecognitionServiceServer, service::FaceRecognition,
};

/// The names that health knows: the whole server, and its one service.
const NAMES: [&str; 2] = [
    "",
    <FaceRecognitionServiceServer<FaceRecognition> as NamedService>::NAME,
];

/// What must be true for the service to be called, in the order in which it becomes so.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    has_credential: bool,
    is_listening: bool,
    is_stopping: bool,
}

impl Conditions {
    fn are_met(self) -> bool {
        self.has_credential && self.is_listening && !self.is_stopping
    }
}

/// Tells both ways of asking the same.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    conditions: Arc<watch::Sender<Conditions>>,
    reporter: HealthReporter,
}

impl Readiness {
    /// Returns a readiness that is not, and the health service that tells so.
    pub(super) async fn new() -> (Self, HealthServer<impl Health>) {
        let (reporter, server) = health_reporter();
        let conditions = Arc::default();
        let readiness = Self {
            conditions,
            reporter,
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

    /// Tells whether the service should be called, with a line for each condition.
    pub(super) fn report(&self) -> (bool, String) {
        let conditions = *self.conditions.borrow();
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
