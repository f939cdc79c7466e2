//! Forms of responses, compared with the documentation.

use std::time::Duration;

use iai_emulator::{Action, Emulator, Fault, FaultKind, Fixtures};
use serde_json::{Value, json};

use crate::harness::{LOOPBACK, checked::Checked, raw_api, start_emulator};

const GROUP: [&str; 2] = ["--group-id", "bankstaff"];
const PERSON: [&str; 2] = ["--person-id", "person-of-the-bank"];

/// The group and the person, with descriptions that no report may show.
const FIXTURES: &str = r#"
[[groups]]
group_id = "bankstaff"
group_name = "Name of the group"
group_ex_descriptions = ["Description of the group"]
creation_timestamp = 1559530931613

[[persons]]
person_id = "person-of-the-bank"

[[persons.groups]]
group_id = "bankstaff"
person_ex_descriptions = ["Alice"]
"#;

async fn start_bank() -> Emulator {
    let fixtures = Fixtures::parse(FIXTURES).unwrap();
    Emulator::start(LOOPBACK, fixtures).await.unwrap()
}

/// Makes the emulator respond to `action` for this id with this content of the envelope.
fn respond(emulator: &Emulator, action: Action, id: &str, response: &Value) {
    let body = json!({ "Response": response }).to_string();
    let fault = Fault::from(FaultKind::response(body));
    emulator.script(fault.on(action).for_id(id));
}

/// Asserts that a step found exactly these differences, and that the check says so.
fn assert_differs(checked: &Checked, step: &str, differences: &[&str]) {
    assert_eq!(checked.code, 6, "{}", checked.output);
    assert_eq!(checked.with_status("differs"), [step], "{}", checked.output);
    assert_eq!(checked.step(step)["details"], json!(differences));
}

#[tokio::test]
async fn documented_responses_have_no_differences() {
    let emulator = start_bank().await;

    let checked = Checked::at(&emulator.endpoint(), &[GROUP, PERSON].concat()).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    let ok = checked.with_status("ok");
    assert!(
        ok.ends_with(&["headers", "group", "person", "unknown-person"]),
        "{ok:?}"
    );
    let unknown = checked.step("unknown-person")["summary"].as_str().unwrap();
    assert!(unknown.starts_with("a response without data"), "{unknown}");
    checked.assert_hides(&["bank", "Alice", "Name", "Description", "1559530931613"]);
}

#[tokio::test]
async fn other_types_nulls_and_unknown_fields_of_a_group_are_listed() {
    let emulator = start_emulator().await;
    let response = json!({
        "GroupName": null,
        "GroupId": "bankstaff",
        "GroupExDescriptions": "Alice",
        "FaceModelVersion": "3.0",
        "CreationTimestamp": "1559530931613",
        "Owner": "Alice",
        "Of_bankstaff": 1,
        "RequestId": "r",
    });
    respond(&emulator, Action::GetGroupInfo, GROUP[1], &response);

    let checked = Checked::at(&emulator.endpoint(), &GROUP).await;

    let differences = [
        "GroupName is null, documented as String",
        "GroupExDescriptions is a string, documented as Array of String",
        "Tag is absent, documented as String",
        "CreationTimestamp is a string, documented as Integer",
        "Owner is not documented",
        "(a name not shown) is not documented",
    ];
    assert_eq!(checked.code, 6, "{}", checked.output);
    let details = checked.step("group")["details"].as_array().unwrap();
    assert_eq!(details[..6], differences);
    let last = details[6].as_str().unwrap();
    assert!(
        last.starts_with("the service cannot decode the response: "),
        "{last}"
    );
    checked.assert_hides(&["Alice", "bankstaff", "1559530931613"]);
}

