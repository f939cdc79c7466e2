# Recipes for people. The CI runs `.ci/run`, whose parts these recipes call.

# List the recipes
[private]
default:
    @just --list --unsorted

# Run the service in front of the emulator, without an account
run *FLAGS:
    cargo run --locked -- serve --emulate {{ FLAGS }}

# Build the release binary
build:
    cargo build --release --locked

# Run all tests of the workspace
test:
    .ci/run test

# Format the sources
format:
    cargo fmt

# Check formatting, lints, protocol, dependencies and workflow
lint:
    .ci/run format proto deny clippy workflow

# Build the API documentation and fail on warnings
docs:
    .ci/run docs

# Run every command of the README and of docs/
examples:
    .ci/run readme

# Compare the instruction counts of the benchmarks with the committed ones
bench:
    .ci/run instructions

# Run load scenarios, all if none is named
load *SCENARIOS="all":
    cargo bench --locked --bench load -- {{ SCENARIOS }}

# Fuzz each target, or those that are named
fuzz SECONDS="8" *TARGETS:
    .ci/fuzz.sh {{ SECONDS }} {{ TARGETS }}

# Test with clients in Python, Go and Node.js, the vendor's SDKs, the emulator's test kits, and behind Envoy
clients:
    .ci/run vendor-sdk sdks testkits python hostile envoy go node

# Check HTTP/2, gRPC health, metrics, traces, the status page, the control API and the Helm chart with their own tools
conformance:
    .ci/run conformance emulator kubernetes metrics status-page traces

# Build the container image and test it (needs root)
image:
    .ci/run image

# Run load scenarios and repeat all tests, as CI does
long:
    .ci/run long

# Run all parts of the CI, or those that are named
ci *PARTS:
    .ci/run {{ PARTS }}
