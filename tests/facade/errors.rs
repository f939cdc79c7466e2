//! Errors that callers receive: from upstream failures, from upstream responses, and from gRPC itself.

mod details;
mod faults;
mod tonic;
mod upstream_responses;
