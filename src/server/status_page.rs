//! Status page: the state of the service for an operator who looks at it, as a page at `/` and as data at
//! `/status.json`. It reads the counters of the metrics, and knows nothing that the metrics do not count, except
//! the last errors.

mod callers;
mod chart;
mod charts;
mod findings;
mod format;
mod history;
mod page;
mod periods;
mod report;
mod sections;
mod sources;

use std::sync::LazyLock;

use axum::{
    extract::State,
    http::{
        HeaderName, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

pub(super) use self::{history::Counters, sources::Sources};

/// Headers of both responses: they are about this moment, are what they say, and are for no other site.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The policy of the page: only its own style sheet and script, which refreshes it, and nothing from elsewhere.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [style, script] = [page::STYLE, page::SCRIPT].map(|text| {
        let hash = STANDARD.encode(Sha256::digest(text));
        format!("'sha256-{hash}'")
    });
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Returns the page.
pub(super) async fn html(State(sources): State<Sources>) -> Response {
    match sources.report() {
        Ok(report) => {
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_SECURITY_POLICY, POLICY.as_str()),
            ];
            let html = page::page(&report).into_string();
            (HEADERS, headers, html).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

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
