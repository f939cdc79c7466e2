//! Cache entries: which responses are cached, for how long, and under which key.
//!
//! Unit tests compare TTLs with a model, with time as an argument. Here the TTL is an hour, so that
//! entries never expire.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use iai_emulator::{Account, Cut, FaultKind};
use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials},
    proto::{GetGroupInfoRequest, GetPersonGroupInfoRequest},
};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use crate::harness::{Facade, Program, cache, client, group, person, start_emulator, text};

#[tokio::test]
async fn a_cache_hit_has_the_upstream_request_id_of_the_original_call() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let mut client = facade.client();

    let first = client.get_group_info(group("aaa")).await.unwrap();
    let second = client.get_group_info(group("aaa")).await.unwrap();

    assert_eq!(cache(first.metadata()), ("miss", 0));
    assert!(matches!(cache(second.metadata()), ("hit", 0..60)));
    let ids = [&first, &second].map(|response| text(response.metadata(), "x-tc-request-id"));
    assert_eq!(ids[0], ids[1]);
    assert_eq!(first.get_ref(), second.get_ref());
    assert_eq!(facade.emulator.requests().len(), 1);
    let statistics = facade.upstream.cache_statistics();
    assert_eq!((statistics.hits, statistics.misses), (1, 1));
}

#[tokio::test]
async fn by_default_nothing_is_cached() {
    let facade = Facade::start().await;
    let mut client = facade.client();

    for calls in 1..=3 {
        let response = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(response.metadata()), ("miss", 0));
        assert_eq!(facade.emulator.requests().len(), calls);
    }
}

#[tokio::test]
async fn both_forms_of_not_found_are_cached_briefly() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let mut client = facade.client();

    // On a busy machine the short TTL may expire between two calls: repeat until it does not.
    loop {
        let began = Instant::now();
        let statuses = [
            client.get_group_info(group("zzz")).await.unwrap_err(),
            client
                .get_person_group_info(person("1002"))
                .await
                .unwrap_err(),
            client.get_group_info(group("zzz")).await.unwrap_err(),
            client
                .get_person_group_info(person("1002"))
                .await
                .unwrap_err(),
        ];
        if began.elapsed() >= Duration::from_secs(2) {
            continue;
        }
        for status in &statuses {
            assert_eq!(status.code(), Code::NotFound);
        }
        let [first, _, third, fourth] = statuses.each_ref().map(Status::metadata);
        assert!(matches!(cache(third), ("hit", 0..2)));
        assert!(matches!(cache(fourth), ("hit", 0..2)));
        let ids = [first, third].map(|metadata| text(metadata, "x-tc-request-id"));
        assert_eq!(ids[0], ids[1]);
        break;
    }
}

#[tokio::test]
async fn only_responses_and_not_found_are_cached() {
    let flags = [
        "--cache-ttl",
        "1h",
        "--max-attempts",
        "1",
        "--adaptive-rate",
        "off",
    ];
    let facade = Facade::start_with(&flags).await;
    let faults = [
        FaultKind::api_error("UnauthorizedOperation"),
        FaultKind::api_error("RequestLimitExceeded"),
        FaultKind::api_error("InternalError"),
        FaultKind::api_error("AuthFailure.MFAFailure"),
        FaultKind::api_error("InvalidParameterValue.GroupIdIllegal"),
        FaultKind::status(StatusCode::TOO_MANY_REQUESTS),
        FaultKind::status(StatusCode::BAD_GATEWAY),
        FaultKind::Garbage,
        FaultKind::Cut(Cut::InsideBody),
        // An envelope without any documented field.
        FaultKind::response(r#"{"Response":{"RequestId":"r"}}"#),
        FaultKind::response(r#"{"Response":{"GroupId":7,"RequestId":"r"}}"#),
    ];

    for (calls, fault) in (1..).zip(faults) {
        facade.emulator.script(fault.clone());

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(cache(status.metadata()), ("miss", 0), "{fault:?}");
        assert_eq!(facade.emulator.requests().len(), calls, "{fault:?}");
    }
    assert_eq!(facade.upstream.cache_statistics().entries, 0);
}

#[tokio::test]
async fn the_cache_key_has_everything_that_changes_a_response() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let mut client = facade.client();
    let page = |offset, limit| GetPersonGroupInfoRequest {
        person_id: "2001".to_owned(),
        offset,
        limit,
    };
    let pages = [page(0, 0), page(0, 1), page(0, 10), page(1, 0), page(1, 1)];

    for origin in ["miss", "hit"] {
        for page in &pages {
            let response = client.get_person_group_info(page.clone()).await.unwrap();
            assert_eq!(cache(response.metadata()).0, origin, "{page:?}");
        }
        let response = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(response.metadata()).0, origin);
        let response = client.get_person_group_info(person("1001")).await.unwrap();
        assert_eq!(cache(response.metadata()).0, origin);
    }
    // The id of an existing person, and of no group.
    client.get_group_info(group("2001")).await.unwrap_err();
    assert_eq!(facade.emulator.requests().len(), 8);
}

#[tokio::test]
async fn a_response_for_another_account_is_not_a_hit() {
    let emulator = start_emulator().await;
    let account = Arc::new(Mutex::new(("AKIDEMULATOR", "emulator-secret")));
    let source = {
        let account = Arc::clone(&account);
        move || {
            let (id, key) = *account.lock().unwrap();
            Ok(Credential::new(id.to_owned(), key.to_owned(), None).unwrap())
        }
    };
    let credentials = Credentials::from_source(source).unwrap();
    let flags = ["--endpoint", &emulator.endpoint(), "--cache-ttl", "1h"];
    let facade = Facade::start_at(Clock::system(), credentials, emulator, &flags).await;
    let mut client = facade.client();
    for origin in ["miss", "hit"] {
        let response = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(response.metadata()).0, origin);
    }

    *account.lock().unwrap() = ("AKIDother", "other-secret");
    facade
        .emulator
        .replace_account(Account::new("AKIDother", "other-secret"));
    // The next upstream call detects the change.
    client.get_group_info(no_cache()).await.unwrap();

    for origin in ["miss", "hit"] {
        let response = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(response.metadata()).0, origin);
    }
}

#[tokio::test]
async fn no_cache_neither_reads_nor_fills_the_cache() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let mut client = facade.client();

    for (is_no_cache, origin) in [
        (true, "miss"),
        (false, "miss"),
        (false, "hit"),
        (true, "miss"),
        (false, "hit"),
    ] {
        let request = if is_no_cache {
            no_cache()
        } else {
            Request::new(group("aaa"))
        };
        let response = client.get_group_info(request).await.unwrap();
        assert_eq!(cache(response.metadata()).0, origin);
    }
    assert_eq!(facade.emulator.requests().len(), 3);
}

#[tokio::test]
async fn the_log_has_the_cache_status_of_a_call() {
    let flags = ["--emulate", "--log-slow", "0s", "--cache-ttl", "1h"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;
    let mut client = client(addresses.grpc);

    for (origin, attempts) in [("miss", 1), ("hit", 0)] {
        client.get_group_info(group("aaa")).await.unwrap();
        let line = program.line("call").await;
        assert_eq!(line["upstream.cache"], origin);
        assert_eq!(line["upstream.attempts"], attempts);
    }
}

fn no_cache() -> Request<GetGroupInfoRequest> {
    let mut request = Request::new(group("aaa"));
    let value = "max-age=0, no-cache".parse().unwrap();
    request.metadata_mut().insert("cache-control", value);
    request
}
