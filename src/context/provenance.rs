//! Where an answer comes from, and how old it is.

use std::time::Duration;

/// Where the answer of a call comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// It was kept, and is as good as new.
    Hit,
    /// Upstream was asked for this call.
    Miss,
    /// Upstream was asked for an equal call that was under way.
    Shared,
    /// It was kept, and is older than it should be.
    Stale,
}

impl Origin {
    /// Returns the word for it that callers and the log see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Stale => "stale",
        }
    }
}

/// Where the answer of a call comes from, and how old it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Provenance {
    /// Where it comes from.
    pub origin: Origin,
    /// How long ago upstream gave it.
    pub age: Duration,
}
