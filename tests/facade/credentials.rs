//! Credentials: their sources, their rotation, and that no secret is disclosed.

mod endpoints;
mod readiness;
mod redaction;
mod rotation;
mod scenario;
mod scenarios;
mod suspend;
mod vendor_names;
mod whitespace;

/// Each secret contains one of these: secrets of the scenarios, of the rotations, and those of the
/// emulator.
const SECRETS: [&str; 5] = [
    "correct-horse",
    "key-of-round",
    "emulator-secret",
    "temporary-key",
    "temporary-token",
];
