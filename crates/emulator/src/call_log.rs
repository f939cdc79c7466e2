//! Call log: one line at INFO for each request, written when its response is ready, or when the client
//! disconnects before.

use std::borrow::Cow;

use tokio::time::Instant;

use super::actions::Action;

/// The line of a request that is in progress. Dropping it writes the line, so that there is one however
/// the request ends.
#[derive(Debug)]
pub(super) struct CallLine {
    arrival: Instant,
    /// The requested action; `None` if it is not known.
    pub(super) action: Option<Action>,
    /// The result, in words or as the code of the error; `None` until it is determined.
    pub(super) result: Option<Cow<'static, str>>,
}

impl CallLine {
    /// Starts to measure the duration of a request.
    pub(super) fn start() -> Self {
        Self {
            arrival: Instant::now(),
            action: None,
            result: None,
        }
    }
}

impl Drop for CallLine {
    fn drop(&mut self) {
        tracing::info!(
            action = self.action.map_or("unknown", Action::name),
            result = self.result.as_deref().unwrap_or("disconnected"),
            duration_ms = (self.arrival.elapsed().as_secs_f64() * 1e6).round() / 1e3,
            "emulated call",
        );
    }
}
