//! The fields of `/status.json`, compared with those that docs/status-page.md explains.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::harness::{Facade, group, http};

#[tokio::test]
async fn the_documented_fields_of_the_status_are_those_it_has() {
    let facade = Facade::start().await;
    let mut client = facade.client();
    client.get_group_info(group("")).await.unwrap_err();
    let (_, json) = http(facade.addresses.admin, "GET", "/status.json", "").await;
    let mut fields = BTreeSet::new();
    collect(&serde_json::from_str(&json).unwrap(), "", &mut fields);

    let document = fs::read_to_string("docs/status-page.md").unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    assert_eq!(documented.collect::<BTreeSet<_>>(), fields);
}

/// Collects the names of all fields that are no objects, such as `errors[].time`.
fn collect(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => {
            assert!(!items.is_empty(), "{path} is empty");
            for item in items {
                collect(item, &format!("{path}[]"), fields);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let separator = if path.is_empty() { "" } else { "." };
                collect(value, &format!("{path}{separator}{name}"), fields);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            fields.insert(path.to_owned());
        }
    }
}
