//! Server reflection: services and descriptors for clients without the proto files.

use prost::Message;
use prost_types::FileDescriptorProto;
use tonic_reflection::pb::{v1, v1alpha};

use crate::harness::Facade;

const SYMBOLS: [&str; 5] = [
    "iaifacade.v1.FaceRecognitionService",
    "iaifacade.v1.ErrorReason",
    "grpc.health.v1.Health",
    "google.rpc.ErrorInfo",
    "google.protobuf.Timestamp",
];

#[tokio::test]
async fn reflection_lists_services_and_describes_symbols() {
    use v1::{
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    let facade = Facade::start().await;
    let mut client = ServerReflectionClient::new(facade.channel());
    let mut send = async |request| {
        let request = v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let responses = client
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap();
        responses
            .into_inner()
            .message()
            .await
            .unwrap()
            .unwrap()
            .message_response
            .unwrap()
    };

    let MessageResponse::ListServicesResponse(list) =
        send(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in [
        "iaifacade.v1.FaceRecognitionService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }

    for symbol in SYMBOLS {
        let response = send(MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
        let MessageResponse::FileDescriptorResponse(files) = response else {
            panic!("{symbol}: {response:?}");
        };
        FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).unwrap();
    }
}

#[tokio::test]
async fn the_v1alpha_reflection_protocol_is_supported() {
    use v1alpha::{
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    let facade = Facade::start().await;
    let mut client = ServerReflectionClient::new(facade.channel());
    let request = MessageRequest::FileContainingSymbol(SYMBOLS[0].to_owned());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };

    let responses = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let response = responses
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response;

    assert!(
        matches!(response, Some(MessageResponse::FileDescriptorResponse(_))),
        "{response:?}"
    );
}
