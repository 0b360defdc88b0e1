import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { ACK_FRAMES, Connection, SNAPSHOT_TIMEOUT_MS, type State } from "../src/connection.js";
import { DEFAULT_LIMITS, STRIDE, decodeHeader, type FrameHeader } from "../src/protocol.js";
import { Chain, type Columns } from "../src/wire/chain.js";
import { CompactDecoder } from "../src/wire/compact.js";
import { decompress } from "../src/wire/lz4.js";
import { WasmDecoder } from "../src/wire/wasm.js";
import { compact, goldenChain, idColumn, prng } from "./bytes.js";
import { FakeServer, settle } from "./fakes.js";

const NODES = 1_100;
const chain = goldenChain();
const bodyOf = (kind: string) => chain.find((message) => message.kind === kind)!.body;
const deltas = chain.filter((message) => message.kind === "delta");
/** Ids of the graph, and those of the wire: the same ones in another order. */
const graphIds = Array.from({ length: NODES }, (_, index) => 5 + 3 * index);
const wireIds = graphIds.map((_, node) => graphIds[(node * 7) % NODES]!);
const FIRST = 100;

let server: FakeServer;
let connection: Connection;
let states: State[];
let told: Columns[];
let frames: { header: FrameHeader; positions: Float32Array; slack: number }[];

beforeEach(() => {
  server = new FakeServer();
  [states, frames, told] = [[], [], []];
  connection = new Connection(server.env, {
    state: (state) => { if (states.at(-1) !== state) states.push(state); },
    graph: () => undefined,
    frame: (header, positions, _receivedMs, slack) => frames.push({ header, positions: positions.slice(), slack }),
    message: () => undefined,
    columns: (columns) => told.push(columns),
  });
  connection.start();
});

const receive = (bytes: ArrayBuffer) => server.socket.events.binary(bytes);
const fieldsOf = (sequence: number) => ({ sequence, tick: sequence, class: 2, nodeCount: NODES });
const info = (more = {}) => receive(compact("info", { ...fieldsOf(0), ...more }, bodyOf("info")));
const columns = (ids = wireIds) => receive(compact("columns", fieldsOf(0), idColumn(ids)));
const snapshot = (sequence: number) => receive(compact("snapshot", fieldsOf(sequence), bodyOf("snapshot")));
/** The `k`th delta of the golden chain, whose snapshot was at `FIRST`. */
const delta = (k: number, sequence = FIRST + 1 + k) => receive(compact(
  "delta", { ...fieldsOf(sequence), base: sequence - 1, flags: deltas[k]!.normalise ? 8 : 0 }, deltas[k]!.body,
));
const said = (type: string) => server.socket.sent.filter((message) => message["type"] === type);

/** Of the first of the two blocks alone. */
const partial = (sequence: number, more = {}) => {
  const block = bodyOf("snapshot");
  const length = (block[1]! & 127) | block[2]! << 7;
  receive(compact("snapshot", { ...fieldsOf(sequence), flags: 16, ...more }, block.subarray(0, 3 + length)));
};
/** Where a node of the second block is. */
const otherBlock = () => {
  const other = graphIds.indexOf(wireIds[NODES - 1]!) * STRIDE;
  return frames.at(-1)!.positions.slice(other, other + 3);
};

async function live(): Promise<void> {
  server.greet({ profile: "swarmcast.compact", node_count: NODES, session: 7 });
  await server.answer({ version: 4, sequence: FIRST - 1, tick: FIRST - 1, nodes: graphIds.map((id) => ({ id, x: 1, y: 2, z: 3 })) });
}

async function following(): Promise<void> {
  await live();
  info();
  columns();
  snapshot(FIRST);
}

