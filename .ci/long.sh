#!/usr/bin/env bash
# Runs the checks that take too long for every change; `--short`, as `.ci/run` calls it, shortens them.
#
# The load scenarios of `benches/load/` are compared with their bounds, and the control loops meet random
# load courses. Without `--short`, all tests run in many rounds, on enough threads to disturb each other (a
# test that fails in one round fails), and each fuzz target runs for five minutes; the parts `test` and
# `fuzz` of `.ci/run` run them for less.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

limiter_courses=10000 breaker_courses=1000
if [[ ${1:-} == --short ]]; then
    limiter_courses=2000 breaker_courses=200
fi

cargo bench --locked --quiet --bench load -- "$@" all

# The recovery of the control loops, on enough random load courses to meet rare ones.
IAI_FACADE_TEST_COURSES=$limiter_courses cargo test --locked --quiet --lib limiter::tests::courses
IAI_FACADE_TEST_COURSES=$breaker_courses cargo test --locked --quiet --lib circuit_breaker::tests::courses

[[ ${1:-} == --short ]] && exit

rounds=100
for ((round = 1; round <= rounds; round++)); do
    timeout --verbose 30m cargo test --locked --quiet -- --test-threads=8 > target/round.log 2>&1 || {
        cat target/round.log
        echo "round $round of $rounds failed" >&2
        exit 1
    }
done
echo "all tests passed, $rounds times"

# The chart, rendered by Helm 3, too.
tools=$PWD/target/tools
GOBIN=$tools/helm3 go install helm.sh/helm/v3/cmd/helm@v3.22.0
.ci/run kubernetes
"$tools/kubernetes/bin/python" .ci/kubernetes.py --compare "$tools/helm" "$tools/helm3/helm"

IAI_FACADE_TEST_LIFETIME=60 cargo test --locked --quiet --test facade credentials::rotation
echo "roles of 60 s were renewed"

.ci/fuzz.sh 300
