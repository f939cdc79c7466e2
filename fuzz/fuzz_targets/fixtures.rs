//! A fixtures file.
//!
//! What must hold: it is read, or refused with the number of a line that it has; and an empty line
//! before it changes nothing but that number, so that the number is not just any.

#![no_main]

use iai_facade::emulator::Fixtures;
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

    // A byte order mark may only be first.
    if !text.starts_with('\u{feff}') {
        let moved = problem.map(|(line, message)| (line + 1, message));
        assert_eq!(self::problem(&format!("\n{text}")), moved);
    }
    Corpus::Keep
});

/// Returns why `text` is no fixtures file, and on which line.
fn problem(text: &str) -> Option<(usize, String)> {
    let error = Fixtures::parse(text).err()?.to_string();
    let (line, message) = error
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
        .expect("the number of a line and a message");
    assert!(!message.is_empty());
    Some((line.parse().expect("a number"), message.to_owned()))
}