describe("results of analytics", () => {
  const values = wireIds.map((id) => id % 7);
  const community = (more = {}) => receive(compact("columns", { ...fieldsOf(0), ...more }, idColumn(values, 5)));

  it("come in the order of the graph, with the first picture of them, and once", async () => {
    await live();
    info();
    columns();
    community();
    const distances = new Uint32Array(new Float32Array(NODES).fill(Infinity).buffer);
    receive(compact("columns", fieldsOf(0), idColumn([...distances], 1)));
    expect(told).toEqual([]);
    snapshot(FIRST);
    delta(0);
    expect(told).toHaveLength(1);
    expect(Object.keys(told[0]!).sort()).toEqual(["community", "distance"]);
    expect([...told[0]!.community!]).toEqual(graphIds.map((id) => id % 7));
    expect(told[0]!.distance!.every((distance) => distance === Infinity)).toBe(true);
  });

  it("no longer hold when a chain begins without them, and a broken one is refused", async () => {
    await following();
    expect(told).toEqual([]);
    info();
    columns();
    community();
    snapshot(FIRST);
    info();
    columns();
    snapshot(FIRST);
    expect(told.map((columns) => Object.keys(columns))).toEqual([["community"], []]);
    receive(compact("columns", fieldsOf(0), idColumn(values.slice(1), 5)));
    receive(compact("columns", fieldsOf(0), idColumn(values, 8)));
    expect(connection.statistics().rejected).toEqual({ columns: 1 });
  });
});

