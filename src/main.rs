//! The `iai-facade` program.

fn main() {}
