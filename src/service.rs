//! Serves the two methods: introduces an operation and upstream to each other.

mod failure;
mod presentable;
mod reason;
mod refusal;
mod report;
mod retry;
mod status;

pub(crate) mod verification;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tonic::{
    Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
};

pub use self::failure::{Failure, Unidentified};
use crate::{
    context::{Context, Provenance, Subject},
    operation::{
        InvalidReply, Operation, get_group_info::GetGroupInfo,
        get_person_group_info::GetPersonGroupInfo,
    },
    proto::{
        GetGroupInfoRequest, GetGroupInfoResponse, GetPersonGroupInfoRequest,
        GetPersonGroupInfoResponse, face_recognition_service_server::FaceRecognitionService,
    },
    upstream::{Call, Client, Meaning},
};

/// The metadata key of upstream's id of a call, on answers and on errors.
pub const X_TC_REQUEST_ID: &str = "x-tc-request-id";

/// The metadata keys of where an answer comes from, and how many whole seconds ago upstream gave it.
const X_IAI_CACHE: &str = "x-iai-cache";
const AGE: &str = "age";

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
    /// Returns a service that asks `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn run<O: Operation>(
        &self,
        request: Request<O::Request>,
    ) -> Result<Response<O::Response>, Status> {
        #[expect(
            clippy::expect_used,
            reason = "server/calls.rs puts one beside every request"
        )]
        let context = request
            .extensions()
            .get::<Arc<Context>>()
            .cloned()
            .expect("a context");

        let answer = self.relay::<O>(&request.into_inner(), &context).await;
        answer.map_err(|failure| failure.into_status(&context))
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

        let call = Call {
            action: O::ACTION,
            parameters: encoded(&O::parameters(request)?),
            meaning: meaning::<O>,
        };
        let reply = self.client.call(&call, context).await?;

        let mut response = match O::response(&reply.body, &reply.request_id) {
            Ok(response) => Response::new(response),
            Err(invalid) => return Err(Failure::InvalidReply(invalid, reply.request_id)),
        };
        let request_id = presentable::request_id(&reply.request_id);
        if let Ok(mut request_id) = MetadataValue::try_from(&*request_id) {
            // No secret, but of one upstream call: HTTP/2 need not remember it for the next.
            request_id.set_sensitive(true);
            response.metadata_mut().insert(X_TC_REQUEST_ID, request_id);
        }
        tell_provenance(context, response.metadata_mut());
        Ok(response)
    }
}

/// Tells upstream's side what a reply says, for which only the operation has the words.
fn meaning<O: Operation>(body: &[u8]) -> Meaning {
    match O::response(body, "") {
        Ok(_) => Meaning::Answer,
        Err(InvalidReply::Malformed(_)) => Meaning::Nothing,
        Err(InvalidReply::PersonNotFound) => Meaning::NotFound,
    }
}

/// Tells the caller where its answer, or its error, comes from, if from upstream or from memory.
fn tell_provenance(context: &Context, metadata: &mut MetadataMap) {
    if let Some(Provenance { origin, age }) = context.provenance() {
        metadata.insert(X_IAI_CACHE, MetadataValue::from_static(origin.name()));
        metadata.insert(AGE, age.as_secs().into());
    }
}

#[expect(
    clippy::expect_used,
    reason = "parameters are made of strings and whole numbers"
)]
fn encoded(parameters: &impl Serialize) -> Bytes {
    serde_json::to_vec(parameters).expect("JSON").into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{context::Origin, deadline::Deadline, identity::Identity};

    #[tokio::test]
    async fn an_age_is_told_in_whole_seconds() {
        let now = tokio::time::Instant::now();
        let deadline = Deadline::new(now, None, Duration::from_secs(1));
        let context = Context::new(deadline, false, Identity::Address([127, 0, 0, 1].into()));
        let mut metadata = MetadataMap::new();

        tell_provenance(&context, &mut metadata);
        assert!(metadata.is_empty());

        let age = Duration::from_millis(61_999);
        context.set_provenance(Provenance {
            origin: Origin::Stale,
            age,
        });
        tell_provenance(&context, &mut metadata);
        assert_eq!(metadata.get(X_IAI_CACHE).unwrap(), "stale");
        assert_eq!(metadata.get(AGE).unwrap(), "61");
    }
}
