//! Error details that callers receive for each class of Tencent Cloud API errors.

use std::time::Duration;

use iai_emulator::FaultKind;
use iai_facade::proto::grpc_code;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::harness::{
    Facade, error_info,
    operation::{Operation, operations},
    person, text,
};

#[tokio::test]
async fn every_code_has_its_tabulated_status_on_every_operation() {
    let facade = Facade::start_plain().await;

    for row in include_str!("../../data/error_codes.csv").lines().skip(1) {
        let columns: Vec<_> = row.split(',').collect();
        let (code, expected) = (columns[0], columns[2]);
        for operation in operations() {
            let status = error_of(&operation, &facade, code).await;

            // Without pages, the caller can request none that is smaller.
            let has_pages = operation.fields().contains(&"limit".to_owned());
            let is_too_large = code == "ResponseSizeLimitExceeded" && !has_pages;
            let expected = if is_too_large { "INTERNAL" } else { expected };
            assert_eq!(
                grpc_code::name(status.code()),
                expected,
                "{code} of {}",
                operation.name()
            );
            assert_eq!(error_info(&status).metadata["code"], code);
        }
    }
}

#[tokio::test]
async fn a_field_is_named_on_every_operation_that_has_it() {
    let facade = Facade::start_plain().await;
    let cases = [
        ("InvalidParameterValue.GroupIdIllegal", "group_id"),
        ("InvalidParameterValue.PersonIdIllegal", "person_id"),
        ("InvalidParameterValue.LimitExceed", "limit"),
        ("InvalidParameterValue.OffsetExceed", "offset"),
    ];

    for operation in operations() {
        let fields = operation.fields();
        for (code, field) in cases {
            let status = error_of(&operation, &facade, code).await;

            let expected = fields.iter().find(|name| *name == field).cloned();
            assert_eq!(invalid_field(&status), expected, "{}", operation.name());
        }
        let status = error_of(&operation, &facade, "MissingParameter").await;
        let missing = invalid_field(&status).unwrap();
        assert_eq!(missing, fields[0]);
        assert!(
            missing.ends_with("_id"),
            "{}: {missing} is no id",
            operation.name()
        );
    }
}

#[tokio::test]
async fn retriable_errors_carry_one_delay_in_three_forms() {
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

    for (upstream_code, code, milliseconds, seconds) in cases {
        let (status, details) = error(&facade, upstream_code).await;

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
async fn only_server_faults_carry_a_negative_retry_pushback() {
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

    for (upstream_code, pushback) in cases {
        let (status, details) = error(&facade, upstream_code).await;

        let sent = status.metadata().get("grpc-retry-pushback-ms");
        assert_eq!(
            sent.map(|value| value.to_str().unwrap()),
            pushback,
            "{upstream_code}"
        );
        assert!(
            status.metadata().get("retry-after").is_none(),
            "{upstream_code}"
        );
        assert!(details.retry_info().is_none(), "{upstream_code}");
    }
}

#[tokio::test]
async fn an_invalid_field_is_named_if_the_request_has_it() {
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

    for (upstream_code, field) in cases {
        let (_, details) = error(&facade, upstream_code).await;

        let named = details
            .bad_request()
            .map(|bad| bad.field_violations[0].field.as_str());
        assert_eq!(named, field, "{upstream_code}");
    }
}

#[tokio::test]
async fn account_policy_state_and_quota_errors_carry_their_details() {
    let facade = Facade::start_plain().await;

    let (_, details) = error(&facade, "ResourceUnavailable.InArrears").await;
    assert_eq!(
        precondition(&details),
        ("ACCOUNT", "tencentcloud.com/account")
    );
    assert!(details.help().unwrap().links[0].url.starts_with("https://"));

    let (status, details) = error(&facade, "UnauthorizedOperation").await;
    assert_eq!(
        precondition(&details),
        ("CAM_POLICY", "iai:GetPersonGroupInfo")
    );
    assert_eq!(status.code(), Code::FailedPrecondition);

    let (_, details) = error(&facade, "FailedOperation.GroupInDeletedState").await;
    assert_eq!(precondition(&details), ("RESOURCE_STATE", "iai.Person"));

    for upstream_code in ["LimitExceeded", "FailedOperation.RequestLimitExceeded"] {
        let (_, details) = error(&facade, upstream_code).await;
        assert_eq!(
            details.quota_failure().unwrap().violations.len(),
            1,
            "{upstream_code}"
        );
    }
}

#[tokio::test]
async fn not_found_has_no_name_if_the_request_does_not_name_it() {
    let facade = Facade::start_plain().await;

    let (_, details) = error(&facade, "InvalidParameterValue.GroupIdNotExist").await;
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (
            resource.resource_type.as_str(),
            resource.resource_name.as_str()
        ),
        ("iai.Group", "")
    );

    let (status, details) = error(&facade, "ResourceNotFound").await;
    assert_eq!(status.code(), Code::NotFound);
    assert!(details.resource_info().is_none());
}

#[tokio::test]
async fn upstream_messages_reach_callers_only_if_actionable() {
    let facade = Facade::start_plain().await;
    let words = "person 2001 of AKIDEMULATOR";
    let cases = [
        (
            "InvalidParameterValue",
            "InvalidParameterValue: person [id] of [redacted]",
        ),
        (
            "AuthFailure.SignatureFailure",
            "AuthFailure.SignatureFailure: Tencent Cloud rejected the credential of this \
             service",
        ),
    ];

    for (code, message) in cases {
        let status = error_with_message(&facade, code, words).await;
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
async fn encoded_details_stay_within_2_kib() {
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
        // The last message grows when the id in it is redacted.
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

/// Calls an operation whose upstream request fails with `code`.
async fn error_of(operation: &Operation, facade: &Facade, code: &str) -> Status {
    facade.emulator.script(FaultKind::api_error(code));
    let result = operation.call(facade.addresses.grpc, &[]).await;
    result.unwrap_err()
}

fn invalid_field(status: &Status) -> Option<String> {
    let bad_request = status.get_details_bad_request()?;
    Some(bad_request.field_violations[0].field.clone())
}

async fn error(facade: &Facade, code: &str) -> (Status, ErrorDetails) {
    let status = error_with_message(facade, code, "no").await;
    let details = status.get_error_details();
    (status, details)
}

async fn error_with_message(facade: &Facade, code: &str, message: &str) -> Status {
    script(facade, code, message);
    facade
        .client()
        .get_person_group_info(person("2001"))
        .await
        .unwrap_err()
}

fn script(facade: &Facade, code: &str, message: &str) {
    let FaultKind::ApiError { status, .. } = FaultKind::api_error(code) else {
        unreachable!()
    };
    let (code, message) = (code.to_owned(), message.to_owned());
    facade.emulator.script(FaultKind::ApiError {
        code,
        message,
        status,
    });
}

fn precondition(details: &ErrorDetails) -> (&str, &str) {
    let violation = &details.precondition_failure().unwrap().violations[0];
    (&violation.r#type, &violation.subject)
}
