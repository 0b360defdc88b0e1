"""What every Python client checks of a running server: the frames as they come, then a conversation.

A transport gives `next(timeout)` -> ("frame", bytes) | ("text", str) | None on time-out, `send_text(text)`, `close()` ->
dict of what was seen while closing (it raises `Failed` when that was wrong) and `connect_at`, the `time.monotonic()`
at which connecting began. `run(transport, options)` does the rest and never raises: it returns the result as a dict.
"""

import argparse
import concurrent.futures
import json
import math
import sys
import time
import traceback
import urllib.request

import numpy as np

import wire

RECENT_FRAMES = 240  # frames kept for comparing with REST: 4 s at 60 Hz, longer than any fetch should take


class Failed(Exception):
    """The server did something that PROTOCOL.md rules out."""


def arguments(description, address):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(*address[0], **address[1])
    parser.add_argument("--profile", choices=wire.PROFILES, default="swarmcast.v1")
    parser.add_argument("--rate", type=int, default=None, help="Hz, 1 to 120; the server's own when left out")
    parser.add_argument("--frames", type=int, default=60, help="frames to read before the conversation")
    parser.add_argument("--check-rest", metavar="URL", help="http://host:port of the REST API: compare it with the stream")
    parser.add_argument("--first-frame-ms", type=float, default=500)
    parser.add_argument("--frame-timeout", type=float, default=10, help="seconds; longer than the 5 s heartbeat")
    parser.add_argument("--gaps-max", type=int, default=0, help="frames that may be left out in all")
    parser.add_argument("--still-ok", action="store_true", help="do not demand that something moves")
    parser.add_argument("--frames-only", action="store_true", help="read frames (and REST), leave out the conversation")
    parser.add_argument("--out", metavar="FILE", help="write the JSON line to this file too")
    return parser


def finish(result, out):
    """Prints the one JSON line, and what failed in words; returns the exit status."""
    line = json.dumps(result)
    print(line, flush=True)
    if out:
        with open(out, "w", encoding="utf-8") as file:
            file.write(line + "\n")
    for failure in result["failures"]:
        print(f"FAILED {result['client']} {result['profile']}: {failure}", file=sys.stderr)
    return 0 if result["ok"] else 1


def run(client, connect, options):
    result = {"client": client, "profile": options.profile, "ok": False, "checks": {}, "failures": []}
    session = None
    try:
        transport = connect(options)
        session = Session(transport, lambda: connect(options), options, result)
        session.establish()
        session.read_frames()
        if options.check_rest:
            session.step("rest", session.compare_rest)
        if not options.frames_only:
            for name in CONVERSATION:
                session.step(name, getattr(session, name))
        session.check("close", transport.close())
    except Exception as error:  # Whatever goes wrong is this program's answer, not its crash.
        text = str(error) if isinstance(error, (Failed, wire.Malformed)) else "".join(
            traceback.format_exception_only(error)
        ).strip()
        result["failures"].append(text)
    if session is not None and session.frames is not None:
        result.update(session.frames.summary())
    result["ok"] = not result["failures"]
    return result


# In this order: what ends a drag by silence comes after what needs the node to be free.
CONVERSATION = (
    "ping", "bare_ping", "unknown_type", "not_json", "bad_field", "physics_params", "initial_data", "full_snapshot",
    "drag", "pin", "drag_end_pins", "two_drag_one_node", "drag_silence", "sixth_drag", "change_rate", "still_streams",
)


