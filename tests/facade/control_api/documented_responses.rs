//! The responses that docs/emulator.md lists, and the order of the checks.

use iai_emulator::Account;
use serde_json::{Value, json};

use crate::harness::controlled_emulator::ControlledEmulator;

const DOCUMENT: &str = include_str!("../../../docs/emulator.md");

const PERSON: &str = "GetPersonGroupInfo";

#[tokio::test]
async fn requests_get_the_documented_error_codes() {
    let emulator = ControlledEmulator::start().await;
    for (action, parameters, code) in [
        (
            PERSON,
            json!({"PersonId": "2001", "Offset": 2}),
            "InvalidParameterValue.OffsetExceed",
        ),
        (
            PERSON,
            json!({"PersonId": "2001", "Limit": 0}),
            "InvalidParameterValue.LimitExceed",
        ),
        (
            PERSON,
            json!({"PersonId": "2001", "Limit": 101}),
            "InvalidParameterValue.LimitExceed",
        ),
        (
            "GetGroupInfo",
            json!({"GroupId": "unknown"}),
            "InvalidParameterValue.GroupIdNotExist",
        ),
    ] {
        let response = emulator.call(action, &parameters).await;
        assert_eq!(response["Error"]["Code"], code, "{parameters}");
        assert!(DOCUMENT.contains(code), "{code}");
    }
    for (account, code) in [
        (
            Account::new("AKIDUNKNOWN", "emulator-secret"),
            "AuthFailure.SecretIdNotFound",
        ),
        (
            Account::new("AKIDEMULATOR", "wrong"),
            "AuthFailure.SignatureFailure",
        ),
    ] {
        let response = call_as(&emulator, &account).await;
        assert_eq!(response["Error"]["Code"], code);
        assert!(DOCUMENT.contains(code), "{code}");
    }
}

#[tokio::test]
async fn persons_without_groups_and_unknown_ones_get_no_error() {
    let emulator = ControlledEmulator::start().await;
    let path = "/v1/persons/alone";
    emulator.expect(201, "PUT", path, &json!({})).await;
    for (parameters, expected) in [
        (json!({"PersonId": "unknown"}), json!([null, null])),
        (json!({"PersonId": "alone"}), json!([0, []])),
        (json!({"PersonId": "2001", "Offset": 1}), json!([1, []])),
    ] {
        let response = emulator.call(PERSON, &parameters).await;
        assert!(response["RequestId"].is_string(), "{response}");
        assert_eq!(response["Error"], Value::Null, "{response}");
        let found = json!([response["GroupNum"], response["PersonGroupInfos"]]);
        assert_eq!(found, expected, "{parameters}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_admitted_takes_no_fault() {
    let emulator = ControlledEmulator::start().await;
    let fault = json!({"api_error": {"code": "InvalidParameterValue.PersonIdNotExist"}});
    emulator
        .expect(201, "PUT", "/v1/faults/unknown-person", &fault)
        .await;

    let wrong = Account::new("AKIDEMULATOR", "wrong");
    let rejected = call_as(&emulator, &wrong).await;
    assert_eq!(rejected["Error"]["Code"], "AuthFailure.SignatureFailure");

    let limit = json!({"requests_per_second": 0});
    emulator.expect(200, "PUT", "/v1/rate-limit", &limit).await;
    let throttled = call_as(&emulator, &Account::default()).await;
    assert_eq!(throttled["Error"]["Code"], "RequestLimitExceeded");

    emulator
        .expect(204, "DELETE", "/v1/rate-limit", &Value::Null)
        .await;
    let faulty = call_as(&emulator, &Account::default()).await;
    assert_eq!(
        faulty["Error"]["Code"],
        "InvalidParameterValue.PersonIdNotExist"
    );
}

async fn call_as(emulator: &ControlledEmulator, account: &Account) -> Value {
    let parameters = json!({"PersonId": "2001"});
    let response = emulator.call_as(account, PERSON, &parameters).await;
    response.unwrap()
}
