//! Received requests: what is logged of them, waiting for them, and why signatures were rejected.

use iai_emulator::Account;
use serde_json::{Value, json};

use crate::harness::controlled_emulator::ControlledEmulator;

#[tokio::test]
async fn a_request_is_listed_with_its_result_and_request_id() {
    let emulator = ControlledEmulator::start().await;
    let response = emulator
        .call("GetGroupInfo", &json!({"GroupId": "aaa"}))
        .await;
    let rejected = emulator
        .call("GetGroupInfo", &json!({"GroupId": "bbb"}))
        .await;
    emulator
        .expect(201, "PUT", "/v1/faults/x", &json!({"garbage": true}))
        .await;
    let account = Account::default();
    let parameters = json!({"PersonId": "2001"});
    let garbage = emulator
        .call_as(&account, "GetPersonGroupInfo", &parameters)
        .await;
    assert_eq!(garbage, None);

    let page = emulator
        .expect(200, "GET", "/v1/requests", &Value::Null)
        .await;

    assert_eq!(page["count"], 3);
    assert_eq!(page["next"], Value::Null);
    let [first, second, third] = &page["requests"].as_array().unwrap()[..] else {
        panic!("{page}");
    };
    assert_eq!(first["number"], 1);
    assert_eq!(first["action"], "GetGroupInfo");
    assert_eq!(first["secret_id"], "AKIDEMULATOR");
    assert_eq!(first["parameters"], json!({"GroupId": "aaa"}));
    assert_eq!(first["result"], "success");
    assert_eq!(first["code"], Value::Null);
    assert_eq!(first["request_id"], response["RequestId"]);
    assert_eq!(first["signature_rejection"], Value::Null);
    assert_eq!(second["code"], rejected["Error"]["Code"]);
    assert_eq!(second["request_id"], rejected["RequestId"]);
    assert_eq!(third["result"], "invalid response");
    assert_eq!(third["fault_id"], "x");
    assert_eq!(third["request_id"], Value::Null);
}

#[tokio::test]
async fn requests_have_pages_and_can_be_cleared() {
    let emulator = ControlledEmulator::start().await;
    for _ in 0..3 {
        emulator
            .call("GetGroupInfo", &json!({"GroupId": "aaa"}))
            .await;
    }
    let numbers = async |path: &str| {
        let page = emulator.expect(200, "GET", path, &Value::Null).await;
        let requests = page["requests"].as_array().unwrap().iter();
        let numbers = requests.map(|request| request["number"].as_u64().unwrap());
        (
            page["count"].as_u64().unwrap(),
            numbers.collect::<Vec<_>>(),
            page["next"].clone(),
        )
    };
    assert_eq!(
        numbers("/v1/requests?limit=2").await,
        (3, vec![1, 2], json!(2))
    );
    assert_eq!(
        numbers("/v1/requests?limit=2&after=2").await,
        (3, vec![3], Value::Null)
    );
    emulator
        .expect(204, "DELETE", "/v1/requests", &Value::Null)
        .await;
    assert_eq!(numbers("/v1/requests").await, (0, vec![], Value::Null));
    emulator
        .call("GetGroupInfo", &json!({"GroupId": "aaa"}))
        .await;
    assert_eq!(numbers("/v1/requests").await, (1, vec![1], Value::Null));
}

#[tokio::test]
async fn a_wait_ends_with_the_last_request_that_it_waits_for() {
    let emulator = ControlledEmulator::start().await;
    let path = "/v1/requests/wait?count=2&timeout_seconds=60";
    let wait = emulator.expect(200, "GET", path, &Value::Null);
    let calls = async {
        for _ in 0..2 {
            emulator
                .call("GetGroupInfo", &json!({"GroupId": "aaa"}))
                .await;
        }
    };
    let (page, ()) = tokio::join!(wait, calls);
    assert_eq!(page["is_reached"], true);
    assert_eq!(page["count"], 2);
    assert_eq!(page["requests"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_wait_that_times_out_says_so() {
    let emulator = ControlledEmulator::start().await;
    let path = "/v1/requests/wait?count=1&timeout_seconds=0";
    let page = emulator.expect(200, "GET", path, &Value::Null).await;
    assert_eq!(page["is_reached"], false);
    assert_eq!(page["requests"], json!([]));
    for query in [
        "",
        "?count=0",
        "?count=1&timeout_seconds=61",
        "?count=1&after=-1",
    ] {
        let path = format!("/v1/requests/wait{query}");
        emulator.expect(400, "GET", &path, &Value::Null).await;
    }
}

#[tokio::test]
async fn a_rejected_signature_is_explained_without_the_secret() {
    let emulator = ControlledEmulator::start().await;
    let wrong_key = Account::new("AKIDEMULATOR", "correct-horse");
    let unknown = Account::new("AKIDUNKNOWN", "correct-horse");
    for account in [wrong_key, unknown] {
        let parameters = json!({"GroupId": "aaa"});
        emulator
            .call_as(&account, "GetGroupInfo", &parameters)
            .await
            .unwrap();
    }

    let page = emulator
        .expect(200, "GET", "/v1/requests", &Value::Null)
        .await;

    let [wrong_key, unknown] = &page["requests"].as_array().unwrap()[..] else {
        panic!("{page}");
    };
    assert_eq!(wrong_key["code"], "AuthFailure.SignatureFailure");
    let rejection = &wrong_key["signature_rejection"];
    let text = |key: &str| rejection[key].as_str().unwrap();
    assert!(text("reason").contains("SecretKey"), "{rejection}");
    let host = emulator.emulator.address();
    let canonical = format!("POST\n/\n\ncontent-type:application/json\nhost:{host}\n\n");
    assert!(
        text("canonical_request").starts_with(&canonical),
        "{rejection}"
    );
    assert!(
        text("string_to_sign").starts_with("TC3-HMAC-SHA256\n"),
        "{rejection}"
    );
    let reason = unknown["signature_rejection"]["reason"].as_str().unwrap();
    assert_eq!(reason, "no account has the SecretId `AKIDUNKNOWN`");
    let shown = page.to_string();
    assert!(
        !shown.contains("emulator-secret") && !shown.contains("correct-horse"),
        "{shown}"
    );
}