#[tokio::test]
async fn a_string_for_a_number_of_a_person_is_listed() {
    let emulator = start_emulator().await;
    let response = json!({
        "GroupNum": "1",
        "PersonGroupInfos": [{"GroupId": "secret-group", "PersonExDescriptions": [null]}],
        "FaceModelVersion": null,
        "RequestId": "r",
    });
    respond(&emulator, Action::GetPersonGroupInfo, PERSON[1], &response);

    let checked = Checked::at(&emulator.endpoint(), &PERSON).await;

    let differences = [
        "PersonGroupInfos[].PersonExDescriptions[] is null, documented as String",
        "GroupNum is a string, documented as Integer",
    ];
    assert_differs(&checked, "person", &differences);
    checked.assert_hides(&[PERSON[1], "secret-group"]);
}

#[tokio::test]
async fn an_unknown_person_may_be_an_error_and_nothing_else() {
    let emulator = start_bank().await;
    let endpoint = emulator.endpoint();
    let documented = FaultKind::api_error("InvalidParameterValue.PersonIdNotExist");
    let found = || Fault::from(FaultKind::Delay(Duration::ZERO)).on(Action::GetPersonGroupInfo);
    emulator.script(found());
    emulator.script(Fault::from(documented).on(Action::GetPersonGroupInfo));

    let checked = Checked::at(&endpoint, &PERSON).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    let step = checked.step("unknown-person");
    assert_eq!(step["summary"], "an error, as in the Chinese documentation");

    let empty = r#"{"Response":{"GroupNum":0,"PersonGroupInfos":[],"RequestId":"r"}}"#;
    emulator.script(found());
    emulator.script(Fault::from(FaultKind::response(empty)).on(Action::GetPersonGroupInfo));

    let checked = Checked::at(&endpoint, &PERSON).await;

    let differences = [
        "GroupNum is not documented",
        "PersonGroupInfos is not documented",
    ];
    assert_differs(&checked, "unknown-person", &differences);
}

#[tokio::test]
async fn ids_that_do_not_exist_have_nothing_to_compare() {
    let emulator = start_emulator().await;
    let ids = [
        "--group-id",
        "no-such-group",
        "--person-id",
        "no-such-person",
    ];

    let checked = Checked::at(&emulator.endpoint(), &ids).await;

    assert_eq!(checked.code, 3, "{}", checked.output);
    assert_eq!(checked.with_status("failed"), ["group", "person"]);
    for name in ["group", "person"] {
        let summary = checked.step(name)["summary"].as_str().unwrap();
        assert!(summary.contains("does not exist"), "{summary}");
    }
    checked.assert_hides(&["no-such-group", "no-such-person"]);
}

#[tokio::test]
async fn a_permission_for_one_action_only_is_named() {
    let emulator = start_bank().await;
    let denied = FaultKind::api_error("UnauthorizedOperation");
    emulator.script(Fault::from(denied).on(Action::GetPersonGroupInfo).times(2));

    let checked = Checked::at(&emulator.endpoint(), &PERSON).await;

    assert_eq!(checked.code, 3, "{}", checked.output);
    assert_eq!(checked.with_status("failed"), ["person", "unknown-person"]);
    let remedy = checked.step("person")["what_to_do"].as_str().unwrap();
    assert!(remedy.contains("iai:GetPersonGroupInfo"), "{remedy}");
}

#[tokio::test]
async fn a_missing_date_and_a_closed_connection_are_listed() {
    let api = raw_api::start(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 94\r\n\r\n\
         {\"Response\":{\"Error\":{\"Code\":\"InvalidParameterValue.GroupIdNotExist\"},\
         \"RequestId\":\"01234567\"}}",
    )
    .await;

    let checked = Checked::at(&api.endpoint(), &GROUP).await;

    let details = checked.step("headers")["details"].to_string();
    assert!(details.contains("Date is absent"), "{details}");
    assert!(details.contains("the connection is closed"), "{details}");
    assert_eq!(checked.with_status("differs"), ["headers"]);
}

#[tokio::test]
async fn without_an_id_no_response_is_compared() {
    let emulator = start_emulator().await;

    let checked = Checked::at(&emulator.endpoint(), &[]).await;

    assert_eq!(checked.steps.len(), 9, "{}", checked.output);
    assert_eq!(checked.steps.last().unwrap()["step"], "call");
}
