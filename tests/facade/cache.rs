//! Answers that are kept, and for how long.
//!
//! Rules of time are held against a model beside the code, where time is an argument. Here a time to
//! live is an hour, which does not end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials},
    emulator::{Account, Cut, FaultKind},
    proto::{GetGroupInfoRequest, GetPersonGroupInfoRequest},
};
use tokio::time::Instant;
use tonic::{Code, Request, Status, metadata::MetadataMap};

use crate::harness::{Facade, Program, client, group, person, start_emulator, text};

#[tokio::test]
async fn an_answer_is_given_again_with_the_id_of_the_call_that_brought_it() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let mut client = facade.client();

    let first = client.get_group_info(group("aaa")).await.unwrap();
    let second = client.get_group_info(group("aaa")).await.unwrap();

    assert_eq!(cache(first.metadata()), ("miss", 0));
    assert!(matches!(cache(second.metadata()), ("hit", 0..60)));
    let ids = [&first, &second].map(|answer| text(answer.metadata(), "x-tc-request-id"));
    assert_eq!(ids[0], ids[1]);
    assert_eq!(first.get_ref(), second.get_ref());
    assert_eq!(facade.emulator.calls().len(), 1);
    let statistics = facade.upstream.statistics();
    assert_eq!((statistics.hits, statistics.misses), (1, 1));
}

#[tokio::test]
async fn without_settings_every_answer_is_upstreams() {
    let facade = Facade::start().await;
    let mut client = facade.client();

    for calls in 1..=3 {
        let answer = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(answer.metadata()), ("miss", 0));
        assert_eq!(facade.emulator.calls().len(), calls);
    }
}

#[tokio::test]
async fn both_forms_of_not_found_are_given_again_for_a_moment() {
    let facade = Facade::start_with(&["--cache-ttl", "1h"]).await;
    let mut client = facade.client();

    // On a busy machine the moment may be over: until it is not.
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
async fn nothing_is_kept_but_answers_and_not_found() {
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
        FaultKind::refuse("UnauthorizedOperation"),
        FaultKind::refuse("RequestLimitExceeded"),
        FaultKind::refuse("InternalError"),
        FaultKind::refuse("AuthFailure.MFAFailure"),
        FaultKind::refuse("InvalidParameterValue.GroupIdIllegal"),
        FaultKind::status(StatusCode::TOO_MANY_REQUESTS),
        FaultKind::status(StatusCode::BAD_GATEWAY),
        FaultKind::Garbage,
        FaultKind::Cut(Cut::InsideBody),
        // An envelope, and in it nothing that the action documents.
        FaultKind::answer(r#"{"Response":{"RequestId":"r"}}"#),
        FaultKind::answer(r#"{"Response":{"GroupId":7,"RequestId":"r"}}"#),
    ];

    for (calls, fault) in (1..).zip(faults) {
        facade.emulator.script(fault.clone());

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(cache(status.metadata()), ("miss", 0), "{fault:?}");
        assert_eq!(facade.emulator.calls().len(), calls, "{fault:?}");
    }
    assert_eq!(facade.upstream.statistics().entries, 0);
}

#[tokio::test]
async fn all_that_can_change_an_answer_tells_calls_apart() {
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
            let answer = client.get_person_group_info(page.clone()).await.unwrap();
            assert_eq!(cache(answer.metadata()).0, origin, "{page:?}");
        }
        let answer = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, origin);
        let answer = client.get_person_group_info(person("1001")).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, origin);
    }
    // The id of a person who is there, and of no group.
    client.get_group_info(group("2001")).await.unwrap_err();
    assert_eq!(facade.emulator.calls().len(), 8);
}

#[tokio::test]
async fn what_another_account_was_answered_is_not_given() {
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
        let answer = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, origin);
    }

    *account.lock().unwrap() = ("AKIDother", "other-secret");
    facade
        .emulator
        .replace_account(Account::new("AKIDother", "other-secret"));
    // Which is noticed by the next call that goes upstream.
    client.get_group_info(no_cache()).await.unwrap();

    for origin in ["miss", "hit"] {
        let answer = client.get_group_info(group("aaa")).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, origin);
    }
}

#[tokio::test]
async fn no_cache_neither_reads_nor_fills() {
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
        let answer = client.get_group_info(request).await.unwrap();
        assert_eq!(cache(answer.metadata()).0, origin);
    }
    assert_eq!(facade.emulator.calls().len(), 3);
}

#[tokio::test]
async fn what_became_of_a_call_is_in_the_log() {
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

/// Returns where an answer or an error comes from, and how old it is in seconds.
pub(crate) fn cache(metadata: &MetadataMap) -> (&str, u64) {
    let age = text(metadata, "age").parse().unwrap();
    (text(metadata, "x-iai-cache"), age)
}
