//! Dataset: the groups and persons of the account, parsed from fixtures and returned by the IAI actions.

use std::collections::HashMap;

use serde::Serialize;

/// The groups and persons of the account, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Dataset {
    pub(super) groups: HashMap<String, Group>,
    pub(super) persons: HashMap<String, Person>,
}

/// A group. The fields have the order of the API response.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Group {
    pub(super) group_name: String,
    pub(super) group_id: String,
    pub(super) group_ex_descriptions: Vec<String>,
    pub(super) tag: String,
    pub(super) face_model_version: String,
    /// Milliseconds since 1970.
    pub(super) creation_timestamp: u64,
}

/// A person, with the groups that contain the person.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) person_id: String,
    pub(super) face_model_version: String,
    pub(super) groups: Vec<Membership>,
}

/// The membership of a person in a group. The dataset need not contain the group.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Membership {
    pub(super) group_id: String,
    pub(super) person_ex_descriptions: Vec<String>,
}
