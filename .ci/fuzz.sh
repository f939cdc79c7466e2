#!/usr/bin/env bash
# Fuzzes each target of `fuzz/` for a number of seconds (default 20), starting from the committed corpus:
# `.ci/fuzz.sh 300`. Further arguments select targets: `.ci/fuzz.sh 60 envelope`. Needs a C++ compiler.
# Does not change the committed corpus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

seconds=${1:-20}
targets=("${@:2}")

version=0.13.1
if [[ $(cargo fuzz --version 2>&1) != "cargo-fuzz $version" ]]; then
    cargo install --quiet --locked --debug "cargo-fuzz@$version"
fi

# Without a sanitizer: sanitizers find errors of unsafe code, which the crates forbid. They would need
# a nightly toolchain and slow down every input.
options=(--sanitizer none --codegen-units 16 --target-dir target/fuzz)

rustup component add rustfmt
# Fails if Cargo.lock is not up to date: cargo-fuzz has no `--locked`.
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml > /dev/null
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo fuzz build "${options[@]}"

if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(cargo fuzz list)
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for target in "${targets[@]}"; do
    log=target/fuzz/$target.log
    cp -r "fuzz/corpus/$target" "$scratch/$target"
    cargo fuzz run "${options[@]}" "$target" "$scratch/$target" -- \
        -max_total_time="$seconds" -timeout=10 -print_final_stats=1 > "$log" 2>&1 || {
        # The panic, the path of the input, and the commands that reproduce and minimize it.
        sed -n '/panicked at\|ERROR: libFuzzer/,$p' "$log"
        echo "$target failed, see $log; \`--codegen-units 16\` saves these commands a new build" >&2
        exit 1
    }
    awk -v target="$target" '
        $2 == "INITED" { before = $4 }
        $2 == "DONE" { runs = substr($1, 2); after = $4 }
        END { printf "%-22s %8d runs, coverage %d, of the corpus %d\n", target, runs, after, before }
    ' "$log"
done
