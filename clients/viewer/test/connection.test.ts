import { beforeEach, describe, expect, it } from "vitest";
import { BACKOFF_MAX_MS, Connection, FETCH_TIMEOUT_MS, backoffMs, type State } from "../src/connection.js";
import type { Graph } from "../src/graph.js";
import type { FrameHeader } from "../src/protocol.js";
import { frame, prng } from "./bytes.js";
import { FakeServer, settle } from "./fakes.js";

let server: FakeServer;
let connection: Connection;
let graphs: Graph[];
let frames: FrameHeader[];
let states: State[];

beforeEach(() => {
  server = new FakeServer();
  [graphs, frames, states] = [[], [], []];
  connection = new Connection(server.env, {
    state: (state) => { if (states.at(-1) !== state) states.push(state); },
    graph: (graph) => graphs.push(graph),
    frame: (header) => frames.push(header),
    message: () => undefined,
    columns: () => undefined,
  });
  connection.start();
});

const sequences = () => frames.map(({ sequence }) => sequence);
const receive = (fields: Parameters<typeof frame>[0]) => server.socket.events.binary(frame(fields));

/** Until the next attempt to connect, at most 30 s. */
function reopened(): void {
  const sockets = server.sockets.length;
  for (let k = 0; k < 300 && server.sockets.length === sockets; k++) server.clock.advance(100);
}

async function live(): Promise<void> {
  server.greet();
  await server.answer();
}

describe("start", () => {
  it("asks for the graph of its class, then applies what is newer than it", async () => {
    server.greet({ class: 2 });
    expect(server.fetches[0]!.streamClass).toBe(2);
    receive({ sequence: 9, tick: 99 });
    await server.answer();
    expect(frames).toEqual([]);
    expect(connection.statistics().settled).toBe(false);
    receive({ sequence: 10, tick: 100, flags: 1 });
    expect(connection.statistics()).toMatchObject({ settled: true, flat: false });
    receive({ sequence: 11, tick: 101 });
    expect(sequences()).toEqual([11]);
    expect(states).toEqual(["connecting", "greeting", "loading", "live"]);
    expect(connection.statistics()).toMatchObject({ framesReceived: 3, framesStale: 2, framesApplied: 1 });
  });

  it("keeps the newest frame that comes before the graph: a settled graph may send no other", async () => {
    server.greet();
    receive({ sequence: 11, tick: 101 });
    receive({ sequence: 12, tick: 102 });
    await server.answer();
    expect(sequences()).toEqual([12]);
  });

  it("goes by the tick where the graph names no sequence", async () => {
    server.greet();
    await server.answer({ sequence: null });
    receive({ sequence: 1, tick: 100 });
    receive({ sequence: 2, tick: 101 });
    expect(sequences()).toEqual([2]);
  });

  it("asks again when the graph cannot be had, ever more slowly", async () => {
    server.greet();
    for (let k = 0; k < 4; k++) {
      server.fetches.at(-1)!.fail();
      await settle();
      server.clock.advance(100);
      expect(server.fetches.length).toBe(k + 1);
      server.pong(1, 0);
      server.clock.advance(8_000);
      server.pong(1, 0);
      expect(server.fetches.length).toBe(k + 2);
    }
    await server.answer();
    expect(connection.state).toBe("live");
  });

  it("asks again when the graph does not come", async () => {
    server.greet();
    for (let k = 0; k < FETCH_TIMEOUT_MS / 1_000 + 2; k++) {
      server.clock.advance(1_000);
      server.pong(1, 0);
      await settle();
    }
    expect(server.fetches.map(({ stop }) => stop.aborted)).toEqual([true, false]);
    await server.answer();
    expect(connection.state).toBe("live");
  });

  it("raises its limits to what the server announces, not without end", async () => {
    const nodes = Array.from({ length: 100_001 }, (_, id) => ({ id }));
    server.greet({ node_count: 100_001 });
    await server.answer({ nodes });
    expect(graphs[0]!.nodes.length).toBe(100_001);
  });
});

