//! A gRPC service in front of Tencent Cloud Face Recognition (IAI, API version 2020-03-03).
//!
//! Requests flow through these layers, top to bottom; imports follow the same direction.
//!
//! ```text
//!    server            accepts connections, sets deadlines, writes the access log, drains
//!       │
//!    service ─────► operation        request validation and response mapping of each API action
//!       │
//!    upstream ────► credentials      credential providers and their cache
//!       │               │
//!       └───────────────┴──► signature        TC3-HMAC-SHA256
//! ```
//!
//! The signature is a crate of its own, [`tencent_cloud_signature`].
//!
//! The other modules are leaves that the layers share. The commands [`call`](cli::call) and
//! [`probe`](cli::probe) are clients of the service; [`check`](cli::check) finds out why it does not work.
//! The emulator of Tencent Cloud's API is a crate of its own as well, [`iai_emulator`].
//!
//! `ARCHITECTURE.md` in the repository describes the layers, the path of one call, and the reasons.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod credentials;
pub mod error_chain;
pub mod error_policy;
pub mod files;
pub mod http_client;
pub mod json;
pub mod metrics;
pub mod operation;
pub mod proto;
pub mod server;
pub mod service;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod upstream;
