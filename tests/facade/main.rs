//! End-to-end tests: the real server and the emulator over real sockets, grouped by subject.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a panic fails the test"
)]

mod administration;
mod cache;
mod callers;
mod check;
mod connections;
mod control_api;
mod credentials;
mod deadlines_and_retries;
mod documents;
mod errors;
mod harness;
mod operations;
mod quota;
