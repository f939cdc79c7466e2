//! Circuit breaker: calls that are rejected while upstream fails.

use std::time::Duration;

use http::StatusCode;
use iai_emulator::{Fault, FaultKind, Page};
use iai_facade::proto::GetGroupInfoRequest;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::harness::{DeadUpstream, Facade, error_info, group, own_reason, start_emulator, text};

/// One attempt per call, independent of the rate that upstream accepts.
const ONE_ATTEMPT: [&str; 4] = ["--max-attempts", "1", "--adaptive-rate", "off"];

#[tokio::test]
async fn most_calls_are_rejected_with_a_delay_while_upstream_is_down() {
    let dead_upstream = DeadUpstream::new();
    let endpoint = format!("http://{}", dead_upstream.address());
    let flags = ["--endpoint", &endpoint, "--max-attempts", "1"];
    let facade = Facade::start_before(start_emulator().await, &flags).await;
    let mut client = facade.client();
    let mut rejected = 0;

    for call in 0..1_000 {
        let status = client.get_group_info(group("aaa")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        if own_reason(&status) == "CIRCUIT_OPEN" {
            assert!(call >= 20);
            rejected += 1;
            assert_eq!(error_info(&status).metadata["attempts"], "0");
            assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "1000");
            assert_eq!(text(status.metadata(), "retry-after"), "1");
            let retry = status.get_details_retry_info().unwrap();
            assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
        }
    }

    assert!((750..960).contains(&rejected), "{rejected}");
    let state = facade.upstream.circuit_breaker();
    assert_eq!((state.rejected, state.opened), (rejected, 1));
}

#[tokio::test]
async fn three_successes_close_the_circuit_breaker() {
    let facade = Facade::start_with(&["--max-attempts", "1"]).await;
    let mut client = facade.client();
    let down = FaultKind::api_error("FailedOperation.ServerError");
    facade.emulator.script(Fault::from(down).times(30));
    let mut answered = 0;

    while answered < 3 {
        match client.get_group_info(group("aaa")).await {
            Ok(_) => answered += 1,
            Err(status) => assert_eq!(status.code(), Code::Unavailable),
        }
    }

    assert!(facade.upstream.circuit_breaker().rejected > 0);
    assert_eq!(facade.upstream.circuit_breaker().rejected_share, 0.0);
    for _ in 0..50 {
        client.get_group_info(group("aaa")).await.unwrap();
    }
}

#[tokio::test]
async fn error_responses_do_not_count_as_failures() {
    let facade = Facade::start_with(&ONE_ATTEMPT).await;
    let mut client = facade.client();
    for code in [
        "InternalError",
        "RequestLimitExceeded",
        "AuthFailure.SignatureFailure",
    ] {
        let fault = FaultKind::api_error(code);
        facade.emulator.script(Fault::from(fault).times(40));
        for _ in 0..40 {
            let status = client.get_group_info(group("aaa")).await.unwrap_err();
            assert_eq!(error_info(&status).metadata["code"], code);
        }
    }

    assert_eq!(facade.upstream.circuit_breaker().failures, 0);
}

#[tokio::test]
async fn a_broken_response_counts_as_a_failure_of_upstream() {
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
        assert_eq!(facade.upstream.circuit_breaker().failures, failures);
    }
}

#[tokio::test]
async fn impatient_callers_do_not_open_it_and_a_hanging_upstream_does() {
    const CALLS: usize = 40;
    let facade = Facade::start_with(&ONE_ATTEMPT).await;
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(u32::MAX));

    // Cancelled once upstream has the request, which a deadline cannot ensure on a busy machine.
    for call in 1..=CALLS {
        let mut client = facade.client();
        let impatient = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
        facade.emulator.wait_for_requests(call).await;
        impatient.abort();
    }
    facade.emulator.wait_for_disconnects(CALLS).await;
    assert_eq!(facade.upstream.circuit_breaker().failures, 0);

    // Upstream has the requests for longer than the usual response time, 1 s, even if the machine
    // takes seconds to send them.
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let mut client = facade.client();
        calls.spawn(async move {
            let mut request = Request::new(group("aaa"));
            request.set_timeout(Duration::from_secs(5));
            client.get_group_info(request).await.unwrap_err().code()
        });
    }
    for code in calls.join_all().await {
        // On a busy machine the timer of the client may fire first.
        assert!(
            matches!(code, Code::DeadlineExceeded | Code::Cancelled),
            "{code:?}"
        );
    }
    facade.emulator.wait_for_disconnects(2 * CALLS).await;
    assert_eq!(facade.upstream.circuit_breaker().failures, 40);
    assert!(facade.upstream.circuit_breaker().rejected_share > 0.8);
}

#[tokio::test]
async fn a_failing_id_of_one_caller_rejects_no_other_caller() {
    let facade = Facade::start_with(&["--trust-forwarded-identity=true"]).await;
    let down = FaultKind::api_error("FailedOperation.ServerError");
    facade
        .emulator
        .script(Fault::from(down).for_id("bad").times(u32::MAX));
    let mut client = facade.client();
    let mut rejected = 0;

    for round in 0..100 {
        let bad = [(); 4].map(|()| client.clone());
        let bad =
            bad.map(|mut client| async move { client.get_group_info(of("scan", "bad")).await });
        let mut bad = JoinSet::from_iter(bad);
        let other = ["orders", "billing", "admission"][round % 3];
        let response = client.get_group_info(of(other, "aaa")).await;
        response.expect(other);
        while let Some(response) = bad.join_next().await {
            let status = response.unwrap().unwrap_err();
            rejected += u32::from(reason(&status) == "CIRCUIT_OPEN");
        }
    }

    // Upstream still receives few requests.
    assert!(rejected > 200, "{rejected}");
    client.get_group_info(of("scan", "aaa")).await.unwrap();
    assert_eq!(facade.upstream.circuit_breaker().rejected_share, 0.0);
}

#[tokio::test]
async fn an_outage_reported_by_error_code_opens_it_after_20_calls() {
    for callers in [1, 5] {
        let flags = ["--trust-forwarded-identity=true", "--max-attempts", "1"];
        let facade = Facade::start_with(&flags).await;
        let down = FaultKind::api_error("FailedOperation.ServerError");
        facade.emulator.script(Fault::from(down).times(u32::MAX));
        let mut client = facade.client();

        let mut first_rejected = None;
        for call in 0..60 {
            let request = of(&format!("caller-{}", call % callers), &format!("id-{call}"));
            let status = client.get_group_info(request).await.unwrap_err();
            if reason(&status) == "CIRCUIT_OPEN" {
                first_rejected = first_rejected.or(Some(call));
            }
        }

        // One call a second is admitted, and a tenth of the calls from the 21st on.
        let first_rejected = first_rejected.unwrap();
        assert!((20..30).contains(&first_rejected), "{first_rejected}");
        assert!(facade.upstream.circuit_breaker().rejected_share > 0.8);
    }
}

/// Returns a `GetGroupInfo` request of a caller.
fn of(caller: &str, id: &str) -> Request<GetGroupInfoRequest> {
    let mut request = Request::new(group(id));
    let caller = caller.parse().unwrap();
    request.metadata_mut().insert("l5d-client-id", caller);
    request
}

/// Returns the reason of an error from any domain.
fn reason(status: &Status) -> String {
    error_info(status).reason
}

#[tokio::test]
async fn the_circuit_breaker_can_be_disabled() {
    let facade = Facade::start_plain().await;
    let down = FaultKind::api_error("FailedOperation.ServerError");
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
