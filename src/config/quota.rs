//! Settings of the upstream rate limit and of the circuit breaker.

use std::num::NonZeroU32;

use clap::Args;

use super::{Invalid, Problems, parsed};

/// The settings of the rate limit and of the circuit breaker, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Quota")]
pub(super) struct QuotaArgs {
    /// Maximum number of upstream requests per second, from 1 to 100000: the quota of the account, or
    /// this replica's part of it [default: no limit]
    #[arg(long, env = "IAI_FACADE_UPSTREAM_RATE", value_name = "N")]
    upstream_rate: Option<String>,

    /// Adapt the rate limit to what upstream accepts once it throttles: true or false
    #[arg(
        long,
        env = "IAI_FACADE_ADAPTIVE_RATE",
        value_name = "BOOL",
        default_value = "true",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    adaptive_rate: String,

    /// Circuit breaker: reject a share of the calls while upstream is unavailable: true or
    /// false
    #[arg(
        long,
        env = "IAI_FACADE_CIRCUIT",
        value_name = "BOOL",
        default_value = "true",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    circuit: String,
}

/// The upstream rate limit and the circuit breaker.
#[derive(Clone, Debug)]
pub struct Quota {
    /// The maximum number of upstream requests per second.
    pub rate: Option<NonZeroU32>,
    /// Whether the rate limit adapts to what upstream accepts.
    pub is_adaptive: bool,
    /// Whether the circuit breaker is enabled.
    pub has_circuit: bool,
}

/// The maximum of [`Quota::rate`].
const MAX_RATE: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

impl QuotaArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Quota, Invalid> {
        let bounds = NonZeroU32::MIN..=MAX_RATE;
        let rate = self.upstream_rate.filter(|text| !text.is_empty());
        let rate = rate.map(|text| parsed::number(&text, bounds)).transpose();
        let rate = problems.take("upstream-rate", rate);

        let is_adaptive = parsed::switch(&self.adaptive_rate);
        let is_adaptive = problems.take("adaptive-rate", is_adaptive);

        let has_circuit = parsed::switch(&self.circuit);
        let has_circuit = problems.take("circuit", has_circuit);

        Ok(Quota {
            rate: rate?,
            is_adaptive: is_adaptive?,
            has_circuit: has_circuit?,
        })
    }
}
