//! A stand-in for the upstream API.

pub use account::Account;
pub use actions::Action;
pub use faults::{Cut, Fault, FaultKind, Page};
pub use fixtures::{Fixtures, FixturesError};

mod account;
mod actions;
mod envelope;
mod faults;
mod fixtures;
mod headers;
mod identifier;
mod parameters;
mod records;
mod verification;
