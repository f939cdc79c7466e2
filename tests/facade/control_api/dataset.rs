//! Groups and persons: put, patched, deleted, listed, reset, and as the emulated API returns them.

use serde_json::{Value, json};

use crate::harness::controlled_emulator::ControlledEmulator;

#[tokio::test]
async fn a_group_that_was_put_is_returned_by_the_emulated_api() {
    let emulator = ControlledEmulator::start().await;
    let group = json!({"group_name": "Staff", "tag": "t", "creation_timestamp": 1});

    let stored = emulator
        .expect(201, "PUT", "/v1/groups/staff", &group)
        .await;

    let expected = json!({
        "group_id": "staff",
        "group_name": "Staff",
        "group_ex_descriptions": [],
        "tag": "t",
        "face_model_version": "3.0",
        "creation_timestamp": 1,
    });
    assert_eq!(stored, expected);
    let found = emulator
        .call("GetGroupInfo", &json!({"GroupId": "staff"}))
        .await;
    assert_eq!(found["GroupName"], "Staff");
    assert_eq!(found["CreationTimestamp"], 1);
}

#[tokio::test]
async fn what_was_put_is_returned_and_can_be_put_again() {
    let emulator = ControlledEmulator::start().await;
    for (path, item) in [
        ("/v1/groups/a", json!({"group_name": "A"})),
        (
            "/v1/persons/p",
            json!({"groups": [{"group_id": "a", "person_ex_descriptions": ["x"]}]}),
        ),
    ] {
        let stored = emulator.expect(201, "PUT", path, &item).await;
        assert_eq!(
            emulator.expect(200, "GET", path, &Value::Null).await,
            stored
        );
        assert_eq!(emulator.expect(200, "PUT", path, &stored).await, stored);
    }
}

#[tokio::test]
async fn a_group_without_a_creation_time_is_created_now() {
    let emulator = ControlledEmulator::start().await;
    let group = json!({"group_name": "A"});
    let stored = emulator.expect(201, "PUT", "/v1/groups/a", &group).await;
    let milliseconds = stored["creation_timestamp"].as_u64().unwrap();
    let now = iai_facade::clock::Clock::system().now().unix_timestamp();
    assert!(milliseconds.abs_diff(now.unsigned_abs() * 1_000) < 60_000);
}

#[tokio::test]
async fn a_patch_changes_only_the_keys_that_it_has() {
    let emulator = ControlledEmulator::start().await;
    let patch = json!({"tag": null, "group_name": "renamed"});

    let patched = emulator
        .expect(200, "PATCH", "/v1/groups/aaa", &patch)
        .await;

    assert_eq!(patched["group_name"], "renamed");
    assert_eq!(patched["tag"], "");
    assert_eq!(patched["group_ex_descriptions"], json!(["24"]));
    let found = emulator
        .call("GetGroupInfo", &json!({"GroupId": "aaa"}))
        .await;
    assert_eq!(found["GroupName"], "renamed");
    emulator
        .expect(404, "PATCH", "/v1/groups/bbb", &patch)
        .await;
    let required = json!({"group_name": null});
    emulator
        .expect(422, "PATCH", "/v1/groups/aaa", &required)
        .await;
}

#[tokio::test]
async fn a_deleted_person_is_unknown_to_the_emulated_api() {
    let emulator = ControlledEmulator::start().await;
    let parameters = json!({"PersonId": "2001"});
    let before = emulator.call("GetPersonGroupInfo", &parameters).await;
    assert_eq!(before["GroupNum"], 1);

    let path = "/v1/persons/2001";
    emulator.expect(204, "DELETE", path, &Value::Null).await;

    let after = emulator.call("GetPersonGroupInfo", &parameters).await;
    assert_eq!(
        after.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["RequestId"]
    );
    emulator.expect(404, "GET", path, &Value::Null).await;
    emulator.expect(404, "DELETE", path, &Value::Null).await;
}

#[tokio::test]
async fn lists_have_pages_and_a_filter_by_group() {
    let emulator = ControlledEmulator::start().await;
    for number in 0..5 {
        let groups = json!({"groups": [{"group_id": format!("g{}", number % 2)}]});
        let path = format!("/v1/persons/p{number}");
        emulator.expect(201, "PUT", &path, &groups).await;
    }
    let ids = async |query: &str| -> (Vec<String>, Value) {
        let path = format!("/v1/persons?{query}");
        let page = emulator.expect(200, "GET", &path, &Value::Null).await;
        let persons = page["persons"].as_array().unwrap();
        let ids = persons
            .iter()
            .map(|person| person["person_id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next"].clone())
    };
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();

    let (all, next) = ids("").await;
    assert_eq!(all, owned(&["1001", "2001", "p0", "p1", "p2", "p3", "p4"]));
    assert_eq!(next, Value::Null);
    assert_eq!(
        ids("limit=2").await,
        (owned(&["1001", "2001"]), json!("2001"))
    );
    assert_eq!(
        ids("limit=2&after=2001").await,
        (owned(&["p0", "p1"]), json!("p1"))
    );
    assert_eq!(
        ids("group_id=g1").await,
        (owned(&["p1", "p3"]), Value::Null)
    );
}

#[tokio::test]
async fn a_reset_returns_to_the_fixtures_or_to_nothing() {
    let emulator = ControlledEmulator::start().await;
    let groups = async || {
        let page = emulator
            .expect(200, "GET", "/v1/groups", &Value::Null)
            .await;
        page["groups"].as_array().unwrap().len()
    };
    let group = json!({"group_name": "A"});
    emulator.expect(201, "PUT", "/v1/groups/a", &group).await;
    assert_eq!(groups().await, 2);

    emulator
        .expect(204, "POST", "/v1/reset", &json!({"to": "nothing"}))
        .await;
    assert_eq!(groups().await, 0);
    for body in [Value::Null, json!({}), json!({"to": "fixtures"})] {
        emulator.expect(201, "PUT", "/v1/groups/a", &group).await;
        emulator.expect(204, "POST", "/v1/reset", &body).await;
        assert_eq!(groups().await, 1);
    }
    emulator
        .expect(422, "POST", "/v1/reset", &json!({"to": "now"}))
        .await;
}

#[tokio::test]
async fn ids_with_reserved_characters_are_percent_encoded_in_paths() {
    let emulator = ControlledEmulator::start().await;
    let group = json!({"group_name": "A"});
    let path = "/v1/groups/-%25%40%23%26_";
    let stored = emulator.expect(201, "PUT", path, &group).await;
    assert_eq!(stored["group_id"], "-%@#&_");
    emulator.expect(204, "DELETE", path, &Value::Null).await;
}
