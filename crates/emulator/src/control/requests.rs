//! Received requests of a world in the control API: listed, awaited and cleared.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    call::Call,
    reply::{Rejection, Reply},
    time::rfc3339,
};
use crate::received_request::ReceivedRequest;

/// Lists a page of the logged requests, oldest first.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Rejection> {
    Ok(Reply::ok(&page(call)?))
}

/// Forgets all requests. Their number starts at 0 again.
pub(super) fn clear(call: &Call<'_>) -> Result<Reply, Rejection> {
    call.world.request_log.clear();
    Ok(Reply::no_content())
}

/// Waits until a number of requests were received, or until a timeout, and returns a page.
///
/// Cancel safe: dropping the future ends the wait.
pub(super) async fn wait(call: &Call<'_>) -> Result<Reply, Rejection> {
    let count = call.query.number("count", 1..=MAX_COUNT)?;
    let count = count.ok_or_else(|| {
        Rejection::invalid_query("the query parameter `count` is required: the number to wait for")
    })?;
    let seconds = call.query.number("timeout_seconds", 0..=MAX_SECONDS)?;
    let seconds = Duration::from_secs(seconds.unwrap_or(DEFAULT_SECONDS) as u64);
    // The page is checked before the wait, so that a bad query does not wait.
    page(call)?;
    let received = call.world.request_log.wait_for_requests(count);
    let is_reached = timeout(seconds, received).await.is_ok();
    let mut page = page(call)?;
    page["is_reached"] = is_reached.into();
    Ok(Reply::ok(&page))
}

fn page(call: &Call<'_>) -> Result<Value, Rejection> {
    let limit = call.query.limit()?;
    let after = call.query.number("after", 0..=MAX_COUNT)?.unwrap_or(0);
    let (count, requests) = call.world.request_log.page(after as u64, limit);
    let next = requests.last().filter(|_| requests.len() == limit);
    let next = next.map(|request| request.number);
    let requests: Vec<_> = requests.iter().map(document).collect();
    Ok(json!({"count": count, "requests": requests, "next": next}))
}

fn document(request: &ReceivedRequest) -> Value {
    let signature_rejection = request.signature_rejection.as_ref().map(|rejection| {
        json!({
            "reason": rejection.reason,
            "canonical_request": rejection.canonical_request,
            "string_to_sign": rejection.string_to_sign,
        })
    });
    json!({
        "number": request.number,
        "time": rfc3339(request.received_at),
        "action": request.action,
        "version": request.version,
        "region": request.region,
        "language": request.language,
        "request_client": request.request_client,
        "secret_id": request.secret_id,
        "role": request.role,
        "has_token": request.has_token,
        "signed_service": request.signed_service,
        "timestamp": request.timestamp,
        "method": request.method,
        "path": request.path,
        "host": request.host,
        "content_type": request.content_type,
        "parameters": request.parameters,
        "result": request.result,
        "code": request.code,
        "fault_id": request.fault_id,
        "request_id": request.request_id,
        "signature_rejection": signature_rejection,
    })
}

/// Maximum number of requests to wait for.
const MAX_COUNT: usize = 1_000_000_000;

/// Maximum time to wait, in seconds.
const MAX_SECONDS: usize = 60;

/// Default time to wait, in seconds.
const DEFAULT_SECONDS: usize = 10;
