//! The body of any answer, opened.
//!
//! What must hold: a reply is a slice of the body, itself a JSON object, with an id and without an
//! error; a refusal says what the body says; and whatever is neither is described without being
//! repeated, for it goes into the log.

#![no_main]

use std::collections::HashMap;

use bytes::Bytes;
use iai_facade::upstream::{
    Refusal, Reply,
    envelope::{NotAnEnvelope, Opened, open},
};
use iai_facade_fuzz::{assert_tells_only_the_place, plainly_read};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    match open(&body) {
        Ok(Opened::Replied {
            reply,
            is_deprecated,
        }) => check_reply(&body, &reply, is_deprecated),
        Ok(Opened::Refused(refusal)) => check_refusal(&body, &refusal),
        Err(NotAnEnvelope::Malformed(malformed)) => assert_tells_only_the_place(&malformed, data),
        Err(NotAnEnvelope::WithoutRequestId) => {
            if let Some(value) = plainly_read(data) {
                let id = &value["Response"]["RequestId"];
                assert!(id.is_null() || id == "");
            }
        }
    }
});

fn check_reply(body: &Bytes, reply: &Reply, is_deprecated: bool) {
    assert!(!reply.request_id.is_empty());
    let (whole, part) = (body.as_ptr_range(), reply.body.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end);

    // Raw, since a value may be a number that is JSON but not representable.
    let members: HashMap<String, &RawValue> =
        serde_json::from_slice(&reply.body).expect("a JSON object");
    let request_id: String =
        serde_json::from_str(members["RequestId"].get()).expect("a text for an id");
    assert_eq!(request_id, reply.request_id);
    assert!(
        members
            .get("Error")
            .is_none_or(|error| error.get() == "null")
    );
    let has_warning = members
        .get("DeprecatedWarning")
        .is_some_and(|warning| warning.get() != "null");
    assert_eq!(is_deprecated, has_warning);
}

fn check_refusal(body: &Bytes, refusal: &Refusal) {
    assert_eq!((refusal.server_time, refusal.retry_after), (None, None));
    if let Some(value) = plainly_read(body) {
        let response = &value["Response"];
        assert_eq!(response["Error"]["Code"], refusal.code);
        let message = response["Error"]["Message"].as_str();
        assert_eq!(message.unwrap_or_default(), refusal.message);
        let request_id = response["RequestId"].as_str();
        assert_eq!(request_id.unwrap_or_default(), refusal.request_id);
    }
}
