//! `iai-facade check`: each failure, and what the report says of it.

mod calls;
mod connections;
mod credentials;
mod output;
mod responses;
mod settings;
