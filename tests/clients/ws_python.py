#!/usr/bin/env python3
"""Checks a running server over WebSocket with the `websockets` library.

    .venv/bin/python ws_python.py --url ws://127.0.0.1:7400/stream --profile v3 --rate 60 --frames 120 \
        --check-rest http://127.0.0.1:7400

One JSON line says what was found; exit 0 only when everything held. See checker.py for what is checked.
"""

import contextlib
import sys
import time
import urllib.parse

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import checker


class WebSocket:
    def __init__(self, options):
        self.connect_at = time.monotonic()
        url, protocols = options.url, [options.profile]
        query = {}
        if options.by == "query":
            query["profile"], protocols = options.profile, None
        if options.rate:
            query["rate"] = options.rate
        if query:
            url += ("&" if "?" in url else "?") + urllib.parse.urlencode(query)
        opening = connect(
            url, subprotocols=protocols, compression=None, max_size=None, open_timeout=10, ping_interval=None, proxy=None
        )
        self.stack = contextlib.ExitStack()
        self.socket = self.stack.enter_context(opening)
        if protocols and self.socket.subprotocol != options.profile:
            raise checker.Failed(f"sub-protocol {options.profile} was not echoed but {self.socket.subprotocol}")

    def next(self, timeout):
        try:
            data = self.socket.recv(timeout)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise checker.Failed(f"the server closed the connection: {error}") from None
        return ("text", data) if isinstance(data, str) else ("frame", data)

    def send_text(self, text):
        try:
            self.socket.send(text)
        except ConnectionClosed as error:
            raise checker.Failed(f"the server closed the connection: {error}") from None

    def close(self):
        # A control ping first: the library checks that the pong carries the same bytes.
        pong, deadline = self.socket.ping(b"before closing"), time.monotonic() + 5
        while not pong.wait(0.01):
            if time.monotonic() > deadline:
                raise checker.Failed("no pong to a WebSocket ping within 5 s")
            # The library reads on only while frames are taken from it.
            while self.next(0) is not None:
                pass
        self.socket.close(1000, "done")
        if self.socket.close_code != 1000:
            raise checker.Failed(f"closing with 1000 was answered with {self.socket.close_code}")
        return {"code": self.socket.close_code}


def main():
    parser = checker.arguments(
        __doc__.split("\n")[0], (["--url"], {"default": "ws://127.0.0.1:7400/stream"})
    )
    parser.add_argument("--by", choices=("subprotocol", "query"), default="subprotocol", help="how the profile is asked for")
    options = parser.parse_args()
    return checker.finish(checker.run("ws_python", WebSocket, options), options.out)


if __name__ == "__main__":
    sys.exit(main())
