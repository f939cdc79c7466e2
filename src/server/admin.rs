//! What operators and their probes ask over plain HTTP.

use std::net::SocketAddr;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, RawQuery, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use super::readiness::Readiness;
use crate::{config::Level, telemetry::LogControl};

/// The longest directives that are read for the log.
const MAX_DIRECTIVES_BYTES: usize = 1 << 10;

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    log_control: Option<LogControl>,
}

/// Returns the pages of the admin port.
///
/// Each request must carry the peer's [`SocketAddr`] as an extension.
pub(super) fn router(readiness: Readiness, log_control: Option<LogControl>) -> Router {
    let log_level = get(log_level)
        .put(set_log_level)
        .layer(DefaultBodyLimit::max(MAX_DIRECTIVES_BYTES))
        .layer(middleware::from_fn(from_loopback));
    Router::new()
        .route(
            "/livez",
            get(async || {
                "live
"
            }),
        )
        .route("/readyz", get(readyz))
        .route("/log-level", log_level)
        .with_state(Admin {
            readiness,
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
        Some(query) if is_verbose(&query) => (status, conditions + summary).into_response(),
        _ => (status, summary).into_response(),
    }
}

fn is_verbose(query: &str) -> bool {
    query
        .split('&')
        .any(|word| word == "verbose" || word.starts_with("verbose="))
}

async fn log_level(State(admin): State<Admin>) -> Response {
    match &admin.log_control {
        Some(control) => format!("{}\n", control.level()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn set_log_level(State(admin): State<Admin>, directives: String) -> Response {
    let Some(control) = &admin.log_control else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match Level::parse(directives.trim()) {
        Ok(level) => {
            control.set_level(&level);
            tracing::info!(%level, "the log level is changed");
            format!("{level}\n").into_response()
        }
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    }
}

/// Lets pass whoever asks from this machine, and nobody else.
async fn from_loopback(
    Extension(peer): Extension<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if is_loopback(peer) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this page is for loopback only\n").into_response()
    }
}

/// Tells whether a peer is on this machine, also where a socket for IPv6 takes IPv4.
fn is_loopback(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for address in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(address.parse().unwrap()), "{address}");
        }
        for address in [
            "10.0.0.1:1",
            "[::ffff:10.0.0.1]:1",
            "[fe80::1]:1",
            "0.0.0.0:1",
        ] {
            assert!(!is_loopback(address.parse().unwrap()), "{address}");
        }
    }
}
