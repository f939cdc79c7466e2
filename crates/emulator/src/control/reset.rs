//! Reset of a world in the control API.

use serde_json::{Value, json};

use super::{
    call::Call,
    reply::{Rejection, Reply},
};
use crate::fixtures::Fixtures;

/// Resets groups, persons, faults, rate limit, clock and request log: to the fixtures, which is the
/// default, or to nothing with `{"to": "nothing"}`.
pub(super) fn reset(call: &Call<'_>) -> Result<Reply, Rejection> {
    match target(call.body.value.as_ref())? {
        Target::Fixtures => call.world.reset(&call.worlds.fixtures()),
        Target::Nothing => call.world.reset(&Fixtures::empty()),
    }
    Ok(Reply::no_content())
}

enum Target {
    Fixtures,
    Nothing,
}

fn target(body: Option<&Value>) -> Result<Target, Rejection> {
    let Some(body) = body else {
        return Ok(Target::Fixtures);
    };
    if *body == json!({}) || *body == json!({"to": "fixtures"}) {
        Ok(Target::Fixtures)
    } else if *body == json!({"to": "nothing"}) {
        Ok(Target::Nothing)
    } else {
        Err(Rejection::invalid_value(
            "the body must be `{\"to\": \"fixtures\"}` or `{\"to\": \"nothing\"}`",
        ))
    }
}
