//! A stand-in for the upstream API.

pub use account::Account;

mod account;
mod envelope;
mod headers;
mod verification;
