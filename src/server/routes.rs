//! gRPC routes: dispatches calls to the service, health, and server reflection.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{body::Body, codec::CompressionEncoding, server::NamedService, service};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};
use tower::{Service, ServiceExt};

use super::{health::HealthService, readiness::Readiness};
use crate::{
    proto,
    proto::face_recognition_service_server::FaceRecognitionServiceServer,
    service::{FaceRecognition, MAX_MESSAGE_BYTES},
};

/// The service, health, and both versions of server reflection.
#[derive(Debug)]
pub(super) struct Routes {
    service: Main,
    others: service::Routes,
}

type Main = FaceRecognitionServiceServer<FaceRecognition>;

impl Routes {
    /// Creates the routes to `service`, and to a health service that reports `readiness`.
    ///
    /// # Errors
    ///
    /// Returns an error if the protocol's descriptors cannot be decoded.
    pub(super) fn new(service: FaceRecognition, readiness: Readiness) -> Result<Self, Error> {
        let service = FaceRecognitionServiceServer::new(service)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let health = HealthServer::new(HealthService::new(readiness))
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let reflection = reflection_builder()
            .build_v1()?
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let reflection_v1alpha = reflection_builder()
            .build_v1alpha()?
            .max_decoding_message_size(MAX_MESSAGE_BYTES);

        let others = service::Routes::new(health)
            .add_service(reflection)
            .add_service(reflection_v1alpha)
            .prepare();
        Ok(Self { service, others })
    }

    /// Dispatches a call; an unknown method results in UNIMPLEMENTED.
    ///
    /// Calls to the service bypass the router, which would box each message body twice.
    pub(super) async fn dispatch(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(response): Result<_, Infallible> = if is_for::<Main>(request.uri().path()) {
            self.service.clone().call(request).await
        } else {
            self.others.clone().oneshot(request).await
        };
        response
    }
}

fn is_for<S: NamedService>(path: &str) -> bool {
    let rest = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(S::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Returns a reflection builder with the descriptors of the service, health, and the error details.
fn reflection_builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
