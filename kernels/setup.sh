#!/bin/sh
# Installs the pinned compiler and assembler for build.py into kernels/.venv. A second run takes no time.
set -eu
cd "$(dirname "$0")"

want="$(python3 --version) $(cksum <requirements.txt)"
(
    # Tests run side by side: the second one waits for the first one's install.
    flock 9
    [ "$(cat .venv/.stamp 2>/dev/null || true)" = "$want" ] && exit 0
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --requirement requirements.txt
    echo "$want" >.venv/.stamp
) 9<requirements.txt
