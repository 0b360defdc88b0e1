#!/usr/bin/env python3
"""A small server of PROTOCOL.md for testing the test clients: it can be told to break one rule at a time.

    .venv/bin/python fake_server.py --fault sequence

It prints one line of JSON with its two ports, and serves until it is killed. Nothing here is meant to be fast, and
nothing of the real server is tested with it.
"""

import argparse
import asyncio
import contextlib
import json
import math
import struct
import time
import traceback
import urllib.parse

import numpy as np
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

import wire

TICK_RATE = 60
EDGES = [(0, 1), (1, 2), (2, 3)]

# Each is caught by a named check; selftest.py holds both to it.
FAULTS = (
    "sequence_repeats", "sequence_gap", "tick_back", "nan", "short_frame", "long_frame", "ids_swap", "id_twice",
    "still", "class_wrong", "epoch_wrong", "magic", "reserved", "body_bytes", "base", "flags", "published_early",
    "first_frame_late", "established_field", "profile_wrong", "rate_wrong", "distance", "parent", "cluster", "v2_byte",
    "rest_ids", "rest_position", "rest_sequence", "rest_edges", "no_pong", "pong_timestamp", "no_error",
    "error_closes", "drag_ignored", "pin_drifts", "no_release", "early_release", "confirmed_rate", "close_code",
    "heartbeat_moves", "interval", "taken_untold", "tolerant",
)
LINE_BYTES_MAX = 4096
TEXT_BIT = 1 << 31
HANDSHAKE_SECONDS = 5


