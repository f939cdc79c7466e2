//! Shutdown signals: SIGTERM and SIGINT as a stream, and signals that must not stop the process.

use std::{fmt, io};

use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::{Stream, StreamExt, wrappers::SignalStream};

/// A signal that asks the program to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGINT, usually from a terminal: the server stops without the unready delay.
    Interrupt,
    /// SIGTERM, from an orchestrator: load balancers still send calls for a while.
    Terminate,
}

impl Signal {
    /// Returns the number of the signal.
    pub fn number(self) -> u8 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Starts to listen for the signals, and returns a stream of them.
///
/// From then on, SIGXFSZ no longer terminates the process: a log file that reaches the maximum size of
/// files (`ulimit -f`) rejects lines, as a full disk does.
///
/// # Errors
///
/// Returns an error if a signal handler cannot be installed.
pub fn signals() -> io::Result<impl Stream<Item = Signal> + Unpin> {
    let terminate = SignalStream::new(signal(SignalKind::terminate())?);
    ignore(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let interrupt = SignalStream::new(signal(SignalKind::interrupt())?);
    let terminate = terminate.map(|()| Signal::Terminate);
    Ok(terminate.merge(interrupt.map(|()| Signal::Interrupt)))
}

/// Keeps SIGHUP from terminating the process before the server, which reloads files on it, runs.
///
/// # Errors
///
/// Returns an error if the signal handler cannot be installed.
pub fn ignore_hangup() -> io::Result<()> {
    ignore(SignalKind::hangup())
}

/// Installs Tokio's signal handler, which stays until the process ends.
fn ignore(kind: SignalKind) -> io::Result<()> {
    signal(kind).map(drop)
}
