#!/usr/bin/env bash
# WebSocket conformance: the Autobahn Testsuite's fuzzing client against our door and shard with an echo (ws_echo.rs).
#   tests/autobahn/run.sh [GROUP...]     groups 1 to 7 and 10 (a quarter of a minute); 9 has the large messages
# Exits 0 when every case passed, 1 when one failed, 77 (skipped: nothing was shown) when the suite cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 10
sh tests/autobahn/setup.sh || {
    code=$?
    [ $code -ne 77 ] || echo "tests/autobahn/run.sh: SKIPPED, not passed: the Autobahn Testsuite cannot be had here" >&2
    exit $code
}

# As the workspace's tests build it, so that CI builds it once.
cargo build --quiet --profile test --workspace --all-features --example ws_echo
work=$(mktemp -d)
mkfifo "$work/in"
"${CARGO_TARGET_DIR:-target}/debug/examples/ws_echo" <"$work/in" >"$work/url" &
server=$!
exec 8>"$work/in" # The server runs until this end is closed.
finish() {
    exec 8>&-
    wait "$server" || true
    rm -rf "$work"
}
trap finish EXIT
for _ in $(seq 100); do
    [ ! -s "$work/url" ] || break
    sleep 0.1
done
url=$(head -n 1 "$work/url")
[ -n "$url" ] || { echo "tests/autobahn/run.sh: the echo server does not start" >&2; exit 1; }

reports=${REPORTS:-target/autobahn}
rm -rf "$reports"
mkdir -p "$reports"
cases=$(printf '"%s.*",' "$@")
cat >"$work/spec.json" <<SPEC
{ "outdir": "$reports", "servers": [{ "agent": "swarmcast", "url": "$url" }],
  "cases": [${cases%,}], "exclude-cases": [], "exclude-agent-cases": {} }
SPEC
PYPY_GC_MAX=2GB timeout 600 tests/autobahn/pypy.sh tests/autobahn/wstest.py --mode fuzzingclient \
    --spec "$work/spec.json" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    echo "tests/autobahn/run.sh: the suite did not run to its end" >&2
    exit 1
}
python3 tests/autobahn/summary.py "$reports" "$@"
