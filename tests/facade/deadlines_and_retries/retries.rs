//! Retries: the retry budget, attempts per call, and credential refresh.

use std::sync::{Arc, Mutex};

use iai_emulator::{Account, Fault, FaultKind};
use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials},
};
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};

use crate::harness::{DeadUpstream, Facade, error_info, group, start_emulator};

#[tokio::test]
async fn the_retry_budget_bounds_attempts_while_upstream_is_down() {
    let dead_upstream = DeadUpstream::new();
    let endpoint = format!("http://{}", dead_upstream.address());
    let flags = ["--endpoint", &endpoint, "--circuit", "off"];
    let facade = Facade::start_before(start_emulator().await, &flags).await;
    let mut client = facade.client();
    let mut attempts = 0;

    for _ in 0..1_000 {
        let status = client.get_group_info(group("aaa")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        attempts += attempts_of(&status);
    }

    assert!(
        (1_000..=1_150).contains(&attempts),
        "{attempts} attempts for 1000 calls"
    );
}

#[tokio::test]
async fn a_call_that_is_a_retry_by_the_client_is_attempted_once() {
    let facade = Facade::start().await;
    let marks = [
        ("grpc-previous-rpc-attempts", "1", 1),
        ("x-envoy-attempt-count", "2", 1),
        ("grpc-previous-rpc-attempts", "0", 3),
        ("x-envoy-attempt-count", "1", 3),
        ("x-envoy-attempt-count", "many", 3),
    ];

    for (key, value, expected) in marks {
        let fault = Fault::from(FaultKind::api_error("InternalError"));
        facade.emulator.script(fault.times(expected));
        let mut request = Request::new(group("aaa"));
        request.metadata_mut().insert(key, value.parse().unwrap());

        let status = facade.client().get_group_info(request).await.unwrap_err();

        assert_eq!(attempts_of(&status), expected, "{key}: {value}");
    }
}

#[tokio::test]
async fn with_one_attempt_nothing_is_retried() {
    let facade = Facade::start_plain().await;
    for code in [
        "InternalError",
        "RequestLimitExceeded",
        "AuthFailure.SecretIdNotFound",
    ] {
        facade.emulator.script(FaultKind::api_error(code));

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(attempts_of(&status), 1, "{code}");
    }
    assert_eq!(facade.emulator.requests().len(), 3);
}

#[tokio::test]
async fn a_rejected_credential_is_refreshed_once_for_all_calls() {
    let emulator = start_emulator().await;
    let key = Arc::new(Mutex::new("emulator-secret"));
    let source = {
        let key = Arc::clone(&key);
        move || {
            let key = (*key.lock().unwrap()).to_owned();
            Ok(Credential::new("AKIDEMULATOR".to_owned(), key, None).unwrap())
        }
    };
    let credentials = Credentials::from_source(source).unwrap();
    let flags = ["--endpoint", &emulator.endpoint()];
    let facade = Facade::start_at(Clock::system(), credentials, emulator, &flags).await;
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();

    // The same credential is not used for a second attempt.
    facade
        .emulator
        .replace_account(Account::new("AKIDEMULATOR", "new-secret"));
    let status = client.get_group_info(group("aaa")).await.unwrap_err();
    assert_eq!(error_info(&status).reason, "AUTH_FAILURE_SIGNATURE_FAILURE");
    assert_eq!(attempts_of(&status), 1);

    *key.lock().unwrap() = "new-secret";
    let before = facade.emulator.requests().len();
    client.get_group_info(group("aaa")).await.unwrap();
    assert_eq!(facade.emulator.requests().len() - before, 2);
    client.get_group_info(group("aaa")).await.unwrap();
    assert_eq!(facade.emulator.requests().len() - before, 3);
}

#[tokio::test]
async fn a_thousand_cancelled_calls_free_their_resources() {
    // On a busy machine, calls may be held for long enough to count as failures of upstream.
    let flags = ["--max-call-time", "60s", "--circuit", "off"];
    let facade = Facade::start_with(&flags).await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(1_000));

    let shared = facade.client();

    for round in 1..=10 {
        let calls: Vec<_> = (0..100)
            .map(|place| {
                // Half of the callers cancel their call, the others close their connection.
                let client = if place % 2 == 0 {
                    shared.clone()
                } else {
                    facade.client()
                };
                tokio::spawn(async move { { client }.get_group_info(group("aaa")).await })
            })
            .collect();
        facade.emulator.wait_for_requests(round * 100).await;
        calls.iter().for_each(JoinHandle::abort);
        facade.emulator.wait_for_disconnects(round * 100).await;
    }
}

fn attempts_of(status: &Status) -> u32 {
    error_info(status).metadata["attempts"].parse().unwrap()
}
