//! Many callers and one small account.

use std::{fs, net::SocketAddr, time::Duration};

use iai_facade::{
    emulator::FaultKind, proto::face_recognition_service_client::FaceRecognitionServiceClient,
};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::task::{JoinSet, yield_now};
use tonic::{Code, Request, Status, transport::Endpoint};
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
    let greedy = Asker::at("127.0.0.1");
    let other = Asker::at("127.0.0.2");

    assert_eq!(order(&[], greedy, other).await, ["a3", "b1", "a4", "a5"]);
}

#[tokio::test]
async fn callers_at_one_address_are_told_apart_by_their_tokens() {
    let digest = |token| base16ct::lower::encode_string(&Sha256::digest(token));
    let text = format!("greedy {}\nother {}\n", digest("greedy"), digest("other"));
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    let flags = ["--tokens-file", file.path().to_str().unwrap()];
    let [greedy, other] = ["Bearer greedy", "Bearer other"]
        .map(|token| Asker::at("127.0.0.1").with("authorization", token));

    assert_eq!(order(&flags, greedy, other).await, ["a3", "b1", "a4", "a5"]);
}

#[tokio::test]
async fn callers_behind_one_proxy_are_told_apart_by_what_it_says_only_if_it_is_trusted() {
    let forged = Asker::at("127.0.0.1").with("l5d-client-id", "other.serviceaccount");
    let trusting = ["--trust-forwarded-identity=true"];

    for (flags, expected) in [
        (&[][..], ["a3", "a4", "a5", "b1"]),
        (&trusting[..], ["a3", "b1", "a4", "a5"]),
    ] {
        let greedy = Asker::at("127.0.0.1");
        assert_eq!(order(flags, greedy, forged).await, expected);
    }
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
    let throttled = FaultKind::refuse("RequestLimitExceeded");
    for _ in 0..10 {
        facade.client().get_group_info(group("aaa")).await.unwrap();
    }
    facade.emulator.script(throttled);

    facade.client().get_group_info(group("aaa")).await.unwrap();

    assert_eq!(facade.emulator.calls().len(), 12);
    let rate = facade.upstream.limiter().adaptive_rate.unwrap();
    assert!((0.5..=20.0).contains(&rate), "{rate}");
}

/// One who asks, and how it is known.
#[derive(Clone, Copy)]
struct Asker {
    address: &'static str,
    header: Option<(&'static str, &'static str)>,
}

impl Asker {
    fn at(address: &'static str) -> Self {
        Self {
            address,
            header: None,
        }
    }

    fn with(self, name: &'static str, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// Asks for a group, over a connection of its own.
    async fn ask(self, facade: SocketAddr, id: &'static str) {
        let endpoint = Endpoint::try_from(format!("http://{facade}")).unwrap();
        let channel = endpoint
            .local_address(Some(self.address.parse().unwrap()))
            .connect_lazy();
        let mut request = Request::new(group(id));
        if let Some((name, value)) = self.header {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        let mut client = FaceRecognitionServiceClient::new(channel);
        let _ = client.get_group_info(request).await;
    }
}

/// Lets one ask for three groups and then another for one, while nobody's turn has come, and returns
/// the order in which upstream sees them.
async fn order(flags: &[&str], greedy: Asker, other: Asker) -> Vec<String> {
    let flags = [&["--upstream-rate", "2"], flags].concat();
    let facade = Facade::start_with(&flags).await;
    let mut calls = JoinSet::new();
    for id in ["a1", "a2"] {
        calls.spawn(greedy.ask(facade.addresses.grpc, id));
    }
    facade.emulator.called(2).await;
    for (before, (asker, id)) in [
        (greedy, "a3"),
        (greedy, "a4"),
        (greedy, "a5"),
        (other, "b1"),
    ]
    .into_iter()
    .enumerate()
    {
        calls.spawn(asker.ask(facade.addresses.grpc, id));
        waiting(&facade, before + 1).await;
    }

    let received = facade.emulator.called(6).await;
    let ids = received
        .iter()
        .skip(2)
        .map(|call| &call.parameters["GroupId"]);
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
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
