//! Implements `FaceRecognitionService`: runs an operation against the upstream client, and maps every
//! failure to a gRPC status. Must not know sockets or HTTP.

mod api_error;
mod failure;
mod reason;
mod report;
mod response_metadata;
pub(crate) mod retry_hint;
mod sanitize;
mod status;

pub(crate) mod verification;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use tonic::{Request, Response, Status, metadata::MetadataValue};

use self::response_metadata::add_provenance;
pub use self::{
    failure::{Failure, MAX_MESSAGE_BYTES, Unauthenticated},
    report::{documented_errors, own_errors},
    response_metadata::X_TC_REQUEST_ID,
};
use crate::{
    context::{Context, Subject},
    operation::{
        InvalidReply, Operation, get_group_info::GetGroupInfo,
        get_person_group_info::GetPersonGroupInfo,
    },
    proto::{
        GetGroupInfoRequest, GetGroupInfoResponse, GetPersonGroupInfoRequest,
        GetPersonGroupInfoResponse, face_recognition_service_server::FaceRecognitionService,
    },
    upstream::{ApiRequest, Cacheable, Client, Decoded, Reply},
};

/// The service of `face_recognition_service.proto`.
#[derive(Debug)]
pub struct FaceRecognition {
    client: Client,
}

#[tonic::async_trait]
impl FaceRecognitionService for FaceRecognition {
    async fn get_group_info(
        &self,
        request: Request<GetGroupInfoRequest>,
    ) -> Result<Response<GetGroupInfoResponse>, Status> {
        self.run::<GetGroupInfo>(request).await
    }

    async fn get_person_group_info(
        &self,
        request: Request<GetPersonGroupInfoRequest>,
    ) -> Result<Response<GetPersonGroupInfoResponse>, Status> {
        self.run::<GetPersonGroupInfo>(request).await
    }
}

impl FaceRecognition {
    /// Creates a service that sends its requests with `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn run<O: Operation>(
        &self,
        request: Request<O::Request>,
    ) -> Result<Response<O::Response>, Status> {
        #[expect(
            clippy::expect_used,
            reason = "server/calls.rs adds one to every request"
        )]
        let context = request
            .extensions()
            .get::<Arc<Context>>()
            .cloned()
            .expect("a context");

        let response = self.relay::<O>(&request.into_inner(), &context).await;
        response.map_err(|failure| failure.into_status(&context))
    }

    async fn relay<O: Operation>(
        &self,
        request: &O::Request,
        context: &Arc<Context>,
    ) -> Result<Response<O::Response>, Failure> {
        let id = O::id(request).to_owned();
        context.set_subject(Subject {
            action: O::ACTION,
            fields: O::FIELDS,
            id,
        });

        let request = ApiRequest {
            action: O::ACTION,
            parameters: encoded(&O::parameters(request)?),
            id: requested_id::<O>,
        };
        let Reply {
            message,
            request_id,
        } = self.client.call(request, decode::<O>, context).await?;

        let mut response = match message {
            Ok(message) => Response::new(message),
            Err(invalid) => return Err(Failure::InvalidReply(invalid, request_id)),
        };
        let request_id = sanitize::request_id(&request_id);
        if let Ok(mut request_id) = MetadataValue::try_from(&*request_id) {
            // Not a secret, but different in every response: kept out of the HPACK table.
            request_id.set_sensitive(true);
            response.metadata_mut().insert(X_TC_REQUEST_ID, request_id);
        }
        add_provenance(context, response.metadata_mut());
        Ok(response)
    }
}

/// Decodes the response to an operation. Whether it may be cached depends on its content.
fn decode<O: Operation>(
    body: &[u8],
    request_id: &str,
) -> Decoded<Result<O::Response, InvalidReply>> {
    let message = O::response(body, request_id);
    let cacheable = match &message {
        Ok(_) => Cacheable::Positive,
        Err(InvalidReply::Malformed(_)) => Cacheable::No,
        Err(InvalidReply::NotFound(_)) => Cacheable::Negative,
    };
    Decoded { message, cacheable }
}

/// Returns the id that encoded parameters contain, for the circuit breaker.
fn requested_id<O: Operation>(parameters: &[u8]) -> Option<String> {
    let mut parameters: Map<String, Value> = serde_json::from_slice(parameters).ok()?;
    match parameters.remove(O::ID_PARAMETER)? {
        Value::String(id) => Some(id),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_) => {
            None
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "parameters are made of strings and whole numbers"
)]
fn encoded(parameters: &impl Serialize) -> Bytes {
    serde_json::to_vec(parameters).expect("JSON").into()
}
