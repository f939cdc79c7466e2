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

/// Where the service stands between its start and its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Starting,
    Serving,
    Stopping,
}

/// Tells both ways of asking the same.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    stage: Arc<watch::Sender<Stage>>,
    reporter: HealthReporter,
}

impl Readiness {
    /// Returns a readiness that is not, and the health service that tells so.
    pub(super) async fn new() -> (Self, HealthServer<impl Health>) {
        let (reporter, server) = health_reporter();
        let readiness = Self {
            stage: Arc::new(watch::Sender::new(Stage::Starting)),
            reporter,
        };
        // tonic-health begins with the whole server as SERVING.
        readiness.report(ServingStatus::NotServing).await;
        (readiness, server)
    }

    /// Returns the stage.
    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Tells that the service can be called.
    pub(super) async fn set_serving(&self) {
        self.stage.send_replace(Stage::Serving);
        self.report(ServingStatus::Serving).await;
    }

    /// Tells that the service should be called no more.
    pub(super) async fn set_stopping(&self) {
        self.stage.send_replace(Stage::Stopping);
        self.report(ServingStatus::NotServing).await;
    }

    /// Ends the streams that watch the health, after they have told the last of it.
    ///
    /// They have no end of their own, and would hold up the drain.
    pub(super) async fn end_watches(mut self) {
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn report(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
