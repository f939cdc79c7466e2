//! Rate limit and clock.

use serde_json::{Value, json};

use crate::harness::controlled_emulator::ControlledEmulator;

#[tokio::test]
async fn a_rate_limit_is_set_applied_and_removed() {
    let emulator = ControlledEmulator::start().await;
    let path = "/v1/rate-limit";
    let found = emulator.expect(200, "GET", path, &Value::Null).await;
    assert_eq!(found, json!({"requests_per_second": null}));

    let limit = json!({"requests_per_second": 0});
    assert_eq!(emulator.expect(200, "PUT", path, &limit).await, limit);

    assert_eq!(code(&emulator).await, "RequestLimitExceeded");
    emulator.expect(204, "DELETE", path, &Value::Null).await;
    assert_eq!(code(&emulator).await, "");
}

#[tokio::test]
async fn a_clock_is_set_applied_and_returned_to_the_system_clock() {
    let emulator = ControlledEmulator::start().await;
    let path = "/v1/clock";

    let clock = emulator
        .expect(200, "PUT", path, &json!({"offset": "-1h"}))
        .await;

    assert_eq!(clock["offset_seconds"], -3_600);
    assert!(clock["time"].as_str().unwrap().ends_with('Z'), "{clock}");
    assert_eq!(code(&emulator).await, "AuthFailure.SignatureExpire");
    emulator.expect(204, "DELETE", path, &Value::Null).await;
    let clock = emulator.expect(200, "GET", path, &Value::Null).await;
    assert_eq!(clock["offset_seconds"], 0);
    assert_eq!(code(&emulator).await, "");
}

#[tokio::test]
async fn wrong_settings_are_rejected_and_change_nothing() {
    let emulator = ControlledEmulator::start().await;
    for (path, body) in [
        ("/v1/rate-limit", json!({})),
        ("/v1/rate-limit", json!({"requests_per_second": -1})),
        ("/v1/rate-limit", json!({"requests_per_second": 1.5})),
        ("/v1/rate-limit", json!({"requests_per_second": null})),
        (
            "/v1/rate-limit",
            json!({"requests_per_second": 4_294_967_296_u64}),
        ),
        (
            "/v1/rate-limit",
            json!({"requests_per_second": 1, "per": "day"}),
        ),
        ("/v1/clock", json!({"offset": 60})),
        ("/v1/clock", json!({"offset": "60"})),
        ("/v1/clock", json!({"offset": "--1s"})),
        ("/v1/clock", json!({"offset": "-500ms"})),
        ("/v1/clock", json!({"offset_seconds": 60})),
    ] {
        let error = emulator.expect(422, "PUT", path, &body).await;
        assert_eq!(error["error"]["code"], "invalid_value", "{body}");
    }
    assert_eq!(code(&emulator).await, "");
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
