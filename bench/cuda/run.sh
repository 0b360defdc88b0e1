#!/usr/bin/env bash
# Checks and times the CUDA backend on an NVIDIA device, in under ten minutes, and writes a table.
#
#   bench/cuda/run.sh            builds the program, runs it, writes bench/cuda/out/table.md
#   bench/cuda/run.sh PROGRAM    the same with a program that was built elsewhere (cargo build --release -p swarmcast-bench
#                                --bin cuda), for a machine without a Rust toolchain
#
# Without a device it prints "not measured" and why, and ends with 77, which test runners read as skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=${1:-}
if [ -z "$program" ]; then
    cargo build --release -p swarmcast-bench --bin cuda
    program=target/release/cuda
fi
out=bench/cuda/out
mkdir -p "$out"

code=0
"$program" check || code=$?
if [ $code -ne 0 ]; then
    exit $code
fi

if command -v compute-sanitizer >/dev/null 2>&1; then
    for tool in memcheck racecheck; do
        for nodes in 0 1 31 32 33 100000; do
            # Racecheck watches shared memory access by access; a hundred thousand nodes are minutes.
            [ $tool = racecheck ] && [ $nodes -gt 33 ] && continue
            compute-sanitizer --tool $tool --error-exitcode 1 --log-file "$out/$tool-$nodes.log" "$program" steps "$nodes" ||
                { cat "$out/$tool-$nodes.log"; exit 1; }
            echo "compute-sanitizer $tool, $nodes nodes: clean"
        done
    done
else
    echo "compute-sanitizer: not installed, not run"
fi

"$program" time | tee "$out/table.md"
