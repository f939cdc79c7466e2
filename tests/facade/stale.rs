//! Answers that are given although they are older than they should be.
//!
//! A time to live is a millisecond, which has ended when an answer is not a hit.

use std::time::Duration;

use http::StatusCode;
use iai_facade::{
    emulator::{Cut, Fault, FaultKind},
    proto::GetGroupInfoResponse,
};
use tokio::time::{Instant, interval};
use tonic::{Request, Response, Status};

use crate::{
    cache::cache,
    harness::{Facade, group},
};

#[tokio::test]
async fn an_old_answer_is_given_while_one_call_renews_it() {
    let flags = ["--cache-ttl", "1ms", "--cache-stale-while-revalidate", "1h"];
    let facade = Facade::start_with(&flags).await;
    let first = facade.client().get_group_info(group("aaa")).await.unwrap();
    facade.emulator.script(FaultKind::Hold);

    for _ in 0..100 {
        let answer = not_hit(&facade, None).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, "stale");
        assert_eq!(answer.get_ref(), first.get_ref());
    }

    assert_eq!(facade.emulator.called(2).await.len(), 2);
    assert_eq!(facade.upstream.statistics().flights_in_progress, 1);
}

#[tokio::test]
async fn what_a_renewal_brings_takes_the_place_of_the_old_answer() {
    let flags = ["--cache-ttl", "1ms", "--cache-stale-while-revalidate", "1h"];
    let facade = Facade::start_with(&flags).await;
    let first = facade.client().get_group_info(group("aaa")).await.unwrap();

    not_hit(&facade, None).await.unwrap();
    facade.emulator.called(2).await;

    let mut pace = interval(Duration::from_millis(1));
    loop {
        pace.tick().await;
        let answer = not_hit(&facade, None).await.unwrap();
        if answer.get_ref().request_id != first.get_ref().request_id {
            break;
        }
    }
}

#[tokio::test]
async fn an_old_answer_is_given_if_upstream_throttles_or_is_down_and_not_for_other_errors() {
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
        FaultKind::refuse("RequestLimitExceeded"),
        FaultKind::refuse("FailedOperation.ServerError"),
        FaultKind::status(StatusCode::TOO_MANY_REQUESTS),
        FaultKind::status(StatusCode::SERVICE_UNAVAILABLE),
        FaultKind::status(StatusCode::INTERNAL_SERVER_ERROR),
        FaultKind::Cut(Cut::BeforeHeaders),
    ];
    let lasting = [
        FaultKind::refuse("UnauthorizedOperation"),
        FaultKind::refuse("FailedOperation.ConflictOperation"),
        FaultKind::refuse("AuthFailure.SignatureFailure"),
        FaultKind::refuse("InternalError"),
        FaultKind::Garbage,
    ];

    for fault in passing {
        facade.emulator.script(fault.clone());
        let answer = not_hit(&facade, None).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, "stale", "{fault:?}");
        assert_eq!(answer.get_ref(), first.get_ref());
    }
    for fault in lasting {
        facade.emulator.script(fault.clone());
        let status = not_hit(&facade, None).await.unwrap_err();
        assert_eq!(cache(status.metadata()), ("miss", 0), "{fault:?}");
    }
    // It is asked all the same, and what it answers counts.
    let answer = not_hit(&facade, None).await.unwrap();
    assert_eq!(cache(answer.metadata()), ("miss", 0));
    assert_ne!(answer.get_ref(), first.get_ref());
}

#[tokio::test]
async fn an_old_answer_is_given_before_the_deadline_if_upstream_does_not_answer() {
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
        let answer = not_hit(&facade, timeout).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, "stale");
        assert!(began.elapsed() > Duration::from_secs(1));
        facade.emulator.abandoned(calls).await;
    }
}

/// Asks for the group until the answer is not a hit, and returns it.
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
        let answer = client.get_group_info(request).await;
        match &answer {
            Ok(answer) if cache(answer.metadata()).0 == "hit" => {}
            _ => return answer,
        }
    }
}
