//! Many callers and one small account.

use std::time::Duration;

use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::task::{JoinSet, yield_now};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use crate::harness::{Facade, error_info, group, own_reason, text};

#[tokio::test]
async fn a_call_whose_turn_would_come_too_late_is_refused_at_once_with_the_expected_wait() {
    let facade = Facade::start_with(&["--upstream-rate", "1"]).await;
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();
    let mut request = Request::new(group("aaa"));
    request.set_timeout(Duration::from_millis(500));

    let status = client.get_group_info(request).await.unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(own_reason(&status), "RATE_LIMITED");
    assert_eq!(error_info(&status).metadata["attempts"], "0");
    let delay = delay(&status);
    assert!(delay > Duration::from_millis(490) && delay <= Duration::from_millis(1_020));
    assert_eq!(text(status.metadata(), "retry-after").len(), 1);
    assert_eq!(facade.emulator.calls().len(), 1);
    assert_eq!(facade.upstream.limiter().refused, 1);
}

#[tokio::test]
async fn a_caller_with_many_calls_waiting_holds_another_up_by_one() {
    let facade = Facade::start_with(&["--upstream-rate", "2"]).await;
    let mut calls = JoinSet::new();
    let mut ask = |address: &'static str, id: &'static str| {
        let mut client = client_at(&facade, address);
        calls.spawn(async move { client.get_group_info(group(id)).await.map(drop) });
    };
    ask("127.0.0.1", "a1");
    ask("127.0.0.1", "a2");
    facade.emulator.called(2).await;
    for (place, id) in ["a3", "a4", "a5"].into_iter().enumerate() {
        ask("127.0.0.1", id);
        waiting(&facade, place + 1).await;
    }
    ask("127.0.0.2", "b1");
    waiting(&facade, 4).await;

    let received = facade.emulator.called(6).await;

    let ids = received
        .iter()
        .skip(2)
        .map(|call| &call.parameters["GroupId"]);
    assert_eq!(ids.collect::<Vec<_>>(), ["a3", "b1", "a4", "a5"]);
}

#[tokio::test]
async fn callers_that_go_away_leave_the_queue() {
    let facade = Facade::start_with(&["--upstream-rate", "1", "--max-call-time", "10m"]).await;
    facade.client().get_group_info(group("aaa")).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let mut client = facade.client();
        calls.spawn(async move { drop(client.get_group_info(group("aaa")).await) });
    }
    waiting(&facade, 190).await;

    calls.shutdown().await;

    waiting_at_most(&facade, 0).await;
    assert!(facade.upstream.limiter().abandoned >= 190);
}

#[tokio::test]
async fn a_rate_that_upstream_refuses_is_found_out_unless_that_is_switched_off() {
    for (switch, is_found) in [("on", true), ("off", false)] {
        let flags = ["--adaptive-rate", switch, "--max-attempts", "1"];
        let facade = Facade::start_with(&flags).await;
        facade.emulator.limit_rate(Some(0));

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(error_info(&status).reason, "REQUEST_LIMIT_EXCEEDED");
        let state = facade.upstream.limiter();
        assert_eq!(state.throttled, 1);
        assert_eq!(state.adaptive_rate.is_some(), is_found, "{state:?}");
    }
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_in_its_turn() {
    let facade = Facade::start_with(&[]).await;
    let throttled = iai_facade::emulator::FaultKind::refuse("RequestLimitExceeded");
    for _ in 0..10 {
        facade.client().get_group_info(group("aaa")).await.unwrap();
    }
    facade.emulator.script(throttled);

    facade.client().get_group_info(group("aaa")).await.unwrap();

    assert_eq!(facade.emulator.calls().len(), 12);
    let rate = facade.upstream.limiter().adaptive_rate.unwrap();
    assert!((0.5..=20.0).contains(&rate), "{rate}");
}

fn client_at(facade: &Facade, address: &str) -> FaceRecognitionServiceClient<Channel> {
    let endpoint = Endpoint::try_from(format!("http://{}", facade.addresses.grpc)).unwrap();
    let address = Some(address.parse().unwrap());
    FaceRecognitionServiceClient::new(endpoint.local_address(address).connect_lazy())
}

fn delay(status: &Status) -> Duration {
    let retry = status.get_details_retry_info().unwrap();
    retry.retry_delay.unwrap()
}

async fn waiting(facade: &Facade, count: usize) {
    while facade.upstream.limiter().waiting < count {
        yield_now().await;
    }
}

async fn waiting_at_most(facade: &Facade, count: usize) {
    while facade.upstream.limiter().waiting > count {
        yield_now().await;
    }
}
