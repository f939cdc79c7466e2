//! Fair queue: many callers share a small upstream quota.

use std::{fs, net::SocketAddr, time::Duration};

use iai_emulator::FaultKind;
use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};
use tonic::{Code, Request, Status, transport::Endpoint};
use tonic_types::StatusExt;

use crate::harness::{Facade, error_info, group, own_reason, text};

#[tokio::test]
async fn a_call_that_would_wait_past_its_deadline_is_rejected_at_once() {
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
    assert_eq!(facade.emulator.requests().len(), 1);
    assert_eq!(facade.upstream.limiter().rejected, 1);
}

#[tokio::test]
async fn a_caller_with_many_queued_calls_delays_another_by_one_call() {
    let greedy = TestCaller::at("127.0.0.1");
    let other = TestCaller::at("127.0.0.2");

    assert_eq!(order(&[], greedy, other).await, ["a3", "b1", "a4", "a5"]);
}

#[tokio::test]
async fn callers_at_one_address_are_distinguished_by_their_tokens() {
    let digest = |token| base16ct::lower::encode_string(&Sha256::digest(token));
    let text = format!("greedy {}\nother {}\n", digest("greedy"), digest("other"));
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    let flags = ["--tokens-file", file.path().to_str().unwrap()];
    let [greedy, other] = ["Bearer greedy", "Bearer other"]
        .map(|token| TestCaller::at("127.0.0.1").with("authorization", token));

    assert_eq!(order(&flags, greedy, other).await, ["a3", "b1", "a4", "a5"]);
}

#[tokio::test]
async fn callers_behind_a_proxy_are_distinguished_only_if_it_is_trusted() {
    let forged = TestCaller::at("127.0.0.1").with("l5d-client-id", "other.serviceaccount");
    let trusting = ["--trust-forwarded-identity=true"];

    for (flags, expected) in [
        (&[][..], ["a3", "a4", "a5", "b1"]),
        (&trusting[..], ["a3", "b1", "a4", "a5"]),
    ] {
        let greedy = TestCaller::at("127.0.0.1");
        assert_eq!(order(flags, greedy, forged).await, expected);
    }
}

#[tokio::test]
async fn cancelled_calls_leave_the_queue() {
    let facade = Facade::start_with(&["--upstream-rate", "1", "--max-call-time", "10m"]).await;
    facade.client().get_group_info(group("aaa")).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let mut client = facade.client();
        calls.spawn(async move { drop(client.get_group_info(group("aaa")).await) });
    }
    waiting(&facade, 170).await;

    calls.shutdown().await;

    in_time(|| facade.upstream.limiter().waiting == 0).await;
    assert!(facade.upstream.limiter().cancelled >= 150);
}

#[tokio::test]
async fn the_adaptive_rate_finds_the_upstream_quota_unless_disabled() {
    for (switch, is_found) in [("on", true), ("off", false)] {
        let flags = ["--adaptive-rate", switch, "--max-attempts", "1"];
        let facade = Facade::start_with(&flags).await;
        facade.emulator.set_rate_limit(Some(0));

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
async fn a_throttled_call_is_queued_again_or_rejected_with_the_wait() {
    let facade = Facade::start().await;
    let throttled = || FaultKind::api_error("RequestLimitExceeded");
    for _ in 0..10 {
        facade.client().get_group_info(group("aaa")).await.unwrap();
    }
    facade.emulator.script(throttled());
    facade.client().get_group_info(group("aaa")).await.unwrap();
    assert_eq!(facade.emulator.requests().len(), 12);

    // With one call a second, the next permit comes after the deadline. The pause is over by then.
    let facade = Facade::start_with(&["--upstream-rate", "1"]).await;
    facade.emulator.script(throttled());
    let mut request = Request::new(group("aaa"));
    request.set_timeout(Duration::from_secs(1));
    let status = facade.client().get_group_info(request).await.unwrap_err();

    assert_eq!(error_info(&status).reason, "REQUEST_LIMIT_EXCEEDED");
    assert_eq!(error_info(&status).metadata["attempts"], "1");
    // The permit comes earlier, but the delay for a throttled caller is never shorter.
    assert_eq!(delay(&status), Duration::from_secs(1));
}

#[tokio::test]
async fn one_throttled_attempt_does_not_block_the_service() {
    let facade = Facade::start().await;
    let throttled = FaultKind::api_error("RequestLimitExceeded");
    facade.emulator.script(throttled);
    let mut client = facade.client();

    for _ in 0..20 {
        let mut request = Request::new(group("aaa"));
        request.set_timeout(Duration::from_secs(1));
        client.get_group_info(request).await.unwrap();
    }

    assert_eq!(facade.emulator.requests().len(), 21);
}

/// A caller and the headers that identify it.
#[derive(Clone, Copy)]
struct TestCaller {
    address: &'static str,
    header: Option<(&'static str, &'static str)>,
}

impl TestCaller {
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

    /// Sends a `GetGroupInfo` call over a new connection.
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

/// Sends three calls of one caller and then one of another before the first permit, and returns the
/// order in which upstream receives them.
async fn order(flags: &[&str], greedy: TestCaller, other: TestCaller) -> Vec<String> {
    let flags = [&["--upstream-rate", "2"], flags].concat();
    let facade = Facade::start_with(&flags).await;
    let mut calls = JoinSet::new();
    for id in ["a1", "a2"] {
        calls.spawn(greedy.ask(facade.addresses.grpc, id));
    }
    facade.emulator.wait_for_requests(2).await;
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

    let received = facade.emulator.wait_for_requests(6).await;
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

/// Waits until this many calls are queued.
async fn waiting(facade: &Facade, count: usize) {
    in_time(|| facade.upstream.limiter().waiting >= count).await;
}

async fn in_time(is_reached: impl Fn() -> bool) {
    let reached = async {
        while !is_reached() {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), reached).await.unwrap();
}
