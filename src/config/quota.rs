//! How the account's quota is shared out.

use std::num::NonZeroU32;

use clap::Args;

use super::{Problems, parsed};

/// The settings of the quota, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Quota")]
pub(super) struct QuotaArgs {
    /// How many calls a second upstream gets at most, from 1 to 100000. The account's quota, or the
    /// part of it that is meant for this replica [default: any number]
    #[arg(long, env = "IAI_FACADE_UPSTREAM_RATE", value_name = "N")]
    upstream_rate: Option<String>,

    /// Find out what rate upstream accepts once it refuses one, on or off
    #[arg(
        long,
        env = "IAI_FACADE_ADAPTIVE_RATE",
        value_name = "BOOL",
        default_value = "on"
    )]
    adaptive_rate: String,

    /// Refuse a share of the calls while upstream is down, on or off
    #[arg(
        long,
        env = "IAI_FACADE_CIRCUIT",
        value_name = "BOOL",
        default_value = "on"
    )]
    circuit: String,
}

/// How the account's quota is shared out.
#[derive(Clone, Debug)]
pub struct Quota {
    /// How many calls a second upstream gets at most.
    pub rate: Option<NonZeroU32>,
    /// Whether the rate that upstream accepts is found out.
    pub is_adaptive: bool,
    /// Whether a share of the calls is refused while upstream is down.
    pub has_circuit: bool,
}

impl QuotaArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Quota> {
        let bounds = NonZeroU32::MIN..=NonZeroU32::new(100_000)?;
        let rate = self.upstream_rate.filter(|text| !text.is_empty());
        let rate = rate.map(|text| parsed::number(&text, bounds)).transpose();
        let rate = problems.take("upstream-rate", rate);

        let is_adaptive = parsed::switch(&self.adaptive_rate);
        let is_adaptive = problems.take("adaptive-rate", is_adaptive);

        let has_circuit = parsed::switch(&self.circuit);
        let has_circuit = problems.take("circuit", has_circuit);

        Some(Quota {
            rate: rate?,
            is_adaptive: is_adaptive?,
            has_circuit: has_circuit?,
        })
    }
}
