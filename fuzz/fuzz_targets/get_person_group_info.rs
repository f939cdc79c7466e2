//! The inside of an envelope, read as an answer to `GetPersonGroupInfo`.
//!
//! What must hold: every group of a response has an id, and its count is not negative, all as in the
//! answer; it survives the wire; a person is unknown only where the answer has neither groups nor a
//! count; and what is no answer is described without being repeated.

#![no_main]

use iai_facade::{
    operation::{InvalidReply, Operation, get_person_group_info::GetPersonGroupInfo},
    proto::GetPersonGroupInfoResponse,
};
use iai_facade_fuzz::{assert_reports_nothing_of, plainly_read};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    match GetPersonGroupInfo::response(body, "id of the call") {
        Ok(response) => check(body, &response),
        Err(invalid) => {
            assert_reports_nothing_of(body, &invalid);
            if let (InvalidReply::PersonNotFound, Some(answer)) = (&invalid, plainly_read(body)) {
                assert!(answer["PersonGroupInfos"].is_null() && answer["GroupNum"].is_null());
            }
        }
    }
});

fn check(body: &[u8], response: &GetPersonGroupInfoResponse) {
    assert!(response.group_num.is_none_or(|count| count >= 0));
    assert_eq!(response.request_id, "id of the call");
    for group in &response.person_group_infos {
        assert!(!group.group_id.is_empty());
    }
    let sent = response.encode_to_vec();
    let received = GetPersonGroupInfoResponse::decode(&*sent);
    assert_eq!(received.as_ref(), Ok(response));

    let Some(answer) = plainly_read(body) else {
        return;
    };
    let no_groups = Vec::new();
    let groups = answer["PersonGroupInfos"].as_array().unwrap_or(&no_groups);
    assert_eq!(response.person_group_infos.len(), groups.len());
    for (read, written) in response.person_group_infos.iter().zip(groups) {
        assert_eq!(written["GroupId"], *read.group_id);
        let descriptions = written["PersonExDescriptions"].as_array();
        assert_eq!(
            read.person_ex_descriptions.len(),
            descriptions.map_or(0, Vec::len)
        );
    }
    let written = match &answer["GroupNum"] {
        Value::String(digits) => Some(digits.parse().expect("digits")),
        other => other.as_i64(),
    };
    assert_eq!(response.group_num.map(i64::from), written);
    let version = answer["FaceModelVersion"].as_str();
    assert_eq!(response.face_model_version.as_deref(), version);
}