class Frames:
    """Checks each frame as it arrives, alone and against the frame before it."""

    def __init__(self, established, options):
        self.profile = options.profile
        self.class_ = established["class"]
        self.node_count = established["node_count"]
        self.flat = established["dimensions"] == 2
        self.epoch = established["epoch"]
        self.count = 0
        self.gaps = 0
        self.bytes = 0
        self.pairs_moved = 0
        self.settled_count = 0
        self.old_class_count = 0
        self.first_at = self.last_at = None
        self.last = None
        self.recent = []
        self.repeat_allowed = False  # a snapshot that was asked for may be the newest frame once more
        self.previous_class = None

    def accept(self, data, at):
        frame = wire.decode(self.profile, data)
        if frame.header and frame.header.class_ == self.previous_class:
            # What was on its way when the subscription changed.
            self.old_class_count += 1
            return
        wanted = wire.frame_bytes(self.profile, self.node_count)
        if len(data) != wanted:
            raise Failed(f"frame {self.count}: {len(data)} bytes for {self.node_count} nodes, not {wanted}")
        self._alone(frame)
        if self.last is not None:
            self._after(self.last, frame)
        self.count += 1
        self.bytes += len(data)
        if self.first_at is None:
            self.first_at = at
        self.last_at = at
        self.last = frame
        self.recent.append(frame)
        del self.recent[:-RECENT_FRAMES]

    def change_class(self, class_):
        if class_ != self.class_:
            self.previous_class, self.class_ = self.class_, class_
            self.last = None  # a class counts its own frames
            self.recent.clear()

    def _alone(self, frame):
        where = f"frame {self.count}"
        records = frame.records
        for field in ("position", "velocity"):
            if not np.isfinite(records[field]).all():
                node = int(np.argmax(~np.isfinite(records[field]).all(axis=1)))
                raise Failed(f"{where}: {field} of record {node} is {records[field][node].tolist()}, not finite")
        if self.flat and records["position"][:, 2].any():
            raise Failed(f"{where}: a z is not 0 though the server said two dimensions")
        if "distance" in records.dtype.names:
            self._equal(where, "distance", records["distance"], np.float32(math.inf))
            self._equal(where, "parent", records["parent"], -1)
        if "cluster" in records.dtype.names:
            self._equal(where, "cluster", records["cluster"], 0)
            self._equal(where, "anomaly", records["anomaly"], -1)
            self._equal(where, "community", records["community"], 0)
        if self.last is None and len(np.unique(frame.ids)) != len(records):
            raise Failed(f"{where}: an id occurs twice")
        header = frame.header
        if header is None:
            return
        self.settled_count += bool(header.flags & wire.SETTLED)
        if header.class_ != self.class_:
            raise Failed(f"{where}: class {header.class_}, but the server said {self.class_}")
        if header.epoch != self.epoch:
            raise Failed(f"{where}: epoch {header.epoch}, but the server said {self.epoch}")
        if header.node_count != self.node_count:
            raise Failed(f"{where}: {header.node_count} nodes, but the server said {self.node_count}")
        if bool(header.flags & wire.FLAT) != self.flat:
            raise Failed(f"{where}: two-dimensional flag {header.flags:#x}, but the server said otherwise")
        if header.sequence < 1:
            raise Failed(f"{where}: sequence {header.sequence}, but sequences count from 1")
        if header.published_ns < header.tick_ns:
            raise Failed(f"{where}: published at {header.published_ns} ns, before its tick was due ({header.tick_ns})")

    def _equal(self, where, field, values, none):
        if not (values == none).all():
            node = int(np.argmax(values != none))
            raise Failed(f"{where}: {field} of record {node} is {values[node]}, but nothing computes it ({none})")

    def _after(self, last, frame):
        where = f"frame {self.count}"
        if not np.array_equal(last.records["id"], frame.records["id"]):
            node = int(np.argmax(last.records["id"] != frame.records["id"]))
            raise Failed(f"{where}: record {node} is id {frame.records['id'][node]}, was {last.records['id'][node]}")
        same = np.array_equal(last.records["position"], frame.records["position"])
        self.pairs_moved += not same
        if frame.count is not None:
            if frame.count <= last.count:
                raise Failed(f"{where}: counted {frame.count} after {last.count}")
            self.gaps += frame.count - last.count - 1
        if frame.header is None:
            return
        then, now = last.header, frame.header
        step = now.sequence - then.sequence
        if step == 0 and self.repeat_allowed:
            self.repeat_allowed = False
            if not same:
                raise Failed(f"{where}: sequence {now.sequence} came twice with different positions")
            return
        if step < 1:
            raise Failed(f"{where}: sequence {now.sequence} after {then.sequence}")
        self.gaps += step - 1
        for field in ("tick", "tick_ns", "published_ns"):
            if getattr(now, field) < getattr(then, field):
                raise Failed(f"{where}: {field} went back from {getattr(then, field)} to {getattr(now, field)}")
        if now.flags & wire.HEARTBEAT and step == 1 and not same:
            raise Failed(f"{where}: flagged heartbeat, but positions differ from the frame before")
        if now.tick == then.tick and not same:
            raise Failed(f"{where}: tick {now.tick} came twice with different positions")

    def summary(self):
        seconds = (self.last_at or 0) - (self.first_at or 0)
        return {
            "frames": self.count,
            "gaps": self.gaps,
            "node_count": self.node_count,
            "bytes": self.bytes,
            "pairs_moved": self.pairs_moved,
            "settled_frames": self.settled_count,
            "late_frames_of_old_class": self.old_class_count,
        } | ({"seconds": round(seconds, 3)} if self.count > 1 else {})


