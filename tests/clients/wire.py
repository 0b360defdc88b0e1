"""Takes the frames of src/wire/PROTOCOL.md apart, written from that page alone, for the Python clients.

`decode(profile, data)` gives a `Frame` with every field, or raises `Malformed` that says which byte rule was broken.
"""

import dataclasses
import struct

import numpy as np

PROFILES = ("swarmcast.v1", "v1", "v2", "v3", "legacy-26", "legacy-28", "v1-lead", "v5", "v42", "vf0")
HEADER = struct.Struct("<4sBBHHHIQQQQQII")
assert HEADER.size == 64

_STATE = [("position", "<f4", 3), ("velocity", "<f4", 3)]
_PATH = [("distance", "<f4"), ("parent", "<i4")]
_GROUPS = [("cluster", "<u4"), ("anomaly", "<f4"), ("community", "<u4")]
RECORD = {
    "swarmcast.v1": np.dtype([("id", "<u4")] + _STATE),
    "v1": np.dtype([("id", "<u2")] + _STATE + _PATH),
    "v2": np.dtype([("id", "<u4")] + _STATE + _PATH),
    "v3": np.dtype([("id", "<u4")] + _STATE + _PATH + _GROUPS),
    "legacy-26": np.dtype([("id", "<u2")] + _STATE),
    "legacy-28": np.dtype([("id", "<u4")] + _STATE),
}
RECORD |= {"v1-lead": RECORD["v1"], "v5": RECORD["v3"], "v42": RECORD["legacy-28"], "vf0": RECORD["legacy-28"]}
assert [RECORD[profile].itemsize for profile in PROFILES] == [28, 34, 36, 48, 26, 28, 34, 48, 28, 28]
HEAD_BYTES = {"swarmcast.v1": 64, "v1": 0, "v2": 1, "v3": 1}
HEAD_BYTES |= {"legacy-26": 0, "legacy-28": 0, "v1-lead": 1, "v5": 9, "v42": 9, "vf0": 8}
FIRST_BYTE = {"v1-lead": 1, "v2": 2, "v3": 3, "v5": 5, "v42": 0x42}
ID_MASK = {"v1": 0x3FFF, "v1-lead": 0x3FFF, "legacy-26": 0xFFFF, "legacy-28": 0x3FFF_FFFF, "v42": 0xFFFF_FFFF, "vf0": 0xFFFF_FFFF}

SETTLED, FLAT, HEARTBEAT = 1, 2, 4


class Malformed(Exception):
    pass


@dataclasses.dataclass
class Header:
    magic: bytes
    version: int
    kind: int
    flags: int
    class_: int
    reserved: int
    epoch: int
    sequence: int
    base: int
    tick: int
    tick_ns: int
    published_ns: int
    node_count: int
    body_bytes: int


@dataclasses.dataclass
class Frame:
    profile: str
    header: Header | None  # None in the legacy profiles
    records: np.ndarray
    count: int | None = None  # the sequence of v5 and v42, the frame id of vf0

    @property
    def ids(self):
        """Node ids without their class bits."""
        return self.records["id"] & ID_MASK.get(self.profile, 0x03FF_FFFF)


def frame_bytes(profile, node_count):
    return HEAD_BYTES[profile] + RECORD[profile].itemsize * node_count + (4 if profile == "vf0" else 0)


def decode(profile, data):
    record = RECORD[profile]
    header, at = None, HEAD_BYTES[profile]
    if len(data) < at:
        raise Malformed(f"a frame of {len(data)} bytes is shorter than the {at} bytes before its records")
    if profile == "swarmcast.v1":
        header = Header(*HEADER.unpack_from(data))
        said = header.node_count * record.itemsize
        if header.magic != b"SWMC":
            raise Malformed(f"magic is {header.magic!r}, not SWMC")
        if header.version != 1:
            raise Malformed(f"version is {header.version}, not 1")
        if header.kind != 1:
            raise Malformed(f"kind is {header.kind}, not 1 (full)")
        if header.flags & ~(SETTLED | FLAT | HEARTBEAT):
            raise Malformed(f"flags {header.flags:#06x} has bits that the protocol keeps 0")
        if header.reserved != 0:
            raise Malformed(f"reserved is {header.reserved}, not 0")
        if header.base != 0:
            raise Malformed(f"base is {header.base} in a full frame, not 0")
        if header.body_bytes != said:
            raise Malformed(f"body_bytes is {header.body_bytes}, but {header.node_count} records are {said}")
        if len(data) != at + said:
            raise Malformed(f"the frame is {len(data)} bytes, but its header makes it {at + said}")
    elif profile in FIRST_BYTE and data[0] != FIRST_BYTE[profile]:
        raise Malformed(f"a {profile} frame begins with byte {data[0]}, not {FIRST_BYTE[profile]}")
    count, end = None, len(data)
    if profile in ("v5", "v42"):
        (count,) = struct.unpack_from("<Q", data, 1)
    elif profile == "vf0":
        magic, count = struct.unpack_from("<II", data)
        if magic != 0x56334630:
            raise Malformed(f"a vf0 frame begins with {magic:#010x}")
        if len(data) < 12:
            raise Malformed(f"a vf0 frame of {len(data)} bytes has no count at its end")
        end -= 4
        (said,) = struct.unpack_from("<I", data, end)
        if (end - at) // record.itemsize != said:
            raise Malformed(f"a vf0 frame says {said} nodes at its end, and has {(end - at) / record.itemsize}")
    if (end - at) % record.itemsize:
        raise Malformed(f"{len(data)} bytes are no whole number of {record.itemsize}-byte records after {at} bytes")
    return Frame(profile, header, np.frombuffer(data, record, count=(end - at) // record.itemsize, offset=at), count)
