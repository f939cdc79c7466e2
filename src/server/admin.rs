//! Admin port: liveness, readiness, metrics and log level over plain HTTP, for operators and orchestrators.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{
    expiry::Expiry,
    loopback::require_loopback,
    readiness::Readiness,
    status_page::{self, Sources},
};
use crate::{
    config::LogLevels,
    metrics::{Registry, scrape},
    telemetry::LogControl,
};

/// The maximum size of a request body that sets log levels, in bytes.
const MAX_DIRECTIVES_BYTES: usize = 1 << 10;

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    expiry: Expiry,
    registry: Arc<Registry>,
    log_control: Option<LogControl>,
}

/// Returns the router of the admin port.
///
/// Each request must have the peer's [`SocketAddr`] as an extension.
pub(super) fn router(
    readiness: Readiness,
    expiry: Expiry,
    registry: Arc<Registry>,
    log_control: Option<LogControl>,
    status: Sources,
) -> Router {
    let log_level = get(log_level)
        .put(set_log_level)
        .layer(DefaultBodyLimit::max(MAX_DIRECTIVES_BYTES))
        .layer(middleware::from_fn(require_loopback));
    let status_page = get(status_page::html)
        .layer(middleware::from_fn(require_loopback))
        .with_state(status.clone());
    let status_json = get(status_page::json)
        .layer(middleware::from_fn(require_loopback))
        .with_state(status);
    Router::new()
        .route(
            "/livez",
            get(async || {
                "live
"
            }),
        )
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log-level", log_level)
        .route("/", status_page)
        .route("/status.json", status_json)
        .with_state(Admin {
            readiness,
            expiry,
            registry,
            log_control,
        })
}

async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let (is_ready, conditions) = admin.readiness.report();
    let (status, summary) = match is_ready {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    match query {
        Some(query) if is_verbose(&query) => {
            let lines: String = conditions.iter().map(|it| format!("{it}\n")).collect();
            (status, lines + &admin.expiry.report() + summary).into_response()
        }
        _ => (status, summary).into_response(),
    }
}

fn is_verbose(query: &str) -> bool {
    query
        .split('&')
        .any(|word| word == "verbose" || word.starts_with("verbose="))
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    match scrape(&admin.registry, accept) {
        Ok(scrape) => ([(CONTENT_TYPE, scrape.content_type)], scrape.text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn log_level(State(admin): State<Admin>) -> Response {
    match &admin.log_control {
        Some(control) => format!("{}\n", control.level()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn set_log_level(
    State(admin): State<Admin>,
    Extension(peer): Extension<SocketAddr>,
    directives: String,
) -> Response {
    let Some(control) = &admin.log_control else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match LogLevels::parse(&directives) {
        Ok(level) => {
            control.set_level(&level, peer);
            format!("{level}\n").into_response()
        }
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    }
}
