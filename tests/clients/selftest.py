#!/usr/bin/env python3
"""Holds the clients to their task: each passes against a server without a fault and catches every planted one.

    ./setup.sh && .venv/bin/python selftest.py [--jobs 2] [FAULT ...]

A checker that never fails proves nothing about the real server. Exit 0 when all did as they should.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

import fake_server
import wire

HERE = os.path.dirname(os.path.abspath(__file__))

# The profile in which a fault shows, where it is not our own.
PROFILE = {"distance": "v1", "parent": "v2", "cluster": "v3", "v2_byte": "v2"}
# What the two kinds of client do not look at.
ONLY_PYTHON = {
    "no_release", "early_release", "confirmed_rate", "interval", "taken_untold",
}
ONLY_WEBSOCKET = {"close_code"}
# What a failure must say: a fault that is caught by accident is not caught.
SAYS = {
    "sequence_repeats": "sequence", "sequence_gap": "left out", "tick_back": "tick went back", "nan": "nan",
    "short_frame": "bytes", "long_frame": "bytes", "ids_swap": "record 0 is id", "id_twice": "occurs twice",
    "still": "nothing moved", "class_wrong": "class", "epoch_wrong": "epoch", "magic": "magic", "reserved": "reserved",
    "body_bytes": "body_bytes", "base": "base", "flags": "flags", "published_early": "published",
    "first_frame_late": "first frame", "established_field": "edge_count", "profile_wrong": "asked for",
    "rate_wrong": "rate is", "distance": "distance", "parent": "parent", "cluster": "cluster", "v2_byte": "begins with byte",
    "rest_ids": "rest:", "rest_position": "rest:", "rest_sequence": "rest:", "rest_edges": "rest: edge",
    "no_pong": "`pong`", "pong_timestamp": "pong", "no_error": "`error`", "error_closes": "closed the connection",
    "drag_ignored": "drag:", "pin_drifts": "pinned at", "no_release": "drag_released", "early_release": "released after",
    "confirmed_rate": "change_rate", "close_code": "1001", "heartbeat_moves": "heartbeat", "interval": "interval",
    "taken_untold": "drag_taken",
}


def run_client(command, profile, extra, ports):
    address = {
        "ws_python": ["--url", f"ws://127.0.0.1:{ports['ws']}/stream"],
        "ws_node": ["--url", f"ws://127.0.0.1:{ports['ws']}/stream"],
        "tcp_python": ["--addr", f"127.0.0.1:{ports['tcp']}"],
    }[command]
    program = [sys.executable, os.path.join(HERE, f"{command}.py")]
    if command == "ws_node":
        program = ["node", os.path.join(HERE, "ws_node.mjs")]
    done = subprocess.run(
        program + address + ["--profile", profile, "--check-rest", f"http://127.0.0.1:{ports['ws']}"] + extra,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
    )
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        return done.returncode, {"failures": [f"no result: {done.stderr[-500:]}"]}, done.stderr


def with_server(fault, job):
    """Runs `job(ports)` against a server of its own."""
    server = subprocess.Popen(
        [sys.executable, os.path.join(HERE, "fake_server.py")] + (["--fault", fault] if fault else []),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        return job(json.loads(server.stdout.readline()))
    finally:
        server.kill()
        server.wait()


def without_fault(client, profile, extra):
    # The fake server and a busy machine may be slow to start; that they are is not the checker's fault.
    patient = extra + ["--first-frame-ms", "5000"]
    status, result, _ = with_server(None, lambda ports: run_client(client, profile, patient, ports))
    text = f"{client} {profile} {' '.join(extra)}".strip()
    return text, None if status == 0 and result["ok"] else f"failed without a fault: {result['failures']}"


def planted(client, fault):
    profile = PROFILE.get(fault, "swarmcast.v1")
    status, result, _ = with_server(fault, lambda ports: run_client(client, profile, [], ports))
    text = f"{client} {profile} {fault}"
    if status == 0 or result.get("ok"):
        return text, "the fault was not caught"
    if not any(SAYS[fault].lower() in failure.lower() for failure in result["failures"]):
        return text, f"caught, but for another reason than {SAYS[fault]!r}: {result['failures']}"
    return text, None


def run_abuse(fault, groups):
    def job(ports):
        done = subprocess.run(
            [
                sys.executable, os.path.join(HERE, "abuse.py"), "--http", f"127.0.0.1:{ports['ws']}",
                "--tcp", f"127.0.0.1:{ports['tcp']}", "--only", groups,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
        )
        return done.returncode, json.loads(done.stdout)

    return with_server(fault, job)


def abuse():
    # The group `http` is left out: the fake server's HTTP is the library's, not ours to hold to anything.
    status, result = run_abuse(None, "ws,messages,handshake,tcp")
    text = f"abuse.py, {result['cases']} cases"
    return text, None if status == 0 else {name: result["results"][name] for name in result["failed"]}


def abuse_of_tolerant():
    """A server that takes every hello and query as it comes must fail each case about them."""
    _, result = run_abuse("tolerant", "handshake,tcp")
    wanted = {
        f"tcp.{name}" for name in (
            "hello_not_json", "hello_half_json", "hello_empty_line", "hello_array", "hello_unknown_profile",
            "hello_profile_number", "hello_rate_0", "hello_rate_1000", "hello_rate_negative", "hello_rate_fraction",
            "hello_rate_text", "hello_of_5000_bytes", "hello_of_1_MB_without_end", "hello_not_utf8", "hello_http", "hello_tls",
        )
    } | {
        f"handshake.{name}" for name in (
            "two_profiles", "unknown_profile_in_query", "rate_0_in_query", "rate_1000_in_query", "rate_text_in_query",
            "unknown_path",
        )
    }
    passed = sorted(wanted - set(result["failed"]))
    return "abuse.py tolerant", f"passed against a server that checks nothing: {passed}" if passed else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="only these; all when left out")
    # Clients and servers measure time (first frame, 500 ms of silence): more jobs than cores would fail for that.
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    assert set(SAYS) | {"tolerant"} == set(fake_server.FAULTS), "every fault has its text"

    clients = ["ws_python", "tcp_python"] + (["ws_node"] if shutil.which("node") else [])
    if "ws_node" not in clients:
        print("node is not installed: ws_node.mjs is skipped", file=sys.stderr)
    jobs = []
    if not options.faults:
        jobs += [(without_fault, client, profile, []) for client in clients for profile in wire.PROFILES]
        jobs += [(without_fault, client, "swarmcast.v1", ["--rate", "13"]) for client in clients]
        jobs += [(without_fault, client, "v3", ["--by", "query", "--rate", "120"]) for client in clients if "ws" in client]
        jobs += [(abuse,), (abuse_of_tolerant,)]
    for fault in options.faults or sorted(SAYS):
        for client in clients:
            if (client == "ws_node" and fault in ONLY_PYTHON) or (client == "tcp_python" and fault in ONLY_WEBSOCKET):
                continue
            jobs.append((planted, client, fault))

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for text, wrong in pool.map(lambda job: job[0](*job[1:]), jobs):
            failed += wrong is not None
            print(f"{'FAILED' if wrong else 'ok    '} {text}{': ' + wrong if wrong else ''}", flush=True)
    print(json.dumps({"ok": not failed, "cases": len(jobs), "failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
