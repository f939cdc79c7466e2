//! Groups in the control API.

use serde_json::{Map, Value, json};

use super::items::Kind;
use crate::{
    collection::Collection,
    dataset::{Dataset, Group},
};

/// The groups of a world.
pub(super) enum Groups {}

impl Kind for Groups {
    type Item = Group;

    const NAME: &'static str = "group";
    const LIST: &'static str = "groups";
    const ID: &'static str = "group_id";

    fn collection(dataset: &mut Dataset) -> &mut Collection<Group> {
        &mut dataset.groups
    }

    fn document(group: &Group) -> Value {
        json!({
            "group_id": group.group_id,
            "group_name": group.group_name,
            "group_ex_descriptions": group.group_ex_descriptions,
            "tag": group.tag,
            "face_model_version": group.face_model_version,
            "creation_timestamp": group.creation_timestamp,
        })
    }

    fn parse(document: &Value) -> Result<Group, String> {
        Group::try_from(document).map_err(|error| error.mistakes().join("; "))
    }

    fn complete(document: &mut Map<String, Value>, now: i64) {
        let milliseconds = now.saturating_mul(1_000);
        document
            .entry("creation_timestamp")
            .or_insert_with(|| milliseconds.into());
    }

    fn is_in_group(group: &Group, group_id: &str) -> bool {
        group.group_id == group_id
    }
}
