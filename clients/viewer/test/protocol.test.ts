import { describe, expect, it } from "vitest";
import {
  DEFAULT_LIMITS, decodeHeader, decodeRecords, limitsFor, numberOrNull, parseText, type Mended,
} from "../src/protocol.js";
import { compact, frame, prng, type FrameFields } from "./bytes.js";

const none = (): Mended => ({ clamped: 0, notFinite: 0, strangers: 0 });

/** A frame of one node, byte by byte as PROTOCOL.md lays it out. */
const GOLDEN = [
  "53574d43", "01", "01", "0500", "0300", "0000", "2a000000",
  "0807060504030201", "0000000000000000", "1027000000000000",
  "00e40b5402000000", "4de40b5402000000", "01000000", "1c000000",
  "07000040", "0000803f", "000000c0", "0000403f", "00004040", "00008040", "00000000",
].join("");

function hex(text: string): ArrayBuffer {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

function errorOf(bytes: ArrayBuffer, limits = DEFAULT_LIMITS): string {
  const result = decodeHeader(bytes, limits);
  return result.ok ? "accepted" : result.error;
}

describe("header", () => {
  it("reads the golden bytes", () => {
    expect(decodeHeader(hex(GOLDEN), DEFAULT_LIMITS)).toEqual({
      ok: true,
      header: {
        kind: "full", settled: true, flat: false, heartbeat: true, normalise: false, partial: false, class: 3, epoch: 42, base: 0,
        sequence: Number(0x0102030405060708n), tick: 10_000, tickNs: 10_000_000_000, publishedNs: 10_000_000_077, nodeCount: 1,
      },
    });
  });

  it("tells each flag", () => {
    for (const [flags, settled, flat, heartbeat] of [[1, true, false, false], [2, false, true, false], [4, false, false, true]] as const) {
      expect(decodeHeader(frame({ flags }), DEFAULT_LIMITS)).toMatchObject({ ok: true, header: { settled, flat, heartbeat } });
    }
  });

  it.each<[string, FrameFields]>([
    ["version", { version: 2 }], ["kind", { kind: 7 }], ["kind", { kind: 0 }], ["reserved", { kind: 3, base: 5 }], ["reserved", { reserved: 1 }],
    ["reserved", { base: 5 }], ["length", { nodeCount: 3 }], ["length", { bodyBytes: 55 }],
    ["length", { nodeCount: 1, bodyBytes: 28 }], ["too_many_nodes", { nodeCount: 100_001 }],
  ])("refuses a wrong field as %s: %j", (error, fields) => {
    expect(errorOf(frame(fields))).toBe(error);
  });

  it("knows the messages of the compact profile, and bounds them by their nodes", () => {
    const flags = 8 | 16;
    const message = compact("delta", { flags, base: 6, nodeCount: 2_000 }, new Uint8Array(90));
    expect(decodeHeader(message, DEFAULT_LIMITS)).toMatchObject({ ok: true, header: { kind: "delta", base: 6, normalise: true, partial: true } });
    expect(errorOf(compact("delta", { nodeCount: 1 }, new Uint8Array(161)))).toBe("length");
    expect(errorOf(compact("columns", {}, new Uint8Array(9)).slice(0, 70))).toBe("length");
    expect(errorOf(compact("snapshot", { nodeCount: 100_001 }, new Uint8Array(9)))).toBe("too_many_nodes");
  });

  it("refuses every truncation and one byte too many", () => {
    const whole = frame();
    for (let length = 0; length < whole.byteLength; length++) {
      expect(errorOf(whole.slice(0, length))).toBe(length < 64 ? "too_short" : "length");
    }
    const longer = new Uint8Array(whole.byteLength + 1);
    longer.set(new Uint8Array(whole));
    expect(errorOf(longer.buffer)).toBe("length");
  });

  it("keeps to its limits, and raises them within a ceiling", () => {
    expect(errorOf(new ArrayBuffer(10_000_001))).toBe("too_long");
    expect(errorOf(frame(), { frameBytesMax: 1_000, nodesMax: 1 })).toBe("too_many_nodes");
    expect(limitsFor(77)).toEqual(DEFAULT_LIMITS);
    expect(limitsFor(500_000)).toEqual({ nodesMax: 500_000, frameBytesMax: 64 + 500_000 * 32 + 490 * 64 });
    expect(limitsFor(1e12).nodesMax).toBe(1_000_000);
    expect(limitsFor(Number.NaN)).toEqual(DEFAULT_LIMITS);
  });
});

describe("records", () => {
  it("reads the golden record", () => {
    const out = new Float32Array(4);
    const mended = none();
    decodeRecords(hex(GOLDEN), 1, Uint32Array.of(7), out, mended);
    expect([...out]).toEqual([1, -2, 0.75, 5]);
    expect(mended).toEqual(none());
  });

  it("clamps what is out of range, zeroes what is no number, and counts both", () => {
    const out = new Float32Array(8);
    const mended = none();
    const records = [[7, 10_000.5, -20_000, 3, 2_000, 0, 0], [9, Number.NaN, Number.POSITIVE_INFINITY, 1, 0, 0, 0]];
    decodeRecords(frame({ records }), 2, Uint32Array.of(7, 9), out, mended);
    expect([...out]).toEqual([10_000, -10_000, 3, 1_000, 0, 0, 1, 0]);
    expect(mended).toEqual({ clamped: 3, notFinite: 2, strangers: 0 });
  });

  it("counts records of other nodes, whatever their class bits", () => {
    const mended = none();
    decodeRecords(frame(), 2, Uint32Array.of(7, 8), new Float32Array(8), mended);
    expect(mended.strangers).toBe(1);
  });
});

it("never throws on random bytes", () => {
  const random = prng(2026);
  const good = new Uint8Array(frame());
  const ids = Uint32Array.of(7, 9);
  let accepted = 0;
  for (let round = 0; round < 10_000; round++) {
    const length = Math.floor(random() * 200);
    const bytes = Uint8Array.from({ length }, () => Math.floor(random() * 256));
    // Half of the rounds start from a good frame with a few bytes wrong: those get further in.
    const damaged = round % 2 === 0 ? bytes : good.slice();
    if (round % 2 === 1) for (let k = 0; k < 3; k++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
    const result = decodeHeader(damaged.buffer, DEFAULT_LIMITS);
    if (!result.ok) continue;
    accepted += 1;
    const out = new Float32Array(result.header.nodeCount * 4);
    decodeRecords(damaged.buffer, result.header.nodeCount, ids, out, none());
    expect(out.every((value) => Number.isFinite(value) && Math.abs(value) <= 10_000)).toBe(true);
  }
  expect(accepted).toBeGreaterThan(1_000);
});

it("takes texts apart without throwing", () => {
  for (const text of ["", "{", "null", "[]", "3", "{\"type\":3}", "{}", "\u0000"]) expect(parseText(text)).toBeNull();
  expect(parseText("{\"type\":\"pong\",\"server_ns\":5}")).toEqual({ type: "pong", server_ns: 5 });
  expect([numberOrNull(1), numberOrNull("1"), numberOrNull(Number.NaN), numberOrNull(null)]).toEqual([1, null, null, null]);
});
