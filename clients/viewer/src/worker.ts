/** The worker: owns the socket, the fetch and the decoder, so that drawing never delays receiving. */

import { Connection, type Environment, type SocketEvents } from "./connection.js";
import type { FromWorker, ToWorker } from "./messages.js";
import { STRIDE } from "./protocol.js";
import { CompactDecoder } from "./wire/compact.js";
import { WasmDecoder } from "./wire/wasm.js";
import wasmUrl from "../wasm/compact.wasm?url&inline";

const STATISTICS_INTERVAL_MS = 250;
/** Position buffers kept for reuse; the page holds up to 16 more between frames. */
const SPARE_BUFFERS_MAX = 20;

const scope = self as unknown as DedicatedWorkerGlobalScope;
let connection: Connection | null = null;
let spares: Float32Array<ArrayBuffer>[] = [];

function post(message: FromWorker, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

function giveBack(positions: Float32Array<ArrayBuffer>): void {
  if (spares.length < SPARE_BUFFERS_MAX) spares.push(positions);
}

function borrow(nodes: number): Float32Array<ArrayBuffer> {
  const length = nodes * STRIDE;
  // A graph of another size makes every spare useless at once.
  if (spares.length > 0 && spares[0]?.length !== length) spares = [];
  return spares.pop() ?? new Float32Array(length);
}

/** From `data:...;base64,`: fetching such a URL is what the page's policy forbids. */
function bytesOf(url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (digit) => digit.charCodeAt(0));
}

function openSocket(url: string, profiles: readonly string[], events: SocketEvents) {
  const socket = new WebSocket(url, [...profiles]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => events.open();
  socket.onclose = (event) => events.close(event.code);
  socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
    if (typeof event.data === "string") events.text(event.data);
    else events.binary(event.data);
  };
  return {
    send: (text: string) => { if (socket.readyState === WebSocket.OPEN) socket.send(text); },
    // Close codes a page may send are 1000 and 3000 to 4999; every other one goes out without a code.
    close: (code?: number) => { code === 1000 ? socket.close(1000) : socket.close(); },
  };
}

function start({ streamUrl, graphUrl, nodesMax, profiles }: Extract<ToWorker, { type: "start" }>): void {
  const wasm = WasmDecoder.load(bytesOf(wasmUrl));
  const env: Environment = {
    now: () => performance.now(),
    random: () => Math.random(),
    timer: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    open: (events, offered, resume) => {
      const url = new URL(streamUrl);
      for (const [name, value] of Object.entries(resume ?? {})) url.searchParams.set(name, String(value));
      return openSocket(url.href, offered, events);
    },
    decoder: (info) => wasm?.(info) ?? new CompactDecoder(info),
    fetchGraph: async (streamClass, signal) => {
      const response = await fetch(`${graphUrl}?class=${streamClass}`, { cache: "no-store", signal });
      if (!response.ok) throw new Error(`graph: HTTP ${response.status}`);
      return response.json() as Promise<unknown>;
    },
    borrow,
    giveBack,
  };
  connection = new Connection(env, {
    state: (state, detail) => post({ type: "state", state, ...detail }),
    graph: (graph, goesOn) => post({ type: "graph", graph, goesOn }),
    message: (message) => post({ type: "message", message }),
    columns: (columns) => post({ type: "columns", columns }, Object.values(columns).map((column) => column.buffer)),
    frame: (header, positions, receivedMs, slack) => post({
      type: "frame",
      positions,
      epoch: header.epoch,
      sequence: header.sequence,
      tick: header.tick,
      tickMs: header.tickNs / 1e6,
      slack,
      receivedAtMs: performance.timeOrigin + receivedMs,
    }, [positions.buffer]),
  }, nodesMax, profiles);
  connection.start();
  setInterval(() => {
    if (connection) post({ type: "statistics", statistics: connection.statistics() });
  }, STATISTICS_INTERVAL_MS);
}

scope.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "start") start(data);
  else if (data.type === "send") connection?.send(data.message);
  else if (data.type === "interest") connection?.interest(data.wanted);
  else giveBack(data.positions);
};
