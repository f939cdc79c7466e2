//! The documents, compared with the program.

mod baseline;
mod benchmarks;
mod check;
mod error_codes;
mod imports;
mod links;
mod log_macros;
mod logging;
mod markdown;
mod metrics;
mod operations;
mod sources;
mod state_changes;
mod status_page;
mod tables;
mod translation;
mod troubleshooting;
