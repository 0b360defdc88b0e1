"""WebSocket and TCP records by hand, for the programs that must break the rules or stop in the middle of them."""

import base64
import hashlib
import json
import os
import socket
import struct
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TEXT_BIT = 1 << 31


class Ended(Exception):
    """The server closed the connection; `how` is "end" or "reset"."""

    def __init__(self, how):
        super().__init__(how)
        self.how = how


class Stream:
    """A socket with a deadline for each read and a buffer of what came and was not taken."""

    def __init__(self, address, receive_bytes=None, timeout=5):
        self.timeout = timeout
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_bytes:
            # Before connecting: the window is agreed on in the handshake.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = bytearray()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server was quicker; what it said before is still to be read.

    def more(self, timeout=None):
        """Reads once. Raises `TimeoutError` when nothing comes, `Ended` when nothing will."""
        self.socket.settimeout(timeout or self.timeout)
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            raise Ended("reset") from None
        if not data:
            raise Ended("end")
        self.pending += data

    def take(self, count, deadline):
        while len(self.pending) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.more(left)
        data = bytes(self.pending[:count])
        del self.pending[:count]
        return data

    def until_end(self, seconds):
        """Everything until the server closes, and how it did: "end", "reset", or None when it had not after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self.more(left)
            except TimeoutError:
                return bytes(self.pending), None
            except Ended as error:
                return bytes(self.pending), error.how

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def handshake_lines(path, host, protocol=None, key=None):
    key = key or base64.b64encode(os.urandom(16)).decode()
    lines = {
        "Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    if protocol:
        lines["Sec-WebSocket-Protocol"] = protocol
    return key, lines


def request(method, path, headers, version="HTTP/1.1"):
    head = [f"{method} {path} {version}"] + [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def frame(opcode, payload=b"", fin=True, mask=True, rsv=0, said=None):
    """One client frame. `said` lies about the length."""
    length = len(payload) if said is None else said
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65_536:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    key = os.urandom(4)
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
    return head + key + masked


class WebSocket(Stream):
    """An open WebSocket; `read` gives the server's frames one by one, and fails on a frame that a server may not send."""

    def __init__(self, address, path="/stream", protocol="swarmcast.v1", drip=0, **options):
        super().__init__(address, **options)
        key, headers = handshake_lines(path, f"{address[0]}:{address[1]}", protocol)
        data = request("GET", path, headers)
        for at in range(0, len(data), drip or len(data)):
            self.send(data[at : at + (drip or len(data))])
            if drip:
                time.sleep(0.002)
        head, self.status = self.read_head()
        if self.status != 101:
            raise AssertionError(f"handshake answered {head[:200]!r}")
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
        if b"sec-websocket-accept: " + accept.lower() not in head.lower():
            raise AssertionError(f"Sec-WebSocket-Accept is wrong: {head!r}")

    def read_head(self):
        deadline = time.monotonic() + self.timeout
        while b"\r\n\r\n" not in self.pending:
            self.more(max(0.01, deadline - time.monotonic()))
        end = self.pending.index(b"\r\n\r\n") + 4
        head = bytes(self.pending[:end])
        del self.pending[:end]
        return head, int(head.split(b" ")[1])

    def read(self, timeout=None):
        """(opcode, payload) of the next frame."""
        deadline = time.monotonic() + (timeout or self.timeout)
        first, second = self.take(2, deadline)
        if first & 0x70:
            raise AssertionError(f"the server set reserved bits: {first:#04x}")
        if second & 0x80:
            raise AssertionError("the server masked a frame")
        if not first & 0x80:
            raise AssertionError("the server fragmented a message")
        length = second
        if second == 126:
            (length,) = struct.unpack(">H", self.take(2, deadline))
        elif second == 127:
            (length,) = struct.unpack(">Q", self.take(8, deadline))
        if length > 1 << 30 or (first & 8 and length > 125):
            raise AssertionError(f"the server sent opcode {first & 15} with {length} bytes: the stream is corrupted")
        return first & 15, self.take(length, deadline)

    def read_text(self, type_, timeout=5):
        """The next text of that type; frames and other texts before it are passed over."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            opcode, payload = self.read(left)
            if opcode == TEXT and (message := json.loads(payload))["type"] == type_:
                return message
            if opcode == CLOSE:
                raise AssertionError(f"closed with {close_code(payload)} before `{type_}` came")
        raise AssertionError(f"`{type_}` did not come within {timeout} s")

    def read_close(self, timeout=5):
        """Code of the server's close frame; the string "end" or "reset" when the connection ended without one."""
        deadline = time.monotonic() + timeout
        try:
            while (left := deadline - time.monotonic()) > 0:
                opcode, payload = self.read(left)
                if opcode == CLOSE:
                    return close_code(payload)
        except Ended as error:
            return error.how
        except TimeoutError:
            pass
        return "nothing"


def close_code(payload):
    return struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005


class Tcp(Stream):
    """A TCP stream; `record` gives ("text", dict) or ("frame", bytes)."""

    def __init__(self, address, hello=None, **options):
        super().__init__(address, **options)
        if hello is not None:
            self.send(hello)

    def record(self, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        (word,) = struct.unpack("<I", self.take(4, deadline))
        length = word & ~TEXT_BIT
        if length > 1 << 30:
            raise AssertionError(f"a record of {length} bytes: the framing is lost")
        body = self.take(length, deadline)
        return ("text", json.loads(body)) if word & TEXT_BIT else ("frame", body)

    def read_text(self, type_, timeout=5):
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            kind, body = self.record(left)
            if kind == "text" and body["type"] == type_:
                return body
        raise AssertionError(f"`{type_}` did not come within {timeout} s")
