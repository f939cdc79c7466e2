//! The account whose quota is shared: an emulator with groups enough that no two calls are equal.

use std::{fmt::Write, net::Ipv4Addr};

use iai_facade::emulator::{Emulator, Fixtures};

/// How many groups the account has: `group-0`, `group-1` and so on.
pub(crate) const GROUPS: usize = 10_000;

/// Starts an emulator that has the groups, and no limit.
pub(crate) async fn start() -> Emulator {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    Emulator::start(listen, fixtures()).await.unwrap()
}

/// Returns what such an emulator starts with.
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

/// Returns how many calls the emulator has answered, and how many of these it refused for their rate.
pub(crate) fn answered(emulator: &Emulator) -> (u64, u64) {
    let tally = emulator.tally();
    let throttled = tally.get("RequestLimitExceeded").copied();
    (tally.values().sum(), throttled.unwrap_or_default())
}