describe("a compact stream", () => {
  it("is asked for first, and shown in the order of the graph", async () => {
    expect(server.socket.profiles).toEqual(["swarmcast.compact", "swarmcast.v1"]);
    await following();
    for (let k = 0; k < 8; k++) delta(k);
    expect(frames.map(({ header }) => header.sequence)).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108]);
    const decoder = new CompactDecoder({ nodeCount: NODES, origin: [16, -8.5, 0], quantum: 0.25, tickRate: 60, order: 0 });
    decoder.snapshot(FIRST, bodyOf("snapshot"));
    for (let k = 0; k < 8; k++) decoder.delta(FIRST + k, FIRST + k + 1, deltas[k]!.normalise, deltas[k]!.body);
    const wire = new Float32Array(NODES * STRIDE);
    decoder.draw(wire);
    const { positions, slack } = frames.at(-1)!;
    expect(slack).toBe(0.25);
    for (const node of [0, 1, 500, 1_099]) {
      const index = graphIds.indexOf(wireIds[node]!);
      expect(positions.subarray(index * STRIDE, index * STRIDE + STRIDE)).toEqual(wire.subarray(node * STRIDE, node * STRIDE + STRIDE));
    }
    expect(connection.statistics()).toMatchObject({
      profile: "swarmcast.compact", framesReceived: 9, framesApplied: 9, gaps: 0, snapshotsAsked: 0, rejected: {},
    });
    expect(connection.statistics().bytesPerNodeFrame).toBeGreaterThan(0);
  });

  it("is followed before the graph is there, and shown once it is", async () => {
    server.greet({ profile: "swarmcast.compact" });
    info();
    columns();
    snapshot(FIRST);
    delta(0);
    expect(frames).toEqual([]);
    await server.answer({ sequence: FIRST, tick: FIRST, nodes: graphIds.map((id) => ({ id })) });
    expect(frames.map(({ header }) => header.sequence)).toEqual([FIRST + 1]);
    delta(1);
    expect(frames.length).toBe(2);
  });

  it("asks for one snapshot at a gap, at once, and goes on from it", async () => {
    await following();
    delta(0);
    for (const k of [2, 3, 4, 5]) delta(k);
    expect(said("request_full_snapshot").length).toBe(1);
    expect(frames.length).toBe(2);
    server.clock.advance(SNAPSHOT_TIMEOUT_MS + 1);
    expect(said("request_full_snapshot").length).toBe(2);
    snapshot(FIRST + 20);
    server.clock.advance(3 * SNAPSHOT_TIMEOUT_MS);
    expect(said("request_full_snapshot").length).toBe(2);
    delta(0, FIRST + 21);
    expect(frames.map(({ header }) => header.sequence)).toEqual([100, 101, 120, 121]);
    // Of 102 to 120 only the last one came.
    expect(connection.statistics()).toMatchObject({ gaps: 19, snapshotsAsked: 2, rejected: { gap: 4 } });
  });

  it("counts what a snapshot of a later sequence skips, without asking", async () => {
    await following();
    snapshot(FIRST + 7);
    delta(0, FIRST + 8);
    expect(connection.statistics()).toMatchObject({ gaps: 7, snapshotsAsked: 0 });
    expect(frames.length).toBe(3);
  });

  it("asks for a snapshot when a mark differs, and shows what it has until then", async () => {
    await following();
    delta(0);
    delta(1);
    const marks = chain.filter((message) => message.kind === "mark");
    receive(compact("mark", fieldsOf(FIRST + 2), marks.at(-1)!.body));
    expect(said("request_full_snapshot").length).toBe(1);
    expect(connection.statistics().rejected).toEqual({ drifted: 1 });
    delta(2);
    expect(frames.length).toBe(4);
    snapshot(FIRST + 3);
    server.clock.advance(3 * SNAPSHOT_TIMEOUT_MS);
    expect(said("request_full_snapshot").length).toBe(1);
  });

  it("asks for a snapshot when a body does not decode, and is not misled by a mark of another frame", async () => {
    await following();
    receive(compact("mark", fieldsOf(FIRST + 9), new Uint8Array([0, 4, 1, 2, 3, 4])));
    expect(connection.statistics().rejected).toEqual({});
    receive(compact("delta", { ...fieldsOf(FIRST + 1), base: FIRST }, new Uint8Array([0, 200, 1])));
    expect(connection.statistics().rejected).toEqual({ short: 1 });
    expect(said("request_full_snapshot").length).toBe(1);
  });

  it("acknowledges every tenth frame and every snapshot, cumulatively", async () => {
    await following();
    for (let k = 0; k < 25; k++) delta(k);
    expect(said("ack").map((message) => message["sequence"])).toEqual([FIRST, FIRST + ACK_FRAMES, FIRST + 2 * ACK_FRAMES]);
    snapshot(FIRST + 40);
    expect(said("ack").at(-1)!["sequence"]).toBe(FIRST + 40);
    expect(connection.statistics().acks).toBe(4);
  });

  it("drops everything at an info, and keeps what was seen in sight", async () => {
    await following();
    delta(0);
    const seen = otherBlock();
    info({ class: 3 });
    delta(1);
    expect(said("request_full_snapshot").length).toBe(0); // Of a class that is over.
    expect(connection.statistics().rejected).toEqual({ order: 1 });
    receive(compact("columns", { ...fieldsOf(0), class: 3 }, idColumn(wireIds)));
    // One block of two: the other stays where it was.
    partial(7, { tick: FIRST + 2, class: 3 });
    expect(frames.at(-1)!.header.sequence).toBe(7);
    expect(otherBlock()).toEqual(seen);
    expect(connection.statistics().gaps).toBe(0);
  });

  it("keeps what was seen in sight after a connection that goes on", async () => {
    await following();
    delta(0);
    const seen = otherBlock();
    server.socket.events.close(1006);
    server.clock.advance(1_000);
    server.greet({ profile: "swarmcast.compact", node_count: NODES, session: 8, is_reconnection: true, state_sync_sent: true });
    info();
    columns();
    partial(7);
    expect(frames.at(-1)!.header.sequence).toBe(7);
    expect(otherBlock()).toEqual(seen);
  });

  it("is shown again when the contents change, as it was, also where it is not followed", async () => {
    await following();
    delta(0);
    server.socket.events.text(JSON.stringify({ type: "interest_confirmed", blocks: [[0, 0]], of: 2, nodes: 1_024, order: 0 }));
    for (let k = 1; k < 20; k++) delta(k);
    const { positions, header } = frames.at(-1)!;
    const count = frames.length;
    server.socket.events.text(JSON.stringify({
      type: "graph_changed", from: 4, version: 5, epoch: 1, node_count: NODES, edge_count: 0,
      batches: [{ version: 5, changes: [{ put_node: { id: graphIds[3], label: "three", position: null } }] }],
    }));
    expect(frames.length).toBe(count + 1);
    expect(frames.at(-1)!.header).toEqual(header);
    const places = (of: Float32Array) => of.filter((_, at) => at % STRIDE !== 3);
    expect(places(frames.at(-1)!.positions)).toEqual(places(positions));
  });

  it("shows nothing of a chain whose ids are not the graph's", async () => {
    await live();
    info();
    columns(wireIds.map((id, node) => (node === 3 ? 2 : id)));
    snapshot(FIRST);
    expect(frames).toEqual([]);
    expect(server.borrowed).toBe(0);
    expect(connection.statistics().mended.strangers).toBe(1);
    columns();
    snapshot(FIRST);
    expect(frames.length).toBe(1);
  });

  it("falls back to full frames where the server's tables are others", async () => {
    await live();
    const body = bodyOf("info").slice();
    body[20]! ^= 1;
    receive(compact("info", fieldsOf(0), body));
    expect(connection.state).toBe("waiting");
    server.clock.advance(1_000);
    expect(server.sockets.length).toBe(2);
    expect(server.socket.profiles).toEqual(["swarmcast.v1"]);
  });

  it("tells the server what is watched, again after a reconnection, and what the server says", async () => {
    await following();
    connection.interest({ frustum: { planes: [[1, 0, 0, 5]] } });
    const asked = { type: "interest", frustum: { planes: [[1, 0, 0, 5]] } };
    expect(said("interest")).toEqual([asked]);
    server.socket.events.text(JSON.stringify({ type: "interest_confirmed", blocks: [[0, 1], [7, 7]], of: 98, nodes: 3_072, order: 0 }));
    server.socket.events.text(JSON.stringify({ type: "stream_quality", rung: "coarser", reason: "slow", rate: 30, bits: 12, class: 2 }));
    expect(connection.statistics()).toMatchObject({ interest: { blocks: 3, of: 98 }, quality: { rung: "coarser", reason: "slow" } });
    server.socket.events.close(1006);
    server.clock.advance(1_000);
    server.greet({ profile: "swarmcast.compact", node_count: NODES });
    expect(said("interest")).toEqual([asked]);
    connection.interest({ all: true });
    connection.interest({ all: true });
    expect(said("interest").length).toBe(2);
    expect(connection.statistics().quality).toBeNull();
  });

  it("asks for everything again where that was not heard", async () => {
    await following();
    const confirm = (blocks: unknown) => server.socket.events.text(JSON.stringify({ type: "interest_confirmed", blocks, of: 2, nodes: 76, order: 0 }));
    const refuse = () => server.socket.events.text(JSON.stringify({ type: "error", code: "rate_limited", message: "", retryAfter: 2 }));
    connection.interest({ blocks: [1] });
    confirm([[1, 1]]);
    connection.interest({ all: true });
    refuse();
    server.clock.advance(1_900);
    expect(said("interest").length).toBe(2);
    server.clock.advance(200);
    expect(said("interest").length).toBe(3);
    // What a session of before had asked for goes on after a reconnection.
    confirm([[1, 1]]);
    expect(said("interest").at(-1)).toEqual({ type: "interest", all: true });
    expect(said("interest").length).toBe(4);
    confirm([[0, 1]]);
    refuse();
    server.clock.advance(3_000);
    expect(said("interest").length).toBe(4);
  });

  it("lets blocks stand still that an answer does not name, unless it is of another order", async () => {
    await following();
    /** Where the nodes of both blocks are. */
    const places = () => [[0, 1_024], [1_024, NODES]].map(([first, end]) => wireIds.slice(first, end).map((id) => {
      const at = graphIds.indexOf(id) * STRIDE;
      return [...frames.at(-1)!.positions.subarray(at, at + 3)].join();
    }));
    const confirm = (blocks: unknown, order: number) => server.socket.events.text(JSON.stringify({ type: "interest_confirmed", blocks, of: 2, nodes: 76, order }));
    const began = places();
    confirm([[1, 1]], 5);
    for (let k = 0; k < 20; k++) delta(k);
    for (const k of [0, 1]) expect(places()[k]).not.toEqual(began[k]);
    const before = places();
    confirm([[1, 1], "x", [2], [3, 1]], 0);
    for (let k = 20; k < 40; k++) delta(k);
    expect(places()[0]).toEqual(before[0]);
    expect(places()[1]).not.toEqual(before[1]);
    expect(connection.statistics()).toMatchObject({ interest: { blocks: 1, of: 2 }, rejected: {} });
  });

  it("says nothing of interest or acknowledgement to a stream of full frames", async () => {
    server.greet();
    await server.answer();
    connection.interest({ frustum: { planes: [] } });
    expect(said("interest").length + said("ack").length).toBe(0);
  });

  it("survives any messages with a right header", async () => {
    await following();
    const random = prng(3);
    const kinds = ["info", "columns", "snapshot", "delta", "mark"] as const;
    for (let round = 0; round < 600; round++) {
      const kind = kinds[Math.floor(random() * kinds.length)]!;
      // An info of other tables would end the connection, as it should.
      const from = chain[1 + Math.floor(random() * (chain.length - 1))]!.body;
      const body = from.slice(0, random() < 0.3 ? Math.floor(random() * from.length) : from.length);
      for (let flip = 0; flip < 2 && body.length > 0; flip++) body[Math.floor(random() * body.length)]! ^= 1 << Math.floor(random() * 8);
      const sequence = FIRST + Math.floor(random() * 4);
      receive(compact(kind, { ...fieldsOf(sequence), base: kind === "delta" ? sequence - 1 : 0 }, body));
    }
    await settle();
    info();
    columns();
    snapshot(FIRST + 900);
    expect(frames.at(-1)!.header.sequence).toBe(FIRST + 900);
    expect(server.borrowed).toBe(frames.length);
  });
});