class Session:
    def __init__(self, transport, connect_again, options, result):
        self.transport = transport
        self.connect_again = connect_again
        self.options = options
        self.result = result
        self.texts = []
        self.frames = None

    # What keeps the books

    def check(self, name, value=True):
        self.result["checks"][name] = value

    def step(self, name, method):
        """Runs one check of the conversation; a failure is noted and the next one still runs."""
        self.texts.clear()
        try:
            value = method()
            self.check(name, True if value is None else value)
        except Failed as error:
            self.check(name, False)
            self.result["failures"].append(f"{name}: {error}")

    def send(self, message):
        self.transport.send_text(message if isinstance(message, str) else json.dumps(message))

    def pump(self, until, timeout, what):
        """Takes messages until `until()` is true. Frames are checked as they come, texts are put on `self.texts`."""
        deadline = time.monotonic() + timeout
        while not until():
            left = deadline - time.monotonic()
            got = self.transport.next(left) if left > 0 else None
            if got is None:
                raise Failed(f"{what} did not come within {timeout:g} s")
            kind, data = got
            if kind == "frame":
                self.frames.accept(data, time.monotonic())
            else:
                self.texts.append(self.parse(data))

    def parse(self, text):
        try:
            message = json.loads(text)
        except ValueError:
            raise Failed(f"a text that is not JSON: {text[:200]!r}") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Failed(f"a text without a `type`: {text[:200]!r}")
        return message

    def wait_text(self, type_, timeout=2.0):
        def find():
            return next((message for message in self.texts if message["type"] == type_), None)

        self.pump(lambda: find() is not None, timeout, f"`{type_}` (got {[m['type'] for m in self.texts]})")
        message = find()
        self.texts.remove(message)
        return message

    def wait_frames(self, count, timeout=None):
        goal = self.frames.count + count
        timeout = timeout or self.options.frame_timeout
        while self.frames.count < goal:
            before = self.frames.count
            self.pump(lambda: self.frames.count > before, timeout, f"frame {before}")

    # The start

    def establish(self):
        got = self.transport.next(5)
        if got is None or got[0] != "text":
            raise Failed(f"the first message is not connection_established but {'nothing' if got is None else 'a frame'}")
        message = self.parse(got[1])
        if message["type"] != "connection_established":
            raise Failed(f"the first message is {got[1][:300]}")
        expect(message, "connection_established", {
            "timestamp": int, "session": (str, int), "class": int, "profile": str, "rate": int, "tick_rate": int,
            "dimensions": int, "epoch": int, "node_count": int, "edge_count": int, "is_reconnection": bool,
            "state_sync_sent": bool, "protocol": dict,
        })
        expect(message["protocol"], "connection_established.protocol", {"supported": list, "preferred": str})
        if missing := set(wire.PROFILES) - set(message["protocol"]["supported"]):
            raise Failed(f"protocol.supported lacks {sorted(missing)}")
        if abs(message["timestamp"] / 1000 - time.time()) > 60:
            raise Failed(f"timestamp {message['timestamp']} is not the Unix time in ms")
        if message["profile"] != self.options.profile:
            raise Failed(f"asked for {self.options.profile}, got {message['profile']}")
        wanted = min(self.options.rate or message["tick_rate"], message["tick_rate"])
        if message["rate"] != wanted:
            raise Failed(f"rate is {message['rate']}, not {wanted} (tick rate {message['tick_rate']})")
        if message["dimensions"] not in (2, 3):
            raise Failed(f"dimensions is {message['dimensions']}")
        if message["is_reconnection"] or message["state_sync_sent"]:
            raise Failed("is_reconnection and state_sync_sent are not false")
        self.established = message
        self.frames = Frames(message, self.options)
        self.check("established")

    def read_frames(self):
        options = self.options
        self.wait_frames(1)
        first_ms = (self.frames.first_at - self.transport.connect_at) * 1000
        self.result["first_frame_ms"] = round(first_ms, 1)
        if first_ms > options.first_frame_ms:
            self.result["failures"].append(
                f"first frame came {first_ms:.0f} ms after connecting, limit {options.first_frame_ms:g}"
            )
        if options.frames > 1:
            # The frame at once says nothing about the rate: count from the second.
            self.wait_frames(1)
            start, count = time.monotonic(), self.frames.count
            self.wait_frames(options.frames - 2) if options.frames > 2 else None
            seconds = time.monotonic() - start
            if self.frames.count > count:
                self.result["rate_measured"] = round((self.frames.count - count) / seconds, 2)
        self.result["rate"] = self.established["rate"]
        frames = self.frames
        if frames.gaps > options.gaps_max:
            self.result["failures"].append(f"{frames.gaps} frames were left out, {options.gaps_max} allowed")
        all_settled = frames.settled_count == frames.count
        if options.frames > 1 and not frames.pairs_moved and not all_settled and not options.still_ok:
            self.result["failures"].append(f"nothing moved in {frames.count} frames")
        self.check("frames")

    # REST against the stream

    def compare_rest(self):
        class_ = self.established["class"]
        url = f"{self.options.check_rest.rstrip('/')}/api/graph/data?class={class_}"
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for _ in range(5):
                job = pool.submit(fetch_json, url)
                # Frames are read on while the answer is under way: its frame may come before or after it.
                self.pump_while(lambda: not job.done(), 30, url)
                answer = job.result()
                matched = self.compare_answer(answer)
                if matched is not None:
                    return matched
        if self.slow():
            return {"between": True}
        raise Failed("the frame that REST took its positions from was never received, in 5 tries")

    def pump_while(self, condition, timeout, what):
        deadline = time.monotonic() + timeout
        while condition():
            if time.monotonic() > deadline:
                raise Failed(f"{what}: no answer within {timeout} s")
            got = self.transport.next(0.02)
            if got and got[0] == "frame":
                self.frames.accept(got[1], time.monotonic())
            elif got:
                self.texts.append(self.parse(got[1]))

    def compare_answer(self, answer):
        """Compares one REST answer; None when the stream never showed that frame."""
        expect(answer, "graph/data", {"epoch": int, "tick": int, "sequence": int, "nodes": list, "edges": list})
        nodes, edges = answer["nodes"], answer["edges"]
        if answer["epoch"] != self.established["epoch"]:
            raise Failed(f"REST is of epoch {answer['epoch']}, the stream of {self.established['epoch']}")
        if len(edges) != self.established["edge_count"]:
            raise Failed(f"REST has {len(edges)} edges, the stream said {self.established['edge_count']}")
        ids = np.array([node["id"] for node in nodes], dtype=np.uint32)
        if not np.array_equal(ids, self.frames.last.ids.astype(np.uint32)):
            raise Failed("ids of REST and of the stream differ, or their order does")
        known = set(ids.tolist())
        for edge in edges:
            if edge["source"] not in known or edge["target"] not in known:
                raise Failed(f"edge {edge} names a node that is not there")
        positions = np.array([position_of(node) for node in nodes], dtype=np.float64).astype(np.float32)
        sequence = answer["sequence"]
        if self.frames.recent[0].header is None:
            # Legacy frames carry no sequence: the positions must be those of some frame that was received.
            wait = 0
            while not any(np.array_equal(positions, frame.records["position"]) for frame in self.frames.recent):
                if wait == 3:
                    return None
                self.wait_frames(1)
                wait += 1
            return {"nodes": len(nodes), "edges": len(edges), "sequence": sequence}
        while self.frames.last.header.sequence < sequence:
            self.wait_frames(1)
        same = [frame for frame in self.frames.recent if frame.header.sequence == sequence]
        if not same:
            return None
        if same[0].header.tick < answer["tick"] and self.established["rate"] < self.established["tick_rate"]:
            # A class below the tick rate: the positions lie between its frame of that sequence and the next one.
            while not (after := [frame for frame in self.frames.recent if frame.header.sequence == sequence + 1]):
                if self.frames.last.header.sequence > sequence + 1:
                    return None
                self.wait_frames(1)
            if after[0].header.tick < answer["tick"]:
                raise Failed(f"sequence {sequence + 1} is of tick {after[0].header.tick}, REST of {answer['tick']}: stale")
            return {"nodes": len(nodes), "edges": len(edges), "sequence": sequence}
        if same[0].header.tick != answer["tick"]:
            return self.between_frames(same[0].header, answer)
        streamed = same[0].records["position"]
        if not np.array_equal(positions, streamed):
            node = int(np.argmax((positions != streamed).any(axis=1)))
            raise Failed(
                f"sequence {sequence}: node {ids[node]} is at {positions[node].tolist()} in REST, "
                f"at {streamed[node].tolist()} in the stream ({int((positions != streamed).any(axis=1).sum())} differ)"
            )
        return {"nodes": len(nodes), "edges": len(edges), "sequence": sequence}

    def between_frames(self, header, answer):
        """A class slower than the simulation may find REST at a tick between two of its own frames."""
        text = f"sequence {header.sequence} is tick {answer['tick']} in REST, {header.tick} in the stream"
        if not self.slow() or answer["tick"] < header.tick:
            raise Failed(text)
        while self.frames.last.header.sequence <= header.sequence:
            self.wait_frames(1)
        later = next(frame.header for frame in self.frames.recent if frame.header.sequence > header.sequence)
        if later.tick <= answer["tick"]:
            raise Failed(f"{text}, where {later.sequence} is tick {later.tick} already")
        return {"nodes": len(answer["nodes"]), "edges": len(answer["edges"]), "sequence": header.sequence, "between": True}

    def slow(self):
        return self.established["rate"] < self.established["tick_rate"]

    # The conversation

    def ping(self):
        self.send({"type": "ping", "timestamp": 1234567890.5})
        pong = self.wait_text("pong")
        expect(pong, "pong", {"timestamp": (int, float), "server_ns": int})
        if pong["timestamp"] != 1234567890.5:
            raise Failed(f"pong echoes {pong['timestamp']}, not 1234567890.5")

    def bare_ping(self):
        self.send("ping")
        expect(self.wait_text("pong"), "pong", {"server_ns": int})

    def error_for(self, message, code=None):
        self.send(message)
        error = self.wait_text("error")
        expect(error, "error", {
            "code": str, "message": str, "category": str, "retryable": bool, "retryAfter": (int, float, type(None)),
            "affectedPaths": list,
        })
        if error["category"] not in ("validation", "server", "protocol", "auth", "rate_limit"):
            raise Failed(f"error category {error['category']!r}")
        if code and error["code"] != code:
            raise Failed(f"error code {error['code']!r}, not {code!r}")
        self.send({"type": "ping", "timestamp": 7})
        if self.wait_text("pong")["timestamp"] != 7:
            raise Failed("the connection did not answer a ping after the error")
        return {"code": error["code"], "message": error["message"]}

    def unknown_type(self):
        return self.error_for({"type": "no_such_type_of_message"})

    def not_json(self):
        return self.error_for("{this is not JSON")

    def bad_field(self):
        return self.error_for({"type": "nodeDragStart", "nodeId": self.node(), "position": {"x": 1e30, "y": 0, "z": 0}})

    def physics_params(self):
        return self.error_for({"type": "update_physics_params", "damping": 0.5}, "not_here")

    def initial_data(self):
        self.send({"type": "requestInitialData"})
        info = self.wait_text("initialDataInfo")
        expect(info, "initialDataInfo", {"url": str, "epoch": int, "class": int})
        if info["class"] != self.established["class"] or info["epoch"] != self.established["epoch"]:
            raise Failed(f"initialDataInfo is {info}, connection_established said otherwise")

    def full_snapshot(self):
        self.frames.repeat_allowed = True
        self.send({"type": "request_full_snapshot"})
        self.wait_frames(1, max(1.0, 2.0 / self.established["rate"]))
        self.wait_frames(1)
        self.frames.repeat_allowed = False

    def node(self, index=0):
        return int(self.frames.last.ids[index])

    def position(self, index=0):
        return self.frames.last.records["position"][index].copy()

    def target(self, index, offset):
        """An f32 position away from where the node is, which JSON carries exactly."""
        to = self.position(index) + np.array(offset, dtype=np.float32)
        if self.frames.flat:
            to[2] = 0
        return to

    def place(self, type_, index, to):
        x, y, z = (float(value) for value in to)
        self.send({"type": type_, "nodeId": self.node(index), "position": {"x": x, "y": y, "z": z}})

    def wait_at(self, index, to, hold=None, timeout=3.0):
        """Waits for a frame that shows the node at `to`; `hold` is called every 100 ms to keep a drag alive."""
        deadline, held = time.monotonic() + timeout, time.monotonic()
        while True:
            distance = float(np.abs(self.position(index) - to).max())
            if distance <= 1e-3:
                return distance
            if time.monotonic() > deadline:
                raise Failed(
                    f"node {self.node(index)} was dragged to {to.tolist()}, but frames show it at "
                    f"{self.position(index).tolist()} (errors: {[m for m in self.texts if m['type'] == 'error']})"
                )
            if hold and time.monotonic() - held > 0.1:
                hold()
                held = time.monotonic()
            got = self.transport.next(0.05)
            if got and got[0] == "frame":
                self.frames.accept(got[1], time.monotonic())
            elif got:
                self.texts.append(self.parse(got[1]))

    def drag(self):
        start, goal = self.position(), self.target(0, (30, -20, 10))
        self.place("nodeDragStart", 0, start)
        for step in range(1, 11):
            self.drain(0.02)  # updates closer than 16 ms are left out
            self.place("nodeDragUpdate", 0, start + (goal - start) * np.float32(step / 10) if step < 10 else goal)
        off = self.wait_at(0, goal, lambda: self.place("nodeDragUpdate", 0, goal))
        self.send({"type": "nodeDragEnd", "nodeId": self.node()})
        self.no_errors()
        return {"off": off}

    def pin(self):
        self.send({"type": "pinNode", "nodeId": self.node(), "pinned": True})
        self.confirmed(True)
        self.stays(0)
        self.send({"type": "pinNode", "nodeId": self.node(), "pinned": False})
        self.confirmed(False)

    def confirmed(self, pinned):
        answer = self.wait_text("pin_confirmed")
        if answer.get("nodeId") != self.node() or answer.get("pinned") is not pinned:
            raise Failed(f"pinned {pinned} of node {self.node()} was answered with {answer}")

    def stays(self, index):
        """The node keeps its place, bit for bit, over the next frames."""
        self.wait_frames(2, 6)  # a frame of before the request may still be on its way
        at = self.position(index)
        for _ in range(5):
            self.wait_frames(1, 6)
            if not np.array_equal(self.position(index), at):
                raise Failed(f"node {self.node(index)} is pinned at {at.tolist()} but went to {self.position(index).tolist()}")

    def drag_end_pins(self):
        index = 1 if self.frames.node_count > 1 else 0
        goal = self.target(index, (-15, 15, 5))
        self.place("nodeDragStart", index, goal)
        self.wait_at(index, goal, lambda: self.place("nodeDragUpdate", index, goal))
        self.send({"type": "nodeDragEnd", "nodeId": self.node(index), "pin": True})
        self.stays(index)
        off = float(np.abs(self.position(index) - goal).max())
        self.send({"type": "pinNode", "nodeId": self.node(index), "pinned": False})
        self.wait_text("pin_confirmed")
        if off > 1e-3:
            raise Failed(f"left pinned {off} away from where it was dragged to")
        self.no_errors()

    def two_drag_one_node(self):
        """The last writer has it, both are told, and when it goes the node is free for the first one again."""
        other = self.connect_again()
        mine, theirs = self.target(0, (8, 0, 0)), self.target(0, (-8, 4, 0))
        self.place("nodeDragStart", 0, mine)
        self.wait_at(0, mine, lambda: self.place("nodeDragUpdate", 0, mine))
        x, y, z = (float(value) for value in theirs)
        place = {"nodeId": self.node(), "position": {"x": x, "y": y, "z": z}}
        other.send_text(json.dumps({"type": "nodeDragStart"} | place))
        told = self.wait_text("drag_taken")
        if (told.get("nodeId"), told.get("by")) != (self.node(), "another"):
            raise Failed(f"the one whose node was taken was told {told}")
        told = self.other_text(other, "drag_taken")
        if (told.get("nodeId"), told.get("by")) != (self.node(), "you"):
            raise Failed(f"the one who took the node was told {told}")
        self.wait_at(0, theirs, lambda: other.send_text(json.dumps({"type": "nodeDragUpdate"} | place)))
        other.close()
        self.send({"type": "nodeDragEnd", "nodeId": self.node()})
        self.place("nodeDragStart", 0, mine)
        self.wait_at(0, mine, lambda: self.place("nodeDragUpdate", 0, mine))
        self.send({"type": "nodeDragEnd", "nodeId": self.node()})

    def other_text(self, transport, type_):
        """The next text of that type on another connection, whose frames are passed over."""
        deadline = time.monotonic() + 3
        while (left := deadline - time.monotonic()) > 0:
            got = transport.next(left)
            if got and got[0] == "text" and (message := self.parse(got[1]))["type"] == type_:
                return message
        raise Failed(f"`{type_}` did not come to the second client within 3 s")

    def drag_silence(self):
        self.place("nodeDragStart", 0, self.target(0, (1, 1, 1)))
        start = time.monotonic()
        released = self.wait_text("drag_released", 3)
        after_ms = round((time.monotonic() - start) * 1000)
        if released.get("nodeId") != self.node() or released.get("reason") != "silence":
            raise Failed(f"answer to silence: {released}")
        if after_ms < 450:
            raise Failed(f"released after {after_ms} ms of silence, before the 500 ms")
        return {"after_ms": after_ms}

    def sixth_drag(self):
        if self.frames.node_count < 6:
            return "skipped: fewer than 6 nodes"
        for index in range(6):
            self.place("nodeDragStart", index, self.position(index))
        error = self.wait_text("error")
        for index in range(6):
            self.send({"type": "nodeDragEnd", "nodeId": self.node(index)})
        return {"code": error.get("code"), "message": error.get("message")}

    def change_rate(self):
        rate = max(1, self.established["rate"] // 2)
        self.send({"type": "subscribe_position_updates", "rate": rate, "binary": True})
        answer = self.wait_text("subscription_confirmed")
        expect(answer, "subscription_confirmed", {
            "interval": (int, float), "rate": int, "binary": bool, "class": int, "profile": str,
        })
        if answer["rate"] != rate or answer["binary"] is not True or answer["profile"] != self.options.profile:
            raise Failed(f"asked for rate {rate}, got {answer}")
        if not math.isclose(answer["interval"], 1000 / rate, abs_tol=1.0):
            raise Failed(f"interval is {answer['interval']} ms at {rate} Hz")
        self.frames.change_class(answer["class"])
        self.wait_frames(5)
        return {"rate": rate, "class": answer["class"]}

    def still_streams(self):
        self.wait_frames(3)

    def drain(self, seconds):
        self.pump_for(seconds)

    def pump_for(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            got = self.transport.next(left)
            if got and got[0] == "frame":
                self.frames.accept(got[1], time.monotonic())
            elif got:
                self.texts.append(self.parse(got[1]))

    def no_errors(self):
        errors = [message for message in self.texts if message["type"] == "error"]
        if errors:
            raise Failed(f"the server answered with {errors}")


def expect(message, name, fields):
    for field, kind in fields.items():
        if field not in message:
            raise Failed(f"{name} lacks `{field}`: {json.dumps(message)[:400]}")
        value = message[field]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise Failed(f"{name}.{field} is {value!r}")


def position_of(node):
    position = node.get("position", node)
    if isinstance(position, dict):
        return [position["x"], position["y"], position["z"]]
    return position


def fetch_json(url):
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    # No proxy of the environment may stand between a test and its server.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return json.load(answer)
    except (OSError, ValueError) as error:
        raise Failed(f"GET {url}: {error}") from None
