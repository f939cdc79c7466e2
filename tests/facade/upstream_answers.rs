//! What becomes of answers that are not the documented ones, and of connections that bring none.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use iai_facade::emulator::{Cut, FaultKind, Page};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{Facade, Nobody, group, own_reason, person, start_emulator, text};

#[tokio::test]
async fn what_is_not_an_answer_is_upstreams_fault_and_lasts() {
    let facade = Facade::start_with(&["--max-upstream-response-bytes", "1MiB"]).await;
    let not_answers = [
        ("garbage", FaultKind::Garbage),
        ("truncated", FaultKind::Truncate),
        ("larger than the bound", FaultKind::Oversize(2 << 20)),
        ("no body", FaultKind::answer("")),
        ("no Response", FaultKind::answer("{}")),
        ("no RequestId", FaultKind::answer(r#"{"Response":{}}"#)),
        (
            "a wrong type",
            FaultKind::answer(r#"{"Response":{"GroupId":1,"RequestId":"r"}}"#),
        ),
        (
            "a group without an id",
            FaultKind::answer(r#"{"Response":{"RequestId":"r"}}"#),
        ),
        (
            "a redirect",
            FaultKind::Redirect(HeaderValue::from_static("http://127.0.0.1:1/")),
        ),
        ("a page with 200", html(StatusCode::OK)),
        ("a page with 500", html(StatusCode::INTERNAL_SERVER_ERROR)),
        ("a page with 404", html(StatusCode::NOT_FOUND)),
    ];

    for (name, fault) in not_answers {
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
    assert_eq!(facade.emulator.calls().len(), 12);
}

#[tokio::test]
async fn a_gateway_that_has_no_answer_and_a_connection_that_breaks_are_unavailable() {
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
async fn upstreams_own_wish_to_be_left_alone_is_passed_on() {
    let facade = Facade::start_plain().await;
    let (many, down) = (
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    );
    let cases = [
        (many, None, Code::ResourceExhausted, 1_000, "1"),
        (many, Some(3), Code::ResourceExhausted, 3_000, "3"),
        // At once is no answer to throttling, and never none to anything.
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
async fn an_envelope_counts_at_any_http_status() {
    let facade = Facade::start_plain().await;
    let refusal = r#"{"Response":{"Error":{"Code":"InvalidParameterValue.GroupIdNotExist",
        "Message":"no"},"RequestId":"r"}}"#;
    let answer = r#"{"Response":{"GroupId":"aaa","RequestId":"r"}}"#;

    for status in [400, 429, 500, 502].map(|code| StatusCode::from_u16(code).unwrap()) {
        facade.emulator.script(with_status(refusal, status));
        let error = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "{status}");

        facade.emulator.script(with_status(answer, status));
        facade.client().get_group_info(group("aaa")).await.unwrap();
    }
}

#[tokio::test]
async fn answers_are_read_with_the_tolerance_that_the_vendors_editions_call_for() {
    let facade = Facade::start_plain().await;
    let group_num = [(r"3", Some(3)), (r#""3""#, Some(3)), ("null", None)];

    for (written, expected) in group_num {
        let body = format!(
            r#"{{"Response":{{"PersonGroupInfos":[],"GroupNum":{written},"FaceModelVersion":null,
                "DeprecatedWarning":"soon","New":{{}},"RequestId":"r"}}}}"#
        );
        facade.emulator.script(FaultKind::answer(body));
        let answer = facade
            .client()
            .get_person_group_info(person("2001"))
            .await
            .unwrap();

        assert_eq!(answer.get_ref().group_num, expected);
        assert_eq!(answer.get_ref().face_model_version, None);
    }
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_unavailable() {
    let nobody = Nobody::new();
    let endpoints = [
        format!("http://{}", nobody.address()),
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
    FaultKind::Answer {
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
