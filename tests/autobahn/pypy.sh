#!/bin/sh
# The PyPy 2.7 of setup.sh, with the libraries of its own time.
root="$(cd "$(dirname "$0")" && pwd)/.suite/root"
LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
exec "${PYPY:-$root/usr/bin/pypy}" "$@"
