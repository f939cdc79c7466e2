//! Connection pool of the transport: the HTTP client for the endpoint, whose connections do not outlive
//! a suspend of the machine. It does not know what is sent.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection_counter::ConnectionCounter;
use crate::{
    clock::{BootTime, Clock},
    config,
    http_client::{self, BuildError},
};

/// The shortest suspend after which connections are not used again. It is longer than the time between
/// the readings of the two clocks.
const MIN_SUSPEND: Duration = Duration::from_secs(1);

/// A pool of connections to the endpoint, which are dropped after the machine was suspended.
///
/// The HTTP client measures idle times by the monotonic clock, which stands still during a suspend. It
/// would keep connections that upstream has closed meanwhile, and each of them would fail an attempt.
pub(super) struct ConnectionPool {
    settings: config::Upstream,
    clock: Clock,
    counter: ConnectionCounter,
    current: Mutex<Current>,
}

/// The client with its connections, and both clocks when it was last used.
struct Current {
    client: reqwest::Client,
    used_at: (Instant, BootTime),
}

impl ConnectionPool {
    /// Creates a pool that detects suspends by the time since boot of `clock`.
    ///
    /// # Errors
    ///
    /// Fails if the TLS configuration or the HTTP client cannot be built.
    pub(super) fn new(settings: config::Upstream, clock: Clock) -> Result<Self, BuildError> {
        let counter = ConnectionCounter::default();
        let current = Current {
            client: build(&settings, &counter)?,
            used_at: (Instant::now(), clock.boot_time()),
        };
        Ok(Self {
            settings,
            clock,
            counter,
            current: Mutex::new(current),
        })
    }

    /// Returns the counter of its connections.
    pub(super) fn counter(&self) -> &ConnectionCounter {
        &self.counter
    }

    /// Returns the client, without the connections that it had before a suspend.
    pub(super) fn client(&self) -> reqwest::Client {
        let (now, boot_time) = (Instant::now(), self.clock.boot_time());
        let mut current = self.current.lock();
        let (then, boot_time_then) = current.used_at;
        let awake = now.saturating_duration_since(then);
        let passed = boot_time.saturating_duration_since(boot_time_then);
        current.used_at = (now, boot_time);
        // A client that cannot be built leaves the connections, which may still be open.
        if passed.saturating_sub(awake) >= MIN_SUSPEND
            && let Ok(client) = build(&self.settings, &self.counter)
        {
            current.client = client;
        }
        current.client.clone()
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool").finish_non_exhaustive()
    }
}

fn build(
    settings: &config::Upstream,
    counter: &ConnectionCounter,
) -> Result<reqwest::Client, BuildError> {
    let client = http_client::builder(&settings.endpoint, settings)?
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(settings.idle_timeout)
        .connector_layer(counter.clone())
        // Only the retry loop may retry, since each attempt is counted and uses quota. With
        // `never` alone, the client would still clone each request for a retry.
        .retry(reqwest::retry::never().max_retries_per_request(0));
    client.build().map_err(BuildError::Http)
}
