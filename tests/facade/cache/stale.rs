//! Stale responses: served while one call revalidates the entry, or while upstream fails.
//!
//! The TTL is a millisecond: a response that is not a hit has expired.

use std::time::Duration;

use http::StatusCode;
use iai_emulator::{Cut, Fault, FaultKind};
use iai_facade::proto::GetGroupInfoResponse;
use tokio::time::{Instant, interval};
use tonic::{Request, Response, Status};

use crate::harness::{Facade, cache, group};

#[tokio::test]
async fn a_stale_response_is_served_while_one_call_revalidates_it() {
    let flags = ["--cache-ttl", "1ms", "--cache-stale-while-revalidate", "1h"];
    let facade = Facade::start_with(&flags).await;
    let first = facade.client().get_group_info(group("aaa")).await.unwrap();
    facade.emulator.script(FaultKind::Hold);

    for _ in 0..100 {
        let response = not_hit(&facade, None).await.unwrap();
        assert_eq!(cache(response.metadata()).0, "stale");
        assert_eq!(response.get_ref(), first.get_ref());
    }

    assert_eq!(facade.emulator.wait_for_requests(2).await.len(), 2);
    assert_eq!(facade.upstream.cache_statistics().requests_in_flight, 1);
}

#[tokio::test]
async fn a_revalidated_response_replaces_the_stale_one() {
    let flags = ["--cache-ttl", "1ms", "--cache-stale-while-revalidate", "1h"];
    let facade = Facade::start_with(&flags).await;
    let first = facade.client().get_group_info(group("aaa")).await.unwrap();

    not_hit(&facade, None).await.unwrap();
    facade.emulator.wait_for_requests(2).await;

    let mut pace = interval(Duration::from_millis(1));
    loop {
        pace.tick().await;
        let response = not_hit(&facade, None).await.unwrap();
        if response.get_ref().request_id != first.get_ref().request_id {
            break;
        }
    }
}

#[tokio::test]
async fn a_stale_response_is_served_only_if_upstream_throttles_or_is_down() {
    let flags = [
        "--cache-ttl",
        "1ms",
        "--cache-stale-if-error",
        "1h",
        "--max-attempts",
        "1",
        "--adaptive-rate",
        "off",
    ];
    let facade = Facade::start_with(&flags).await;
    let first = facade.client().get_group_info(group("aaa")).await.unwrap();
    let passing = [
        FaultKind::api_error("RequestLimitExceeded"),
        FaultKind::api_error("FailedOperation.ServerError"),
        FaultKind::status(StatusCode::TOO_MANY_REQUESTS),
        FaultKind::status(StatusCode::SERVICE_UNAVAILABLE),
        FaultKind::status(StatusCode::INTERNAL_SERVER_ERROR),
        FaultKind::Cut(Cut::BeforeHeaders),
    ];
    let lasting = [
        FaultKind::api_error("UnauthorizedOperation"),
        FaultKind::api_error("FailedOperation.ConflictOperation"),
        FaultKind::api_error("AuthFailure.SignatureFailure"),
        FaultKind::api_error("InternalError"),
        FaultKind::Garbage,
    ];

    for fault in passing {
        facade.emulator.script(fault.clone());
        let response = not_hit(&facade, None).await.unwrap();
        assert_eq!(cache(response.metadata()).0, "stale", "{fault:?}");
        assert_eq!(response.get_ref(), first.get_ref());
    }
    for fault in lasting {
        facade.emulator.script(fault.clone());
        let status = not_hit(&facade, None).await.unwrap_err();
        assert_eq!(cache(status.metadata()), ("miss", 0), "{fault:?}");
    }
    // Upstream receives the request anyway, and its response counts.
    let response = not_hit(&facade, None).await.unwrap();
    assert_eq!(cache(response.metadata()), ("miss", 0));
    assert_ne!(response.get_ref(), first.get_ref());
}

#[tokio::test]
async fn a_stale_response_is_served_before_the_deadline_if_upstream_hangs() {
    let flags = [
        "--cache-ttl",
        "1ms",
        "--cache-stale-if-error",
        "1h",
        "--max-call-time",
        "2s",
    ];
    let facade = Facade::start_with(&flags).await;
    facade.client().get_group_info(group("aaa")).await.unwrap();
    facade
        .emulator
        .script(Fault::from(FaultKind::Hold).times(2));

    for (calls, timeout) in [(1, Some(Duration::from_millis(1_500))), (2, None)] {
        let began = Instant::now();
        let response = not_hit(&facade, timeout).await.unwrap();
        assert_eq!(cache(response.metadata()).0, "stale");
        assert!(began.elapsed() > Duration::from_secs(1));
        facade.emulator.wait_for_disconnects(calls).await;
    }
}

/// Sends calls until the response is not a hit, and returns that response.
async fn not_hit(
    facade: &Facade,
    timeout: Option<Duration>,
) -> Result<Response<GetGroupInfoResponse>, Status> {
    let mut client = facade.client();
    loop {
        let mut request = Request::new(group("aaa"));
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let response = client.get_group_info(request).await;
        match &response {
            Ok(response) if cache(response.metadata()).0 == "hit" => {}
            _ => return response,
        }
    }
}
