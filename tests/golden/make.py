#!/usr/bin/env python3
"""Writes the golden frames of PROTOCOL.md with nothing but `struct`: an implementation that shares no code with ours.

Each frame holds the same three nodes. Run it only when the protocol's version changes; `tests/wire_golden.rs` holds the
engine to the files.
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
AGENT, KNOWLEDGE, PRIVATE, PROPERTY = 1 << 31, 1 << 30, 1 << 29, 1 << 28
# id with class flags, position, velocity
NODES = [
    (7 | KNOWLEDGE, (1.0, -2.5, 3.25), (0.5, 0.0, -8.0)),
    (16383 | AGENT, (-1000.125, 0.0, 1e-3), (0.0, 0.0, 0.0)),
    (12 | PROPERTY | PRIVATE, (9999.5, -9999.5, 0.1), (1.5, -1.5, 200.0)),
]
NO_PATH = struct.pack("<fi", float("inf"), -1)


def own():
    records = b"".join(struct.pack("<I3f3f", word, *position, *velocity) for word, position, velocity in NODES)
    header = struct.pack(
        "<4sBBHHHIQQQQQII",
        b"SWMC", 1, 1, 0b101, 258, 0, 7, 2**40 + 5, 0, 123456789, 10**15 + 1, 10**15 + 2, len(NODES), len(records),
    )
    assert len(header) == 64
    return header + records


def v1():
    out = b""
    for word, position, velocity in NODES:
        short = (word & 0x3FFF) | (0x8000 if word & AGENT else 0) | (0x4000 if word & KNOWLEDGE else 0)
        out += struct.pack("<H3f3f", short, *position, *velocity) + NO_PATH
    return out


def v2_records(extra=b""):
    return b"".join(struct.pack("<I3f3f", word, *position, *velocity) + NO_PATH + extra for word, position, velocity in NODES)


FRAMES = {
    "swarmcast.v1": own(),
    "v1": v1(),
    "v2": b"\x02" + v2_records(),
    "v3": b"\x03" + v2_records(struct.pack("<IfI", 0, -1.0, 0)),
}

for name, frame in FRAMES.items():
    (HERE / f"{name}.frame").write_bytes(frame)
    length = len(frame)
    ws = b"\x82" + (bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length))
    (HERE / f"{name}.ws").write_bytes(ws + frame)
    (HERE / f"{name}.tcp").write_bytes(struct.pack("<I", length) + frame)
