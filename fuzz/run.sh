#!/usr/bin/env bash
# Runs every fuzz target for some seconds, and says how many inputs were tried.
#
#   fuzz/run.sh SECONDS [TARGET...]
#
# What was found to reach new code stays in target/fuzz/corpus, and the next run
# goes on from there. A finding ends the run; its input is named and kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:?seconds for each target}
shift
targets=("${@:-parse go rules table file patched}")
read -ra targets <<<"${targets[*]}"
built=../target/fuzz/x86_64-unknown-linux-gnu/release
total=0
for target in "${targets[@]}"; do
    corpus=../target/fuzz/corpus/$target log=../target/fuzz/$target.log
    mkdir -p "$corpus" ../target/fuzz/findings
    # Hangs are told by processor time (src/lib.rs); this limit is for a busy machine.
    if ! RUST_BACKTRACE=1 "$built/$target" -max_total_time="$seconds" -timeout=120 -print_final_stats=1 \
        -artifact_prefix=../target/fuzz/findings/"$target-" "$corpus" "seeds/$target" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "$target: a finding, see ../target/fuzz/findings"
        exit 1
    fi
    runs=$(LC_ALL=C sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -ao 'cov: [0-9]*' "$log" | tail -n 1)
    printf '%-8s %9d inputs, %s\n' "$target" "$runs" "$coverage"
    total=$((total + runs))
done
printf '%-8s %9d inputs\n' all "$total"
