//! Persons, with the groups that contain them, in the control API.

use serde_json::{Map, Value, json};

use super::items::Kind;
use crate::{
    collection::Collection,
    dataset::{Dataset, Person},
};

/// The persons of a world.
pub(super) enum Persons {}

impl Kind for Persons {
    type Item = Person;

    const NAME: &'static str = "person";
    const LIST: &'static str = "persons";
    const ID: &'static str = "person_id";

    fn collection(dataset: &mut Dataset) -> &mut Collection<Person> {
        &mut dataset.persons
    }

    fn document(person: &Person) -> Value {
        let groups = person.groups.iter().map(|group| {
            json!({
                "group_id": group.group_id,
                "person_ex_descriptions": group.person_ex_descriptions,
            })
        });
        json!({
            "person_id": person.person_id,
            "face_model_version": person.face_model_version,
            "groups": groups.collect::<Vec<_>>(),
        })
    }

    fn parse(document: &Value) -> Result<Person, String> {
        Person::try_from(document).map_err(|error| error.mistakes().join("; "))
    }

    fn complete(_: &mut Map<String, Value>, _: i64) {}

    fn is_in_group(person: &Person, group_id: &str) -> bool {
        let mut groups = person.groups.iter();
        groups.any(|group| group.group_id == group_id)
    }
}
