//! What a caller receives with each kind of refusal by Tencent Cloud.

use std::time::Duration;

use iai_facade::emulator::{Fault, FaultKind};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::harness::{Facade, error_info, group, person, text};

#[tokio::test]
async fn every_code_has_the_status_of_the_policy_on_both_operations() {
    let facade = Facade::start_plain().await;
    let (mut groups, mut persons) = (facade.client(), facade.client());

    for row in include_str!("../data/error_codes.csv").lines().skip(1) {
        let columns: Vec<_> = row.split(',').collect();
        let (code, expected) = (columns[0], columns[2]);
        facade
            .emulator
            .script(Fault::from(FaultKind::refuse(code)).times(2));

        let of_group = groups.get_group_info(group("aaa")).await.unwrap_err();
        let of_person = persons
            .get_person_group_info(person("2001"))
            .await
            .unwrap_err();

        // A group has no pages that could be smaller.
        let is_too_large = code == "ResponseSizeLimitExceeded";
        assert_eq!(
            name(of_group.code()),
            if is_too_large { "INTERNAL" } else { expected },
            "{code}"
        );
        assert_eq!(name(of_person.code()), expected, "{code}");
        for status in [of_group, of_person] {
            assert_eq!(
                status.get_error_details().error_info().unwrap().metadata["code"],
                code
            );
        }
    }
}

#[tokio::test]
async fn throttling_and_conflict_and_passing_failures_carry_one_delay_in_three_forms() {
    let facade = Facade::start_plain().await;
    let cases = [
        ("RequestLimitExceeded", Code::ResourceExhausted, 1_000, "1"),
        ("FailedOperation.ConflictOperation", Code::Aborted, 500, "1"),
        ("FailedOperation.ServerError", Code::Unavailable, 200, "1"),
        (
            "ResourceUnavailable.UnknownStatus",
            Code::Unavailable,
            1_000,
            "1",
        ),
    ];

    for (refusal, code, milliseconds, seconds) in cases {
        let (status, details) = refused(&facade, refusal).await;

        assert_eq!(status.code(), code);
        let delay = details.retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_millis(milliseconds)));
        assert_eq!(
            text(status.metadata(), "grpc-retry-pushback-ms"),
            milliseconds.to_string()
        );
        assert_eq!(text(status.metadata(), "retry-after"), seconds);
    }
}

#[tokio::test]
async fn faults_of_this_side_drain_a_callers_retry_throttling_and_its_own_mistakes_do_not() {
    let facade = Facade::start_plain().await;
    let cases = [
        ("InternalError", Some("-1")),
        ("AuthFailure.SignatureFailure", Some("-1")),
        ("FailedOperation", Some("-1")),
        ("InvalidParameterValue", None),
        ("LimitExceeded", None),
        ("ResourceUnavailable.InArrears", None),
        ("UnauthorizedOperation", None),
    ];

    for (refusal, pushback) in cases {
        let (status, details) = refused(&facade, refusal).await;

        let sent = status.metadata().get("grpc-retry-pushback-ms");
        assert_eq!(
            sent.map(|value| value.to_str().unwrap()),
            pushback,
            "{refusal}"
        );
        assert!(status.metadata().get("retry-after").is_none(), "{refusal}");
        assert!(details.retry_info().is_none(), "{refusal}");
    }
}

#[tokio::test]
async fn a_bad_field_is_named_if_the_request_has_it() {
    let facade = Facade::start_plain().await;
    let cases = [
        ("InvalidParameterValue.PersonIdIllegal", Some("person_id")),
        ("InvalidParameterValue.LimitExceed", Some("limit")),
        ("InvalidParameterValue.OffsetExceed", Some("offset")),
        ("MissingParameter", Some("person_id")),
        ("ResponseSizeLimitExceeded", Some("limit")),
        ("InvalidParameterValue.GroupIdIllegal", None),
        ("InvalidParameter", None),
    ];

    for (refusal, field) in cases {
        let (_, details) = refused(&facade, refusal).await;

        let named = details
            .bad_request()
            .map(|bad| bad.field_violations[0].field.as_str());
        assert_eq!(named, field, "{refusal}");
    }
}

