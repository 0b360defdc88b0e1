#!/usr/bin/env bash
# Counts the instructions of a step of fixed graphs from a fixed seed under callgrind, and compares them with instructions.txt:
# fails where there are over 5 % more. With --record it writes instructions.txt instead: commit it with the reason.
#
# Counts do not depend on what else the machine does, only on the program, its compiler and the processor's vectors. Valgrind
# has no AVX-512, so what is counted is the path that the engine takes on a processor with AVX2 and no more.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

# Graph and dimensions.
cases=("comm1k 2" "comm1k 3" "grid10k 2" "grid10k 3")
limit_percent=5
# A step is the difference between two runs, so that reading and placing do not count.
few=10
many=20

skip() {
    echo "bench/layout/instructions.sh: SKIPPED, $1" >&2
    exit 77
}
command -v valgrind >/dev/null 2>&1 || skip "valgrind is not installed"
grep -qw avx2 /proc/cpuinfo || skip "this processor has no AVX2, for which instructions.txt is"

if [ "${SWARMCAST_LAYOUT:-}" = "" ]; then
    cargo build --release --quiet --package swarmcast-layout
    SWARMCAST_LAYOUT=${CARGO_TARGET_DIR:-target}/release/layout
fi
compiler=$(rustc --version)
expected=bench/layout/instructions.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

count() { # GRAPH DIMENSIONS STEPS
    local log=$scratch/$1-$2-$3
    # Standard error is Valgrind's own log and the program's words, should it fail.
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$log" \
        "$SWARMCAST_LAYOUT" step "$1" --dimensions "$2" --ticks "$3" >/dev/null || { cat "$log" >&2; return 1; }
    sed -n 's/.*Collected *: *//p' "$log"
}

if [ "${1:-}" != --record ]; then
    recorded=$(sed -n 's/^# //p' "$expected")
    [ "$recorded" = "$compiler" ] || echo "recorded with $recorded, counted with $compiler: that alone may change the counts"
fi
failed=0
found="# $compiler"$'\n'
for case in "${cases[@]}"; do
    read -r graph dimensions <<<"$case"
    short=$(count "$graph" "$dimensions" $few)
    long=$(count "$graph" "$dimensions" $many)
    each=$(((long - short) / (many - few)))
    [ "$each" -gt 0 ] || { echo "$graph ${dimensions}D: nothing was counted" >&2; exit 1; }
    found+="$graph $dimensions $each"$'\n'
    if [ "${1:-}" = --record ]; then
        echo "$graph ${dimensions}D: $each instructions a step"
        continue
    fi
    before=$(sed -n "s/^$graph $dimensions //p" "$expected")
    if [ "$before" = "" ]; then
        echo "$graph ${dimensions}D: $each instructions a step, nothing recorded: run with --record"
        failed=1
        continue
    fi
    echo "$graph ${dimensions}D: $each instructions a step, recorded $before: $(((each - before) * 1000 / before)) per mille more"
    [ $((each * 100)) -le $((before * (100 + limit_percent))) ] || failed=1
done
[ "${1:-}" != --record ] || printf '%s' "$found" >"$expected"
[ $failed -eq 0 ] || echo "over $limit_percent % more instructions, or not recorded" >&2
exit $failed