class World:
    def __init__(self, nodes, fault):
        self.fault = fault
        self.count = nodes
        self.ids = np.arange(10, 10 + nodes, dtype=np.uint32)
        self.epoch = 3
        self.tick = 1000  # as of a server that has run for a while; some faults subtract
        self.start_ns = time.monotonic_ns()
        self.held = {}  # index -> position, dragged or pinned
        self.holder = {}  # index -> connection that drags it
        self.classes = {}  # (profile, rate) -> Class
        self.connections = set()
        self.step()

    def step(self):
        self.tick += 1
        angle = np.arange(self.count) + self.tick * 0.01
        if self.fault == "still":
            angle = np.arange(self.count) * 1.0
        self.position = np.stack([100 * np.cos(angle), 100 * np.sin(angle), angle % 50], axis=1).astype("<f4")
        self.velocity = np.ones((self.count, 3), dtype="<f4")
        for index, at in self.held.items():
            self.position[index] = at
            if self.fault == "pin_drifts":
                self.position[index] += np.float32(0.01 * (self.tick % 7))
        if self.fault == "nan" and self.tick % 10 == 0:
            self.position[self.count // 2, 1] = math.nan

    def class_of(self, profile, rate):
        key = (profile, rate)
        if key not in self.classes:
            self.classes[key] = Class(self, len(self.classes) + 1, profile, rate)
        return self.classes[key]

    async def run(self):
        due = time.monotonic()
        while True:
            self.step()
            for class_ in self.classes.values():
                if (self.tick * class_.rate) // TICK_RATE != ((self.tick - 1) * class_.rate) // TICK_RATE:
                    class_.encode()
                    for connection in list(self.connections):
                        if connection.class_ is class_:
                            connection.fresh.set()
            due += 1 / TICK_RATE
            await asyncio.sleep(max(0, due - time.monotonic()))


class Class:
    def __init__(self, world, number, profile, rate):
        self.world, self.number, self.profile, self.rate = world, number, profile, rate
        self.sequence = 0
        self.encode()

    def encode(self):
        world, fault = self.world, self.world.fault
        self.sequence += 1
        self.tick, self.position = world.tick, world.position.copy()
        late = self.sequence % 10 == 0  # faults come now and then, so that a check must look at every frame
        records = np.zeros(world.count, wire.RECORD[self.profile])
        records["id"] = world.ids
        if fault == "ids_swap" and late:
            records["id"][:2] = records["id"][:2][::-1]
        if fault == "id_twice":
            records["id"][1] = records["id"][0]
        records["position"], records["velocity"] = world.position, world.velocity
        if self.profile != "swarmcast.v1":
            records["distance"] = 1.0 if fault == "distance" else math.inf
            records["parent"] = 0 if fault == "parent" else -1
        if self.profile == "v3":
            records["anomaly"] = -1
            records["cluster"] = 4 if fault == "cluster" else 0
        body = records.tobytes()
        if self.profile == "swarmcast.v1":
            sequence = self.sequence
            if fault == "sequence_repeats" and late:
                sequence -= 1
            if fault == "sequence_gap":
                sequence += self.sequence // 10
            tick_ns = world.start_ns + world.tick * 1_000_000_000 // TICK_RATE
            body = struct.pack(
                "<4sBBHHHIQQQQQII",
                b"SWMX" if fault == "magic" else b"SWMC", 1, 1,
                8 if fault == "flags" else 4 if fault == "heartbeat_moves" else 0,
                self.number + (fault == "class_wrong" and late), int(fault == "reserved"),
                world.epoch + (fault == "epoch_wrong" and late), sequence, int(fault == "base"),
                world.tick - (30 if fault == "tick_back" and late else 0), tick_ns,
                tick_ns - 5 if fault == "published_early" else max(tick_ns, time.monotonic_ns()),
                world.count, 28 * world.count + (fault == "body_bytes"),
            ) + body
        elif self.profile != "v1":
            body = bytes([9 if fault == "v2_byte" else int(self.profile[1])]) + body
        if fault == "short_frame" and late:
            body = body[:-1]
        if fault == "long_frame" and late:
            body += body[-wire.RECORD[self.profile].itemsize:]
        self.bytes = body

    def data(self):
        """The answer of GET /api/graph/data."""
        world, fault = self.world, self.world.fault
        nodes = [
            {"id": int(id_), "label": f"node {id_}", "position": dict(zip("xyz", (float(v) for v in at)))}
            for id_, at in zip(world.ids, self.position)
        ]
        if fault == "rest_ids":
            nodes.reverse()
        if fault == "rest_position":
            nodes[-1]["position"]["y"] += 1e-4
        edges = [{"source": int(world.ids[a]), "target": int(world.ids[b]), "weight": 1} for a, b in EDGES]
        if fault == "rest_edges":
            edges[0]["target"] = 99_999
        return {
            "epoch": world.epoch, "tick": self.tick, "sequence": self.sequence + (fault == "rest_sequence"),
            "class": self.number, "nodes": nodes, "edges": edges,
        }


class Connection:
    """One client, whatever carries it: `send_frame`, `send_text` and `end` are the transport's."""

    def __init__(self, world, profile, rate, send_frame, send_text, end):
        self.world = world
        self.class_ = world.class_of(profile, min(rate or TICK_RATE, TICK_RATE))
        self.send_frame, self.send_text, self.end = send_frame, send_text, end
        self.fresh = asyncio.Event()
        self.drags = {}  # index -> time of the last update

    async def say(self, **fields):
        await self.send_text(json.dumps(fields))

    async def stream(self):
        fault, class_ = self.world.fault, self.class_
        class_.encode()  # a class without subscribers is as old as its last frame
        hello = {
            "type": "connection_established", "timestamp": int(time.time() * 1000), "session": "s1",
            "class": class_.number, "profile": "v1" if fault == "profile_wrong" else class_.profile,
            "rate": class_.rate + (fault == "rate_wrong"), "tick_rate": TICK_RATE, "dimensions": 3,
            "epoch": self.world.epoch, "node_count": self.world.count, "edge_count": len(EDGES),
            "is_reconnection": False, "state_sync_sent": False,
            "protocol": {"supported": list(wire.PROFILES), "preferred": "swarmcast.v1"},
        }
        if fault == "established_field":
            del hello["edge_count"]
        await self.say(**hello)
        if fault == "first_frame_late":
            await asyncio.sleep(1.0)
        self.world.connections.add(self)
        self.fresh.set()
        while True:
            await self.fresh.wait()
            self.fresh.clear()
            await self.send_frame(self.class_.bytes)
            await self.release_silent()

    async def release_silent(self):
        now = time.monotonic()
        limit = {"no_release": 1e9, "early_release": 0.2}.get(self.world.fault, 0.5)
        for index in [index for index, last in self.drags.items() if now - last > limit]:
            self.release(index)
            await self.say(type="drag_released", nodeId=int(self.world.ids[index]), reason="silence")

    def release(self, index, pin=False):
        self.drags.pop(index, None)
        if self.world.holder.get(index) is self:
            del self.world.holder[index]
            if not pin:
                self.world.held.pop(index, None)

    def gone(self):
        self.world.connections.discard(self)
        for index in list(self.drags):
            self.release(index)

    async def error(self, code, message, category="validation"):
        if self.world.fault == "no_error":
            return
        await self.say(
            type="error", code=code, message=message, category=category, retryable=False, retryAfter=None, affectedPaths=[]
        )
        if self.world.fault == "error_closes":
            await self.end()

    async def take(self, text):
        fault = self.world.fault
        if isinstance(text, bytes):
            return await self.end(1003)
        if len(text) > LINE_BYTES_MAX:
            return await self.error("too_long", f"a message has at most {LINE_BYTES_MAX} bytes")
        if text.strip() == "ping":
            text = '{"type":"ping"}'
        message = parse_object(text)
        if message is None:
            return await self.error("bad_json", "not a JSON object")
        type_ = message.get("type")
        if type_ == "ping":
            if fault == "no_pong":
                return None
            stamp = message.get("timestamp")
            if fault == "pong_timestamp" and stamp:
                stamp += 1
            return await self.say(type="pong", timestamp=stamp, server_ns=time.monotonic_ns())
        if type_ == "subscribe_position_updates":
            if wrong := wrong_hello(message) or (message.get("binary") is False and "binary must be true"):
                return await self.error("bad_field", wrong)
            rate = min(message["rate"], TICK_RATE)
            self.class_ = self.world.class_of(self.class_.profile, rate)
            self.class_.encode()
            return await self.say(
                type="subscription_confirmed", interval=1000 / rate + 5 * (fault == "interval"),
                rate=rate + (fault == "confirmed_rate"), binary=True,
                **{"class": self.class_.number}, profile=self.class_.profile,
            )
        if type_ == "request_full_snapshot":
            return self.fresh.set()
        if type_ == "requestInitialData":
            url = f"/api/graph/data?class={self.class_.number}"
            return await self.say(
                type="initialDataInfo", url=url, epoch=self.world.epoch, **{"class": self.class_.number}
            )
        if type_ == "update_physics_params":
            return await self.error("not_here", "parameters are configuration")
        if type_ in ("nodeDragStart", "nodeDragUpdate", "nodeDragEnd", "pinNode"):
            return await self.move(type_, message)
        return await self.error("unknown_type", f"unknown type {type_!r}")

    async def move(self, type_, message):
        id_ = message.get("nodeId")
        found = np.nonzero(self.world.ids == id_)[0] if isinstance(id_, int) and id_ >= 0 else []
        if not len(found):
            return await self.error("unknown_node", f"no node {id_}")
        index = int(found[0])
        if type_ == "pinNode":
            if message["pinned"]:
                self.world.held[index] = self.world.position[index].copy()
            else:
                self.world.held.pop(index, None)
            return await self.say(type="pin_confirmed", nodeId=message["nodeId"], pinned=message["pinned"])
        if type_ == "nodeDragEnd":
            return self.release(index, message.get("pin", False))
        at = [message["position"][axis] for axis in "xyz"]
        if not max(map(abs, at)) <= 10_000:
            return await self.error("bad_position", "position is outside +-10,000")
        if index not in self.drags and len(self.drags) >= 5:
            return await self.error("too_many_drags", "at most 5 nodes at once")
        holder = self.world.holder.get(index)
        if holder not in (None, self) and self.world.fault != "taken_untold":
            holder.drags.pop(index, None)
            with contextlib.suppress(ConnectionClosed, ConnectionError):  # it may be leaving just now
                await holder.say(type="drag_taken", nodeId=id_, by="another")
            await self.say(type="drag_taken", nodeId=id_, by="you")
        self.world.holder[index] = self
        self.drags[index] = time.monotonic()
        if self.world.fault != "drag_ignored":
            self.world.held[index] = np.array(at, dtype="<f4")
        return None


def parse_object(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def wrong_hello(fields):
    """What is wrong with a profile and a rate, in words; None when nothing is."""
    profile, rate = fields.get("profile", "v1"), fields.get("rate", 1)
    if profile not in wire.PROFILES:
        return f"profile must be one of {', '.join(wire.PROFILES)}, not {profile!r}"
    if type(rate) is not int or not 1 <= rate <= 120:
        return f"rate must be a whole number from 1 to 120, not {rate!r}"
    return None


async def read_line(reader):
    """One line of at most LINE_BYTES_MAX bytes; the bytes so far when it is longer or the stream ends."""
    line = b""
    while not line.endswith(b"\n") and len(line) <= LINE_BYTES_MAX:
        byte = await reader.read(1)
        if not byte:
            break
        line += byte
    return line


async def serve_both(connection, messages):
    """Streams frames and takes messages until either ends."""
    writer = asyncio.create_task(connection.stream())
    try:
        async for text in messages:
            await connection.take(text)
    except (ConnectionClosed, ConnectionError):
        pass
    except Exception:
        traceback.print_exc()
    finally:
        writer.cancel()
        connection.gone()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--fault", choices=FAULTS)
    options = parser.parse_args()
    world = World(options.nodes, options.fault)

    def http(connection, request):
        url = urllib.parse.urlsplit(request.path)
        if url.path != "/api/graph/data":
            if world.fault == "tolerant":
                return None
            query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
            if "rate" in query:
                query["rate"] = int(query["rate"]) if query["rate"].isdigit() else query["rate"]
            offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
            known = [name for name in offered if name in wire.PROFILES]
            wrong = wrong_hello(query)
            if known and query.get("profile", known[0]) != known[0]:
                wrong = "two profiles"
            if wrong:
                return connection.respond(400, wrong + "\n")
            return None if url.path in ("/stream", "/ws", "/wss") else connection.respond(404, "no such path\n")
        number = int(urllib.parse.parse_qs(url.query)["class"][0])
        body = json.dumps(next(c for c in world.classes.values() if c.number == number).data()).encode()
        headers = Headers([("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return Response(200, "OK", headers, body)

    def choose(_connection, offered):
        return next((profile for profile in offered if profile in wire.PROFILES), None)

    async def on_ws(socket):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(socket.request.path).query)
        profile = socket.subprotocol or query.get("profile", ["swarmcast.v1"])[0]
        connection = Connection(
            world, profile, int(query.get("rate", ["0"])[0]), socket.send, socket.send, socket.close
        )
        if world.fault == "close_code":
            asyncio.get_running_loop().call_later(0.7, lambda: asyncio.ensure_future(socket.close(1001)))
        await serve_both(connection, socket)

    async def on_tcp(reader, writer):
        async def send(data, bit):
            writer.write(struct.pack("<I", len(data) | bit) + data)
            await writer.drain()

        async def end(_code=1000):
            writer.close()

        async def refuse(code, reason):
            body = json.dumps({"type": "goodbye", "code": code, "reason": reason})
            await send(body.encode(), TEXT_BIT)
            writer.write_eof()
            writer.close()

        try:
            line = await asyncio.wait_for(read_line(reader), HANDSHAKE_SECONDS)
        except TimeoutError:
            writer.close()
            return
        hello = parse_object(line)
        if len(line) > LINE_BYTES_MAX and world.fault != "tolerant":
            return await refuse(1002, f"the hello is longer than {LINE_BYTES_MAX} bytes")
        if hello is None and world.fault != "tolerant":
            return await refuse(1002, "the hello is no JSON object")
        hello = hello or {}
        if (wrong := wrong_hello(hello)) and world.fault != "tolerant":
            return await refuse(1002, wrong)
        profile, rate = hello.get("profile"), hello.get("rate")
        connection = Connection(
            world, profile if profile in wire.PROFILES else "swarmcast.v1", rate if wrong is None else None,
            lambda data: send(data, 0), lambda text: send(text.encode(), TEXT_BIT), end,
        )

        async def lines():
            while True:
                try:
                    line = (await reader.readline()).decode()
                except UnicodeDecodeError:
                    await refuse(1007, "a line is not UTF-8")
                    return
                except ValueError:  # what readline raises when a line is over its limit
                    await refuse(1009, "a line is over 65,536 bytes")
                    return
                if not line:
                    # A viewer that shuts its half goes on watching, until a write finds it gone.
                    with contextlib.suppress(ConnectionError):
                        await writer.wait_closed()
                    return
                yield line

        await serve_both(connection, lines())
        writer.close()

    async with serve(
        on_ws, "127.0.0.1", 0, compression=None, process_request=http, select_subprotocol=choose, max_size=65_536
    ) as ws, await asyncio.start_server(on_tcp, "127.0.0.1", 0, limit=65_536) as tcp:
        print(json.dumps({"ws": ws.sockets[0].getsockname()[1], "tcp": tcp.sockets[0].getsockname()[1]}), flush=True)
        await world.run()


if __name__ == "__main__":
    asyncio.run(main())
