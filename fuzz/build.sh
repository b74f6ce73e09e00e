#!/usr/bin/env bash
# Builds the fuzz targets with coverage: the flags of cargo-fuzz, less the
# sanitizers, which only a nightly compiler has. `fuzz/build.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

flags=(--cfg fuzzing -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
# With --target the flags are not for build scripts.
RUSTFLAGS="${flags[*]}" exec cargo build --locked --release --target x86_64-unknown-linux-gnu --target-dir ../target/fuzz
