//! Tests of the IAI actions with the default fixtures.

use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::Fixtures;

#[test]
fn a_group_is_returned_as_documented() {
    let expected = r#"{"Response":{"GroupName":"aaa","GroupId":"aaa","GroupExDescriptions":["24"],"Tag":"fdsaf","FaceModelVersion":"3.0","CreationTimestamp":1559530931613,"RequestId":""#;
    assert_starts_with(
        run(Action::GetGroupInfo, &json!({"GroupId": "aaa"})),
        expected,
    );
}

#[test]
fn a_person_is_returned_as_documented() {
    let expected = r#"{"Response":{"GroupNum":1,"PersonGroupInfos":[{"GroupId":"ZhuYuanDormitoryNo1","PersonExDescriptions":["School of Computer Science","Software Engineering","Class of 2015","3150108080"]}],"FaceModelVersion":"3.0","RequestId":""#;
    assert_starts_with(
        run(Action::GetPersonGroupInfo, &json!({"PersonId": "2001"})),
        expected,
    );
}

#[test]
fn an_unknown_person_returns_only_a_request_id() {
    let expected = r#"{"Response":{"RequestId":""#;
    assert_starts_with(
        run(Action::GetPersonGroupInfo, &json!({"PersonId": "1002"})),
        expected,
    );
}

#[test]
fn an_offset_at_the_end_returns_an_empty_list() {
    let expected = r#"{"Response":{"GroupNum":1,"PersonGroupInfos":[],"#;
    let parameters = json!({"PersonId": "2001", "Offset": 1});
    assert_starts_with(run(Action::GetPersonGroupInfo, &parameters), expected);
}

#[test]
fn an_invalid_parameter_fails_with_its_documented_code() {
    use Action::{GetGroupInfo, GetPersonGroupInfo};
    let long = "x".repeat(65);
    let cases = [
        (GetGroupInfo, json!({}), "MissingParameter"),
        (
            GetGroupInfo,
            json!({"GroupId": ""}),
            "MissingParameter.ErrorParameterEmpty",
        ),
        (
            GetGroupInfo,
            json!({"GroupId": long}),
            "InvalidParameterValue.GroupIdTooLong",
        ),
        (
            GetGroupInfo,
            json!({"GroupId": "a b"}),
            "InvalidParameterValue.GroupIdIllegal",
        ),
        (
            GetGroupInfo,
            json!({"GroupId": "bbb"}),
            "InvalidParameterValue.GroupIdNotExist",
        ),
        (GetGroupInfo, json!({"GroupId": 1}), "InvalidParameter"),
        (
            GetGroupInfo,
            json!({"GroupId": "aaa", "Limit": 1}),
            "UnknownParameter",
        ),
        (GetPersonGroupInfo, json!({"Offset": 0}), "MissingParameter"),
        (
            GetPersonGroupInfo,
            json!({"PersonId": ""}),
            "MissingParameter.ErrorParameterEmpty",
        ),
        (
            GetPersonGroupInfo,
            json!({"PersonId": long}),
            "InvalidParameterValue.PersonIdTooLong",
        ),
        (
            GetPersonGroupInfo,
            json!({"PersonId": "a b"}),
            "InvalidParameterValue.PersonIdIllegal",
        ),
        (
            GetPersonGroupInfo,
            json!({"PersonId": "2001", "Limit": 0}),
            "InvalidParameterValue.LimitExceed",
        ),
        (
            GetPersonGroupInfo,
            json!({"PersonId": "2001", "Limit": 101}),
            "InvalidParameterValue.LimitExceed",
        ),
        (
            GetPersonGroupInfo,
            json!({"PersonId": "2001", "Offset": 2}),
            "InvalidParameterValue.OffsetExceed",
        ),
        (
            GetPersonGroupInfo,
            json!({"PersonId": "2001", "Offset": "0"}),
            "InvalidParameter",
        ),
    ];
    for (action, parameters, code) in cases {
        let error = run(action, &parameters).unwrap_err();
        assert_eq!(error.code, code, "{action:?} {parameters}");
    }
}

#[test]
fn a_page_starts_at_the_offset_and_ends_at_the_limit() {
    let items = [1, 2, 3];
    assert_eq!(page(&items, 0, 2), Ok(&items[..2]));
    assert_eq!(page(&items, 2, 2), Ok(&items[2..]));
    assert_eq!(page(&items, 3, 2), Ok(&items[3..]));
    assert_eq!(
        page(&items, 4, 2).unwrap_err().code,
        "InvalidParameterValue.OffsetExceed"
    );
    assert_eq!(
        page(&items, u64::MAX, 2).unwrap_err().code,
        "InvalidParameterValue.OffsetExceed"
    );
}

fn run(action: Action, parameters: &Value) -> Result<String, ApiError> {
    let request = Request::post("/").header("content-type", "application/json");
    let (head, body) = request.body(parameters.to_string()).unwrap().into_parts();
    let parameters = Parameters::parse(&head, body.as_bytes())?;
    let dataset = &Dataset::from(&Fixtures::default().dataset);
    let response = if action == Action::GetGroupInfo {
        get_group_info(&parameters, dataset)?
    } else {
        get_person_group_info(&parameters, dataset)?
    };
    Ok(String::from_utf8(response.body.to_vec()).unwrap())
}

fn assert_starts_with(response: Result<String, ApiError>, expected: &str) {
    let response = response.unwrap();
    assert!(response.starts_with(expected), "{response}");
}
