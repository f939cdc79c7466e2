//! What this service computes for one call, without what it waits for.
//!
//! `cargo bench` prints times. Each group of benchmarks has a `baseline`, which does something
//! familiar to the same data: read a time against that of the same run, not against one of another
//! day or machine. What a benchmark returns is dropped outside of what is measured.
//!
//! `.ci/instructions` counts the instructions of each benchmark instead, and holds them to
//! `benches/instructions.toml`. It finds a benchmark by the symbol of its function, so none may be
//! inlined, and whatever a benchmark needs is [made before](data::prepare) it is first called.

#![expect(
    clippy::unwrap_used,
    reason = "what fails must not be measured as if it had not"
)]

mod data;
mod decoding;
mod envelope;
mod error_mapping;
mod signature;

fn main() {
    data::prepare();
    divan::main();
}
