#!/bin/sh
# Installs the Autobahn Testsuite into .suite beside this script: PyPy 2.7 unpacked from packages of Debian 11 (nothing
# is installed on the system), then the pins of requirements.txt. Does nothing, and quickly, when they are there.
# PYPY=/path/to/pypy takes another PyPy 2.7. Needs dpkg-deb, python3 with pip, a C compiler. Exits 77 when the suite
# cannot be had here, and says why.
set -eu
cd "$(dirname "$0")"

# Two at once: the second one waits for the first one's install.
exec 9<setup.sh
if command -v flock >/dev/null 2>&1; then flock 9; fi

skip() {
    echo "tests/autobahn/setup.sh: $1" >&2
    exit 77
}

want="${PYPY:-own} $(cat setup.sh requirements.txt | cksum)"
[ "$(cat .suite/.stamp 2>/dev/null || true)" != "$want" ] || exit 0
command -v python3 >/dev/null 2>&1 || skip "python3 is not installed"
rm -rf .suite
mkdir -p .suite/deb .suite/site .suite/pip

if [ -z "${PYPY:-}" ]; then
    [ "$(uname -m)" = x86_64 ] || skip "PyPy is pinned for x86_64 only; set PYPY to a PyPy 2.7"
    command -v dpkg-deb >/dev/null 2>&1 || skip "dpkg-deb is not installed; set PYPY to a PyPy 2.7"
    while read -r sum path; do
        python3 - "$sum" "$path" <<'PY' || skip "the Debian package $path cannot be had"
import hashlib, os, sys, urllib.request
sum_, path = sys.argv[1:]
# Debian 11 moves from the first to the second; the sums make either safe.
mirrors = ["http://deb.debian.org/debian", "http://archive.debian.org/debian"]
for mirror in filter(None, [os.environ.get("DEBIAN_MIRROR"), *mirrors]):
    try:
        with urllib.request.urlopen(f"{mirror}/{path}", timeout=60) as answer:
            found = answer.read()
    except OSError as error:
        print(f"{mirror}: {error}", file=sys.stderr)
        continue
    if hashlib.sha256(found).hexdigest() == sum_:
        with open(".suite/deb/" + os.path.basename(path), "wb") as out:
            out.write(found)
        sys.exit(0)
    print(f"{mirror}: the sum of {path} is wrong", file=sys.stderr)
sys.exit(1)
PY
        dpkg-deb -x ".suite/deb/${path##*/}" .suite/root
    done <<'DEBS'
9df6ce7c216c5a365850c43b11a11b0e042eb4deb60f181970e72c05f6b894da pool/main/p/pypy/pypy_7.3.3+dfsg-2_amd64.deb
df3a24b5d7cdaa5ad9637374502e7c19e3d0aa300545b197cdcc5645317c2842 pool/main/p/pypy/pypy-lib_7.3.3+dfsg-2_amd64.deb
2aef030a8ad55f684b69b3d3efe86572f941456a9ab9b9698cbd8cff09369233 pool/main/p/pypy/pypy-dev_7.3.3+dfsg-2_all.deb
30ca89bfddae5fa6e0a2a044f22b6e50cd17c4bc6bc850c579819aeab7101f0f pool/main/libf/libffi/libffi7_3.3-6_amd64.deb
aadf8b4b197335645b230c2839b4517aa444fd2e8f434e5438c48a18857988f7 pool/main/o/openssl/libssl1.1_1.1.1w-0+deb11u1_amd64.deb
DEBS
    rm -rf .suite/deb
fi
./pypy.sh -c 'import sys; assert sys.version_info[:2] == (2, 7) and hasattr(sys, "pypy_version_info")' ||
    skip "PyPy 2.7 does not run"

# The last pip that knows Python 2, run from its wheel.
python3 -m pip download --quiet --disable-pip-version-check --no-deps -d .suite/pip pip==20.3.4 ||
    skip "pip 20.3.4 cannot be had"
install() {
    PYTHONPATH=.suite/pip/pip-20.3.4-py2.py3-none-any.whl:.suite/site ./pypy.sh -m pip --disable-pip-version-check \
        --no-python-version-warning install --quiet --no-compile --no-build-isolation --no-deps --target .suite/site "$@"
}
# Twisted's build wants the first three in place.
install setuptools==44.1.1 wheel==0.37.1 && install incremental==16.10.1 && install -r requirements.txt ||
    skip "the suite cannot be installed"
./pypy.sh wstest.py --autobahnversion >&2 || skip "the suite does not start"
echo "$want" >.suite/.stamp
