#!/usr/bin/env bash
# The official conformance suite of MCP against our doors and sessions with the suite's own tools in them (fixture.rs): every scenario
# that 2025-11-25 and 2026-07-28 require, over HTTP, and through the TCP door behind over_tcp.py. A minute.
# Exits 0 when every required scenario passed, 1 when one failed, 77 (skipped: nothing was shown) when the suite cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/../.."

sh tests/mcp/setup.sh || {
    code=$?
    [ $code -ne 77 ] || echo "tests/mcp/run.sh: SKIPPED, not passed: the conformance suite of MCP cannot be had here" >&2
    exit $code
}

# As the workspace's tests build it, so that CI builds it once; FIXTURE=/path/to/mcp_fixture takes another build.
[ -n "${FIXTURE:-}" ] || cargo build --quiet --profile test --workspace --all-features --example mcp_fixture
work=$(mktemp -d)
mkfifo "$work/in" "$work/in2"
"${FIXTURE:-${CARGO_TARGET_DIR:-target}/debug/examples/mcp_fixture}" <"$work/in" >"$work/addresses" &
exec 8>"$work/in" # The fixture runs until this end is closed; nobody else may have it.
finish() {
    exec 8>&- 9>&-
    wait || true
    rm -rf "$work"
}
trap finish EXIT
for _ in $(seq 100); do
    [ "$(wc -l <"$work/addresses")" -lt 2 ] || break
    sleep 0.1
done
{ read -r http && read -r tcp; } <"$work/addresses" || { echo "tests/mcp/run.sh: the fixture does not start" >&2; exit 1; }
python3 tests/mcp/over_tcp.py "$tcp" <"$work/in2" >"$work/url" 2>"$work/adapter" 8>&- &
exec 9>"$work/in2" # And the adapter until this one is.
for _ in $(seq 100); do
    [ ! -s "$work/url" ] || break
    sleep 0.1
done
over_tcp=$(head -n 1 "$work/url")

node=$(echo tests/mcp/node_modules/node-linux-*/bin/node)
reports=${REPORTS:-target/mcp-conformance}
rm -rf "$reports"
mkdir -p "$reports"
failed=0
for door in "http $http" "tcp $over_tcp"; do
    read -r name url <<<"$door"
    for revision in 2025-11-25 2026-07-28; do
        log="$reports/$name-$revision.log"
        said=passed
        timeout 300 "$node" tests/mcp/node_modules/.bin/conformance server --url "$url" --requirements "$revision" \
            -o "$reports/$name-$revision" >"$log" 2>&1 8>&- 9>&- || { said=FAILED; failed=1; }
        # An empty list of required scenarios would pass as well.
        scored=$(sed -n '/=== SUMMARY/,/^Total/p' "$log" | grep -c '^✓' || true)
        [ "$scored" -ge 30 ] || { said=FAILED; failed=1; }
        echo "$name $revision: $said; $scored scenarios without a failure, not scored and failing:" \
            $(sed -n 's/^  ✗ //p' "$log" | sed 's/ .*//')
        [ "$said" = passed ] || sed -n '/=== SUMMARY/,/^Total/p' "$log" | grep '✗' >&2 || tail -n 20 "$log" >&2
    done
done
exit $failed
