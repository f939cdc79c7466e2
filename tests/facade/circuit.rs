//! Calls that are not made, because upstream fails.

use std::time::Duration;

use http::StatusCode;
use iai_facade::emulator::{Fault, FaultKind, Page};
use tokio::task::JoinSet;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::harness::{Facade, Nobody, error_info, group, own_reason, start_emulator, text};

/// So that each call is one attempt, whatever upstream says of its rate.
const ONE_ATTEMPT: [&str; 4] = ["--max-attempts", "1", "--adaptive-rate", "off"];

#[tokio::test]
async fn most_calls_are_refused_with_hints_while_upstream_is_down() {
    let nobody = Nobody::new();
    let endpoint = format!("http://{}", nobody.address());
    let flags = ["--endpoint", &endpoint, "--max-attempts", "1"];
    let facade = Facade::start_before(start_emulator().await, &flags).await;
    let mut client = facade.client();
    let mut refused = 0;

    for call in 0..1_000 {
        let status = client.get_group_info(group("aaa")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        if own_reason(&status) == "CIRCUIT_OPEN" {
            assert!(call >= 20);
            refused += 1;
            assert_eq!(error_info(&status).metadata["attempts"], "0");
            assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "1000");
            assert_eq!(text(status.metadata(), "retry-after"), "1");
            let retry = status.get_details_retry_info().unwrap();
            assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
        }
    }

    assert!((750..960).contains(&refused), "{refused}");
    let state = facade.upstream.circuit();
    assert_eq!((state.refused, state.opened), (refused, 1));
}

#[tokio::test]
async fn three_successes_close_it() {
    let facade = Facade::start_with(&["--max-attempts", "1"]).await;
    let mut client = facade.client();
    let down = FaultKind::refuse("FailedOperation.ServerError");
    facade.emulator.script(Fault::from(down).times(30));
    let mut answered = 0;

    while answered < 3 {
        match client.get_group_info(group("aaa")).await {
            Ok(_) => answered += 1,
            Err(status) => assert_eq!(status.code(), Code::Unavailable),
        }
    }

    assert!(facade.upstream.circuit().refused > 0);
    assert_eq!(facade.upstream.circuit().refused_share, 0.0);
    for _ in 0..50 {
        client.get_group_info(group("aaa")).await.unwrap();
    }
}

#[tokio::test]
async fn what_upstream_refuses_is_no_failure_of_its() {
    let facade = Facade::start_with(&ONE_ATTEMPT).await;
    let mut client = facade.client();
    for code in [
        "InternalError",
        "RequestLimitExceeded",
        "AuthFailure.SignatureFailure",
    ] {
        let refusal = FaultKind::refuse(code);
        facade.emulator.script(Fault::from(refusal).times(40));
        for _ in 0..40 {
            let status = client.get_group_info(group("aaa")).await.unwrap_err();
            assert_eq!(error_info(&status).metadata["code"], code);
        }
    }

    assert_eq!(facade.upstream.circuit().failures, 0);
}

#[tokio::test]
async fn an_answer_of_a_broken_server_is_a_failure_though_it_is_internal() {
    let facade = Facade::start_with(&ONE_ATTEMPT).await;
    let down = FaultKind::Status {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        page: Page::Html,
        retry_after: None,
    };
    facade.emulator.script(Fault::from(down).times(5));

    for failures in 1..=5 {
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(facade.upstream.circuit().failures, failures);
    }
}

#[tokio::test]
async fn deadlines_shorter_than_upstreams_usual_answer_do_not_open_it_and_an_upstream_that_hangs_does()
 {
    let facade = Facade::start_with(&ONE_ATTEMPT).await;
    for (round, timeout, failures) in [(1, 100, 0), (2, 2_500, 40)] {
        facade
            .emulator
            .script(Fault::from(FaultKind::Hold).times(40));
        let mut calls = JoinSet::new();
        for _ in 0..40 {
            let mut client = facade.client();
            calls.spawn(async move {
                let mut request = Request::new(group("aaa"));
                request.set_timeout(Duration::from_millis(timeout));
                client.get_group_info(request).await.unwrap_err().code()
            });
        }
        for code in calls.join_all().await {
            // Without a machine at leisure a client's own clock may win.
            assert!(
                matches!(code, Code::DeadlineExceeded | Code::Cancelled),
                "{code:?}"
            );
        }
        facade.emulator.abandoned(round * 40).await;
        assert_eq!(facade.upstream.circuit().failures, failures, "{timeout} ms");
    }
    assert!(facade.upstream.circuit().refused_share > 0.8);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let facade = Facade::start_plain().await;
    let down = FaultKind::refuse("FailedOperation.ServerError");
    facade.emulator.script(Fault::from(down).times(200));

    for _ in 0..200 {
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();
        assert_eq!(error_info(&status).metadata["attempts"], "1");
    }
}
