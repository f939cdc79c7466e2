//! Faults of a world in the control API: listed, added, put, deleted and cleared.

use http::HeaderValue;
use humantime::format_duration;
use serde_json::{Map, Value, json};

use super::{
    call::{Call, object},
    reply::{Rejection, Reply},
};
use crate::{
    faults::{Cut, Fault, FaultKind, Page, Probability},
    identifier,
    memory_budget::Reservation,
    script::{Script, Scripted},
};

/// Lists the remaining faults in order.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Rejection> {
    let state = call.world.state();
    let faults: Vec<_> = state.script.iter().map(document).collect();
    Ok(Reply::ok(&json!({"faults": faults})))
}

/// Appends a fault, and names it unless the body does.
pub(super) fn add(call: &Call<'_>) -> Result<Reply, Rejection> {
    let (fault_id, fault) = parse(call.body()?)?;
    let mut state = call.world.state();
    let script = &mut state.script;
    let fault_id = match fault_id {
        Some(taken) if script.get(&taken).is_some() => {
            return Err(Rejection::conflict(format!(
                "there is a fault `{taken}`; put it to replace it"
            )));
        }
        Some(fault_id) => fault_id,
        None => script.unused_id(),
    };
    store(call, script, &fault_id, fault)
}

/// Returns a fault.
pub(super) fn get(call: &Call<'_>) -> Result<Reply, Rejection> {
    let fault_id = call.item_id()?;
    let state = call.world.state();
    let fault = state.script.get(fault_id);
    Ok(Reply::ok(&document(fault.ok_or_else(|| absent(fault_id))?)))
}

/// Replaces a fault at its place, or appends it.
pub(super) fn put(call: &Call<'_>) -> Result<Reply, Rejection> {
    let fault_id = call.item_id()?;
    let (named, fault) = parse(call.body()?)?;
    if named.is_some_and(|named| named != fault_id) {
        let message = format!("`fault_id` must be the id of the path, `{fault_id}`");
        return Err(Rejection::invalid_value(message));
    }
    store(call, &mut call.world.state().script, fault_id, fault)
}

/// Deletes a fault.
pub(super) fn delete(call: &Call<'_>) -> Result<Reply, Rejection> {
    let fault_id = call.item_id()?;
    match call.world.state().script.remove(fault_id) {
        true => Ok(Reply::no_content()),
        false => Err(absent(fault_id)),
    }
}

/// Deletes all faults.
pub(super) fn clear(call: &Call<'_>) -> Result<Reply, Rejection> {
    call.world.state().script.clear();
    Ok(Reply::no_content())
}

fn store(
    call: &Call<'_>,
    script: &mut Script,
    fault_id: &str,
    fault: Fault,
) -> Result<Reply, Rejection> {
    if script.get(fault_id).is_none() && script.iter().len() >= MAX_FAULTS {
        let message = format!("a world has at most {MAX_FAULTS} faults");
        return Err(Rejection::insufficient_storage(message));
    }
    let reservation = reserve(call, fault_id, &fault)?;
    let is_new = script.put(fault_id, fault, reservation);
    let stored = script.get(fault_id).ok_or_else(|| absent(fault_id))?;
    Ok(Reply::stored(&document(stored), is_new))
}

fn reserve(call: &Call<'_>, fault_id: &str, fault: &Fault) -> Result<Reservation, Rejection> {
    let text = fault_document(fault_id, fault).to_string();
    Ok(call.worlds.budget().reserve(text.len() + FAULT_OVERHEAD)?)
}

fn absent(fault_id: &str) -> Rejection {
    Rejection::not_found(format!(
        "there is no fault `{fault_id}`, or it has applied as often as it should"
    ))
}

/// Parses a fault, with the keys of fixtures and `fault_id`.
fn parse(document: &Value) -> Result<(Option<String>, Fault), Rejection> {
    let mut document = object(document)?.clone();
    let fault_id = document.remove("fault_id");
    let fault_id = match fault_id {
        None => None,
        Some(Value::String(id)) if identifier::check(&id).is_ok() => Some(id),
        Some(_) => {
            return Err(Rejection::invalid_value(
                "`fault_id` must be a string of 1 to 64 letters, digits and -%@#&_",
            ));
        }
    };
    let fault = Fault::try_from(&Value::Object(document));
    let fault = fault.map_err(|error| Rejection::invalid_value(error.mistakes().join("; ")))?;
    Ok((fault_id, fault))
}

/// Returns a fault as JSON, with the keys of fixtures and its id. `times` is the remaining number.
fn document(scripted: &Scripted) -> Value {
    fault_document(&scripted.fault_id, &scripted.fault)
}

fn fault_document(fault_id: &str, fault: &Fault) -> Value {
    let mut document = Map::new();
    document.insert("fault_id".to_owned(), fault_id.into());
    let restrictions = [
        ("action", fault.action.map(|action| action.name())),
        ("id", fault.id.as_deref()),
        ("credential", fault.credential.as_deref()),
    ];
    for (key, value) in restrictions {
        document.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    if fault.probability != Probability::ALWAYS {
        let probability = fault.probability.get();
        document.insert("probability".to_owned(), probability.into());
    }
    document.insert("times".to_owned(), fault.times.into());
    let (key, value) = kind(&fault.kind);
    document.insert(key.to_owned(), value);
    document.into()
}

fn kind(kind: &FaultKind) -> (&'static str, Value) {
    match kind {
        FaultKind::ApiError {
            code,
            message,
            status,
        } => (
            "api_error",
            json!({"code": code, "message": message, "status": status.as_u16()}),
        ),
        FaultKind::Cut(cut) => (
            "cut",
            match cut {
                Cut::BeforeHeaders => "before_headers",
                Cut::InsideBody => "inside_body",
                Cut::InsideHeaders => "inside_headers",
            }
            .into(),
        ),
        FaultKind::Delay(time) => ("delay", format_duration(*time).to_string().into()),
        FaultKind::Garbage => ("garbage", true.into()),
        FaultKind::Hold => ("hold", true.into()),
        FaultKind::Oversize(bytes) => ("oversize", (*bytes).into()),
        FaultKind::Redirect(location) => ("redirect", text(location)),
        FaultKind::Response {
            body,
            status,
            content_type,
        } => (
            "response",
            json!({
                "body": body,
                "status": status.as_u16(),
                "content_type": text(content_type),
            }),
        ),
        FaultKind::Status {
            status,
            page,
            retry_after,
        } => {
            let page = match page {
                Page::Empty => "empty",
                Page::Html => "html",
            };
            let mut value = json!({"code": status.as_u16(), "body": page});
            if let Some(seconds) = retry_after {
                value["retry_after"] = (*seconds).into();
            }
            ("status", value)
        }
        FaultKind::Truncate => ("truncate", true.into()),
    }
}

fn text(header: &HeaderValue) -> Value {
    String::from_utf8_lossy(header.as_bytes()).into()
}

/// Maximum number of faults of a world that clients put.
const MAX_FAULTS: usize = 1_000;

/// Memory of a fault beside its texts, in bytes.
const FAULT_OVERHEAD: usize = 512;