describe("frames", () => {
  it("drops stale ones and counts the gaps", async () => {
    await live();
    for (const sequence of [11, 12, 15, 14, 15, 16, 26]) receive({ sequence, tick: 90 + sequence });
    expect(sequences()).toEqual([11, 12, 15, 16, 26]);
    expect(connection.statistics()).toMatchObject({ gaps: 2 + 9, framesStale: 2 });
  });

  it("fetches again on another epoch and then draws the frame that told of it", async () => {
    await live();
    receive({ sequence: 11, tick: 101 });
    server.clock.advance(1_000);
    receive({ sequence: 12, tick: 102, epoch: 2, records: [[7], [9], [11]] });
    expect(connection.state).toBe("loading");
    expect(server.fetches.length).toBe(2);
    await server.answer({ epoch: 2, tick: 101, sequence: 11, nodes: [{ id: 7 }, { id: 9 }, { id: 11 }] });
    expect(sequences()).toEqual([11, 12]);
    expect(graphs.map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  it("does not fetch in a loop while the answer is behind the stream", async () => {
    await live();
    receive({ sequence: 12, tick: 102, epoch: 2 });
    for (let k = 0; k < 40; k++) {
      server.clock.advance(25);
      if (connection.state === "loading" && server.fetches.length > connection.statistics().graphFetches - 1) await server.answer();
    }
    expect(connection.statistics().graphFetches).toBeLessThanOrEqual(6);
  });

  it("draws nothing from a frame in another order, and gives its buffer back", async () => {
    await live();
    receive({ sequence: 11, tick: 101, records: [[9], [7]] });
    expect(frames).toEqual([]);
    expect(server.borrowed).toBe(0);
    expect(connection.statistics().mended.strangers).toBe(2);
  });

  it("counts what it refuses, and stops at another version", async () => {
    await live();
    server.socket.events.binary(new ArrayBuffer(3));
    receive({ kind: 9 });
    expect(connection.statistics().rejected).toEqual({ too_short: 1, kind: 1 });
    receive({ version: 2 });
    expect(connection.state).toBe("incompatible");
    server.clock.advance(120_000);
    expect(server.sockets.length).toBe(1);
  });

  it("takes another class for another count", async () => {
    await live();
    receive({ sequence: 11, tick: 101 });
    receive({ sequence: 500, tick: 102, class: 3 });
    receive({ sequence: 501, tick: 103, class: 3 });
    expect(sequences()).toEqual([11, 500, 501]);
    expect(connection.statistics().gaps).toBe(0);
  });

  it("survives random bytes and texts", async () => {
    await live();
    const random = prng(9);
    for (let round = 0; round < 2_000; round++) {
      const bytes = Uint8Array.from({ length: Math.floor(random() * 150) }, () => Math.floor(random() * 256));
      server.socket.events.binary(bytes.buffer);
      server.socket.events.text(String.fromCharCode(...bytes));
    }
    receive({ sequence: 11, tick: 101 });
    expect(sequences()).toEqual([11]);
  });
});

describe("reconnecting", () => {
  it("waits anywhere between 0 and 1 s x 2^n, at most 30 s", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((attempt) => backoffMs(attempt, 1))).toEqual([1e3, 2e3, 4e3, 8e3, 16e3, 3e4, 3e4]);
    expect(backoffMs(3, 0)).toBe(0);
    expect(backoffMs(1000, 0.999)).toBeLessThanOrEqual(BACKOFF_MAX_MS);
  });

  it("backs off while nobody answers, and tries without end", () => {
    const waits: number[] = [];
    for (let k = 0; k < 8; k++) {
      const before = server.clock.now;
      server.socket.events.close(1006);
      reopened();
      waits.push(server.socket.openedMs - before);
    }
    expect(waits).toEqual([500, 1e3, 2e3, 4e3, 8e3, 15e3, 15e3, 15e3]);
  });

  it("spreads a thousand clients over the first second, not into one moment", () => {
    const random = prng(1);
    const buckets = new Array<number>(10).fill(0);
    for (let k = 0; k < 1_000; k++) buckets[Math.floor(backoffMs(0, random()) / 100)]! += 1;
    expect(Math.max(...buckets)).toBeLessThan(150);
  });

  it("starts over after a connection that lived, and fetches anew", async () => {
    await live();
    receive({ sequence: 900, tick: 1_000 });
    server.pong(1, 0);
    server.clock.advance(6_000);
    server.socket.events.close(1001);
    expect(connection.state).toBe("waiting");
    server.clock.advance(500);
    server.greet();
    await server.answer({ tick: 5, sequence: 3 });
    receive({ sequence: 4, tick: 6 });
    expect(sequences()).toEqual([900, 4]);
    expect(connection.statistics()).toMatchObject({ gaps: 0, connects: 2 });
  });

  it("goes on with the graph it has when the server tells it the rest", async () => {
    server.greet({ session: 7 });
    await server.answer({ version: 4 });
    receive({ sequence: 900, tick: 1_000 });
    server.socket.events.close(1006);
    server.clock.advance(500);
    expect(server.socket.resume).toEqual({ session: 7, version: 4 });
    server.greet({ session: 8, is_reconnection: true, state_sync_sent: true });
    expect(connection.state).toBe("live");
    server.socket.events.text(JSON.stringify({
      type: "graph_changed", from: 4, version: 5, epoch: 1, node_count: 2, edge_count: 0,
      batches: [{ version: 5, changes: [{ put_node: { id: 9, label: "nine" } }] }],
    }));
    receive({ sequence: 4, tick: 1_006 });
    expect(sequences()).toEqual([900, 4]);
    expect(graphs.at(-1)!.nodes[1]).toMatchObject({ label: "nine" });
    expect(connection.statistics()).toMatchObject({ graphFetches: 1, connects: 2 });
    // A server that does not know us any more is asked for the whole.
    server.socket.events.close(1006);
    reopened();
    expect(server.socket.resume).toEqual({ session: 8, version: 5 });
    server.greet({ session: 1, is_reconnection: false, state_sync_sent: false });
    await server.answer({ version: 5 });
    expect(connection.statistics().graphFetches).toBe(2);
  });

  it("does not start over after connections that die at once", () => {
    const waits: number[] = [];
    for (let k = 0; k < 4; k++) {
      server.greet();
      const before = server.clock.now;
      server.socket.events.close(1013);
      reopened();
      waits.push(server.socket.openedMs - before);
    }
    expect(waits).toEqual([500, 1e3, 2e3, 4e3]);
  });

  it("ignores what a dead socket or an old fetch still says", async () => {
    server.greet();
    const old = server.socket;
    const fetched = server.fetches[0]!;
    old.events.close(1006);
    fetched.answer({ epoch: 1, tick: 1, sequence: 1, nodes: [], edges: [] });
    await settle();
    old.events.binary(frame({ sequence: 11 }));
    old.events.close(1006);
    expect(graphs).toEqual([]);
    expect(connection.statistics().framesReceived).toBe(0);
    expect(connection.state).toBe("waiting");
  });

  it("gives up on a socket that never opens", () => {
    server.clock.advance(10_500);
    expect(server.sockets[0]!.closed).toBe(1000);
    expect(server.sockets.length).toBe(2);
  });

  it("ends a fetch whose connection is gone", () => {
    server.greet();
    expect(server.fetches[0]!.stop.aborted).toBe(false);
    server.socket.events.close(1006);
    expect(server.fetches[0]!.stop.aborted).toBe(true);
  });

  it("gives up on a server that does not greet, and on stop", () => {
    server.socket.events.open();
    server.clock.advance(10_500);
    expect(server.sockets[0]!.closed).toBe(1000);
    expect(server.sockets.length).toBe(2);
    connection.stop();
    server.clock.advance(100_000);
    expect(server.sockets.length).toBe(2);
  });
});

describe("heartbeat", () => {
  it("pings in a burst at first and every 30 s, and reconnects after 10 s without a pong", async () => {
    await live();
    for (let k = 0; k < 6; k++) {
      expect(server.socket.sent.length).toBe(1);
      server.pong(2, 0);
      server.clock.advance(148);
    }
    server.clock.advance(28_000);
    expect(server.socket.sent.length).toBe(0);
    server.clock.advance(2_000);
    expect(server.socket.sent.length).toBe(1);
    server.clock.advance(9_000);
    expect(connection.state).toBe("live");
    server.clock.advance(1_500);
    expect(states.slice(-2)).toEqual(["waiting", "connecting"]);
  });
});

describe("latency", () => {
  it("is unknown before a pong, and then published to received", async () => {
    await live();
    receive({ sequence: 11, tick: 101, publishedNs: 1e9 });
    expect(connection.statistics()).toMatchObject({ latencyP50Ms: null, latencyErrorMs: null });
    server.pong(4, 7_000);
    for (let k = 0; k < 100; k++) {
      server.clock.advance(16);
      const onServerMs = server.clock.now + 7_000;
      receive({ sequence: 12 + k, tick: 102 + k, publishedNs: (onServerMs - (k === 50 ? 40 : 3)) * 1e6 });
    }
    const { latencyP50Ms, latencyP99Ms, latencyErrorMs, rateHz } = connection.statistics();
    expect(latencyP50Ms).toBeCloseTo(3, 3);
    expect(latencyP99Ms).toBeCloseTo(3, 3);
    expect(latencyErrorMs).toBe(2);
    expect(rateHz).toBeGreaterThan(55);
  });

  it("does not count a frame that was published before we came, or one sent again", async () => {
    await live();
    server.pong(2, 0);
    receive({ sequence: 11, tick: 101, publishedNs: 1 });
    receive({ sequence: 12, tick: 101, publishedNs: 1, flags: 5 });
    expect(connection.statistics().latencyP50Ms).toBeNull();
  });
});

it("sends only when there is somebody to send to", async () => {
  expect(connection.send({ type: "pinNode" })).toBe(false);
  await live();
  expect(connection.send({ type: "pinNode", nodeId: 7, pinned: true })).toBe(true);
  expect(server.socket.sent.at(-1)).toEqual({ type: "pinNode", nodeId: 7, pinned: true });
});

describe("changes of the graph", () => {
  const told = (version: number, epoch: number, ...changes: unknown[]) => JSON.stringify({
    type: "graph_changed", from: version - 1, version, epoch, batches: [{ version, author: "a", time: 0, changes }],
  });

  it("raise the limits where the graph grows beyond them", async () => {
    server.greet();
    await server.answer({ version: 0 });
    server.socket.events.text(JSON.stringify({ type: "graph_changed", from: 0, version: 1, epoch: 2, node_count: 100_001, batches: null, url: "/" }));
    server.clock.advance(1_000);
    await server.answer({ version: 1, epoch: 2, nodes: Array.from({ length: 100_001 }, (_, id) => ({ id })) });
    expect(graphs.at(-1)!.nodes.length).toBe(100_001);
  });

  it("are shown with the first frame of their epoch, and nothing is fetched", async () => {
    server.greet();
    await server.answer({ version: 0 });
    const before = graphs.length;
    const fetches = server.fetches.length;
    const graph = graphs.at(-1)!;
    const node = { id: 4_000, key: "new", label: "New" };
    server.socket.events.text(told(1, graph.epoch + 1, { put_node: node }));
    expect(graphs.length).toBe(before);
    const records = [...graph.ids, 4_000].map((id) => [id, 1, 2, 3, 0, 0, 0]);
    receive({ sequence: 20, tick: 200, epoch: graph.epoch + 1, records });
    expect(graphs.at(-1)!.nodes.at(-1)).toMatchObject({ id: 4_000, label: "New" });
    expect(sequences().at(-1)).toBe(20);
    server.socket.events.text(told(2, graph.epoch + 1, { put_node: { ...node, label: "Renamed" } }));
    expect(graphs.at(-1)!.nodes.at(-1)!.label).toBe("Renamed");
    expect(server.fetches.length).toBe(fetches);
    server.socket.events.text(told(4, graph.epoch + 1, { remove_node: 4_000 }));
    await settle();
    expect(connection.statistics().graphFetches).toBeGreaterThanOrEqual(1);
  });
});
