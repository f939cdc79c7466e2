//! Logging: formats events and writes them to standard error through a bounded queue, so that a slow
//! reader of standard error never blocks a call.

mod json_lines;
mod panics;
mod queue;
mod text_fields;

pub mod span_export;

use std::{
    fmt,
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{format::JsonFields, time::UtcTime},
    layer::SubscriberExt,
    reload,
    util::{SubscriberInitExt, TryInitError},
};

use self::{json_lines::json_lines, queue::LogQueue, text_fields::text_fields};
use crate::config::{ALWAYS_LOGGED, Format, LogLevels};

/// Maximum time that the end of the process waits for queued lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// An error of starting the log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The writer thread cannot be started.
    #[error("cannot start the log")]
    Writer(#[from] io::Error),

    /// The process already has a log.
    #[error("the log is already started")]
    Started(#[from] TryInitError),
}

/// A handle of the log: changes its levels, and writes and flushes lines.
#[derive(Clone)]
pub struct LogControl {
    queue: LogQueue,
    filter: reload::Handle<Targets, Registry>,
    level: Arc<Mutex<LogLevels>>,
}

impl LogControl {
    /// Starts the log of this process, at level INFO, and logs panics.
    ///
    /// # Errors
    ///
    /// Fails if the writer thread cannot be started, or if the process already has a log.
    pub fn start(format: Format) -> Result<Self, StartError> {
        let queue = LogQueue::start()?;
        let level = LogLevels::default();
        let (filter, handle) = reload::Layer::new(level.filter());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(queue.clone())
            .with_ansi(io::stderr().is_terminal());
        let lines = match format {
            Format::Json => lines
                .fmt_fields(JsonFields::new())
                .event_format(json_lines())
                .boxed(),
            Format::Text => lines
                .with_timer(UtcTime::rfc_3339())
                .with_target(false)
                .fmt_fields(text_fields())
                .boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init()?;
        panics::log();
        Ok(Self {
            queue,
            filter: handle,
            level: Arc::new(Mutex::new(level)),
        })
    }

    /// Writes preformatted text, which must end with a line feed.
    pub fn write(&self, text: &str) {
        self.queue.push(text.as_bytes());
    }

    /// Waits until every queued line is written, up to 1 s.
    pub fn flush(&self) {
        self.queue.flush(FLUSH_TIMEOUT);
    }

    /// Returns the number of lines that were dropped since the start.
    pub fn dropped_lines(&self) -> u64 {
        self.queue.dropped()
    }

    /// Sets the levels of the configuration.
    pub fn configure(&self, level: &LogLevels) {
        let mut current = self.level.lock();
        // It fails only if the subscriber is dropped, which lives as long as the process.
        if self.filter.reload(level.filter()).is_ok() {
            *current = level.clone();
        }
    }

    /// Returns the current levels.
    pub fn level(&self) -> LogLevels {
        self.level.lock().clone()
    }

    /// Changes the levels at the request of `peer`. Logs a line before and after the change, at any
    /// level.
    pub fn set_level(&self, level: &LogLevels, peer: SocketAddr) {
        let mut current = self.level.lock();
        let previous = current.clone();
        tracing::warn!(
            target: ALWAYS_LOGGED,
            { log.level = %level, log.previous_level = %previous, network.peer.address = %peer.ip(), network.peer.port = peer.port() },
            "changing log level",
        );
        // It fails only if the subscriber is dropped, which lives as long as the process.
        if self.filter.reload(level.filter()).is_ok() {
            *current = level.clone();
        }
        tracing::warn!(
            target: ALWAYS_LOGGED,
            { log.level = %current, log.previous_level = %previous, network.peer.address = %peer.ip(), network.peer.port = peer.port() },
            "log level changed",
        );
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl")
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}
