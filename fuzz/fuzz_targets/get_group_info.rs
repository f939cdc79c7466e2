//! Fuzz target: the parser of `GetGroupInfo` responses.
//!
//! Properties: the response has the id of a group and a time that protobuf can represent, both equal to the
//! input; encoding and decoding it changes nothing; and the error for an invalid input contains no part of
//! it.

#![no_main]

use iai_facade::{
    operation::{InvalidReply, Operation, get_group_info::GetGroupInfo},
    proto::GetGroupInfoResponse,
};
use iai_facade_fuzz::{assert_discloses_nothing, parse_untyped};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|body: &[u8]| {
    match GetGroupInfo::response(body, "request id") {
        Ok(response) => check(body, &response),
        Err(invalid) => {
            assert!(matches!(invalid, InvalidReply::Malformed(_)));
            assert_discloses_nothing(body, &invalid);
        }
    }
});

fn check(body: &[u8], response: &GetGroupInfoResponse) {
    assert!(!response.group_id.is_empty());
    assert_eq!(response.request_id, "request id");
    if let Some(time) = &response.creation_timestamp {
        // From 1970 to the end of the year 9999, in whole milliseconds.
        assert!((0..=253_402_300_799).contains(&time.seconds));
        assert!((0..1_000_000_000).contains(&time.nanos) && time.nanos % 1_000_000 == 0);
    }
    let sent = response.encode_to_vec();
    assert_eq!(GetGroupInfoResponse::decode(&*sent).as_ref(), Ok(response));

    let Some(value) = parse_untyped(body) else {
        return;
    };
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(response.group_id, text("GroupId"));
    assert_eq!(response.group_name, text("GroupName"));
    assert_eq!(response.tag, text("Tag"));
    assert_eq!(response.face_model_version, text("FaceModelVersion"));
    let descriptions = value["GroupExDescriptions"].as_array();
    assert_eq!(
        response.group_ex_descriptions.len(),
        descriptions.map_or(0, Vec::len)
    );
    let written = match &value["CreationTimestamp"] {
        serde_json::Value::String(digits) => Some(digits.parse().expect("digits")),
        other => other.as_u64(),
    };
    let read = response
        .creation_timestamp
        .map(|time| time.seconds as u64 * 1_000 + time.nanos as u64 / 1_000_000);
    assert_eq!(read, written);
}
