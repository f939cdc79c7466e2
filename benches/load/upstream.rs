//! The upstream of all scenarios: an emulator with so many groups that equal calls are rare.

use std::{fmt::Write, net::Ipv4Addr};

use iai_emulator::{Emulator, Fixtures};

/// Number of groups of the account: `group-0`, `group-1` and so on.
pub(crate) const GROUPS: usize = 10_000;

/// Starts an emulator with the groups and without a rate limit.
pub(crate) async fn start() -> Emulator {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    Emulator::start(listen, fixtures()).await.unwrap()
}

/// Returns the fixtures with the groups.
pub(crate) fn fixtures() -> Fixtures {
    let mut text = String::new();
    for number in 0..GROUPS {
        write!(
            text,
            "[[groups]]\ngroup_id = \"group-{number}\"\ngroup_name = \"the group {number}\"\n\
             face_model_version = \"3.0\"\ncreation_timestamp = 1559530931613\n"
        )
        .unwrap();
    }
    Fixtures::parse(&text).unwrap()
}

/// Responses of an emulator since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    /// Those with the error code of an exceeded rate limit.
    pub(crate) throttled: u64,
}

/// Returns how many responses the emulator has sent.
pub(crate) fn counts(emulator: &Emulator) -> Counts {
    let counts = emulator.counts_by_code();
    let throttled = counts.get("RequestLimitExceeded").copied();
    Counts {
        total: counts.values().sum(),
        throttled: throttled.unwrap_or_default(),
    }
}
