//! Connections of clients and to upstream: limits, graceful close, TLS and proxies.

mod concurrency_limit;
mod end_reasons;
mod eviction;
mod floods;
mod graceful_close;
mod half_open;
mod headers;
mod listening;
mod maximum_age;
mod open_streams;
mod proxies;
mod unread_responses;
mod upstream_tls;
