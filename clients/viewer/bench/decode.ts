/**
 * Times the decoders on a recorded stream: every tick goes through both, one right after the other, in turns who is first, and
 * the pictures of both are compared at the end. Runs in Node and in a browser: scripts/bench-decode.mjs.
 */

import { STRIDE } from "../src/protocol.js";
import { CompactDecoder, parseInfo, type Decoder } from "../src/wire/compact.js";
import { WasmDecoder } from "../src/wire/wasm.js";

const PHASES = ["hot", "settling", "local"];

export interface Row {
  phase: string;
  ticks: number;
  nodes: number;
  bytesPerNode: number;
  /** Medians over the ticks, in ms: the delta alone, then writing the picture; and the tenth of a hundred, which other work on the machine touches least. */
  wasmMs: number;
  wasmP10Ms: number;
  wasmDrawMs: number;
  scriptMs: number;
  scriptP10Ms: number;
  scriptDrawMs: number;
  /** Median over the ticks of script by wasm, delta and picture together. */
  ratio: number;
}

/** `clock` is in ms. */
export function benchDecode(stream: Uint8Array, wasm: BufferSource, rounds: number, clock: () => number = () => performance.now()): Row[] {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const makeWasm = WasmDecoder.load(wasm);
  if (makeWasm === null) throw new Error("no WebAssembly here");
  const times = PHASES.map(() => ({ bytes: 0, ticks: 0, wasm: [] as number[], wasmDraw: [] as number[], script: [] as number[], scriptDraw: [] as number[] }));
  let nodes = 0;
  for (let round = 0; round < rounds; round++) {
    let decoders: [Decoder, Decoder] | null = null;
    let out: [Float32Array, Float32Array] | null = null;
    let sequence = 0;
    for (let place = 0; place < stream.length;) {
      const [kind, flags, phase] = [stream[place]!, stream[place + 1]!, stream[place + 2]!];
      const length = view.getUint32(place + 4, true);
      const body = stream.subarray(place + 8, place + 8 + length);
      place += 8 + length;
      if (kind === 4) {
        const info = parseInfo(new DataView(body.buffer, body.byteOffset, length), 1_000_000);
        if (typeof info === "string") throw new Error(info);
        nodes = info.nodeCount;
        // The order of a Morton curve against that of a graph: places as good as random.
        const places = Uint32Array.from({ length: nodes }, (_, node) => Math.floor((node * 0.6180339887) % 1 * nodes));
        decoders = [makeWasm(info)!, new CompactDecoder(info)];
        decoders.forEach((decoder) => decoder.arrange(places, new Float32Array(nodes * STRIDE)));
        out = [new Float32Array(nodes * STRIDE), new Float32Array(nodes * STRIDE)];
      }
      if (decoders === null || out === null) throw new Error("no info");
      const check = (error: string | null): void => { if (error !== null) throw new Error(error); };
      if (kind === 3) decoders.forEach((decoder) => check(decoder.snapshot(sequence, body)));
      if (kind === 5) decoders.forEach((decoder) => check(decoder.mark(body)));
      if (kind !== 2) continue;
      sequence += 1;
      const took: [number, number][] = [[0, 0], [0, 0]];
      for (const which of sequence % 2 === 0 ? [0, 1] : [1, 0]) {
        const decoder = decoders[which]!;
        const start = clock();
        check(decoder.delta(sequence - 1, sequence, (flags & 1) === 1, body));
        const decoded = clock();
        decoder.draw(out[which]!);
        took[which] = [decoded - start, clock() - decoded];
      }
      const time = times[phase];
      if (time === undefined) continue;
      time.ticks += 1;
      time.bytes += length;
      time.wasm.push(took[0]![0]);
      time.wasmDraw.push(took[0]![1]);
      time.script.push(took[1]![0]);
      time.scriptDraw.push(took[1]![1]);
    }
    const [a, b] = out!;
    const differs = a!.findIndex((value, at) => Math.abs(value - b![at]!) > Math.abs(value) * 1e-6);
    if (differs >= 0) throw new Error(`the decoders differ at ${differs}: ${a![differs]} and ${b![differs]}`);
  }
  return times.flatMap((time, phase) => (time.ticks === 0 ? [] : [{
    phase: PHASES[phase]!, ticks: time.ticks, nodes, bytesPerNode: time.bytes / time.ticks / nodes,
    wasmMs: quantile(time.wasm, 0.5), wasmP10Ms: quantile(time.wasm, 0.1), wasmDrawMs: quantile(time.wasmDraw, 0.5),
    scriptMs: quantile(time.script, 0.5), scriptP10Ms: quantile(time.script, 0.1), scriptDrawMs: quantile(time.scriptDraw, 0.5),
    ratio: quantile(time.script.map((ms, k) => (ms + time.scriptDraw[k]!) / (time.wasm[k]! + time.wasmDraw[k]! || 1e-3)), 0.5),
  }]));
}

function quantile(values: number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
