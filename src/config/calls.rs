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

    /// How long calls in progress may take to finish after SIGTERM before they are cut, from 0s to 1h
    #[arg(
        long,
        env = "IAI_FACADE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s"
    )]
    drain_timeout: String,
}

/// The bounds of calls.
#[derive(Clone, Debug)]
pub struct Calls {
    /// How long a call may take whose caller allows more.
    pub max_call_time: Duration,
    /// How long calls in progress may take to finish once the service stops.
    pub drain_timeout: Duration,
}

impl CallsArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Calls> {
        let bounds = Duration::from_millis(10)..=Duration::from_secs(600);
        let max_call_time = parsed::duration(&self.max_call_time, bounds);
        let max_call_time = problems.take("max-call-time", max_call_time);

        let bounds = Duration::ZERO..=Duration::from_secs(3_600);
        let drain_timeout = parsed::duration(&self.drain_timeout, bounds);
        let drain_timeout = problems.take("drain-timeout", drain_timeout);

        Some(Calls {
            max_call_time: max_call_time?,
            drain_timeout: drain_timeout?,
        })
    }
}
