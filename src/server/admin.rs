//! What operators and their probes ask over plain HTTP.

use std::net::SocketAddr;

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

use super::readiness::{Readiness, Stage};
use crate::{config::Level, telemetry::LogControl};

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    log_control: Option<LogControl>,
}

/// Returns the pages of the admin port.
///
/// Each request must carry the peer's [`SocketAddr`] as an extension.
pub(super) fn router(readiness: Readiness, log_control: Option<LogControl>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/log-level", get(log_level).put(set_log_level))
        .with_state(Admin {
            readiness,
            log_control,
        })
}

async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let (status, summary) = match admin.readiness.stage() {
        Stage::Serving => (StatusCode::OK, "ok"),
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Stage::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    if query.is_some_and(|query| query.split('&').any(|word| word == "verbose")) {
        let is_running = |is_so| if is_so { "[+]" } else { "[-]" };
        let stage = admin.readiness.stage();
        let started = is_running(stage != Stage::Starting);
        let staying = is_running(stage != Stage::Stopping);
        return (
            status,
            format!("{started} started\n{staying} not stopping\n{summary}\n"),
        )
            .into_response();
    }
    (status, format!("{summary}\n")).into_response()
}

async fn log_level(State(admin): State<Admin>, Extension(peer): Extension<SocketAddr>) -> Response {
    with_control(&admin, peer, |control| {
        format!("{}\n", control.level()).into_response()
    })
}

async fn set_log_level(
    State(admin): State<Admin>,
    Extension(peer): Extension<SocketAddr>,
    directives: String,
) -> Response {
    with_control(&admin, peer, |control| {
        match Level::parse(directives.trim()) {
            Ok(level) => {
                control.set_level(&level);
                tracing::info!(%level, "the log level is changed");
                format!("{level}\n").into_response()
            }
            Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
        }
    })
}

/// Lets whoever asks from this machine at the control of the log, and nobody else.
fn with_control(
    admin: &Admin,
    peer: SocketAddr,
    answer: impl FnOnce(&LogControl) -> Response,
) -> Response {
    match &admin.log_control {
        Some(control) if peer.ip().to_canonical().is_loopback() => answer(control),
        Some(_) => {
            let refusal = "the log level may be read and changed from loopback only\n";
            (StatusCode::FORBIDDEN, refusal).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
