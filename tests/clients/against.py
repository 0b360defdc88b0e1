#!/usr/bin/env python3
"""Runs every client in every profile, and then abuse.py, against one running server.

    ./setup.sh && .venv/bin/python against.py --http 127.0.0.1:7400 --tcp 127.0.0.1:7401

One line a run on standard error, one line of JSON at the end; exit 0 when all of it held. One run at a time: several
clients on few cores would measure each other. About 90 seconds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys

import wire

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--http", default="127.0.0.1:7400", metavar="HOST:PORT")
    parser.add_argument("--tcp", default="127.0.0.1:7401", metavar="HOST:PORT")
    parser.add_argument("--profiles", default=",".join(wire.PROFILES), help="v1 cannot carry ids over 16,383")
    parser.add_argument("--handshake-timeout", default="5")
    parser.add_argument("--without", default="", help="of ws_python,ws_node,tcp_python,rest,abuse: what to leave out")
    parser.add_argument("client_options", nargs="*", help="after --: options for every client, such as --still-ok")
    options = parser.parse_args()
    without = options.without.split(",")
    ws, tcp = ["--url", f"ws://{options.http}/stream"], ["--addr", options.tcp]
    clients = [("ws_python", ws, []), ("tcp_python", tcp, ["--rate", "30"]), ("ws_node", ws, ["--by", "query", "--rate", "20"])]
    if not shutil.which("node"):
        without.append("ws_node")

    results, failed = [], []
    for name, address, extra in clients:
        for profile in options.profiles.split(",") if name not in without else []:
            arguments = address + extra + ["--profile", profile] + options.client_options
            if "rest" not in without:
                arguments += ["--check-rest", f"http://{options.http}"]
            result = run(name, arguments, 180)
            note(f"{name} {profile}", result, "; ".join(result.get("failures", [])), failed)
            results.append(result)
    if "abuse" not in without:
        result = run(
            "abuse", ["--http", options.http, "--tcp", options.tcp, "--handshake-timeout", options.handshake_timeout], 300
        )
        for case in result.get("failed", []):
            print(f"  {case}: {result['results'][case].get('note')}", file=sys.stderr)
        note("abuse", result, ", ".join(result.get("failed", result.get("failures", []))), failed)
        results.append(result)
    print(json.dumps({"ok": not failed, "runs": len(results), "failed": failed, "results": results}))
    return 1 if failed else 0


def run(name, arguments, seconds):
    program = ["node", os.path.join(HERE, f"{name}.mjs")] if name == "ws_node" else [
        sys.executable, os.path.join(HERE, f"{name}.py")
    ]
    try:
        done = subprocess.run(program + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"ok": False, "failures": [f"did not end within {seconds} s"]}
    except ValueError:
        return {"ok": False, "failures": [f"no result: {done.stderr[-500:]}"]}


def note(name, result, wrong, failed):
    if not result["ok"]:
        failed.append(name)
    print(f"{'ok    ' if result['ok'] else 'FAILED'} {name}{': ' + wrong if wrong else ''}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
