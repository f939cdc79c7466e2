//! Operations of the service, from the descriptors of its protocol: a test that covers each of them needs no
//! change when one is added.

use std::{net::SocketAddr, sync::LazyLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use iai_facade::proto::DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MethodDescriptor, Value};
use tonic::Status;

use super::{request, send};

/// One operation.
pub(crate) struct Operation(MethodDescriptor);

/// Returns all operations.
pub(crate) fn operations() -> Vec<Operation> {
    let service = PROTOCOL.get_service_by_name("iaifacade.v1.FaceRecognitionService");
    service.unwrap().methods().map(Operation).collect()
}

impl Operation {
    /// Returns the name, such as `GetGroupInfo`.
    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns the name with a separator before each word but the first, such as `get_group_info`.
    pub(crate) fn words(&self, separator: char) -> String {
        let mut words = String::new();
        for character in self.name().chars() {
            if character.is_uppercase() && !words.is_empty() {
                words.push(separator);
            }
            words.extend(character.to_lowercase());
        }
        words
    }

    /// Returns the names of the request's fields.
    pub(crate) fn fields(&self) -> Vec<String> {
        let fields = self.0.input();
        fields
            .fields()
            .map(|field| field.name().to_owned())
            .collect()
    }

    /// Makes a call for the id `aaa`, with these headers.
    pub(crate) async fn call(
        &self,
        address: SocketAddr,
        headers: &[(&str, &str)],
    ) -> Result<(), Status> {
        let path = format!("/{}/{}", self.0.parent_service().full_name(), self.name());
        let request = headers
            .iter()
            .fold(request(&path), |request, (name, value)| {
                request.header(*name, *value)
            });
        let message = self.example();
        let length = (message.len() as u32).to_be_bytes();
        let body = Bytes::from([&[0], &length[..], &message].concat());
        let response = send(address, request.body(Full::from(body)).unwrap()).await;
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Err(status);
        }
        let body = response.into_body().collect().await.unwrap();
        match Status::from_header_map(body.trailers().unwrap()).unwrap() {
            status if status.code() == tonic::Code::Ok => Ok(()),
            status => Err(status),
        }
    }

    /// Returns an encoded request whose texts are `aaa`.
    fn example(&self) -> Vec<u8> {
        let mut message = DynamicMessage::new(self.0.input());
        for field in self.0.input().fields() {
            if field.kind() == Kind::String {
                message.set_field(&field, Value::String("aaa".to_owned()));
            }
        }
        message.encode_to_vec()
    }
}

/// Decoded once, because that takes long enough to delay the calls of other tasks.
static PROTOCOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).unwrap());
