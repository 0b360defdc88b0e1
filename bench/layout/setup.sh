#!/bin/sh
# Installs the peers: npm packages into peers/node/node_modules, Python packages and OGDF into peers/python/.venv, graphviz and
# graph-tool by apt, and builds the programs of peers/rust, peers/forceatlas2 and peers/ogdf. A peer that cannot be installed is
# said, and the bench prints it as not installed. Does nothing, and quickly, when they are there already and nothing changed.
set -eu
cd "$(dirname "$0")/peers"

# Two at once: the second one waits for the first one's install.
exec 9< ../setup.sh
if command -v flock >/dev/null 2>&1; then flock 9; fi

python=${PYTHON:-python3}
missing=0

say() {
    echo "bench/layout/setup.sh: $1" >&2
    missing=1
}

stamp() { # A stamp is the pins and the interpreter: a change of either installs again.
    cat "$@" | cksum
}

if command -v npm >/dev/null 2>&1; then
    want="$(node --version) $(stamp node/package.json node/package-lock.json)"
    if [ "$(cat node/node_modules/.stamp 2>/dev/null || true)" != "$want" ]; then
        if (cd node && npm ci --silent --no-audit --no-fund --ignore-scripts); then
            echo "$want" >node/node_modules/.stamp
        else
            say "npm ci failed: no d3-force, ngraph, graphology"
        fi
    fi
else
    say "npm is not installed: no d3-force, ngraph, graphology"
fi

# graph-tool is a Debian package for Debian's own Python, and wants Cairo and GTK to import its drawing.
if command -v apt-get >/dev/null 2>&1; then
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo"
    if ! command -v sfdp >/dev/null 2>&1 || ! /usr/bin/python3 -c 'import graph_tool.draw' >/dev/null 2>&1; then
        $as_root apt-get update -q >&2 || true
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
            graphviz python3-graph-tool python3-cairo gir1.2-gtk-3.0 >&2 || true
    fi
fi
command -v sfdp >/dev/null 2>&1 || say "graphviz is not installed: no sfdp"
/usr/bin/python3 -c 'import graph_tool.draw' >/dev/null 2>&1 || say "python3-graph-tool is not installed: no graph-tool"

if command -v "$python" >/dev/null 2>&1; then
    want="$("$python" --version) $(stamp python/requirements.txt)"
    if [ "$(cat python/.venv/.stamp 2>/dev/null || true)" != "$want" ]; then
        rm -rf python/.venv
        if "$python" -m venv python/.venv &&
            python/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r python/requirements.txt; then
            echo "$want" >python/.venv/.stamp
        else
            say "pip failed: no igraph, networkx, s_gd2, OGDF; and sfdp needs its adapter's Python"
        fi
    fi
else
    say "$python is not installed: no igraph, networkx, s_gd2, OGDF; and sfdp needs it"
fi

if [ -d python/.venv/include/ogdf ] && command -v g++ >/dev/null 2>&1; then
    if [ ! -x ogdf/build/ogdf ] || [ ogdf/ogdf.cpp -nt ogdf/build/ogdf ] || [ python/.venv/.stamp -nt ogdf/build/ogdf ]; then
        mkdir -p ogdf/build
        version=$(sed -n 's/^ogdf-wheel==//p' python/requirements.txt)
        g++ -O2 -std=c++17 "-DOGDF_WHEEL=\"$version\"" -Ipython/.venv/include -Ipython/.venv/include/ogdf-release \
            ogdf/ogdf.cpp -o ogdf/build/ogdf -Lpython/.venv/lib -lOGDF -lCOIN \
            "-Wl,-rpath,\$ORIGIN/../../python/.venv/lib" || say "g++ failed: no OGDF"
    fi
else
    say "ogdf-wheel or g++ is not installed: no OGDF"
fi

if command -v cargo >/dev/null 2>&1; then
    (cd rust && cargo build --release --locked --quiet) || say "cargo failed: no fjadra, fdg-sim"
    # The crate names a feature of the nightly compiler; what it uses of it works in the stable one.
    (cd forceatlas2 && RUSTC_BOOTSTRAP=1 cargo build --release --locked --quiet) || say "cargo failed: no forceatlas2-rs"
else
    say "cargo is not installed: no fjadra, fdg-sim, forceatlas2-rs"
fi
exit $missing
