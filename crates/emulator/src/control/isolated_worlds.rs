//! Isolated worlds in the control API: each has its own account, groups, persons, faults, rate limit, clock
//! and requests, so that tests that run in parallel share one emulator.

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    call::{Call, object},
    reply::{Rejection, Reply},
};
use crate::{
    account::Account, fixtures::Fixtures, issued_credentials::is_temporary,
    worlds::CreateWorldError,
};

/// Lists a page of the worlds, in the order of their `SecretId`s.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Rejection> {
    let limit = call.query.limit()?;
    let after = call.query.text("after").unwrap_or_default();
    let page = call.worlds.page(after, limit);
    let next = page.last().filter(|_| page.len() == limit);
    let worlds: Vec<_> = page.iter().map(|secret_id| document(secret_id)).collect();
    Ok(Reply::ok(&json!({"worlds": worlds, "next": next})))
}

/// Creates a world with the given account, or with a generated one, from the fixtures or empty. The reply
/// is the only one that has the key.
pub(super) fn create(call: &Call<'_>) -> Result<Reply, Rejection> {
    let empty = Map::new();
    let body = call.body.value.as_ref().map_or(Ok(&empty), object)?;
    let keys = ["secret_id", "secret_key", "from"];
    if let Some(unknown) = body.keys().find(|key| !keys.contains(&key.as_str())) {
        let message = format!("unknown key `{unknown}`; the keys are {}", keys.join(", "));
        return Err(Rejection::invalid_value(message));
    }
    let secret_id = match body.get("secret_id") {
        Some(value) => secret_id(value)?,
        None => format!("AKIDworld{}", Uuid::new_v4().simple()),
    };
    let secret_key = match body.get("secret_key") {
        Some(value) => secret_key(value)?,
        None => Uuid::new_v4().simple().to_string(),
    };
    let account = Account::new(secret_id.clone(), SecretString::from(secret_key.clone()));
    let fixtures = match body.get("from").map(Value::as_str) {
        None | Some(Some("fixtures")) => call.worlds.fixtures(),
        Some(Some("nothing")) => Fixtures::empty(),
        Some(_) => {
            return Err(Rejection::invalid_value(
                "`from` must be `fixtures` or `nothing`",
            ));
        }
    };
    call.worlds.create(account, &fixtures)?;
    let document = json!({"secret_id": secret_id, "secret_key": secret_key});
    Ok(Reply::stored(&document, true))
}

/// Returns a world.
pub(super) fn get(call: &Call<'_>) -> Result<Reply, Rejection> {
    let secret_id = call.id.unwrap_or_default();
    match call.worlds.isolated(secret_id) {
        Some(_) => Ok(Reply::ok(&document(secret_id))),
        None => Err(absent(secret_id)),
    }
}

/// Deletes a world. Requests that are in progress in it end as usual.
pub(super) fn delete(call: &Call<'_>) -> Result<Reply, Rejection> {
    let secret_id = call.id.unwrap_or_default();
    match call.worlds.delete(secret_id) {
        true => Ok(Reply::no_content()),
        false => Err(absent(secret_id)),
    }
}

/// Returns the rejection for a world that does not exist.
pub(super) fn absent(secret_id: &str) -> Rejection {
    Rejection::not_found(format!(
        "there is no isolated world `{secret_id}`; POST /v1/worlds creates one, and the paths of the main \
         world are below /v1"
    ))
}

impl From<CreateWorldError> for Rejection {
    fn from(error: CreateWorldError) -> Self {
        let message = error.to_string();
        match error {
            CreateWorldError::Taken(_) => Self::conflict(message),
            CreateWorldError::TooMany => Self::insufficient_storage(message),
        }
    }
}

fn document(secret_id: &str) -> Value {
    json!({"secret_id": secret_id})
}

fn secret_id(value: &Value) -> Result<String, Rejection> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let text = value.as_str().filter(|text| {
        (1..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(is_allowed)
            && !is_temporary(text)
    });
    text.map(str::to_owned).ok_or_else(|| {
        Rejection::invalid_value(format!(
            "`secret_id` must be a string of 1 to {MAX_LENGTH} letters, digits and -_ that does not \
             begin as those of temporary credentials, with `AKIDtemporary`"
        ))
    })
}

fn secret_key(value: &Value) -> Result<String, Rejection> {
    let text = value.as_str().filter(|text| {
        (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    });
    text.map(str::to_owned).ok_or_else(|| {
        Rejection::invalid_value(format!(
            "`secret_key` must be a string of 1 to {MAX_LENGTH} visible ASCII characters"
        ))
    })
}

/// Maximum length of a `SecretId` or key, in bytes.
const MAX_LENGTH: usize = 64;
