//! Status page: the state of the service for an operator who looks at it, as `/status.json`. It reads the
//! counters of the metrics, and knows nothing that the metrics do not count, except the last errors.

mod history;
mod periods;
mod report;
mod sources;

use axum::{
    extract::State,
    http::{
        HeaderName, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};

pub(super) use self::{history::Counters, sources::Sources};

/// Headers of all responses: they are about this moment, and are what they say.
const HEADERS: [(HeaderName, &str); 2] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Returns the report as JSON.
pub(super) async fn json(State(sources): State<Sources>) -> Response {
    let json = sources
        .report()
        .ok()
        .and_then(|report| serde_json::to_vec_pretty(&report).ok());
    match json {
        Some(json) => (HEADERS, [(CONTENT_TYPE, "application/json")], json).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
