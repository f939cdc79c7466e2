//! What an emulator starts with: its account, its records, its script of faults.

use std::{collections::HashMap, num::NonZeroU32};

use serde::Deserialize;
use toml::Spanned;

use super::{
    account::Account,
    faults::Fault,
    records::{Group, Person, Records},
};

/// Everything an [`Emulator`](super::Emulator) starts with.
///
/// The default is the documentation's own examples: the group `aaa`, and the persons `2001` and
/// `1001`. They are in `fixtures.toml`, which also shows the format that [`Fixtures::parse`] reads.
#[derive(Clone, Debug)]
pub struct Fixtures {
    pub(super) account: Account,
    /// Seconds the emulator's clock is ahead of the real one.
    pub(super) clock_offset: i64,
    /// Calls a second.
    pub(super) rate_limit: Option<u32>,
    pub(super) records: Records,
    pub(super) faults: Vec<Fault>,
}

impl Fixtures {
    /// Reads fixtures from TOML.
    ///
    /// All parts are optional. Without an account the default one is accepted; without groups or
    /// persons there are none.
    ///
    /// # Errors
    ///
    /// Fails on text that is not TOML, unknown keys, values out of bounds and ids listed twice, and
    /// says on which line.
    pub fn parse(text: &str) -> Result<Self, FixturesError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            FixturesError::new(text, offset, error.message())
        })?;
        Ok(Self {
            account: file.account,
            clock_offset: file.clock_offset.0,
            rate_limit: file.rate_limit.map(NonZeroU32::get),
            records: Records {
                groups: by_id(text, file.groups, |group| &group.group_id)?,
                persons: by_id(text, file.persons, |person| &person.person_id)?,
            },
            faults: file.faults,
        })
    }

    /// Returns the account whose calls are accepted.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Default for Fixtures {
    #[expect(
        clippy::expect_used,
        reason = "the text is part of the program, and tested"
    )]
    fn default() -> Self {
        Self::parse(include_str!("fixtures.toml")).expect("the default fixtures are well formed")
    }
}

/// Fixtures that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FixturesError {
    line: usize,
    message: String,
}

impl FixturesError {
    fn new(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.bytes().take(offset);
        Self {
            line: 1 + before.filter(|byte| *byte == b'\n').count(),
            message: message.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    account: Account,
    #[serde(default)]
    clock_offset: ClockOffset,
    rate_limit: Option<NonZeroU32>,
    #[serde(default)]
    groups: Vec<Spanned<Group>>,
    #[serde(default)]
    persons: Vec<Spanned<Person>>,
    #[serde(default)]
    faults: Vec<Fault>,
}

/// Seconds, written with units and an optional sign: `1h`, `-90s`.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct ClockOffset(i64);

impl TryFrom<String> for ClockOffset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (sign, amount) = match text.strip_prefix('-') {
            Some(amount) => (-1, amount),
            None => (1, text.as_str()),
        };
        let amount = humantime::parse_duration(amount).map_err(|error| error.to_string())?;
        let seconds = i64::try_from(amount.as_secs()).map_err(|error| error.to_string())?;
        Ok(Self(sign * seconds))
    }
}

fn by_id<T>(
    text: &str,
    records: Vec<Spanned<T>>,
    id: impl Fn(&T) -> &String,
) -> Result<HashMap<String, T>, FixturesError> {
    let mut by_id = HashMap::with_capacity(records.len());
    for record in records {
        let line_start = record.span().start;
        let record = record.into_inner();
        let id = id(&record).clone();
        if by_id.contains_key(&id) {
            return Err(FixturesError::new(
                text,
                line_start,
                format!("`{id}` is listed twice"),
            ));
        }
        by_id.insert(id, record);
    }
    Ok(by_id)
}

#[cfg(test)]
mod tests;
