#!/usr/bin/env bash
# Counts the instructions of a step of fixed graphs from a fixed seed under callgrind, and compares them with instructions.txt:
# fails where there are over 5 % more. With --record it writes instructions.txt instead.
#
# Counts do not depend on what else the machine does, only on the program and its compiler. Valgrind has no AVX-512, so what is
# counted is the path that the engine takes on a processor without it.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

# Graph and dimensions.
cases=("comm1k 2" "comm1k 3" "grid10k 2" "grid10k 3")
limit_percent=5
# A step is the difference between two runs, so that reading and placing do not count.
few=10
many=20

if ! command -v valgrind >/dev/null 2>&1; then
    echo "bench/layout/instructions.sh: SKIPPED, valgrind is not installed" >&2
    exit 77
fi
if [ "${SWARMCAST_LAYOUT:-}" = "" ]; then
    cargo build --release --quiet --package swarmcast-layout
    SWARMCAST_LAYOUT=target/release/layout
fi

count() { # GRAPH DIMENSIONS STEPS
    local log
    log=$(mktemp)
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$log" \
        "$SWARMCAST_LAYOUT" step "$1" --dimensions "$2" --ticks "$3" >/dev/null
    sed -n 's/.*Collected *: *//p' "$log"
    rm -f "$log"
}

expected=bench/layout/instructions.txt
failed=0
found=""
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
    if [ -z "$before" ]; then
        echo "$graph ${dimensions}D: $each instructions a step, nothing recorded: run with --record"
        failed=1
    else
        echo "$graph ${dimensions}D: $each instructions a step, $(((each - before) * 1000 / before)) per mille more than recorded"
        [ $((each * 100)) -le $((before * (100 + limit_percent))) ] || failed=1
    fi
done
[ "${1:-}" != --record ] || printf '%s' "$found" >"$expected"
[ $failed -eq 0 ] || echo "over $limit_percent % more, or not recorded" >&2
exit $failed
