#!/usr/bin/env python3
"""Opens connections that read a little and then stop, as a slow or sleeping client does.

    stalled.py --count 20 --hold 10 --addr 127.0.0.1:7401           (raw TCP)
    stalled.py --count 20 --hold 10 --url ws://127.0.0.1:7400/stream  (WebSocket)

Prints {"ready": K} once all of them have had a frame and stopped, holds them for --hold seconds, reads what is left of
each, and prints one JSON line: how many the server had closed, with which code, how many streams went on at a frame
boundary and how many broke off inside a frame. It makes no judgement but one: bytes that came must be whole frames.
"""

import argparse
import collections
import json
import struct
import sys
import time
import urllib.parse

import rawsocket


def open_one(options):
    if options.url:
        url = urllib.parse.urlsplit(options.url)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        stream = rawsocket.WebSocket(
            (url.hostname, url.port or 80), path, options.profile, receive_bytes=options.receive_bytes
        )
        while stream.read()[0] != rawsocket.BINARY:
            pass
        return stream
    host, _, port = options.addr.rpartition(":")
    hello = json.dumps({"profile": options.profile}).encode() + b"\n"
    stream = rawsocket.Tcp((host.strip("[]"), int(port)), hello, receive_bytes=options.receive_bytes)
    while stream.record()[0] != "frame":
        pass
    return stream


def read_rest(stream, frames_max):
    """How one stream ended: ("closed", code) | ("end" | "reset" | "alive", None), and the frames that came before."""
    frames = 0
    try:
        while frames < frames_max:
            if isinstance(stream, rawsocket.WebSocket):
                opcode, payload = stream.read(3)
                if opcode == rawsocket.CLOSE:
                    return ("closed", rawsocket.close_code(payload)), frames
                frames += opcode == rawsocket.BINARY
            else:
                kind, body = stream.record(3)
                if kind == "text" and body["type"] == "goodbye":
                    return ("closed", body.get("code")), frames
                frames += kind == "frame"
    except rawsocket.Ended as error:
        return (error.how + (" inside a frame" if stream.pending else ""), None), frames
    except TimeoutError:
        return ("silent", None), frames
    return ("alive", None), frames


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--addr", default="127.0.0.1:7401", help="raw TCP, unless --url is given")
    parser.add_argument("--url")
    parser.add_argument("--profile", default="swarmcast.v1")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--hold", type=float, default=10, help="seconds of not reading")
    parser.add_argument("--receive-bytes", type=int, default=4096, help="SO_RCVBUF; the kernel doubles it")
    parser.add_argument("--frames", type=int, default=20, help="frames to read from each after the hold")
    options = parser.parse_args()

    streams = [open_one(options) for _ in range(options.count)]
    print(json.dumps({"ready": len(streams)}), flush=True)
    time.sleep(options.hold)

    ends, frames, corrupted = collections.Counter(), [], []
    for number, stream in enumerate(streams):
        try:
            (how, code), count = read_rest(stream, options.frames)
        except (AssertionError, struct.error, ValueError) as error:
            how, code, count = "corrupted", None, 0
            corrupted.append(f"connection {number}: {error}")
        ends[how if code is None else f"{how} {code}"] += 1
        frames.append(count)
        stream.close()
    result = {
        "ok": not corrupted, "count": len(streams), "held_s": options.hold, "ends": dict(ends),
        "frames_after_hold_min": min(frames, default=0), "frames_after_hold_max": max(frames, default=0),
        "failures": corrupted,
    }
    print(json.dumps(result), flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
