//! Reads anew, while the service runs, the files by which callers are judged.

use std::{io, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use crate::{
    config,
    tokens::Tokens,
    watched_files::{Reload, WatchedFiles},
};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(5);

/// What may change while the service runs. Connections that are open stay as they are.
#[derive(Debug)]
pub(super) struct Reloading {
    certificates: Option<Arc<WatchedFiles<ServerConfig>>>,
    tokens: Option<Arc<WatchedFiles<Tokens>>>,
    /// SIGHUP, which would end the process if nobody listened.
    hangups: Signal,
}

impl Reloading {
    /// Listens for SIGHUP from now on.
    ///
    /// # Errors
    ///
    /// Fails if the system does not allow it.
    pub(super) fn new(settings: &config::Callers) -> io::Result<Self> {
        Ok(Self {
            certificates: settings.tls.as_ref().map(|tls| Arc::clone(&tls.config)),
            tokens: settings.tokens.clone(),
            hangups: signal(SignalKind::hangup())?,
        })
    }

    /// Reads the files every few seconds, and on SIGHUP at once, for as long as it is polled.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = self.hangups.recv() => {}
            }
            reload("certificates", self.certificates.as_ref()).await;
            reload("tokens", self.tokens.as_ref()).await;
        }
    }
}

/// Reads files anew where a slow disk keeps no call waiting, and tells what became of it.
async fn reload<T: Send + Sync + 'static>(what: &str, files: Option<&Arc<WatchedFiles<T>>>) {
    let Some(files) = files.map(Arc::clone) else {
        return;
    };
    match tokio::task::spawn_blocking(move || files.reload()).await {
        Ok(Reload::Unchanged) => {}
        Ok(Reload::Replaced) => tracing::info!(what, "replaced by what is in the files now"),
        Ok(Reload::Kept(reason)) => {
            tracing::warn!(what, reason, "what is in the files now cannot be used");
        }
        Err(error) => tracing::error!(what, %error, "the files could not be read anew"),
    }
}
