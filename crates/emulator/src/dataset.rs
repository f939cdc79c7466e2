//! Dataset: the groups and persons of the account, parsed from fixtures and returned by the IAI actions.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::identifier;

/// The groups and persons of the account, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Dataset {
    pub(super) groups: HashMap<String, Group>,
    pub(super) persons: HashMap<String, Person>,
}

/// A group. The fields have the order of the API response.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "PascalCase"))]
pub(super) struct Group {
    group_name: String,
    #[serde(deserialize_with = "id")]
    pub(super) group_id: String,
    #[serde(default)]
    group_ex_descriptions: Vec<String>,
    #[serde(default)]
    tag: String,
    #[serde(default = "newest_face_model")]
    face_model_version: String,
    /// Milliseconds since 1970.
    #[serde(deserialize_with = "timestamp")]
    creation_timestamp: u64,
}

/// A person, with the groups that contain the person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    #[serde(deserialize_with = "id")]
    pub(super) person_id: String,
    #[serde(default = "newest_face_model")]
    pub(super) face_model_version: String,
    #[serde(default, deserialize_with = "memberships")]
    pub(super) groups: Vec<Membership>,
}

/// The membership of a person in a group. The dataset need not contain the group.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "PascalCase"))]
pub(super) struct Membership {
    #[serde(deserialize_with = "id")]
    group_id: String,
    #[serde(default)]
    person_ex_descriptions: Vec<String>,
}

fn newest_face_model() -> String {
    "3.0".to_owned()
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    identifier::check(&id).map_err(de::Error::custom)?;
    Ok(id)
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let milliseconds = u64::deserialize(deserializer)?;
    if milliseconds > LAST_MILLISECOND {
        return Err(de::Error::custom(
            "a timestamp must be in milliseconds, before the year 10000",
        ));
    }
    Ok(milliseconds)
}

fn memberships<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Membership>, D::Error> {
    let groups = Vec::<Membership>::deserialize(deserializer)?;
    if groups.len() > MAX_GROUPS {
        return Err(de::Error::custom(format!(
            "a person can be in at most {MAX_GROUPS} groups"
        )));
    }
    let mut seen = HashSet::new();
    match groups.iter().find(|group| !seen.insert(&group.group_id)) {
        Some(twice) => Err(de::Error::custom(format!(
            "the person is in group `{}` twice",
            twice.group_id
        ))),
        None => Ok(groups),
    }
}

/// The last millisecond of the year 9999.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

/// The documented maximum number of groups per person.
const MAX_GROUPS: usize = 100;
