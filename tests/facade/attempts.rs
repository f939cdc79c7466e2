//! How often upstream is called for the calls of many.

use std::sync::{Arc, Mutex};

use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials},
    emulator::{Account, Fault, FaultKind},
};
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};

use crate::harness::{Facade, Nobody, error_info, group, start_emulator};

#[tokio::test]
async fn an_upstream_that_is_down_is_hardly_called_more_often_than_the_service() {
    let nobody = Nobody::new();
    let endpoint = format!("http://{}", nobody.address());
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
async fn a_call_that_is_a_repetition_is_tried_once() {
    let facade = Facade::start().await;
    let marks = [
        ("grpc-previous-rpc-attempts", "1", 1),
        ("x-envoy-attempt-count", "2", 1),
        ("grpc-previous-rpc-attempts", "0", 3),
        ("x-envoy-attempt-count", "1", 3),
        ("x-envoy-attempt-count", "many", 3),
    ];

    for (key, value, expected) in marks {
        let fault = Fault::from(FaultKind::refuse("InternalError"));
        facade.emulator.script(fault.times(expected));
        let mut request = Request::new(group("aaa"));
        request.metadata_mut().insert(key, value.parse().unwrap());

        let status = facade.client().get_group_info(request).await.unwrap_err();

        assert_eq!(attempts_of(&status), expected, "{key}: {value}");
    }
}

#[tokio::test]
async fn the_plain_translation_tries_nothing_twice() {
    let facade = Facade::start_plain().await;
    for code in [
        "InternalError",
        "RequestLimitExceeded",
        "AuthFailure.SecretIdNotFound",
    ] {
        facade.emulator.script(FaultKind::refuse(code));

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(attempts_of(&status), 1, "{code}");
    }
    assert_eq!(facade.emulator.calls().len(), 3);
}

#[tokio::test]
async fn a_credential_that_was_replaced_at_its_source_is_read_anew_once_for_all_calls() {
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

    // The same credential is not tried twice.
    facade
        .emulator
        .replace_account(Account::new("AKIDEMULATOR", "new-secret"));
    let status = client.get_group_info(group("aaa")).await.unwrap_err();
    assert_eq!(error_info(&status).reason, "AUTH_FAILURE_SIGNATURE_FAILURE");
    assert_eq!(attempts_of(&status), 1);

    *key.lock().unwrap() = "new-secret";
    let before = facade.emulator.calls().len();
    client.get_group_info(group("aaa")).await.unwrap();
    assert_eq!(facade.emulator.calls().len() - before, 2);
    client.get_group_info(group("aaa")).await.unwrap();
    assert_eq!(facade.emulator.calls().len() - before, 3);
}

#[tokio::test]
async fn a_thousand_callers_that_go_away_free_what_was_under_way_for_them() {
    let facade = Facade::start_with(&["--max-call-time", "60s"]).await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(1_000));

    let shared = facade.client();

    for round in 1..=10 {
        let calls: Vec<_> = (0..100)
            .map(|place| {
                // One half cancel on a connection that stays; with the other half it goes.
                let client = if place % 2 == 0 {
                    shared.clone()
                } else {
                    facade.client()
                };
                tokio::spawn(async move { { client }.get_group_info(group("aaa")).await })
            })
            .collect();
        facade.emulator.called(round * 100).await;
        calls.iter().for_each(JoinHandle::abort);
        facade.emulator.abandoned(round * 100).await;
    }
}

fn attempts_of(status: &Status) -> u32 {
    error_info(status).metadata["attempts"].parse().unwrap()
}
