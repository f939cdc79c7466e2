//! The bounds of connections.

use std::time::Duration;

use clap::Args;

use super::{Problems, parsed};

/// The settings of connections, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connections")]
pub(super) struct ConnectionsArgs {
    /// How many connections may be open for gRPC, from 1 to 1000000: the next is closed at once. Fewer
    /// where the machine allows fewer descriptors
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "16384"
    )]
    max_connections: String,

    /// How long a connection lasts before its client is told to open another, give or take a tenth,
    /// up to 1day; 0s for ever
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CONNECTION_AGE",
        value_name = "DURATION",
        default_value = "5m"
    )]
    max_connection_age: String,

    /// How long the service goes on as usual after SIGTERM, while those who send it calls learn of
    /// its end, from 0s to 1h
    #[arg(
        long,
        env = "IAI_FACADE_UNREADY_DELAY",
        value_name = "DURATION",
        default_value = "5s"
    )]
    unready_delay: String,

    /// How long calls in progress may take to finish after that before they are cut, from 0s to 1h
    #[arg(
        long,
        env = "IAI_FACADE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s"
    )]
    drain_timeout: String,
}

/// The bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// How many may be open.
    pub max_connections: usize,
    /// How long they last, give or take a tenth; zero for ever.
    pub max_age: Duration,
    /// How long they are served as usual though the service is about to stop.
    pub unready_delay: Duration,
    /// How long calls in progress may take to finish after that.
    pub drain_timeout: Duration,
}

impl ConnectionsArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Connections> {
        let max_connections = parsed::number(&self.max_connections, 1..=1_000_000);
        let max_connections = problems.take("max-connections", max_connections);

        let bounds = Duration::ZERO..=Duration::from_secs(86_400);
        let max_age = parsed::duration(&self.max_connection_age, bounds);
        let max_age = problems.take("max-connection-age", max_age);

        let bounds = Duration::ZERO..=Duration::from_secs(3_600);
        let unready_delay = parsed::duration(&self.unready_delay, bounds.clone());
        let unready_delay = problems.take("unready-delay", unready_delay);

        let drain_timeout = parsed::duration(&self.drain_timeout, bounds);
        let drain_timeout = problems.take("drain-timeout", drain_timeout);

        Some(Connections {
            max_connections: max_connections?,
            max_age: max_age?,
            unready_delay: unready_delay?,
            drain_timeout: drain_timeout?,
        })
    }
}

impl Connections {
    /// Returns how long stopping may take, which whoever stops the service must allow.
    pub fn max_shutdown_time(&self) -> Duration {
        self.unready_delay + self.drain_timeout
    }
}