describe("both decoders", () => {
  it("show the same after any bytes that both take", () => {
    const load = WasmDecoder.load(readFileSync(new URL("../wasm/compact.wasm", import.meta.url)))!;
    const random = prng(11);
    const both = [load, (of: ConstructorParameters<typeof CompactDecoder>[0]) => new CompactDecoder(of)].map((decoderOf) => new Chain((of) => decoderOf(of)!, NODES));
    const positions = new Float32Array(NODES * STRIDE);
    both.forEach((each) => each.setGraph({ ids: Uint32Array.from(graphIds), positions }));
    const header = (bytes: ArrayBuffer) => {
      const result = decodeHeader(bytes, DEFAULT_LIMITS);
      if (!result.ok) throw new Error(result.error);
      return result.header;
    };
    const take = (bytes: ArrayBuffer) => both.map((each) => each.take(header(bytes), new Uint8Array(bytes, 64)));
    for (let round = 0; round < 50; round++) {
      take(compact("info", fieldsOf(0), bodyOf("info")));
      take(compact("columns", fieldsOf(0), idColumn(wireIds)));
      take(compact("snapshot", fieldsOf(FIRST), bodyOf("snapshot")));
      const start = Math.floor(random() * (deltas.length - 3));
      for (let k = 0; k < 3; k++) {
        const { body, normalise } = deltas[start + k]!;
        const bytes = body.slice();
        if (random() < 0.7) bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
        const [a, b] = take(compact("delta", { ...fieldsOf(FIRST + k + 1), base: FIRST + k, flags: normalise ? 8 : 0 }, bytes));
        expect(a).toEqual(b);
      }
      const [a, b] = both.map((each) => {
        const out = new Float32Array(NODES * STRIDE);
        return [each.draw(out, { strangers: 0 }), ...out.map((value, at) => (at % STRIDE === 3 ? Math.round(value * 100) : value))];
      });
      expect(a).toEqual(b);
    }
  }, 60_000);
});

