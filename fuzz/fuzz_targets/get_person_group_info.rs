//! Fuzz target: the parser of `GetPersonGroupInfo` responses.
//!
//! Properties: every group has an id and the count is not negative, all equal to the input; encoding and
//! decoding the response changes nothing; a person is unknown only if the input has neither groups nor a
//! count; and the error for an invalid input contains no part of it.

#![no_main]

use iai_facade::{
    operation::{InvalidReply, Operation, get_person_group_info::GetPersonGroupInfo},
    proto::GetPersonGroupInfoResponse,
};
use iai_facade_fuzz::{assert_discloses_nothing, parse_untyped};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    match GetPersonGroupInfo::response(body, "request id") {
        Ok(response) => check(body, &response),
        Err(invalid) => {
            assert_discloses_nothing(body, &invalid);
            if let (InvalidReply::NotFound(_), Some(value)) = (&invalid, parse_untyped(body)) {
                assert!(value["PersonGroupInfos"].is_null() && value["GroupNum"].is_null());
            }
        }
    }
});

fn check(body: &[u8], response: &GetPersonGroupInfoResponse) {
    assert!(response.group_num.is_none_or(|count| count >= 0));
    assert_eq!(response.request_id, "request id");
    for group in &response.person_group_infos {
        assert!(!group.group_id.is_empty());
    }
    let sent = response.encode_to_vec();
    let received = GetPersonGroupInfoResponse::decode(&*sent);
    assert_eq!(received.as_ref(), Ok(response));

    let Some(value) = parse_untyped(body) else {
        return;
    };
    let no_groups = Vec::new();
    let groups = value["PersonGroupInfos"].as_array().unwrap_or(&no_groups);
    assert_eq!(response.person_group_infos.len(), groups.len());
    for (read, written) in response.person_group_infos.iter().zip(groups) {
        assert_eq!(written["GroupId"], *read.group_id);
        let descriptions = written["PersonExDescriptions"].as_array();
        assert_eq!(
            read.person_ex_descriptions.len(),
            descriptions.map_or(0, Vec::len)
        );
    }
    let written = match &value["GroupNum"] {
        Value::String(digits) => Some(digits.parse().expect("digits")),
        other => other.as_i64(),
    };
    assert_eq!(response.group_num.map(i64::from), written);
    let version = value["FaceModelVersion"].as_str();
    assert_eq!(response.face_model_version.as_deref(), version);
}
