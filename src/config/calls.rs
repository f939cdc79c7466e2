//! The bounds of calls.

use std::time::Duration;

use clap::Args;

use super::{Problems, parsed};

/// The settings of calls, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Calls")]
pub(super) struct CallsArgs {
    /// How long a call may take whose caller allows more, from 10ms to 10m
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CALL_TIME",
        value_name = "DURATION",
        default_value = "10s"
    )]
    max_call_time: String,

    /// How many calls may be in progress, over all connections, from 1 to 1000000: the next is refused
    /// at once
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CONCURRENT_CALLS",
        value_name = "N",
        default_value = "1024"
    )]
    max_concurrent_calls: String,
}

/// The bounds of calls.
#[derive(Clone, Debug)]
pub struct Calls {
    /// How long a call may take whose caller allows more.
    pub max_call_time: Duration,
    /// How many calls may be in progress, over all connections.
    pub max_concurrent: usize,
}

impl CallsArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Calls> {
        let bounds = Duration::from_millis(10)..=Duration::from_secs(600);
        let max_call_time = parsed::duration(&self.max_call_time, bounds);
        let max_call_time = problems.take("max-call-time", max_call_time);

        let max_concurrent = parsed::number(&self.max_concurrent_calls, 1..=1_000_000);
        let max_concurrent = problems.take("max-concurrent-calls", max_concurrent);

        Some(Calls {
            max_call_time: max_call_time?,
            max_concurrent: max_concurrent?,
        })
    }
}
