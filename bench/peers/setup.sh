#!/bin/sh
# Installs the peers that are not Rust: Node `ws` and Bun into node/node_modules, uWebSockets (through socketify, with
# libuv from apt) into python/.venv. A peer that cannot be installed is said, and the bench prints it as not installed.
# Does nothing, and quickly, when they are there already and the pins have not changed.
set -eu
cd "$(dirname "$0")"

# Two at once: the second one waits for the first one's install.
exec 9< setup.sh
if command -v flock >/dev/null 2>&1; then flock 9; fi

python=${PYTHON:-python3}
missing=0

say() {
    echo "bench/peers/setup.sh: $1" >&2
    missing=1
}

stamp() { # A stamp is the pins and the interpreter: a change of either installs again.
    cat "$@" | cksum
}

if command -v npm >/dev/null 2>&1; then
    want="$(node --version) $(stamp node/package.json node/package-lock.json)"
    if [ "$(cat node/node_modules/.stamp 2>/dev/null || true)" != "$want" ]; then
        # No install scripts: Bun's only moves the binary that its package for this platform brings.
        (cd node && npm ci --silent --no-audit --no-fund --ignore-scripts) || say "npm ci failed: no ws, no Bun"
        [ "$missing" -eq 1 ] || echo "$want" >node/node_modules/.stamp
    fi
else
    say "npm is not installed: no ws, no Bun"
fi

has_libuv() {
    "$python" -c 'import ctypes; ctypes.CDLL("libuv.so.1")' >/dev/null 2>&1
}

if ! command -v "$python" >/dev/null 2>&1; then
    say "$python is not installed: no uWebSockets"
    exit $missing
fi
if ! has_libuv && command -v apt-get >/dev/null 2>&1; then
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo"
    $as_root apt-get update -q >&2 || true
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends libuv1 >&2 || true
fi
has_libuv || say "libuv.so.1 (Debian: libuv1) is not installed: no uWebSockets"

want="$("$python" --version) $(stamp python/requirements.txt)"
if [ "$(cat python/.venv/.stamp 2>/dev/null || true)" != "$want" ]; then
    rm -rf python/.venv
    if "$python" -m venv python/.venv &&
        python/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r python/requirements.txt; then
        echo "$want" >python/.venv/.stamp
    else
        say "pip could not install socketify: no uWebSockets"
    fi
fi
exit $missing
