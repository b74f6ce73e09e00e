#!/usr/bin/env bash
# Builds the fuzz targets with coverage: the flags of cargo-fuzz, less the
# sanitizers, which only a nightly compiler has. `fuzz/build.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

RUSTC_WRAPPER=$PWD/rustc.sh exec cargo build --locked --release --target x86_64-unknown-linux-gnu --target-dir ../target/fuzz
