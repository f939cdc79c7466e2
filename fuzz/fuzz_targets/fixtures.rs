//! Fuzz target: the parser of emulator fixtures.
//!
//! Properties: each mistake has the number of an existing line, in their order, and an empty line in front
//! of the text changes only those numbers, by one.

#![no_main]

use iai_emulator::Fixtures;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let mistakes = mistakes(text);
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    for (line, message) in &mistakes {
        assert!((1..=lines).contains(line), "line {line}: {message}");
    }
    assert!(mistakes.is_sorted_by_key(|(line, _)| line));

    // A byte order mark is valid only at the start.
    if !text.starts_with('\u{feff}') {
        let shifted = mistakes
            .into_iter()
            .map(|(line, message)| (line + 1, message));
        let shifted: Vec<_> = shifted.collect();
        assert_eq!(self::mistakes(&format!("\n{text}")), shifted);
    }
    Corpus::Keep
});

/// Returns the lines and messages of the mistakes in `text`, without those of the whole text and the number
/// of those that are not described.
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let Err(error) = Fixtures::parse(text) else {
        return Vec::new();
    };
    assert!(!error.mistakes().is_empty());
    let described = error.mistakes().iter().filter_map(|mistake| {
        let (line, message) = mistake.strip_prefix("line ")?.split_once(", column ")?;
        Some((line.parse().expect("a number"), message.to_owned()))
    });
    described.collect()
}
