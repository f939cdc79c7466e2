//! What several targets hold their inputs against.

use iai_facade::{chain::chain, json::Malformed, operation::InvalidReply};
use serde_json::Value;

/// Asserts that `malformed` names a place within `input` and repeats nothing of it.
///
/// An answer holds names and ids of people, so the words must be those of a closed list.
pub fn assert_tells_only_the_place(malformed: &Malformed, input: &[u8]) {
    let text = malformed.to_string();
    let (problem, place) = text.rsplit_once(" at line ").expect("a place");
    assert!(PROBLEMS.contains(&problem), "{text}");

    let (line, column) = place.split_once(" column ").expect("a column");
    let [line, column] = [line, column].map(|number| number.parse::<usize>().expect("a number"));
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count();
    assert!((1..=lines).contains(&line), "{text}");
    assert!(column <= input.len(), "{text}");
}

/// Asserts that what is logged of `invalid` names a place within `body` and repeats nothing of it.
pub fn assert_reports_nothing_of(body: &[u8], invalid: &InvalidReply) {
    let logged = chain(invalid);
    match invalid {
        InvalidReply::Malformed(malformed) => {
            assert_tells_only_the_place(malformed, body);
            let expected = format!("the answer has not the documented form: {malformed}");
            assert_eq!(logged, expected);
        }
        InvalidReply::PersonNotFound => assert_eq!(logged, "the person does not exist"),
    }
}

/// Reads `json` without any knowledge of what it means, for comparison.
///
/// Returns nothing for what serde_json can skip but not represent, such as the number `1e999`.
pub fn plainly_read(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}

const PROBLEMS: [&str; 3] = [
    "a value is missing or of the wrong type",
    "not JSON",
    "the JSON text is cut short",
];
