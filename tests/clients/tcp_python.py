#!/usr/bin/env python3
"""Checks a running server over raw TCP with nothing but a socket.

    .venv/bin/python tcp_python.py --addr 127.0.0.1:7401 --profile v1 --rate 60 --frames 120

One JSON line says what was found; exit 0 only when everything held. See checker.py for what is checked.
"""

import json
import select
import socket
import struct
import sys
import time

import checker

TEXT_BIT = 1 << 31


class Tcp:
    def __init__(self, options):
        self.connect_at = time.monotonic()
        host, _, port = options.addr.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = {"profile": options.profile}
        if options.rate:
            hello["rate"] = options.rate
        self.pending = bytearray()
        self.send_text(json.dumps(hello))

    def next(self, timeout):
        deadline = time.monotonic() + timeout
        while (record := self.take()) is None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            try:
                data = self.socket.recv(1 << 20)
            except OSError as error:
                raise checker.Failed(f"the connection broke: {error}") from None
            if not data:
                raise checker.Failed(f"the server closed the connection with {len(self.pending)} bytes of a record left")
            self.pending += data
        return record

    def take(self):
        if len(self.pending) < 4:
            return None
        (word,) = struct.unpack_from("<I", self.pending)
        length = word & ~TEXT_BIT
        if length > 1 << 28:
            raise checker.Failed(f"a record of {length} bytes: the framing is lost")
        if len(self.pending) < 4 + length:
            return None
        body = bytes(memoryview(self.pending)[4 : 4 + length])
        del self.pending[: 4 + length]
        return ("text", body.decode("utf-8")) if word & TEXT_BIT else ("frame", body)

    def send_text(self, text):
        try:
            self.socket.sendall(text.encode() + b"\n")
        except OSError as error:
            raise checker.Failed(f"the connection broke: {error}") from None

    def close(self):
        """Says that nothing more comes: the server goes on, as for any viewer that only watches. Then leaves."""
        self.socket.shutdown(socket.SHUT_WR)
        frames, deadline = 0, time.monotonic() + 10  # longer than the 5 s heartbeat
        while frames < 2:
            record = self.next(deadline - time.monotonic())
            if record is None:
                raise checker.Failed("no frame came within 10 s after our half of the connection was shut")
            frames += record[0] == "frame"
        self.socket.close()
        return {"goes_on": True}


def main():
    options = checker.arguments(__doc__.split("\n")[0], (["--addr"], {"default": "127.0.0.1:7401"})).parse_args()
    return checker.finish(checker.run("tcp_python", Tcp, options), options.out)


if __name__ == "__main__":
    sys.exit(main())
