//! Provenance of a response: its origin and its age.

use std::time::Duration;

/// Origin of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A fresh cache entry.
    Hit,
    /// An upstream request for this call.
    Miss,
    /// An upstream request for an equal call in flight.
    Shared,
    /// A stale cache entry.
    Stale,
}

impl Origin {
    /// Returns its name in `x-iai-cache` and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Stale => "stale",
        }
    }
}

/// Origin and age of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Provenance {
    /// Its origin.
    pub origin: Origin,
    /// Time since upstream responded.
    pub age: Duration,
}
