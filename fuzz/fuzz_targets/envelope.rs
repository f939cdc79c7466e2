//! Fuzz target: the parser of the upstream response envelope.
//!
//! Properties: a successful response is a slice of the body, is a JSON object, and has a request id and no
//! error; an API error has the code, message and request id of the body; and the error for any other body
//! contains no part of it, because it is logged.

#![no_main]

use std::collections::HashMap;

use bytes::Bytes;
use iai_facade::upstream::{
    ApiError, ApiResponse,
    envelope::{InvalidEnvelope, Parsed, parse},
};
use iai_facade_fuzz::{assert_only_position, parse_untyped};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    match parse(&body) {
        Ok(Parsed::Response {
            response,
            is_deprecated,
        }) => check_response(&body, &response, is_deprecated),
        Ok(Parsed::Error(error)) => check_api_error(&body, &error),
        Err(InvalidEnvelope::Malformed(malformed)) => assert_only_position(&malformed, data),
        Err(InvalidEnvelope::WithoutRequestId) => {
            if let Some(value) = parse_untyped(data) {
                let id = &value["Response"]["RequestId"];
                assert!(id.is_null() || id == "");
            }
        }
    }
});

fn check_response(body: &Bytes, response: &ApiResponse, is_deprecated: bool) {
    assert!(!response.request_id.is_empty());
    let (whole, part) = (body.as_ptr_range(), response.body.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end);

    // Raw values, because a number can be valid JSON but not representable.
    let members: HashMap<String, &RawValue> =
        serde_json::from_slice(&response.body).expect("a JSON object");
    let request_id: String =
        serde_json::from_str(members["RequestId"].get()).expect("a string as id");
    assert_eq!(request_id, response.request_id);
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

fn check_api_error(body: &Bytes, error: &ApiError) {
    assert_eq!((error.server_time, error.retry_after), (None, None));
    if let Some(value) = parse_untyped(body) {
        let response = &value["Response"];
        assert_eq!(response["Error"]["Code"], error.code);
        let message = response["Error"]["Message"].as_str();
        assert_eq!(message.unwrap_or_default(), error.message);
        let request_id = response["RequestId"].as_str();
        assert_eq!(request_id.unwrap_or_default(), error.request_id);
    }
}
