import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CompactDecoder } from "../src/wire/compact.js";
import { WasmDecoder } from "../src/wire/wasm.js";
// @ts-expect-error -- a script without types
import { isBuilt } from "../scripts/build-wasm.mjs";
import { prng } from "./bytes.js";

const bytes = readFileSync(new URL("../wasm/compact.wasm", import.meta.url));

it("is what its source builds", async () => {
  expect(await isBuilt()).toBe(true);
}, 120_000);

it("asks nothing of the page but memory, and says so where it cannot run", () => {
  expect(WebAssembly.Module.imports(new WebAssembly.Module(bytes))).toEqual([]);
  expect(WasmDecoder.load(new Uint8Array([0, 1, 2]))).toBeNull();
});

it("grows by the nodes that are announced, not by what a message says", () => {
  const { memory } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as { memory: WebAssembly.Memory };
  const empty = memory.buffer.byteLength;
  const load = WasmDecoder.load(bytes)!;
  const decoder = load({ nodeCount: 100_000, origin: [0, 0, 0], quantum: 1, tickRate: 60, order: 0 })!;
  const random = prng(2);
  for (let round = 0; round < 50; round++) decoder.delta(0, 0, true, Uint8Array.from({ length: 300 }, () => Math.floor(random() * 256)));
  const size = decoder.memoryBytes() - empty;
  expect(size / 100_000).toBeGreaterThan(50);
  expect(size / 100_000).toBeLessThan(100);
  const again = load({ nodeCount: 10, origin: [0, 0, 0], quantum: 1, tickRate: 60, order: 0 })!;
  expect(again.memoryBytes() - empty).toBe(size);
});

it("says when there is no memory for so many nodes", () => {
  expect(WasmDecoder.load(bytes)!({ nodeCount: 2 ** 26, origin: [0, 0, 0], quantum: 1, tickRate: 60, order: 0 })).toBeNull();
});

it("follows every node count, also at the edges of blocks", () => {
  const load = WasmDecoder.load(bytes)!;
  for (const nodeCount of [0, 1, 3, 1_023, 1_024, 1_025, 4_096]) {
    const info = { nodeCount, origin: [1, 2, 3] as [number, number, number], quantum: 0.5, tickRate: 60, order: 0 };
    const both = [load(info)!, new CompactDecoder(info)];
    const pictures = both.map((decoder) => {
      expect(decoder.delta(0, 1, true, new Uint8Array())).toBeNull();
      expect(decoder.follows(0)).toBe(false);
      const out = new Float32Array(nodeCount * 4);
      decoder.draw(out);
      return out;
    });
    expect(pictures[0]).toEqual(pictures[1]);
  }
});
