//! When a call ends that upstream does not answer.

use std::time::Duration;

use http_body_util::Full;
use iai_facade::emulator::{Fault, FaultKind};
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::harness::{Facade, GET_GROUP_INFO, error_info, group, own_reason, request, send, text};

#[tokio::test]
async fn the_callers_deadline_is_answered_by_the_service_and_the_attempt_behind_it_stops() {
    let facade = Facade::start().await;
    facade.emulator.script(FaultKind::Hold);

    // By hand, since a generated client would keep the time itself.
    let began = Instant::now();
    let status = call_with_timeout(&facade, "300m").await;

    assert!(began.elapsed() >= Duration::from_millis(290));
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(
        own_error(&status),
        ("DEADLINE_EXCEEDED".to_owned(), "1".to_owned())
    );
    assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "");
    facade.emulator.abandoned(1).await;
}

#[tokio::test]
async fn of_a_hundred_callers_nearly_all_learn_from_the_service_that_their_deadline_passed() {
    const CALLS: u32 = 100;
    let facade = Facade::start().await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(CALLS));

    // The service answers at most 100 ms early, which it does of 5 s and more. One call after
    // another, since a burst that begins and ends in one moment would measure the machine.
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

    // An error that tonic makes by itself is CANCELLED, and has no details.
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
        .abandoned(facade.emulator.calls().len())
        .await;
}

#[tokio::test]
async fn a_caller_with_50_ms_does_not_wait_for_longer_and_nor_does_what_it_began() {
    let facade = Facade::start().await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(1000));

    let mut client = facade.client();
    // On a busy machine the deadline may pass before upstream is called: until one call is.
    while facade.emulator.calls().is_empty() {
        let mut request = Request::new(group("aaa"));
        request.set_timeout(Duration::from_millis(50));
        let began = Instant::now();
        let status = client.get_group_info(request).await.unwrap_err();

        assert!(began.elapsed() < Duration::from_secs(1));
        // The second is tonic's own, should its clock be the first.
        let codes = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(codes.contains(&status.code()), "{status}");
    }

    facade
        .emulator
        .abandoned(facade.emulator.calls().len())
        .await;
}

#[tokio::test]
async fn a_call_that_takes_longer_than_the_service_allows_is_unavailable() {
    let facade = Facade::start_with(&["--max-call-time", "100ms"]).await;
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
    facade.emulator.abandoned(1).await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_not_carried_upstream() {
    let facade = Facade::start().await;

    let status = call_with_timeout(&facade, "1n").await;

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(facade.emulator.calls().is_empty());
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_what_is_under_way_for_it() {
    let facade = Facade::start().await;
    facade.emulator.script(FaultKind::Hold);

    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.called(1).await;
    call.abort();

    facade.emulator.abandoned(1).await;
}

#[tokio::test]
async fn a_message_that_never_ends_is_the_callers_fault() {
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

/// Asks for a group, and returns the error that the service answers with.
async fn call_with_timeout(facade: &Facade, timeout: &str) -> Status {
    let request = request(GET_GROUP_INFO).header("grpc-timeout", timeout);
    let message = Full::from(&b"\0\0\0\0\x05\x0a\x03aaa"[..]);
    let response = send(facade.addresses.grpc, request.body(message).unwrap()).await;
    Status::from_header_map(response.headers()).unwrap()
}

/// Returns the reason, and the number of attempts.
fn own_error(status: &Status) -> (String, String) {
    (
        own_reason(status),
        error_info(status).metadata["attempts"].clone(),
    )
}
