//! Panic hook: logs panics.

use std::{any::Any, backtrace::Backtrace, panic};

use crate::config::ALWAYS_LOGGED;

/// Installs a panic hook that logs each panic at any log level, instead of the output of the standard
/// library.
pub(super) fn log() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        tracing::error!(
            target: ALWAYS_LOGGED,
            {
                error.message = message(panic.payload()),
                location = panic.location().map(tracing::field::display),
                // Captured only if RUST_BACKTRACE is set.
                backtrace = matches!(
                    backtrace.status(),
                    std::backtrace::BacktraceStatus::Captured
                )
                .then(|| tracing::field::display(&backtrace)),
            },
            "panicked",
        );
    }));
}

/// Returns the message of a panic.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
