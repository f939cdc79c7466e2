//! Settings of connection limits: number, age, and graceful shutdown.

use std::time::Duration;

use clap::Args;

use super::{Invalid, Problems, parsed};

/// The limits of connections, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connections")]
pub(super) struct ConnectionsArgs {
    /// Maximum number of open gRPC connections, from 1 to 1000000; a further connection closes the one
    /// that has been idle longest. Lowered to what the file descriptor limit allows
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "16384"
    )]
    max_connections: String,

    /// Maximum age of a connection before it is closed gracefully (GOAWAY), with 10% jitter, from
    /// 0s to 1d; 0s for no limit
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CONNECTION_AGE",
        value_name = "DURATION",
        default_value = "5m"
    )]
    max_connection_age: String,

    /// Time after SIGTERM during which the service is not ready but still accepts calls, so that load
    /// balancers can remove it, from 0s to 1h
    #[arg(
        long,
        env = "IAI_FACADE_UNREADY_DELAY",
        value_name = "DURATION",
        default_value = "5s"
    )]
    unready_delay: String,

    /// Maximum time to finish calls in progress after --unready-delay, from 0s to 1h; unfinished calls
    /// are cancelled
    #[arg(
        long,
        env = "IAI_FACADE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s"
    )]
    drain_timeout: String,
}

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The maximum age, with 10% jitter; zero for no limit.
    pub max_age: Duration,
    /// The time between SIGTERM and the drain, during which calls are still accepted.
    pub unready_delay: Duration,
    /// The maximum time of the drain, for calls in progress to finish.
    pub drain_timeout: Duration,
}

impl ConnectionsArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Connections, Invalid> {
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

        Ok(Connections {
            max_connections: max_connections?,
            max_age: max_age?,
            unready_delay: unready_delay?,
            drain_timeout: drain_timeout?,
        })
    }
}

impl Connections {
    /// Returns the maximum time of a graceful shutdown. The orchestrator's grace period must be longer.
    pub fn max_shutdown_time(&self) -> Duration {
        self.unready_delay + self.drain_timeout
    }
}
