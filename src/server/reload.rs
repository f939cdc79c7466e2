//! Reload of certificates and tokens while the server runs: periodically, and on SIGHUP.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::reload_metrics::{CERTIFICATES, ReloadMetrics, TOKENS};
use crate::{
    auth::{AuthFiles, BearerTokens},
    clock::Clock,
    files::{
        file_watcher::{FileWatcher, Reload},
        reload_requests::ReloadRequests,
    },
    tls::{certificate, server::ServerTls},
};

/// The interval at which the files are read.
const INTERVAL: Duration = Duration::from_secs(5);

/// The files that are reloaded while the server runs. Open connections are not affected.
#[derive(Debug)]
pub(super) struct Reloading {
    certificates: Option<Reloaded<ServerTls>>,
    tokens: Option<Reloaded<BearerTokens>>,
    clock: Clock,
    metrics: ReloadMetrics,
    /// Prevents SIGHUP from terminating the process even if no file is reloaded.
    _requests: ReloadRequests,
}

/// Files that are reloaded together.
#[derive(Debug)]
struct Reloaded<T> {
    files: Arc<FileWatcher<T>>,
    requests: ReloadRequests,
}

impl Reloading {
    /// Starts to listen for SIGHUP. The validity of certificates is checked with `clock`, and reloads are
    /// counted in `metrics`.
    ///
    /// # Errors
    ///
    /// Returns an error if the signal handler cannot be installed.
    pub(super) fn new(files: &AuthFiles, clock: Clock, metrics: ReloadMetrics) -> io::Result<Self> {
        Ok(Self {
            certificates: files.tls.as_ref().map(Reloaded::new).transpose()?,
            tokens: files.tokens.as_ref().map(Reloaded::new).transpose()?,
            clock,
            metrics,
            _requests: ReloadRequests::listen()?,
        })
    }

    /// Reloads the files every 5 s, and on SIGHUP at once, for as long as it is polled. A slow file
    /// does not delay the others.
    ///
    /// An invalid server certificate does not replace a valid one. A warning is logged when the
    /// certificate in use is or becomes invalid.
    pub(super) async fn run(self) {
        let clock = self.clock;
        let in_use = self.certificates.as_ref().map(|it| Arc::clone(&it.files));
        let mut validity = in_use.map(|files| Validity {
            files,
            clock: clock.clone(),
            reported: None,
        });
        if let Some(validity) = &mut validity {
            validity.report();
        }
        tokio::join!(
            run(
                (CERTIFICATES, &self.metrics),
                self.certificates,
                move |current, new| keep_valid(current, new, &clock),
                || validity.iter_mut().for_each(Validity::report),
            ),
            run((TOKENS, &self.metrics), self.tokens, |_, _| Ok(()), || {}),
        );
    }
}

impl<T> Reloaded<T> {
    fn new(files: &Arc<FileWatcher<T>>) -> io::Result<Self> {
        Ok(Self {
            files: Arc::clone(files),
            requests: ReloadRequests::listen()?,
        })
    }
}

/// The validity of the server certificate in use.
struct Validity {
    files: Arc<FileWatcher<ServerTls>>,
    clock: Clock,
    /// The reason that was logged last, so that each is logged once.
    reported: Option<String>,
}

impl Validity {
    /// Logs the reason why the certificate is not valid, unless it was logged before.
    fn report(&mut self) {
        let current = self.files.current();
        let reason = certificate::invalidity(&current.certificate, self.clock.now());
        if self.reported == reason {
            return;
        }
        if let Some(reason) = &reason {
            tracing::warn!(
                error.message = reason,
                "server certificate in use is not valid, clients will reject it"
            );
        }
        self.reported = reason;
    }
}

/// Returns an error if an invalid certificate would replace a valid one.
fn keep_valid(current: &ServerTls, new: &ServerTls, clock: &Clock) -> Result<(), String> {
    let now = clock.now();
    if certificate::invalidity(&current.certificate, now).is_some() {
        return Ok(());
    }
    certificate::invalidity(&new.certificate, now).map_or(Ok(()), Err)
}

async fn run<T: Send + Sync + 'static>(
    reported: (&'static str, &ReloadMetrics),
    reloaded: Option<Reloaded<T>>,
    check: impl Fn(&T, &T) -> Result<(), String> + Clone + Send + 'static,
    mut after: impl FnMut(),
) {
    let Some(Reloaded {
        files,
        mut requests,
    }) = reloaded
    else {
        return;
    };
    reported.1.in_use(reported.0);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = requests.next() => {}
        }
        reload(reported, Arc::clone(&files), check.clone()).await;
        after();
    }
}

/// Reloads files on a blocking thread, so that a slow disk delays no call; logs and counts the result.
async fn reload<T: Send + Sync + 'static>(
    (what, metrics): (&'static str, &ReloadMetrics),
    files: Arc<FileWatcher<T>>,
    check: impl Fn(&T, &T) -> Result<(), String> + Send + 'static,
) {
    match tokio::task::spawn_blocking(move || files.reload(check)).await {
        Ok(Reload::Unchanged) => {}
        Ok(Reload::Recovered) => tracing::info!(what, "reload succeeded again, nothing changed"),
        Ok(Reload::Replaced) => {
            metrics.replaced(what);
            tracing::info!(what, "files reloaded");
        }
        Ok(Reload::Failed(reason)) => {
            metrics.failed(what);
            tracing::warn!(
                what,
                error.message = reason,
                "reload failed, keeping previous version"
            );
        }
        Err(error) => tracing::error!(what, error.message = %error, "reload task failed"),
    }
}
