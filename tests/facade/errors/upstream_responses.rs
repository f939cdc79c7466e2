//! Upstream responses outside the documented format, and connections that fail without a response.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use iai_emulator::{Cut, FaultKind, Page};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{DeadUpstream, Facade, group, own_reason, person, start_emulator, text};

#[tokio::test]
async fn an_invalid_response_is_internal_and_not_retriable() {
    let facade = Facade::start_with(&["--max-upstream-response-bytes", "1MiB"]).await;
    let invalid_responses = [
        ("garbage", FaultKind::Garbage),
        ("truncated", FaultKind::Truncate),
        ("larger than the bound", FaultKind::Oversize(2 << 20)),
        ("no body", FaultKind::response("")),
        ("no Response", FaultKind::response("{}")),
        ("no RequestId", FaultKind::response(r#"{"Response":{}}"#)),
        (
            "a wrong type",
            FaultKind::response(r#"{"Response":{"GroupId":1,"RequestId":"r"}}"#),
        ),
        (
            "a group without an id",
            FaultKind::response(r#"{"Response":{"RequestId":"r"}}"#),
        ),
        (
            "a redirect",
            FaultKind::Redirect(HeaderValue::from_static("http://127.0.0.1:1/")),
        ),
        ("a page with 200", html(StatusCode::OK)),
        ("a page with 500", html(StatusCode::INTERNAL_SERVER_ERROR)),
        ("a page with 404", html(StatusCode::NOT_FOUND)),
    ];

    for (name, fault) in invalid_responses {
        facade.emulator.script(fault);
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Internal, "{name}");
        assert_eq!(own_reason(&status), "UPSTREAM_RESPONSE_INVALID", "{name}");
        assert_eq!(
            text(status.metadata(), "grpc-retry-pushback-ms"),
            "-1",
            "{name}"
        );
        assert!(status.get_error_details().retry_info().is_none(), "{name}");
    }
    assert_eq!(facade.emulator.requests().len(), 12);
}

#[tokio::test]
async fn a_failing_gateway_or_connection_is_unavailable() {
    let facade = Facade::start_plain().await;
    let faults = [
        ("502 with a page", html(StatusCode::BAD_GATEWAY)),
        ("503 with a page", html(StatusCode::SERVICE_UNAVAILABLE)),
        (
            "504 without a body",
            FaultKind::status(StatusCode::GATEWAY_TIMEOUT),
        ),
        ("cut before the headers", FaultKind::Cut(Cut::BeforeHeaders)),
        ("cut inside the headers", FaultKind::Cut(Cut::InsideHeaders)),
        ("cut inside the body", FaultKind::Cut(Cut::InsideBody)),
    ];

    for (name, fault) in faults {
        facade.emulator.script(fault);
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Unavailable, "{name}");
        assert_eq!(own_reason(&status), "UPSTREAM_UNREACHABLE", "{name}");
        assert_hints(&status, 200, "1");
    }
}

#[tokio::test]
async fn retry_after_of_upstream_is_passed_on_within_bounds() {
    let facade = Facade::start_plain().await;
    let (many, down) = (
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    );
    let cases = [
        (many, None, Code::ResourceExhausted, 1_000, "1"),
        (many, Some(3), Code::ResourceExhausted, 3_000, "3"),
        // A throttled client must wait, and no retry delay is ever 0.
        (many, Some(0), Code::ResourceExhausted, 1_000, "1"),
        (many, Some(u32::MAX), Code::ResourceExhausted, 60_000, "60"),
        (down, Some(2), Code::Unavailable, 2_000, "2"),
        (down, Some(0), Code::Unavailable, 200, "1"),
    ];

    for (status, retry_after, code, milliseconds, seconds) in cases {
        facade.emulator.script(FaultKind::Status {
            status,
            page: Page::Html,
            retry_after,
        });
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), code);
        assert_hints(&status, milliseconds, seconds);
    }
}

