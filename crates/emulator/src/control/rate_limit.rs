//! Rate limit of a world in the control API.

use serde_json::json;

use super::{
    call::Call,
    reply::{Rejection, Reply},
};

/// Returns the limit, or `null` for none.
pub(super) fn get(call: &Call<'_>) -> Result<Reply, Rejection> {
    let limit = call.world.state().rate_limit.requests_per_second();
    Ok(Reply::ok(&json!({"requests_per_second": limit})))
}

/// Sets the limit. Zero rejects every request.
pub(super) fn put(call: &Call<'_>) -> Result<Reply, Rejection> {
    let limit = call.only_key("requests_per_second")?;
    let limit = limit.as_u64().and_then(|limit| u32::try_from(limit).ok());
    let limit = limit.ok_or_else(|| {
        Rejection::invalid_value(format!(
            "`requests_per_second` must be an integer from 0 to {}",
            u32::MAX
        ))
    })?;
    call.world.state().rate_limit.replace(Some(limit));
    get(call)
}

/// Removes the limit.
pub(super) fn delete(call: &Call<'_>) -> Result<Reply, Rejection> {
    call.world.state().rate_limit.replace(None);
    Ok(Reply::no_content())
}
