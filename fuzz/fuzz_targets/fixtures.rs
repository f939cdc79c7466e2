//! Fuzz target: the parser of emulator fixtures.
//!
//! Properties: an error has the number of an existing line, and an empty line in front of the text changes
//! only that number, by one.

#![no_main]

use iai_emulator::Fixtures;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let problem = problem(text);
    if let Some((line, message)) = &problem {
        let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
        assert!((1..=lines).contains(line), "line {line}: {message}");
    }

    // A byte order mark is valid only at the start.
    if !text.starts_with('\u{feff}') {
        let shifted = problem.map(|(line, message)| (line + 1, message));
        assert_eq!(self::problem(&format!("\n{text}")), shifted);
    }
    Corpus::Keep
});

/// Returns the line and message of the error in `text`, if it is not a valid fixtures file.
fn problem(text: &str) -> Option<(usize, String)> {
    let error = Fixtures::parse(text).err()?.to_string();
    let (line, message) = error
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
        .expect("a line number and a message");
    assert!(!message.is_empty());
    Some((line.parse().expect("a number"), message.to_owned()))
}