describe("LZ4", () => {
  it("reads literals, matches that reach into themselves, and long lengths", () => {
    const text = (bytes: Uint8Array | null) => bytes && new TextDecoder().decode(bytes);
    const of = (...parts: (string | number)[]) => Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...new TextEncoder().encode(part)] : [part])));
    expect(text(decompress(of(0x30, "abc"), 3))).toBe("abc");
    expect(text(decompress(of(0x22, "ab", 2, 0, 0x10, "z"), 9))).toBe("ababababz");
    expect(text(decompress(of(0x1f, "a", 1, 0, 255, 1, 0x00), 1 + 4 + 15 + 256))).toBe("a".repeat(276));
    expect(text(decompress(of(0xf0, 1, "0123456789abcdef"), 16))).toBe("0123456789abcdef");
    for (const [bytes, length] of [
      [of(), 0], [of(0x30, "ab"), 3], [of(0x30, "abc"), 2], [of(0x30, "abc"), 4], [of(0x10, "a", 2, 0, 0), 5],
      [of(0x10, "a", 0, 0, 0), 5], [of(0x1f, "a", 1, 0, 255), 400], [of(0x10, "a", 1), 9], [of(0xf0), 99],
    ] as const) expect(decompress(bytes, length)).toBeNull();
  });

  it("takes no harm from any bytes", () => {
    const random = prng(5);
    for (let round = 0; round < 3_000; round++) {
      const bytes = Uint8Array.from({ length: Math.floor(random() * 40) }, () => Math.floor(random() ** 2 * 256));
      const length = Math.floor(random() * 100);
      const out = decompress(bytes, length);
      expect(out === null || out.length === length).toBe(true);
    }
  });
});
