//! Fixtures: the initial account, clock offset, rate limit, groups, persons and faults of an emulator, and
//! their TOML parser.

mod fault;

use std::{collections::HashMap, num::NonZeroU32};

use serde::Deserialize;
use toml::Spanned;

use super::{
    account::Account,
    dataset::{Dataset, Group, Person},
    faults::Fault,
};

/// The initial state of an [`Emulator`](super::Emulator).
///
/// The default holds the documentation's examples: the group `aaa` and the persons `2001` and `1001`.
/// It is defined in `fixtures.toml`, which also documents the format of [`Fixtures::parse`].
#[derive(Clone, Debug)]
pub struct Fixtures {
    pub(super) account: Account,
    /// Offset of the emulator's clock from the system clock, in seconds.
    pub(super) clock_offset: i64,
    /// Maximum requests per second.
    pub(super) rate_limit: Option<u32>,
    pub(super) dataset: Dataset,
    pub(super) faults: Vec<Fault>,
}

impl Fixtures {
    /// Parses fixtures from TOML.
    ///
    /// All parts are optional. The default account is `AKIDEMULATOR`; groups and persons default to
    /// empty.
    ///
    /// # Errors
    ///
    /// Fails with the number of the line if the text is not TOML, a key is unknown, a value is out of
    /// bounds, or an id occurs twice.
    pub fn parse(text: &str) -> Result<Self, FixturesError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            FixturesError::new(text, offset, error.message())
        })?;
        Ok(Self {
            account: file.account,
            clock_offset: file.clock_offset.0,
            rate_limit: file.rate_limit.map(NonZeroU32::get),
            dataset: Dataset {
                groups: by_id(text, file.groups, |group| &group.group_id)?,
                persons: by_id(text, file.persons, |person| &person.person_id)?,
            },
            faults: file.faults,
        })
    }

    /// Returns the account that the emulator accepts.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Default for Fixtures {
    #[expect(
        clippy::expect_used,
        reason = "the text is compiled into the program and tested"
    )]
    fn default() -> Self {
        Self::parse(include_str!("fixtures.toml")).expect("the default fixtures are well formed")
    }
}

/// Invalid fixtures.
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

/// Seconds, parsed from a duration with units and an optional minus sign: `1h`, `-90s`.
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
    items: Vec<Spanned<T>>,
    id: impl Fn(&T) -> &String,
) -> Result<HashMap<String, T>, FixturesError> {
    let mut by_id = HashMap::with_capacity(items.len());
    for item in items {
        let line_start = item.span().start;
        let item = item.into_inner();
        let id = id(&item).clone();
        if by_id.contains_key(&id) {
            return Err(FixturesError::new(
                text,
                line_start,
                format!("`{id}` occurs twice"),
            ));
        }
        by_id.insert(id, item);
    }
    Ok(by_id)
}

#[cfg(test)]
mod tests;
