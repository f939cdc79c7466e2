//! Errors that tonic creates before the service runs, and HTTP requests that are not gRPC.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status, codec::CompressionEncoding};
use tonic_types::StatusExt;

use crate::harness::{Facade, GET_GROUP_INFO, group, http, own_reason, request, send, text};

#[tokio::test]
async fn a_malformed_message_is_an_invalid_request() {
    let facade = Facade::start().await;
    let bodies: [&[u8]; 4] = [
        b"",
        b"\0\0\0\0\x03\x0a\xff\xff",
        b"\x07\0\0\0\x02\x0a\0",
        // The compressed flag without a grpc-encoding.
        b"\x01\0\0\0\x02\x0a\0",
    ];

    for body in bodies {
        let status = rejected(&facade, GET_GROUP_INFO, body).await;
        assert_eq!(
            (status.code(), own_reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_REQUEST")
        );
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_fails_without_retry_hints() {
    let facade = Facade::start().await;

    let status = facade
        .client()
        .get_group_info(group(&"a".repeat(70_000)))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(own_reason(&status), "INVALID_REQUEST");
    let message = "the request message has 70004 bytes; the limit is 65536 and not configurable";
    assert_eq!(status.message(), message);
    assert!(status.get_error_details().retry_info().is_none());
    assert!(status.metadata().get("grpc-retry-pushback-ms").is_none());
}

#[tokio::test]
async fn unknown_methods_services_and_encodings_are_unimplemented() {
    let facade = Facade::start().await;
    let paths = [
        "/grpc.health.v1.Health/Nope",
        "/grpc.reflection.v9.ServerReflection/ServerReflectionInfo",
        "/iaifacade.v1.FaceRecognitionService/DetectFace",
        "/another.Service/Method",
        "/",
    ];

    for path in paths {
        let status = rejected(&facade, path, b"\0\0\0\0\0").await;
        assert_eq!(
            (status.code(), own_reason(&status).as_str()),
            (Code::Unimplemented, "METHOD_UNKNOWN")
        );
    }

    let request = request(GET_GROUP_INFO).header("grpc-encoding", "snappy");
    let response = send(
        facade.addresses.grpc,
        request.body(Full::default()).unwrap(),
    )
    .await;
    let status = status(response.headers());
    assert_eq!(status.code(), Code::Unimplemented);
    let message =
        "the request message is compressed with `snappy`; grpc-encoding must be gzip or identity";
    assert_eq!(status.message(), message);
    assert_eq!(response.headers()["grpc-accept-encoding"], "gzip,identity");
}

#[tokio::test]
async fn errors_are_trailers_only_responses() {
    let facade = Facade::start().await;

    for path in [GET_GROUP_INFO, "/another.Service/Method"] {
        let body = Full::from(&b"\0\0\0\0\0"[..]);
        let response = send(facade.addresses.grpc, request(path).body(body).unwrap()).await;

        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().contains_key("grpc-status"));
        assert!(response.headers().contains_key("grpc-status-details-bin"));
        assert!(response.headers().contains_key("x-request-id"));
        let body = response.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none());
        assert!(body.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn a_request_that_is_not_grpc_fails_with_an_http_status() {
    let facade = Facade::start().await;
    let cases = [
        (
            Method::GET,
            "application/grpc",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::POST,
            "application/json",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            Method::POST,
            "application/grpc-web+proto",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (Method::POST, "application/grpc+proto", StatusCode::OK),
        (Method::POST, "application/grpc;x=y", StatusCode::OK),
    ];

    for (method, media_type, status) in cases {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://facade{GET_GROUP_INFO}"))
            .header("content-type", media_type)
            .body(Full::default())
            .unwrap();
        let response = send(facade.addresses.grpc, request).await;

        assert_eq!(response.status(), status, "{media_type}");
    }
}

#[tokio::test]
async fn an_http_1_client_receives_505_and_an_explanation() {
    let facade = Facade::start().await;

    let (status, text) = http(facade.addresses.grpc, "GET", "/", "").await;

    assert_eq!(status, 505);
    assert_eq!(text, "This port serves gRPC, over HTTP/2 only.\n");
}

#[tokio::test]
async fn a_message_that_decompresses_beyond_the_limit_is_too_large() {
    let facade = Facade::start().await;

    let mut client = facade.client().send_compressed(CompressionEncoding::Gzip);
    let status = client
        .get_group_info(group(&"a".repeat(1 << 20)))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(own_reason(&status), "INVALID_REQUEST");
    let message = "the decompressed request message is too large in bytes; the limit is 65536 and not \
                   configurable";
    assert_eq!(status.message(), message);
}

#[tokio::test]
async fn a_gzip_compressed_message_is_accepted() {
    let facade = Facade::start().await;

    let mut client = facade.client().send_compressed(CompressionEncoding::Gzip);
    let response = client.get_group_info(group("aaa")).await.unwrap();

    assert_eq!(response.into_inner().group_id, "aaa");
}

#[tokio::test]
async fn x_request_id_is_echoed_or_generated() {
    let facade = Facade::start().await;

    let mut request = tonic::Request::new(group("aaa"));
    request
        .metadata_mut()
        .insert("x-request-id", "a-name".parse().unwrap());
    let response = facade.client().get_group_info(request).await.unwrap();
    assert_eq!(text(response.metadata(), "x-request-id"), "a-name");

    let mut request = tonic::Request::new(group("zzz"));
    request
        .metadata_mut()
        .insert("x-request-id", "a name with blanks".parse().unwrap());
    let error = facade.client().get_group_info(request).await.unwrap_err();
    assert_eq!(text(error.metadata(), "x-request-id").len(), 36);

    let response = facade.client().get_group_info(group("aaa")).await.unwrap();
    assert_eq!(text(response.metadata(), "x-request-id").len(), 36);
}

async fn rejected(facade: &Facade, path: &str, body: &[u8]) -> Status {
    let body = Full::from(Bytes::copy_from_slice(body));
    let response = send(facade.addresses.grpc, request(path).body(body).unwrap()).await;
    status(response.headers())
}

fn status(headers: &HeaderMap) -> Status {
    Status::from_header_map(headers).expect("a status in the headers")
}
