//! Microbenchmarks of the computations of one call: decoding, errors and signatures.
//!
//! `cargo bench --bench hot_path` prints times. Each group of benchmarks has a `baseline`, a well-known
//! operation on the same data: compare a time with the baseline of the same run, because times of other
//! runs and machines differ. The time excludes dropping the returned value.
//!
//! `.ci/instructions.py` counts the instructions of each benchmark instead, and compares them with
//! `benches/instructions.toml`. It finds a benchmark by the symbol of its function, so none may be
//! inlined, and the data is [initialized](data::prepare) before the first call.

#![expect(clippy::unwrap_used, reason = "a panic must stop the measurement")]

mod data;
mod decoding;
mod envelope;
mod error_mapping;
mod signature;

fn main() {
    data::prepare();
    divan::main();
}
