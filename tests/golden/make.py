#!/usr/bin/env python3
"""Writes the golden frames of PROTOCOL.md with nothing but `struct`: an implementation that shares no code with ours.

Each frame holds the same three nodes. Run it only when the protocol's version changes; `tests/library/wire_golden.rs` holds the
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
ID = (1 << 26) - 1
SEQUENCE = 2**40 + 5
NO_PATH = struct.pack("<fi", float("inf"), -1)


def own():
    records = b"".join(struct.pack("<I3f3f", word, *position, *velocity) for word, position, velocity in NODES)
    header = struct.pack(
        "<4sBBHHHIQQQQQII",
        b"SWMC", 1, 1, 0b101, 258, 0, 7, SEQUENCE, 0, 123456789, 10**15 + 1, 10**15 + 2, len(NODES), len(records),
    )
    assert len(header) == 64
    return header + records


def lz4_literals(data):
    """An LZ4 block without any match: a token, the length, the bytes."""
    token, rest = min(len(data), 15), len(data) - 15
    length = b"" if rest < 0 else b"\xff" * (rest // 255) + bytes([rest % 255])
    return bytes([token << 4]) + length + data


def packed():
    """40 nodes in one row, as byte planes. The block has one match: a run of zeros from the last byte of the ids on."""
    nodes = [struct.pack("<I3f3f", index, float(index), 0.0, 0.0, 0.0, 0.0, 0.0) for index in range(40)]
    raw = b"".join(nodes)
    planes = b"".join(bytes(node[place] for node in nodes) for place in range(28))
    # Literals up to the end of the x plane, then zeros: a match of offset 1, which repeats the byte before it.
    head = 8 * 40 + 1
    match, last = len(planes) - head - 5, planes[-5:]
    assert planes[head - 1:] == b"\0" * (len(planes) - head + 1)
    length = head - 15
    block = bytes([0xFF]) + b"\xff" * (length // 255) + bytes([length % 255]) + planes[:head]
    length = match - 4 - 15
    block += struct.pack("<H", 1) + b"\xff" * (length // 255) + bytes([length % 255]) + lz4_literals(last)
    body = struct.pack("<I", len(raw)) + block
    header = struct.pack(
        "<4sBBHHHIQQQQQII", b"SWMC", 1, 1, 32, 9, 0, 7, SEQUENCE, 0, 123456789, 10**15 + 1, 10**15 + 2, 40, len(body),
    )
    return header + body


def v1():
    out = b""
    for word, position, velocity in NODES:
        short = (word & 0x3FFF) | (0x8000 if word & AGENT else 0) | (0x4000 if word & KNOWLEDGE else 0)
        out += struct.pack("<H3f3f", short, *position, *velocity) + NO_PATH
    return out


def v2_records(extra=b""):
    return b"".join(struct.pack("<I3f3f", word, *position, *velocity) + NO_PATH + extra for word, position, velocity in NODES)


def v3_records():
    return v2_records(struct.pack("<IfI", 0, -1.0, 0))


def ids_and_motion(id_format, keep):
    return b"".join(struct.pack(id_format + "3f3f", word & keep, *position, *velocity) for word, position, velocity in NODES)


FRAMES = {
    "swarmcast.v1": own(),
    "v1": v1(),
    "v2": b"\x02" + v2_records(),
    "v3": b"\x03" + v3_records(),
    "legacy-26": ids_and_motion("<H", 0xFFFF),
    "legacy-28": ids_and_motion("<I", ID | AGENT | KNOWLEDGE),
    "v1-lead": b"\x01" + v1(),
    "v5": b"\x05" + struct.pack("<Q", SEQUENCE) + v3_records(),
    "v42": b"\x42" + struct.pack("<Q", SEQUENCE) + ids_and_motion("<I", ID),
    "vf0": struct.pack("<II", 0x56334630, SEQUENCE & 0xFFFFFFFF) + ids_and_motion("<I", ID) + struct.pack("<I", len(NODES)),
    # Three nodes are too few to pack: the frame is that of swarmcast.v1.
    "swarmcast.v1.lz4": own(),
}

# Binary messages of clients: source, target, action, time, duration, payload.
ACTIONS = [(3 | AGENT, 9 | KNOWLEDGE, 5, 77, 250, b"why"), (3, 16383, 0, 2**32 - 1, 65535, b""), (ID, 0, 4, 0, 0, bytes(range(256)))]
ITEMS = [struct.pack("<IIBIH", *fields) + payload for *fields, payload in ACTIONS]
(HERE / "agent-action.message").write_bytes(b"\x23" + ITEMS[0])
(HERE / "agent-actions.message").write_bytes(
    struct.pack("<BH", 0x23, len(ITEMS)) + b"".join(struct.pack("<H", len(item)) + item for item in ITEMS)
)
(HERE / "ack.message").write_bytes(struct.pack("<BQIQ", 0x34, SEQUENCE, 3, 2**63 + 1))

# Another encoder's block is another one; this file is for decoders.
(HERE / "swarmcast.v1.lz4.packed").write_bytes(packed())
for name, frame in FRAMES.items():
    (HERE / f"{name}.frame").write_bytes(frame)
    length = len(frame)
    ws = b"\x82" + (bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length))
    (HERE / f"{name}.ws").write_bytes(ws + frame)
    (HERE / f"{name}.tcp").write_bytes(struct.pack("<I", length) + frame)
