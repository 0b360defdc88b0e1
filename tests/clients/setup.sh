#!/bin/sh
# Installs the pinned client libraries beside this script: .venv (Python) and node_modules (Node).
# Does nothing, and quickly, when they are there already and the pins have not changed.
set -eu
cd "$(dirname "$0")"

# Tests run side by side: the second one waits for the first one's install.
exec 9< requirements.txt
if command -v flock >/dev/null 2>&1; then flock 9; fi

python=${PYTHON:-python3}

stamp() { # A stamp is the pins and the interpreter: a change of either installs again.
    { cat "$@"; } | cksum
}

want="$("$python" --version) $(stamp requirements.txt)"
if [ "$(cat .venv/.stamp 2>/dev/null || true)" != "$want" ]; then
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
    echo "$want" > .venv/.stamp
fi

if command -v npm >/dev/null 2>&1; then
    want="$(node --version) $(stamp package.json package-lock.json)"
    if [ "$(cat node_modules/.stamp 2>/dev/null || true)" != "$want" ]; then
        npm ci --silent --no-audit --no-fund
        echo "$want" > node_modules/.stamp
    fi
else
    echo "npm is not installed: ws_node.mjs cannot run; the Python clients can" >&2
fi
