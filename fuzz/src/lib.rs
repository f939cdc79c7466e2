//! Assertions shared by the fuzz targets.

use iai_facade::{error_chain::error_chain, json::Malformed, operation::InvalidReply};
use serde_json::Value;

/// Asserts that `malformed` has a position within `input` and contains no part of `input`.
///
/// Responses contain names and ids of people, so the message must be one of [`PROBLEMS`].
pub fn assert_only_position(malformed: &Malformed, input: &[u8]) {
    let text = malformed.to_string();
    let (problem, position) = text.rsplit_once(" at line ").expect("a position");
    assert!(PROBLEMS.contains(&problem), "{text}");

    let (line, column) = position.split_once(" column ").expect("a column");
    let [line, column] = [line, column].map(|number| number.parse::<usize>().expect("a number"));
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count();
    assert!((1..=lines).contains(&line), "{text}");
    assert!(column <= input.len(), "{text}");
}

/// Asserts that the log message of `invalid` has a position within `body` and contains no part of it.
pub fn assert_discloses_nothing(body: &[u8], invalid: &InvalidReply) {
    let logged = error_chain(invalid);
    match invalid {
        InvalidReply::Malformed(malformed) => {
            assert_only_position(malformed, body);
            let expected = format!("the response does not have the documented format: {malformed}");
            assert_eq!(logged, expected);
        }
        InvalidReply::NotFound(absent) => assert_eq!(logged, absent.message),
    }
}

/// Parses `json` as an untyped value, for comparison.
///
/// Returns `None` for JSON that serde_json can skip but not represent, such as the number `1e999`.
pub fn parse_untyped(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}

/// The messages of all JSON errors.
const PROBLEMS: [&str; 3] = [
    "a value is missing or of the wrong type",
    "not JSON",
    "truncated JSON",
];
