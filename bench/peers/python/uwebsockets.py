"""uWebSockets through socketify: `publish` to a topic, all of it native but one call a tick.

Settings: no compression; a client that has more than `max_backpressure` waiting loses the message, so one frame (at
least 64 KiB, the default) may wait; a viewer that says nothing is kept. The native libuv loop runs alone: socketify's
`App.run` turns it and asyncio's by polling, which would count against uWebSockets.
"""

import argparse
import struct
import time

from socketify import App, AppListenOptions, OpCode

HEADER = struct.Struct("<4sBBHHHIQQQQQII")
RECORD_BYTES = 28
TOPIC = "frames"

arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("--bytes", type=int, required=True)
arguments.add_argument("--rate", type=float, required=True)
arguments.add_argument("--port", type=int, default=0)
load = arguments.parse_args()

records = max(1, (load.bytes - HEADER.size) // RECORD_BYTES)
body = b"\x5a" * (records * RECORD_BYTES)
period_ns = int(1e9 / load.rate)


class Ticker:
    """Absolute deadlines on libuv's timers, which count in whole milliseconds; late ticks are left out."""

    def __init__(self, app):
        self.app = app
        self.sequence = 0
        self.due_ns = time.monotonic_ns()
        # The timer that fires must live through its own callback.
        self.timers = (None, None)
        self.turn(None)

    def turn(self, _):
        now_ns = time.monotonic_ns()
        if now_ns >= self.due_ns:
            if self.app.num_subscribers(TOPIC) > 0:
                self.sequence += 1
                head = HEADER.pack(
                    b"SWMC", 1, 1, 0, 0, 0, 1, self.sequence, 0, self.sequence, self.due_ns,
                    time.monotonic_ns(), records, len(body),
                )
                self.app.publish(TOPIC, head + body, OpCode.BINARY)
            now_ns = time.monotonic_ns()
            self.due_ns += period_ns * ((now_ns - self.due_ns) // period_ns + 1)
        left_ms = max(1, -(-(self.due_ns - now_ns) // 1_000_000))
        timer = self.app.loop.uv_loop.create_timer(left_ms, 0, self.turn, None)
        self.timers = (self.timers[1], timer)


def listening(config):
    print(f"  stream  ws://127.0.0.1:{config.port}/stream", flush=True)


app = App(lifespan=False)
app.ws(
    "/stream",
    {
        "open": lambda client: client.subscribe(TOPIC),
        "idle_timeout": 0,
        "max_backpressure": max(64 * 1024, load.bytes),
        "close_on_backpressure_limit": False,
    },
)
app.listen(AppListenOptions(port=load.port, host="127.0.0.1"), listening)
ticker = Ticker(app)
app.loop.uv_loop.run()
