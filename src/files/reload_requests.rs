//! Reload requests of the operator: SIGHUP.

use std::{future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A stream of reload requests. Each instance receives every request made since its creation; requests
/// that follow each other quickly may be merged.
#[derive(Debug)]
pub struct ReloadRequests(Option<Signal>);

impl ReloadRequests {
    /// Starts to listen for SIGHUP, which no longer terminates the process.
    ///
    /// # Errors
    ///
    /// Fails if the signal handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(Some(signal(SignalKind::hangup())?)))
    }

    /// Returns a stream without any request.
    pub fn none() -> Self {
        Self(None)
    }

    /// Waits for the next request. Cancel safe.
    pub async fn next(&mut self) {
        let received = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if received.is_none() {
            pending().await
        }
    }
}
