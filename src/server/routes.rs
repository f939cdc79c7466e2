//! Everything that can be called by gRPC.

use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};

use super::{health::HealthService, readiness::Readiness};
use crate::{
    proto, proto::face_recognition_service_server::FaceRecognitionServiceServer,
    service::FaceRecognition,
};

/// The largest message that is read from a caller, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Returns the routes of the service, of health, and of server reflection in both its versions.
///
/// # Errors
///
/// Fails if the descriptors of the protocol cannot be read.
pub(super) fn routes(service: FaceRecognition, readiness: Readiness) -> Result<Routes, Error> {
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

    let routes = Routes::new(service)
        .add_service(health)
        .add_service(reflection);
    Ok(routes.add_service(older).prepare())
}

/// Describes what clients cannot know otherwise: the service, health, and the error details.
fn descriptions() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
