//! The tests of the whole service, over real sockets.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod access_log;
mod admin;
mod admission;
mod attempts;
mod authority;
mod cache;
mod call;
mod callers;
mod circuit;
mod clock;
mod command_line;
mod connections;
mod credentials;
mod deadlines;
mod documented_errors;
mod encrypted_calls;
mod encryption;
mod endings;
mod error_details;
mod faults;
mod get_group_info;
mod get_person_group_info;
mod half_open;
mod harness;
mod health;
mod loud_log;
mod probe;
mod quota;
mod raw_upstream;
mod readme;
mod reflection;
mod rotation;
mod secrets;
mod sharing;
mod shutdown;
mod signature;
mod stale;
mod steady_callers;
mod tls_client;
mod tonic_errors;
mod upstream_answers;
mod upstream_connections;
mod upstream_requests;
