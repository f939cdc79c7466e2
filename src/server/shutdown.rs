//! When to stop, and how soon.

use std::{fmt, io};

use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::{Stream, StreamExt, wrappers::SignalStream};

/// A wish of the operator that the program stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGINT, from somebody at a terminal: nobody has to learn of it first.
    Interrupt,
    /// SIGTERM, from what runs the service among others: callers are still sent here for a while.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Listens for signals from now on, and returns them as they arrive.
///
/// # Errors
///
/// Fails if the system does not allow it.
pub fn signals() -> io::Result<impl Stream<Item = Signal> + Unpin> {
    let terminate = SignalStream::new(signal(SignalKind::terminate())?);
    let interrupt = SignalStream::new(signal(SignalKind::interrupt())?);
    let terminate = terminate.map(|()| Signal::Terminate);
    Ok(terminate.merge(interrupt.map(|()| Signal::Interrupt)))
}
