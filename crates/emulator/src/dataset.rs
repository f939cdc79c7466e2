//! Dataset: the groups and persons of an account, parsed from fixtures and returned by the IAI actions.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use super::collection::{Collection, Item};

/// The groups and persons of fixtures, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct InitialDataset {
    pub(super) groups: Arc<HashMap<String, Group>>,
    pub(super) persons: Arc<HashMap<String, Person>>,
}

/// The groups and persons of a world.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) groups: Collection<Group>,
    pub(super) persons: Collection<Person>,
}

impl From<&InitialDataset> for Dataset {
    fn from(initial: &InitialDataset) -> Self {
        Self {
            groups: Collection::new(Arc::clone(&initial.groups)),
            persons: Collection::new(Arc::clone(&initial.persons)),
        }
    }
}

/// A group. The fields have the order of the API response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) person_id: String,
    pub(super) face_model_version: String,
    pub(super) groups: Vec<Membership>,
}

/// The membership of a person in a group. The dataset need not contain the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Membership {
    pub(super) group_id: String,
    pub(super) person_ex_descriptions: Vec<String>,
}

impl Item for Group {
    fn memory(&self) -> usize {
        let texts = [
            &self.group_name,
            &self.group_id,
            &self.tag,
            &self.face_model_version,
        ];
        let texts = texts.into_iter().chain(&self.group_ex_descriptions);
        size_of::<Self>() + texts.map(|text| memory(text)).sum::<usize>()
    }
}

impl Item for Person {
    fn memory(&self) -> usize {
        let groups = self.groups.iter().map(|group| {
            let texts = group.person_ex_descriptions.iter().map(|text| memory(text));
            size_of::<Membership>() + memory(&group.group_id) + texts.sum::<usize>()
        });
        size_of::<Self>()
            + groups.sum::<usize>()
            + memory(&self.person_id)
            + memory(&self.face_model_version)
    }
}

/// Returns the memory of a text in a list, in bytes.
fn memory(text: &str) -> usize {
    size_of::<String>() + text.len() + ALLOCATION_OVERHEAD
}

/// Memory that an allocation takes beside its content, in bytes.
const ALLOCATION_OVERHEAD: usize = 16;
