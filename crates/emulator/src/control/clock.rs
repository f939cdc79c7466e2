//! Clock of a world in the control API.

use serde_json::json;

use super::{
    call::Call,
    reply::{Rejection, Reply},
    time::rfc3339,
};
use crate::fixtures;

/// Returns the offset from the system clock, in seconds, and the time.
pub(super) fn get(call: &Call<'_>) -> Result<Reply, Rejection> {
    let clock = &call.world.clock;
    let time = rfc3339(clock.now_milliseconds());
    Ok(Reply::ok(
        &json!({"offset_seconds": clock.offset(), "time": time}),
    ))
}

/// Sets the offset: a duration with units, such as `1h`, or `-90s` for a clock that is behind.
pub(super) fn put(call: &Call<'_>) -> Result<Reply, Rejection> {
    let offset = fixtures::signed_seconds(call.only_key("offset")?);
    let offset = offset.map_err(|error| {
        let mistakes = error.mistakes().join("; ");
        Rejection::invalid_value(mistakes.replace("`the value`", "`offset`"))
    })?;
    call.world.clock.set_offset(offset);
    get(call)
}

/// Returns to the system clock.
pub(super) fn delete(call: &Call<'_>) -> Result<Reply, Rejection> {
    call.world.clock.set_offset(0);
    Ok(Reply::no_content())
}
