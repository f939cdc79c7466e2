//! A gRPC service in front of Tencent Cloud Face Recognition (IAI, API version 2020-03-03).
//!
//! The crate is a house with one corridor: a call enters at the door, walks through the rooms in
//! order, leaves at the back towards Tencent Cloud, and returns the same way.
//!
//! ```text
//!    server            accepts connections, sets deadlines, writes the log, stops gracefully
//!       │
//!    service ─────► operation        what is particular to each action
//!       │
//!    upstream ────► credentials      what calls are signed with, and where it comes from
//!       │               │
//!       └───────────────┴──► signature        TC3-HMAC-SHA256
//! ```
//!
//! Arrows are `use`, and point only down or to the right: [`service`] introduces [`operation`] and
//! [`upstream`] to each other, which know nothing of one another. Some rooms are leaves, which others
//! look into: [`chain`], [`clock`], [`code`], [`config`], [`context`], [`deadline`],
//! [`encryption`], [`identity`], [`json`], [`proto`], [`telemetry`], [`tokens`], [`trust`],
//! [`watched_files`]. The [`emulator`] uses no other room: it is a second reading of the vendor's
//! documentation. Two commands stand on the other side of the wire: [`call`] and [`probe`], which
//! share [`client`].
//!
//! # The way of one call
//!
//! 1. `server/connections.rs` accepts the connection, and `server/handshake.rs` hears how it begins.
//! 2. `server/calls.rs` makes the call's [`Context`](context::Context), with its
//!    [`Deadline`](deadline::Deadline), and bounds everything that follows by it. It has
//!    `server/callers.rs` tell whose the call is, and whether it may be made.
//! 3. The generated stub decodes the message and calls a method of
//!    [`FaceRecognition`](service::FaceRecognition), one line each.
//! 4. An [`Operation`](operation::Operation) turns the request into parameters, or into an
//!    [`InvalidRequest`](operation::InvalidRequest) that lists every bad field.
//! 5. [`Client::call`](upstream::Client::call) turns a [`Call`](upstream::Call) into a
//!    [`Reply`](upstream::Reply): `upstream/answers.rs` takes it from `upstream/cache.rs` or from
//!    an equal call under way in `upstream/flights.rs`, where that is wanted. Otherwise it is asked
//!    for, with as many attempts as [`decide`](upstream::retry::decide) allows. Each is let through
//!    by `upstream/circuit.rs`, waits for its turn in `upstream/limiter.rs`, and is made by
//!    `upstream/transport.rs`, which signs, sends, and reads a bounded answer;
//!    `upstream/envelope.rs` opens it.
//! 6. The operation turns the reply into a response. Any error, from wherever, becomes a status in
//!    `service/status.rs`, and nowhere else.
//! 7. `server/access_log.rs` writes the line.

pub mod call;
pub mod chain;
pub mod client;
pub mod clock;
pub mod code;
pub mod config;
pub mod context;
pub mod credentials;
pub mod deadline;
pub mod emulator;
pub mod encryption;
pub mod identity;
pub mod json;
pub mod operation;
pub mod probe;
pub mod proto;
pub mod server;
pub mod service;
pub mod signature;
pub mod telemetry;
pub mod tokens;
pub mod trust;
pub mod upstream;
pub mod watched_files;
