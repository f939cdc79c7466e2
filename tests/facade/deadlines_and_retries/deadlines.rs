//! Deadlines: those of clients, `--max-call-time`, and cancelled attempts.

use std::time::Duration;

use http_body_util::Full;
use iai_emulator::{Fault, FaultKind};
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::harness::{Facade, GET_GROUP_INFO, error_info, group, own_reason, request, send, text};

#[tokio::test]
async fn an_expired_deadline_is_reported_and_its_attempt_is_cancelled() {
    let facade = Facade::start().await;
    facade.emulator.script(FaultKind::Hold);

    // Sent without a generated client, which would enforce the deadline itself.
    let began = Instant::now();
    let status = call_with_timeout(&facade, "1S").await;

    assert!(began.elapsed() >= Duration::from_millis(975));
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(
        own_error(&status),
        ("DEADLINE_EXCEEDED".to_owned(), "1".to_owned())
    );
    assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "");
    facade.emulator.wait_for_disconnects(1).await;
}

#[tokio::test]
async fn the_service_itself_reports_nearly_all_expired_deadlines() {
    const CALLS: u32 = 100;
    let facade = Facade::start().await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(CALLS));

    // The service responds up to 100 ms before the deadline, and does so from 5 s on. The calls
    // follow one another, since a burst would measure the machine.
    let mut pace = interval(Duration::from_millis(20));
    let mut calls = JoinSet::new();
    let client = facade.client();
    for _ in 0..CALLS {
        pace.tick().await;
        let mut client = client.clone();
        calls.spawn(async move {
            let mut request = Request::new(group("aaa"));
            request.set_timeout(Duration::from_secs(5));
            client.get_group_info(request).await.unwrap_err()
        });
    }
    let errors = calls.join_all().await;

    // An error that tonic itself returns is CANCELLED without details.
    let ours = errors
        .iter()
        .filter(|status| {
            status.code() == Code::DeadlineExceeded
                && status.get_details_error_info().is_some_and(|error| {
                    error.domain == "iaifacade.v1" && error.reason == "DEADLINE_EXCEEDED"
                })
        })
        .count();
    assert!(ours >= 95, "{ours} of {CALLS}");
    facade
        .emulator
        .wait_for_disconnects(facade.emulator.requests().len())
        .await;
}

#[tokio::test]
async fn a_deadline_of_50_ms_bounds_the_call_and_its_attempt() {
    let facade = Facade::start().await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(1000));

    let mut client = facade.client();
    // On a busy machine the deadline may expire before the upstream request: repeat until it does
    // not.
    while facade.emulator.requests().is_empty() {
        let mut request = Request::new(group("aaa"));
        request.set_timeout(Duration::from_millis(50));
        let began = Instant::now();
        let status = client.get_group_info(request).await.unwrap_err();

        assert!(began.elapsed() < Duration::from_secs(1));
        // The second message is that of the tonic client, whose timer may fire first.
        let codes = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(codes.contains(&status.code()), "{status}");
    }

    facade
        .emulator
        .wait_for_disconnects(facade.emulator.requests().len())
        .await;
}

#[tokio::test]
async fn a_call_that_exceeds_max_call_time_is_unavailable() {
    let facade = Facade::start_with(&["--max-call-time", "1s"]).await;
    facade.emulator.script(FaultKind::Hold);

    let mut request = Request::new(group("aaa"));
    request.set_timeout(Duration::from_secs(60));
    let status = facade.client().get_group_info(request).await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        own_error(&status),
        ("UPSTREAM_UNREACHABLE".to_owned(), "1".to_owned())
    );
    assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "200");
    facade.emulator.wait_for_disconnects(1).await;
}

#[tokio::test]
async fn a_call_with_an_expired_deadline_is_not_sent_upstream() {
    let facade = Facade::start().await;

    let status = call_with_timeout(&facade, "1n").await;

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(facade.emulator.requests().is_empty());
}

#[tokio::test]
async fn a_cancelled_call_cancels_its_attempt() {
    let facade = Facade::start().await;
    facade.emulator.script(FaultKind::Hold);

    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;
    call.abort();

    facade.emulator.wait_for_disconnects(1).await;
}

#[tokio::test]
async fn a_request_message_that_never_ends_is_the_fault_of_the_caller() {
    let facade = Facade::start_with(&["--max-call-time", "100ms"]).await;
    let endless = tokio_stream::pending::<Result<http_body::Frame<bytes::Bytes>, Status>>();
    let request = http::Request::post("/iaifacade.v1.FaceRecognitionService/GetGroupInfo")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(http_body_util::StreamBody::new(
            endless,
        )))
        .unwrap();

    let mut channel = facade.channel();
    std::future::poll_fn(|context| tower::Service::poll_ready(&mut channel, context))
        .await
        .unwrap();
    let response = tower::Service::call(&mut channel, request).await.unwrap();

    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        own_error(&status),
        ("INVALID_REQUEST".to_owned(), "0".to_owned())
    );
}

/// Sends a `GetGroupInfo` call and returns the error of the service.
async fn call_with_timeout(facade: &Facade, timeout: &str) -> Status {
    let request = request(GET_GROUP_INFO).header("grpc-timeout", timeout);
    let message = Full::from(&b"\0\0\0\0\x05\x0a\x03aaa"[..]);
    let response = send(facade.addresses.grpc, request.body(message).unwrap()).await;
    Status::from_header_map(response.headers()).unwrap()
}

/// Returns the reason and the number of attempts of an error.
fn own_error(status: &Status) -> (String, String) {
    (
        own_reason(status),
        error_info(status).metadata["attempts"].clone(),
    )
}
