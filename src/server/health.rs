//! Health service: implements `grpc.health.v1` as the comments of its protocol specify.
//!
//! The messages are those of tonic-health. Its service is not used, since it rejects a watch of an
//! unknown service, for which the protocol requires SERVICE_UNKNOWN.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::{Request, Response, Status, server::NamedService};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use super::readiness::{Conditions, Readiness};
use crate::{
    proto::face_recognition_service_server::FaceRecognitionServiceServer, service::FaceRecognition,
};

/// The known service names: the whole server, and its one service.
const NAMES: [&str; 2] = [
    "",
    <FaceRecognitionServiceServer<FaceRecognition> as NamedService>::NAME,
];

/// The health service, which reports the readiness of the server.
#[derive(Debug)]
pub(super) struct HealthService {
    readiness: Readiness,
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Watch;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("unknown service"));
        }
        let status = status(self.readiness.conditions());
        Ok(Response::new(response(status)))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        Ok(Response::new(Watch {
            is_known: is_known(&request.get_ref().service),
            changes: WatchStream::new(self.readiness.subscribe()),
            sent: None,
            is_over: false,
        }))
    }
}

impl HealthService {
    /// Creates a service that reports `readiness`.
    pub(super) fn new(readiness: Readiness) -> Self {
        Self { readiness }
    }
}

/// A health watch: sends the current status first, and then each change.
///
/// An unknown name stays unknown, since services are never added.
#[derive(Debug)]
pub(super) struct Watch {
    is_known: bool,
    changes: WatchStream<Conditions>,
    sent: Option<ServingStatus>,
    is_over: bool,
}

impl Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_over {
            let Some(conditions) = ready!(Pin::new(&mut self.changes).poll_next(context)) else {
                break;
            };
            self.is_over = conditions.are_watches_over();
            let status = match self.is_known {
                true => status(conditions),
                false => ServingStatus::ServiceUnknown,
            };
            if self.sent.replace(status) != Some(status) {
                return Poll::Ready(Some(Ok(response(status))));
            }
        }
        Poll::Ready(None)
    }
}

fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

fn status(conditions: Conditions) -> ServingStatus {
    match conditions.are_met() {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
