//! Items of a world: lists, returns, puts, patches and deletes groups or persons.

use serde_json::{Map, Value, json};

use super::{
    call::{Call, object},
    reply::{Rejection, Reply},
};
use crate::{
    collection::{Collection, Item},
    dataset::Dataset,
};

/// A kind of item: groups or persons.
pub(super) trait Kind {
    type Item: Item;

    /// The name of one item, for messages.
    const NAME: &'static str;
    /// The key of the list in a page.
    const LIST: &'static str;
    /// The key of the id.
    const ID: &'static str;

    fn collection(dataset: &mut Dataset) -> &mut Collection<Self::Item>;

    /// Returns the item as JSON, with the keys of fixtures.
    fn document(item: &Self::Item) -> Value;

    /// Parses an item from JSON.
    fn parse(document: &Value) -> Result<Self::Item, String>;

    /// Sets the values of absent keys that fixtures require.
    fn complete(document: &mut Map<String, Value>, now: i64);

    /// Returns whether an item belongs to the list of a group, which the query parameter `group_id` names.
    fn is_in_group(item: &Self::Item, group_id: &str) -> bool;
}

/// Lists a page of the items, in the order of their ids.
pub(super) fn list<K: Kind>(call: &Call<'_>) -> Result<Reply, Rejection> {
    let limit = call.query.limit()?;
    let group_id = call.query.text("group_id");
    let mut state = call.world.state();
    let page = K::collection(&mut state.dataset).page(call.query.text("after"), limit, |item| {
        group_id.is_none_or(|group_id| K::is_in_group(item, group_id))
    });
    let next = page.last().filter(|_| page.len() == limit);
    let next = next.map(|(id, _)| *id);
    let items: Vec<_> = page.iter().map(|(_, item)| K::document(item)).collect();
    Ok(Reply::ok(&json!({K::LIST: items, "next": next})))
}

/// Returns an item.
pub(super) fn get<K: Kind>(call: &Call<'_>) -> Result<Reply, Rejection> {
    let id = call.item_id()?;
    let mut state = call.world.state();
    let item = K::collection(&mut state.dataset).get(id);
    let item = item.ok_or_else(|| absent::<K>(id))?;
    Ok(Reply::ok(&K::document(item)))
}

/// Adds or replaces an item.
pub(super) fn put<K: Kind>(call: &Call<'_>) -> Result<Reply, Rejection> {
    let id = call.item_id()?;
    let document = object(call.body()?)?.clone();
    store::<K>(call, id, document, &mut call.world.state().dataset)
}

/// Changes an item by a JSON merge patch (RFC 7396).
pub(super) fn patch<K: Kind>(call: &Call<'_>) -> Result<Reply, Rejection> {
    let id = call.item_id()?;
    let patch = object(call.body()?)?;
    let mut state = call.world.state();
    let item = K::collection(&mut state.dataset).get(id);
    let mut document = K::document(item.ok_or_else(|| absent::<K>(id))?);
    merge(&mut document, patch);
    let document = object(&document)?.clone();
    store::<K>(call, id, document, &mut state.dataset)
}

/// Deletes an item.
pub(super) fn delete<K: Kind>(call: &Call<'_>) -> Result<Reply, Rejection> {
    let id = call.item_id()?;
    let budget = call.worlds.budget();
    match K::collection(&mut call.world.state().dataset).remove(id, budget)? {
        true => Ok(Reply::no_content()),
        false => Err(absent::<K>(id)),
    }
}

fn store<K: Kind>(
    call: &Call<'_>,
    id: &str,
    mut document: Map<String, Value>,
    dataset: &mut Dataset,
) -> Result<Reply, Rejection> {
    let named = document.entry(K::ID).or_insert_with(|| id.into());
    if named != id {
        let message = format!("`{}` must be the id of the path, `{id}`", K::ID);
        return Err(Rejection::invalid_value(message));
    }
    K::complete(&mut document, call.world.clock.now());
    let item = K::parse(&document.into()).map_err(Rejection::invalid_value)?;
    let stored = K::document(&item);
    let is_new = K::collection(dataset).put(id, item, call.worlds.budget())?;
    Ok(Reply::stored(&stored, is_new))
}

fn absent<K: Kind>(id: &str) -> Rejection {
    Rejection::not_found(format!("there is no {} `{id}`", K::NAME))
}

/// Applies a JSON merge patch: `null` removes a key, objects are merged, all else replaces.
fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(patch) => merge(target.entry(key).or_insert(Value::Null), patch),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_removes_replaces_and_merges_keys() {
        let mut document = json!({"a": 1, "b": [1, 2], "c": {"d": 1, "e": 2}});
        let patch = json!({"a": null, "b": [3], "c": {"e": null, "f": 4}, "g": {"h": 5}});
        merge(&mut document, patch.as_object().unwrap());
        let expected = json!({"b": [3], "c": {"d": 1, "f": 4}, "g": {"h": 5}});
        assert_eq!(document, expected);
    }
}
