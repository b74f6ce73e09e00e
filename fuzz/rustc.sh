#!/usr/bin/env bash
# The compiler as build.sh has cargo call it: coverage for what is fuzzed, and none
# for what only costs time. A decoder of instructions and a digest are most of what
# a run does, and a new path through them is no new path through a reader.
set -euo pipefail

flags=(--cfg fuzzing -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
case ${CARGO_PKG_NAME:-} in
    iced-x86 | sha2 | digest | block-buffer | memchr | hashbrown | indexmap) flags=(--cfg fuzzing) ;;
esac
# Build scripts and macros, which have no --target, run on their own.
[[ " $* " == *" --target "* ]] || flags=()
exec "$@" "${flags[@]}"
