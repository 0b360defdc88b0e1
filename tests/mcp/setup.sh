#!/bin/sh
# Installs the pinned conformance suite and clients of MCP beside this script: node_modules, with a Node that is new enough for them,
# and .venv (Python). Does nothing, and quickly, when they are there already and the pins have not changed.
# With `python` as its argument it leaves Node out. Exits 77 when they cannot be had here, and says why.
set -eu
cd "$(dirname "$0")"

# Tests run side by side: the second one waits for the first one's install.
exec 9<requirements.txt
if command -v flock >/dev/null 2>&1; then flock 9; fi

skip() {
    echo "tests/mcp/setup.sh: $1" >&2
    exit 77
}

python=${PYTHON:-python3}
want="$("$python" --version) $(cksum <requirements.txt)"
if [ "$(cat .venv/.stamp 2>/dev/null || true)" != "$want" ]; then
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt || skip "pip cannot install the clients"
    echo "$want" >.venv/.stamp
fi

[ "${1:-all}" = python ] && exit 0

want=$(cat package.json package-lock.json | cksum)
if [ "$(cat node_modules/.stamp 2>/dev/null || true)" != "$want" ]; then
    command -v npm >/dev/null 2>&1 || skip "npm is not installed"
    # Nothing of theirs has to run at install time.
    npm ci --silent --ignore-scripts --no-audit --no-fund || skip "npm cannot install the suite"
    echo "$want" >node_modules/.stamp
fi
node=$(echo node_modules/node-linux-*/bin/node)
[ -x "$node" ] || skip "npm has no Node for $(uname -m)"