#[tokio::test]
async fn an_envelope_is_parsed_at_any_http_status() {
    let facade = Facade::start_plain().await;
    let error_body = r#"{"Response":{"Error":{"Code":"InvalidParameterValue.GroupIdNotExist",
        "Message":"no"},"RequestId":"r"}}"#;
    let body = r#"{"Response":{"GroupId":"aaa","RequestId":"r"}}"#;

    for status in [400, 429, 500, 502].map(|code| StatusCode::from_u16(code).unwrap()) {
        facade.emulator.script(with_status(error_body, status));
        let error = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "{status}");

        facade.emulator.script(with_status(body, status));
        facade.client().get_group_info(group("aaa")).await.unwrap();
    }
}

#[tokio::test]
async fn responses_of_all_vendor_editions_are_parsed() {
    let facade = Facade::start_plain().await;
    let group_num = [(r"3", Some(3)), (r#""3""#, Some(3)), ("null", None)];

    for (written, expected) in group_num {
        let body = format!(
            r#"{{"Response":{{"PersonGroupInfos":[],"GroupNum":{written},"FaceModelVersion":null,
                "DeprecatedWarning":"soon","New":{{}},"RequestId":"r"}}}}"#
        );
        facade.emulator.script(FaultKind::response(body));
        let response = facade
            .client()
            .get_person_group_info(person("2001"))
            .await
            .unwrap();

        assert_eq!(response.get_ref().group_num, expected);
        assert_eq!(response.get_ref().face_model_version, None);
    }
}

#[tokio::test]
async fn an_unreachable_endpoint_is_unavailable() {
    let dead_upstream = DeadUpstream::new();
    let endpoints = [
        format!("http://{}", dead_upstream.address()),
        "http://nowhere.invalid".to_owned(),
    ];

    for endpoint in endpoints {
        let flags = ["--endpoint", &endpoint, "--max-attempts", "1"];
        let facade = Facade::start_before(start_emulator().await, &flags).await;
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Unavailable, "{endpoint}");
        assert_eq!(own_reason(&status), "UPSTREAM_UNREACHABLE", "{endpoint}");
        assert!(
            !status.message().contains(&endpoint),
            "{}",
            status.message()
        );
        assert_hints(&status, 200, "1");
    }
}

fn html(status: StatusCode) -> FaultKind {
    FaultKind::Status {
        status,
        page: Page::Html,
        retry_after: None,
    }
}

fn with_status(body: &str, status: StatusCode) -> FaultKind {
    let content_type = HeaderValue::from_static("application/json");
    FaultKind::Response {
        body: body.to_owned(),
        status,
        content_type,
    }
}

fn assert_hints(status: &Status, milliseconds: u64, seconds: &str) {
    let details = status.get_error_details();
    let delay = details.retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_millis(milliseconds)));
    assert_eq!(
        text(status.metadata(), "grpc-retry-pushback-ms"),
        milliseconds.to_string()
    );
    assert_eq!(text(status.metadata(), "retry-after"), seconds);
}

#[tokio::test]
async fn texts_from_upstream_are_truncated() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let long = "r".repeat(700 << 10);
    let tag = "t".repeat(1 << 20);
    facade.emulator.script(FaultKind::response(format!(
        r#"{{"Response":{{"GroupId":"aaa","GroupName":"a","Tag":"{tag}","RequestId":"{long}"}}}}"#
    )));

    let response = facade.client().get_group_info(group("aaa")).await.unwrap();

    assert_eq!(text(response.metadata(), "x-tc-request-id").len(), 64);
    assert_eq!(response.get_ref().request_id.len(), 128);

    facade.emulator.script(FaultKind::response(format!(
        r#"{{"Response":{{"Error":{{"Code":"{long}","Message":"{long}"}},"RequestId":"{long}"}}}}"#
    )));
    let status = facade
        .client()
        .get_group_info(group("b"))
        .await
        .unwrap_err();

    assert!(status.message().len() < 400, "{}", status.message().len());
    assert!(status.details().len() < 2_048, "{}", status.details().len());
}