#[tokio::test]
async fn the_account_its_policy_and_states_are_preconditions_and_quotas_are_quotas() {
    let facade = Facade::start_plain().await;

    let (_, details) = refused(&facade, "ResourceUnavailable.InArrears").await;
    assert_eq!(
        precondition(&details),
        ("ACCOUNT", "tencentcloud.com/account")
    );
    assert!(details.help().unwrap().links[0].url.starts_with("https://"));

    let (status, details) = refused(&facade, "UnauthorizedOperation").await;
    assert_eq!(
        precondition(&details),
        ("CAM_POLICY", "iai:GetPersonGroupInfo")
    );
    assert_eq!(status.code(), Code::FailedPrecondition);

    let (_, details) = refused(&facade, "FailedOperation.GroupInDeletedState").await;
    assert_eq!(precondition(&details), ("RESOURCE_STATE", "iai.Person"));

    for refusal in ["LimitExceeded", "FailedOperation.RequestLimitExceeded"] {
        let (_, details) = refused(&facade, refusal).await;
        assert_eq!(
            details.quota_failure().unwrap().violations.len(),
            1,
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn a_thing_that_the_request_does_not_name_is_not_found_without_a_name() {
    let facade = Facade::start_plain().await;

    let (_, details) = refused(&facade, "InvalidParameterValue.GroupIdNotExist").await;
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (
            resource.resource_type.as_str(),
            resource.resource_name.as_str()
        ),
        ("iai.Group", "")
    );

    let (status, details) = refused(&facade, "ResourceNotFound").await;
    assert_eq!(status.code(), Code::NotFound);
    assert!(details.resource_info().is_none());
}

#[tokio::test]
async fn upstreams_words_reach_a_caller_who_can_act_on_them_without_ids_and_no_other() {
    let facade = Facade::start_plain().await;
    let words = "person 2001 of AKIDEMULATOR";
    let cases = [
        (
            "InvalidParameterValue",
            "InvalidParameterValue: person [id] of [redacted]",
        ),
        (
            "AuthFailure.SignatureFailure",
            "AuthFailure.SignatureFailure: Tencent Cloud does not accept the credential of the \
             service",
        ),
    ];

    for (code, message) in cases {
        let status = refused_with_words(&facade, code, words).await;
        assert_eq!(status.message(), message);
        let words = message.split_once(": ").unwrap().1;
        let fact = error_info(&status).metadata.get("message").cloned();
        assert_eq!(
            fact.as_deref(),
            (code == "InvalidParameterValue").then_some(words)
        );
    }
}

#[tokio::test]
async fn whatever_upstream_says_the_details_stay_below_2_kib_as_they_are_sent() {
    let facade = Facade::start_plain().await;
    let codes = [
        "InvalidParameterValue.PersonIdNotExist",
        "ResourceUnavailable.InArrears",
        "InvalidParameterValue.LimitExceed",
        "RequestLimitExceeded",
        &format!("ResourceUnavailable.{}", "Xy".repeat(100_000)),
    ];
    let id = "a".repeat(64);

    for code in codes {
        // The last grows as the id is taken out of it.
        for words in [
            "\u{4eba}".repeat(100_000),
            "x".repeat(100_000),
            "a ".repeat(100_000),
        ] {
            for id in [&id[..], "a"] {
                script(&facade, code, &words);
                let status = facade
                    .client()
                    .get_person_group_info(person(id))
                    .await
                    .unwrap_err();

                let encoded = status.details().len().div_ceil(3) * 4;
                assert!(encoded <= 2_048, "{code} {id} {words:.10}: {encoded}");
                tonic_types::pb::Status::decode(status.details()).unwrap();
            }
        }
    }
}

async fn refused(facade: &Facade, code: &str) -> (Status, ErrorDetails) {
    let status = refused_with_words(facade, code, "no").await;
    let details = status.get_error_details();
    (status, details)
}

async fn refused_with_words(facade: &Facade, code: &str, message: &str) -> Status {
    script(facade, code, message);
    facade
        .client()
        .get_person_group_info(person("2001"))
        .await
        .unwrap_err()
}

fn script(facade: &Facade, code: &str, message: &str) {
    let FaultKind::Refuse { status, .. } = FaultKind::refuse(code) else {
        unreachable!()
    };
    let (code, message) = (code.to_owned(), message.to_owned());
    facade.emulator.script(FaultKind::Refuse {
        code,
        message,
        status,
    });
}

fn precondition(details: &ErrorDetails) -> (&str, &str) {
    let violation = &details.precondition_failure().unwrap().violations[0];
    (&violation.r#type, &violation.subject)
}

/// Returns the name of a code as the policy spells it: `NotFound` is `NOT_FOUND`.
fn name(code: Code) -> String {
    let words = format!("{code:?}");
    let mut name = String::new();
    for (place, character) in words.char_indices() {
        if place > 0 && character.is_uppercase() {
            name.push('_');
        }
        name.extend(character.to_uppercase());
    }
    name
}
