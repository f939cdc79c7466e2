//! Faults: added, put, listed, deleted and cleared, and their effect on requests.

use iai_emulator::{Account, FaultKind};
use serde_json::{Value, json};

use crate::harness::controlled_emulator::ControlledEmulator;

#[tokio::test]
async fn a_fault_applies_as_often_as_it_says_and_shows_what_remains() {
    let emulator = ControlledEmulator::start().await;
    let fault =
        json!({"action": "GetGroupInfo", "times": 2, "api_error": {"code": "InternalError"}});

    let stored = emulator.expect(201, "POST", "/v1/faults", &fault).await;

    let path = format!("/v1/faults/{}", stored["fault_id"].as_str().unwrap());
    assert_eq!(code(&emulator).await, "InternalError");
    let remaining = emulator.expect(200, "GET", &path, &Value::Null).await;
    assert_eq!(remaining["times"], 1);
    assert_eq!(code(&emulator).await, "InternalError");
    emulator.expect(404, "GET", &path, &Value::Null).await;
    assert_eq!(code(&emulator).await, "");
}

#[tokio::test]
async fn each_kind_of_fault_is_returned_as_it_was_put() {
    let emulator = ControlledEmulator::start().await;
    for (key, value) in [
        (
            "api_error",
            json!({"code": "InternalError", "message": "m", "status": 500}),
        ),
        ("cut", json!("before_headers")),
        ("cut", json!("inside_headers")),
        ("cut", json!("inside_body")),
        ("delay", json!("1m 500ms")),
        ("garbage", json!(true)),
        ("hold", json!(true)),
        ("oversize", json!(20_000_000)),
        ("redirect", json!("http://127.0.0.1:1/")),
        (
            "response",
            json!({"body": "{}", "status": 201, "content_type": "text/plain"}),
        ),
        (
            "status",
            json!({"code": 503, "body": "empty", "retry_after": 2}),
        ),
        ("status", json!({"code": 502, "body": "html"})),
        ("truncate", json!(true)),
    ] {
        let mut fault = json!({
            "fault_id": "x",
            "action": "GetPersonGroupInfo",
            "id": "2001",
            "credential": "AKIDEMULATOR",
            "probability": 0.25,
            "times": 3,
        });
        fault[key] = value;
        let stored = emulator.control("PUT", "/v1/faults/x", &fault).await;
        assert!(matches!(stored.0, 200 | 201), "{stored:?}");
        assert_eq!(stored.1, fault);
        let found = emulator
            .expect(200, "GET", "/v1/faults/x", &Value::Null)
            .await;
        assert_eq!(found, fault);
    }
}

#[tokio::test]
async fn a_fault_of_a_credential_spares_requests_of_others() {
    let emulator = ControlledEmulator::start().await;
    let other = Account::new("AKIDOTHER", "other-secret");
    emulator.emulator.add_account(other.clone());
    let fault = json!({"credential": "AKIDOTHER", "garbage": true});
    emulator.expect(201, "POST", "/v1/faults", &fault).await;

    let parameters = json!({"GroupId": "aaa"});
    assert_eq!(code(&emulator).await, "");
    let call = async || emulator.call_as(&other, "GetGroupInfo", &parameters).await;
    assert_eq!(call().await, None);
    assert_eq!(call().await.unwrap()["GroupId"], "aaa");
}

#[tokio::test]
async fn faults_apply_in_the_order_of_the_list_until_they_are_cleared() {
    let emulator = ControlledEmulator::start().await;
    emulator
        .emulator
        .script(FaultKind::api_error("InternalError"));
    let fault = json!({"api_error": {"code": "RequestLimitExceeded"}, "times": 9});
    emulator.expect(201, "PUT", "/v1/faults/b", &fault).await;
    emulator
        .expect(
            409,
            "POST",
            "/v1/faults",
            &json!({"fault_id": "b", "hold": true}),
        )
        .await;

    let list = emulator
        .expect(200, "GET", "/v1/faults", &Value::Null)
        .await;
    let ids = list["faults"].as_array().unwrap().iter();
    let ids: Vec<_> = ids
        .map(|fault| fault["fault_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["fault-1", "b"]);
    assert_eq!(code(&emulator).await, "InternalError");
    assert_eq!(code(&emulator).await, "RequestLimitExceeded");
    emulator
        .expect(204, "DELETE", "/v1/faults", &Value::Null)
        .await;
    assert_eq!(code(&emulator).await, "");
    emulator
        .expect(404, "DELETE", "/v1/faults/b", &Value::Null)
        .await;
}

#[tokio::test]
async fn wrong_faults_are_rejected_with_what_is_allowed() {
    let emulator = ControlledEmulator::start().await;
    for (fault, message) in [
        (json!({}), "exactly one of"),
        (json!({"garbage": true, "hold": true}), "only one of"),
        (json!({"garbage": false}), "`garbage`"),
        (
            json!({"api_error": {"code": "InternalEror"}}),
            "InternalError",
        ),
        (json!({"garbage": true, "probability": 0}), "0.000001 to 1"),
        (
            json!({"garbage": true, "probability": 1.5}),
            "0.000001 to 1",
        ),
        (
            json!({"garbage": true, "probability": "1"}),
            "0.000001 to 1",
        ),
        (json!({"garbage": true, "times": 0}), "`times`"),
        (
            json!({"garbage": true, "action": "getGroupInfo"}),
            "`GetGroupInfo`",
        ),
        (json!({"garbage": true, "fault_id": "a b"}), "`fault_id`"),
        (json!({"garbage": true, "fault_id": 1}), "`fault_id`"),
        (json!({"delay": 5}), "duration"),
    ] {
        let error = emulator.expect(422, "POST", "/v1/faults", &fault).await;
        let text = error["error"]["message"].as_str().unwrap();
        assert!(text.contains(message), "{fault}: {text}");
    }
    let fault = json!({"garbage": true, "fault_id": "y"});
    emulator.expect(422, "PUT", "/v1/faults/x", &fault).await;
    let list = emulator
        .expect(200, "GET", "/v1/faults", &Value::Null)
        .await;
    assert_eq!(list["faults"], json!([]));
}

#[tokio::test]
async fn the_faults_of_a_world_are_bounded() {
    let emulator = ControlledEmulator::start().await;
    let fault = json!({"garbage": true});
    for _ in 0..1_000 {
        emulator.expect(201, "POST", "/v1/faults", &fault).await;
    }
    let error = emulator.expect(507, "POST", "/v1/faults", &fault).await;
    assert_eq!(error["error"]["code"], "insufficient_storage");
    emulator
        .expect(200, "PUT", "/v1/faults/fault-7", &fault)
        .await;
    emulator
        .expect(204, "DELETE", "/v1/faults/fault-8", &Value::Null)
        .await;
    emulator.expect(201, "POST", "/v1/faults", &fault).await;
}

/// Calls `GetGroupInfo` and returns the error code; empty for success.
async fn code(emulator: &ControlledEmulator) -> String {
    let response = emulator
        .call("GetGroupInfo", &json!({"GroupId": "aaa"}))
        .await;
    response["Error"]["Code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
