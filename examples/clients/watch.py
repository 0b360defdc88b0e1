#!/usr/bin/env python3
"""Prints the frame rate and where one node is, once a second. Python standard library only.

    python3 watch.py [HOST:PORT] [INDEX]       (127.0.0.1:7401 and node 0 of the list when left out)
"""

import json
import socket
import struct
import sys
import time

host, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7401").rsplit(":", 1)
index = int(sys.argv[2]) if len(sys.argv) > 2 else 0
try:
    stream = socket.create_connection((host.strip("[]"), int(port))).makefile("rwb")
except OSError as error:
    sys.exit(f"{host}:{port}: {error}")

# The hello: one line of JSON. From here on the server talks by itself.
stream.write(b'{"profile":"swarmcast.v1","rate":60}\n')
stream.flush()

count, since = 0, time.monotonic()
while len(head := stream.read(4)) == 4:
    (word,) = struct.unpack("<I", head)  # bit 31: a JSON text; the others: how many bytes follow
    body = stream.read(word & 0x7FFF_FFFF)
    if word >> 31:
        print(json.loads(body), flush=True)
        continue
    # 64 bytes of header, then 28 bytes a node: u32 id, f32 position x y z, f32 velocity x y z.
    if len(body) < 64 + 28 * (index + 1):
        sys.exit(f"there is no node {index}")
    (tick,) = struct.unpack_from("<Q", body, 32)
    id_, x, y, z = struct.unpack_from("<Ifff", body, 64 + 28 * index)
    # With NumPy the whole frame is one array:
    #   numpy.frombuffer(body, [("id", "<u4"), ("position", "<f4", 3), ("velocity", "<f4", 3)], offset=64)
    count += 1
    if (seconds := time.monotonic() - since) >= 1:
        print(f"{count / seconds:5.1f} frames/s  tick {tick}  node {id_ & 0x3FFFFFF} at {x:8.2f} {y:8.2f} {z:8.2f}", flush=True)
        count, since = 0, time.monotonic()
print("the server ended the stream")
