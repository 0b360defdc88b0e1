import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { STRIDE } from "../src/protocol.js";
import { BLOCK_NODES, CompactDecoder, parseInfo, type CompactInfo, type Decoder } from "../src/wire/compact.js";
import { WasmDecoder } from "../src/wire/wasm.js";
import { goldenChain, prng, type GoldenMessage } from "./bytes.js";

function infoOf(messages: GoldenMessage[]): CompactInfo {
  const body = messages.find((message) => message.kind === "info")!.body;
  const info = parseInfo(new DataView(body.buffer, body.byteOffset, body.byteLength), 2_000);
  if (typeof info === "string") throw new Error(info);
  return info;
}

const wasm = readFileSync(new URL("../wasm/compact.wasm", import.meta.url));
// One instance holds one chain, so that every decoder of a test is its own.
const kinds: [string, (info: CompactInfo) => Decoder][] = [
  ["TypeScript", (info) => new CompactDecoder(info)],
  ["WebAssembly", (info) => WasmDecoder.load(wasm)!(info)!],
];

describe.each(kinds)("the compact profile in %s", (_name, decoderOf) => {
  it("agrees with every hash of an independent encoder, early and late", () => {
    const messages = goldenChain();
    const info = infoOf(messages);
    expect(info).toEqual({ nodeCount: 1_100, origin: [16, -8.5, 0], quantum: 0.25, tickRate: 60, order: 0 });
    const decoders: Decoder[] = [];
    let [sequence, marks] = [1, 0];
    for (const { kind, normalise, body } of messages) {
      if (kind === "snapshot") {
        const decoder = decoderOf(info);
        expect(decoder.snapshot(sequence, body)).toBeNull();
        decoders.push(decoder);
      } else if (kind === "delta") {
        sequence += 1;
        for (const decoder of decoders) expect(decoder.delta(sequence - 1, sequence, normalise, body)).toBeNull();
      } else if (kind === "mark") {
        marks += 1;
        for (const decoder of decoders) expect(decoder.mark(body)).toBeNull();
      }
    }
    expect([marks, decoders.length]).toEqual([40, 2]);
    const [early, late] = decoders.map((decoder) => {
      const out = new Float32Array(STRIDE * info.nodeCount);
      decoder.draw(out);
      return out;
    });
    expect(early).toEqual(late);
    expect(early!.every(Number.isFinite)).toBe(true);
  });

  it("refuses a gap and notices what it was not told", () => {
    const messages = goldenChain();
    const decoder = decoderOf(infoOf(messages));
    expect(decoder.snapshot(1, messages.find((message) => message.kind === "snapshot")!.body)).toBeNull();
    const deltas = messages.filter((message) => message.kind === "delta");
    const marks = messages.filter((message) => message.kind === "mark");
    expect(decoder.delta(2, 3, false, deltas[1]!.body)).toBe("gap");
    expect(decoder.delta(1, 2, false, new Uint8Array())).toBeNull();
    expect(decoder.mark(marks[0]!.body)).toBe("drifted");
  });

  it("follows the blocks that it has", () => {
    const messages = goldenChain();
    const decoder = decoderOf(infoOf(messages));
    decoder.snapshot(1, messages.find((message) => message.kind === "snapshot")!.body);
    decoder.leave(1);
    let sequence = 1;
    for (const { kind, normalise, body } of messages.slice(0, 60)) {
      if (kind === "delta") expect(decoder.delta(sequence, ++sequence, normalise, body)).toBeNull();
      if (kind === "mark") expect(decoder.mark(body)).toBeNull();
    }
    expect([decoder.follows(0), decoder.follows(1)]).toEqual([true, false]);
    const out = new Float32Array(STRIDE * 1_100);
    decoder.draw(out);
    expect(out.subarray(STRIDE * BLOCK_NODES).every((value) => value === 0)).toBe(true);
  });

  it("takes no harm from any bytes", () => {
    const messages = goldenChain();
    const info = infoOf(messages);
    const random = prng(7);
    const snapshot = messages.find((message) => message.kind === "snapshot")!.body;
    for (let round = 0; round < 300; round++) {
      const decoder = decoderOf(info);
      decoder.snapshot(1, snapshot);
      const from = messages[Math.floor(random() * messages.length)]!;
      const bytes = from.body.slice(0, Math.floor(random() * (from.body.length + 1)));
      for (let flip = 0; flip < 3 && bytes.length > 0; flip++) bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
      const view = new DataView(bytes.buffer);
      expect(() => [decoder.delta(1, 2, true, bytes), decoder.snapshot(9, bytes), decoder.mark(bytes), parseInfo(view, 10)]).not.toThrow();
    }
  });
});
