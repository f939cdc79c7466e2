//! Fixtures: the initial account, clock offset, rate limit, groups, persons and faults of an emulator, and
//! their TOML parser.

mod account;
mod changes;
mod dataset;
mod document;
mod error_codes;
mod fault;
mod fields;
mod mistakes;
mod nearest;
mod sections;
mod values;

use std::collections::{HashMap, hash_map::Entry};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;
use toml::de::DeTable;

pub use self::{changes::Changes, mistakes::FixturesError};
use self::{
    changes::ItemChanges,
    document::{Node, Place},
    fields::Fields,
    mistakes::Mistakes,
};
use super::{
    account::Account,
    dataset::{Group, InitialDataset, Person},
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
    pub(super) dataset: InitialDataset,
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
    /// Fails with all mistakes, each with its line and column, if the text is not TOML, a key or an error
    /// code is unknown, a value is out of bounds, or an id occurs twice.
    pub fn parse(text: &str) -> Result<Self, FixturesError> {
        let mut mistakes = Mistakes::default();
        let mut file = File::default();
        for part in sections::parts(text) {
            let start = part.start;
            let (table, errors) = DeTable::parse_recoverable(&text[part]);
            note_syntax_errors(errors, text, start, &mut mistakes);
            file.read(&Node::toml(&table, start), &mut mistakes);
        }
        mistakes.into_result(Some(file.into()), text)
    }

    /// Returns fixtures without data: the default account, and no groups, persons and faults.
    pub(super) fn empty() -> Self {
        File::default().into()
    }

    /// Returns the account that the emulator accepts.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Compares these fixtures with those before them.
    pub fn changes_since(&self, previous: &Self) -> Changes {
        Changes {
            groups: ItemChanges::new(&previous.dataset.groups, &self.dataset.groups),
            persons: ItemChanges::new(&previous.dataset.persons, &self.dataset.persons),
            is_account_changed: !self.account.is_same_as(&previous.account),
            is_clock_changed: self.clock_offset != previous.clock_offset,
            is_rate_limit_changed: self.rate_limit != previous.rate_limit,
            are_faults_changed: self.faults != previous.faults,
        }
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

/// What was read of a file.
#[derive(Debug, Default)]
struct File {
    account: Option<Account>,
    clock_offset: Option<i64>,
    rate_limit: Option<u32>,
    groups: HashMap<String, Group>,
    persons: HashMap<String, Person>,
    faults: Vec<Fault>,
}

impl File {
    /// Adds what a part of the file holds.
    fn read(&mut self, part: &Node<'_>, mistakes: &mut Mistakes) {
        let keys = &[
            "account",
            "clock_offset",
            "rate_limit",
            "groups",
            "persons",
            "faults",
        ];
        let Some(mut fields) = Fields::of(part, "the file", keys, &[], mistakes) else {
            return;
        };
        once(
            &mut self.account,
            "account",
            &mut fields,
            mistakes,
            account::account,
        );
        once(
            &mut self.clock_offset,
            "clock_offset",
            &mut fields,
            mistakes,
            values::signed_seconds,
        );
        once(
            &mut self.rate_limit,
            "rate_limit",
            &mut fields,
            mistakes,
            |node, mistakes| values::number(node, 1, mistakes),
        );
        for item in items("groups", &mut fields, mistakes) {
            if let Some(group) = dataset::group(&item, mistakes) {
                let id = group.group_id.clone();
                insert(&mut self.groups, id, group, &item.place, mistakes);
            }
        }
        for item in items("persons", &mut fields, mistakes) {
            if let Some(person) = dataset::person(&item, mistakes) {
                let id = person.person_id.clone();
                insert(&mut self.persons, id, person, &item.place, mistakes);
            }
        }
        for item in items("faults", &mut fields, mistakes) {
            self.faults.extend(fault::fault(&item, mistakes));
        }
    }
}

impl From<File> for Fixtures {
    fn from(file: File) -> Self {
        Self {
            account: file.account.unwrap_or_default(),
            clock_offset: file.clock_offset.unwrap_or_default(),
            rate_limit: file.rate_limit,
            dataset: InitialDataset {
                groups: file.groups.into(),
                persons: file.persons.into(),
            },
            faults: file.faults,
        }
    }
}

/// Notes the syntax errors of the part that begins at `start`, the first of each line: the others follow
/// from it.
fn note_syntax_errors(
    mut errors: Vec<toml::de::Error>,
    text: &str,
    start: usize,
    mistakes: &mut Mistakes,
) {
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let mut previous = None;
    for error in errors {
        // Only the error for values that are nested too deeply has no span.
        let offset = error.span().map(|span| start + span.start);
        let between = previous.zip(offset);
        let between = between.and_then(|(previous, offset)| text.get(previous..offset));
        if between.is_some_and(|between| !between.contains('\n')) {
            continue;
        }
        let place = offset.map_or_else(Place::whole, Place::Offset);
        mistakes.note_syntax(&place, error.message());
        previous = offset;
    }
}

/// Reads a key that occurs at most once in all parts of a file.
fn once<T>(
    value: &mut Option<T>,
    key: &str,
    fields: &mut Fields<'_>,
    mistakes: &mut Mistakes,
    read: impl FnOnce(&Node<'_>, &mut Mistakes) -> Option<T>,
) {
    let Some(entry) = fields.take(key) else {
        return;
    };
    if value.is_some() {
        mistakes.note(&entry.key_place, format!("`{key}` occurs twice"));
    }
    *value = read(&entry.node, mistakes);
}

fn items<'a>(key: &str, fields: &mut Fields<'a>, mistakes: &mut Mistakes) -> Vec<Node<'a>> {
    fields
        .optional(key, mistakes, values::list)
        .unwrap_or_default()
}

/// Adds an item unless its id is taken. An item without an id has a mistake already.
fn insert<T>(
    by_id: &mut HashMap<String, T>,
    id: String,
    item: T,
    place: &Place,
    mistakes: &mut Mistakes,
) {
    match by_id.entry(id) {
        Entry::Occupied(taken) if !taken.key().is_empty() => {
            mistakes.note(place, format!("`{}` occurs twice", taken.key()));
        }
        Entry::Occupied(_) => {}
        Entry::Vacant(vacant) => drop(vacant.insert(item)),
    }
}

/// Reads one item from JSON, with the keys and the bounds of a file.
fn item<T>(
    json: &Json,
    read: impl FnOnce(&Node<'_>, &mut Mistakes) -> Option<T>,
) -> Result<T, FixturesError> {
    let mut mistakes = Mistakes::default();
    let item = read(&Node::json(json), &mut mistakes);
    mistakes.into_result(item, "")
}

/// Reads a duration with units and an optional minus sign, in seconds, as `clock_offset` has it.
///
/// # Errors
///
/// Fails if the value is another.
pub(super) fn signed_seconds(json: &Json) -> Result<i64, FixturesError> {
    item(json, values::signed_seconds)
}

impl TryFrom<&Json> for Account {
    type Error = FixturesError;

    fn try_from(json: &Json) -> Result<Self, FixturesError> {
        item(json, account::account)
    }
}

impl TryFrom<&Json> for Group {
    type Error = FixturesError;

    fn try_from(json: &Json) -> Result<Self, FixturesError> {
        item(json, dataset::group)
    }
}

impl TryFrom<&Json> for Person {
    type Error = FixturesError;

    fn try_from(json: &Json) -> Result<Self, FixturesError> {
        item(json, dataset::person)
    }
}

impl TryFrom<&Json> for Fault {
    type Error = FixturesError;

    fn try_from(json: &Json) -> Result<Self, FixturesError> {
        item(json, fault::fault)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(&Json::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(&Json::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
