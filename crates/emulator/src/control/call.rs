//! Call: what an operation of the control API is given.

use serde_json::{Map, Value};

use super::{body::Json, query::Query, reply::Rejection};
use crate::{identifier, world::World, worlds::Worlds};

/// A routed request to the control API, with its body read.
pub(super) struct Call<'a> {
    pub(super) worlds: &'a Worlds,
    /// The world that the path names.
    pub(super) world: &'a World,
    /// The last segment of the path, if the route has an id there.
    pub(super) id: Option<&'a str>,
    pub(super) query: Query,
    pub(super) body: Json<'a>,
}

impl Call<'_> {
    /// Returns the id of the path as the id of a group or person.
    ///
    /// # Errors
    ///
    /// Fails if it is not a valid id.
    pub(super) fn item_id(&self) -> Result<&str, Rejection> {
        let id = self.id.unwrap_or_default();
        identifier::check(id).map_err(|error| Rejection::invalid_path(error.to_string()))?;
        Ok(id)
    }

    /// Returns the body.
    ///
    /// # Errors
    ///
    /// Fails if the request has none.
    pub(super) fn body(&self) -> Result<&Value, Rejection> {
        let body = self.body.value.as_ref();
        body.ok_or_else(|| Rejection::invalid_json("the request has no body; send a JSON object"))
    }

    /// Returns the value of the only key that the body may have.
    ///
    /// # Errors
    ///
    /// Fails if the body lacks the key or has others.
    pub(super) fn only_key(&self, key: &str) -> Result<&Value, Rejection> {
        let body = object(self.body()?)?;
        let value = body.get(key).filter(|_| body.len() == 1);
        value.ok_or_else(|| {
            Rejection::invalid_value(format!("the body must have the key `{key}`, and no other"))
        })
    }
}

/// Returns a JSON value as an object.
///
/// # Errors
///
/// Fails if it is another.
pub(super) fn object(value: &Value) -> Result<&Map<String, Value>, Rejection> {
    let object = value.as_object();
    object.ok_or_else(|| Rejection::invalid_value("the body must be a JSON object"))
}
