//! The program in the control API: its health, version and description.

use serde_json::json;

use super::{
    call::Call,
    reply::{Rejection, Reply},
};

/// Reports that the process runs.
pub(super) fn health(_: &Call<'_>) -> Result<Reply, Rejection> {
    Ok(Reply::ok(&json!({"status": "ok"})))
}

/// Reports that the emulated API accepts requests: its listener is bound before that of the control API,
/// and closed with it.
pub(super) fn ready(_: &Call<'_>) -> Result<Reply, Rejection> {
    Ok(Reply::ok(&json!({"status": "ready"})))
}

/// Returns the name and the version of the emulator.
pub(super) fn version(_: &Call<'_>) -> Result<Reply, Rejection> {
    let name = env!("CARGO_PKG_NAME");
    let version = env!("CARGO_PKG_VERSION");
    Ok(Reply::ok(&json!({"name": name, "version": version})))
}

/// Returns the OpenAPI document.
pub(super) fn openapi(_: &Call<'_>) -> Result<Reply, Rejection> {
    Ok(Reply::text(OPENAPI))
}

/// The OpenAPI document. Tests of `routes` hold it to the routes.
pub(super) const OPENAPI: &str = include_str!("openapi.json");
