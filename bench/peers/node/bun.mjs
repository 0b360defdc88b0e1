// Bun: its server publishes to a topic with a fork of uWebSockets.
//
// Settings: no compression; a client that has more than `backpressureLimit` waiting loses the message, so one frame
// (at least 64 KiB, the default of uWebSockets) may wait; a viewer that says nothing is kept.
import { dlopen, FFIType, ptr } from "bun:ffi";
import { options, ready, tick } from "./frames.mjs";

// Bun counts `process.hrtime` from its own start; the clients compare with CLOCK_MONOTONIC.
const CLOCK_MONOTONIC = 1;
const libc = dlopen("libc.so.6", { clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } });
const time = new BigInt64Array(2);
const timeAt = ptr(time);
const nowNs = () => {
  libc.symbols.clock_gettime(CLOCK_MONOTONIC, timeAt);
  return time[0] * 1_000_000_000n + time[1];
};

const TOPIC = "frames";
const load = options();
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: load.port,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 })),
  websocket: {
    open: (client) => client.subscribe(TOPIC),
    message() {},
    perMessageDeflate: false,
    idleTimeout: 0,
    backpressureLimit: Math.max(64 * 1024, load.bytes),
    closeOnBackpressureLimit: false,
  },
});

ready(server.port);
tick(load, nowNs, () => server.subscriberCount(TOPIC) > 0, (frame) => server.publish(TOPIC, frame));
