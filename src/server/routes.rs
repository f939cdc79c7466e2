//! Everything that can be called by gRPC.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{body::Body, codec::CompressionEncoding, server::NamedService, service};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};
use tower::{Service, ServiceExt};

use super::{health::HealthService, readiness::Readiness};
use crate::{
    proto, proto::face_recognition_service_server::FaceRecognitionServiceServer,
    service::FaceRecognition,
};

/// The largest message that is read from a caller, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// The service, health, and server reflection in both its versions.
#[derive(Debug)]
pub(super) struct Routes {
    service: Main,
    others: service::Routes,
}

type Main = FaceRecognitionServiceServer<FaceRecognition>;

impl Routes {
    /// Returns the routes of a service, and of its health by `readiness`.
    ///
    /// # Errors
    ///
    /// Fails if the descriptors of the protocol cannot be read.
    pub(super) fn new(service: FaceRecognition, readiness: Readiness) -> Result<Self, Error> {
        let service = FaceRecognitionServiceServer::new(service)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let health = HealthServer::new(HealthService::new(readiness))
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let reflection = descriptions()
            .build_v1()?
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let older = descriptions()
            .build_v1alpha()?
            .max_decoding_message_size(MAX_MESSAGE_BYTES);

        let others = service::Routes::new(health)
            .add_service(reflection)
            .add_service(older)
            .prepare();
        Ok(Self { service, others })
    }

    /// Answers a call, and refuses one of a method that there is not.
    ///
    /// The service is asked without the router, which would wrap each message twice.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
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

/// Describes what clients cannot know otherwise: the service, health, and the error details.
fn descriptions() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
