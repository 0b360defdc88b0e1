#!/bin/sh
# Installs what the tests need besides a Rust toolchain on Debian or Ubuntu: Chromium and a font for the viewer's page,
# Node with npm, Python with venv, a C++20 compiler, strace, ip, file systems to cut off, and the pinned packages of tests/clients and clients/viewer.
# Run as root or with sudo at hand. What is there already is left alone, so a second run takes a second.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "tests/setup.sh: $1" >&2
    exit 1
}

packages=""
need() { # need PACKAGE COMMAND...: the package, unless the command succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || packages="$packages $package"
}
need chromium test -x "${CHROMIUM:-/usr/bin/chromium}"
need fonts-dejavu-core test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
need python3 python3 --version
need python3-venv python3 -c "import ensurepip, venv"
need nodejs node --version
need npm npm --version
need procps kill -l
need g++ sh -c '${CXX:-g++} --version'
need util-linux flock --version
need strace strace --version
need iproute2 ip -V
need xfsprogs mkfs.xfs -V
need e2fsprogs mkfs.ext4 -V

if [ -n "$packages" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "these are missing, and there is no apt-get to install them:$packages"
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "run it as root, or install sudo; these are missing:$packages"
        as_root=sudo
    fi
    $as_root apt-get update -q >&2 || fail "apt-get update failed: is there a network?"
    # Word splitting is meant: one argument a package.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >&2 ||
        fail "apt-get could not install:$packages"
fi

# What the lock file of the viewer asks for.
node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' ||
    fail "node $(node --version) is older than 20.19; install a newer one, such as from https://nodejs.org"

sh tests/clients/setup.sh || fail "tests/clients/setup.sh failed"

want="$(node --version) $(cat clients/viewer/package.json clients/viewer/package-lock.json | cksum)"
(
    # Tests run side by side: the second one waits for the first one's install.
    flock 9
    if [ "$(cat clients/viewer/node_modules/.stamp 2>/dev/null || true)" != "$want" ]; then
        (cd clients/viewer && npm ci --silent --no-audit --no-fund) || fail "npm ci in clients/viewer failed"
        echo "$want" >clients/viewer/node_modules/.stamp
    fi
) 9<clients/viewer/package.json

# The compiler that the kernels' PTX is checked with.
sh kernels/setup.sh || fail "kernels/setup.sh failed"

# Servers of others that benches measure Swarmcast against. One that cannot be had is printed as not installed.
sh bench/peers/setup.sh || echo "tests/setup.sh: not every peer is installed; the peers bench says which" >&2
