//! Writes the log, to standard error.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::time::UtcTime,
    layer::SubscriberExt,
    reload,
    util::{SubscriberInitExt, TryInitError},
};

use crate::config::{Format, Level, Log};

/// Changes which lines are written, while the process runs.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    level: Arc<Mutex<Level>>,
}

impl LogControl {
    /// Starts the log of this process.
    ///
    /// # Errors
    ///
    /// Fails if the process has one already.
    pub fn start(settings: &Log) -> Result<Self, TryInitError> {
        let (filter, handle) = reload::Layer::new(settings.level.filter());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_timer(UtcTime::rfc_3339())
            .with_ansi(io::stderr().is_terminal())
            .with_target(false);
        let lines = match settings.format {
            Format::Json => lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .boxed(),
            Format::Text => lines.boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init()?;
        Ok(Self {
            filter: handle,
            level: Arc::new(Mutex::new(settings.level.clone())),
        })
    }

    /// Returns which lines are written.
    pub fn level(&self) -> Level {
        self.level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes which lines are written, from now on.
    pub fn set_level(&self, level: &Level) {
        let mut current = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails only if the log itself is gone, which lives as long as the process.
        if self.filter.reload(level.filter()).is_ok() {
            *current = level.clone();
        }
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl")
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}
