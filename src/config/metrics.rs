//! Settings of metrics.

use clap::Args;

use super::{Invalid, Problems, parsed};

/// The settings of metrics, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Metrics")]
pub(super) struct MetricsArgs {
    /// Maximum number of callers that iai_facade_caller_calls_total names, from 0 to 150; the others
    /// are counted together
    #[arg(
        long,
        env = "IAI_FACADE_METRICS_CALLERS",
        value_name = "N",
        default_value = "50"
    )]
    metrics_callers: String,
}

/// The settings of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    /// The maximum number of callers that metrics name.
    pub callers: usize,
}

impl MetricsArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Metrics, Invalid> {
        let callers = parsed::number(&self.metrics_callers, 0..=150);
        let callers = problems.take("metrics-callers", callers)?;
        Ok(Metrics { callers })
    }
}
