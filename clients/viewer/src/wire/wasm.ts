/** The decoder of wasm/compact.ts, driven from outside: the same answers as `CompactDecoder`, several times as fast. */

import type { CompactError, CompactInfo, Decoder } from "./compact.js";
import { FLAGS, HOT, QUIET } from "./tables.js";

/** The numbers that wasm/compact.ts answers with, from 1. */
const ERRORS: readonly CompactError[] = ["short", "index", "mode", "corrupt", "drifted"];

interface Exports {
  memory: WebAssembly.Memory;
  tablesAt(): number;
  prepare(): void;
  begin(nodes: number): number;
  scaled(quantum: number, tickRate: number, x: number, y: number, z: number): void;
  bodyAt(bytes: number): number;
  orderAt(): number;
  pictureAt(): number;
  snapshot(bytes: number): number;
  delta(bytes: number, normalise: boolean): number;
  mark(bytes: number): number;
  follows(block: number): number;
  leave(block: number): void;
  leaveAll(): void;
  draw(): void;
  clamped(): number;
}

/** One chain at a time: a new info makes a new one in the same memory. */
export class WasmDecoder implements Decoder {
  readonly runs = "WebAssembly";
  sequence = 0;

  private constructor(private readonly wasm: Exports, private readonly nodeCount: number) {}

  /** What makes decoders out of the module in `bytes`; null where it cannot run here. */
  static load(bytes: BufferSource): ((info: CompactInfo) => WasmDecoder | null) | null {
    try {
      const wasm = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Exports;
      new Uint16Array(wasm.memory.buffer, wasm.tablesAt()).set([...FLAGS, ...QUIET.flat(), ...HOT.flat()]);
      wasm.prepare();
      return (info) => {
        if (!wasm.begin(info.nodeCount)) return null;
        wasm.scaled(info.quantum, info.tickRate, ...info.origin);
        return new WasmDecoder(wasm, info.nodeCount);
      };
    } catch {
      return null; // No WebAssembly, none with SIMD, or a policy that forbids it.
    }
  }

  snapshot(sequence: number, body: Uint8Array): CompactError | null {
    if (sequence !== this.sequence) this.wasm.leaveAll();
    this.sequence = sequence;
    return this.put(body) ? this.said(this.wasm.snapshot(body.length)) : "memory";
  }

  delta(base: number, sequence: number, normalise: boolean, body: Uint8Array): CompactError | null {
    if (base !== this.sequence) return "gap";
    this.sequence = sequence;
    return this.put(body) ? this.said(this.wasm.delta(body.length, normalise)) : "memory";
  }

  mark(body: Uint8Array): CompactError | null {
    return this.put(body) ? this.said(this.wasm.mark(body.length)) : "memory";
  }

  follows(block: number): boolean {
    return this.wasm.follows(block) !== 0;
  }

  leave(block: number): void {
    this.wasm.leave(block);
  }

  arrange(places: Uint32Array, shown: Float32Array): void {
    const order = new Uint32Array(this.wasm.memory.buffer, this.wasm.orderAt(), this.nodeCount);
    // What is no place would be written to all the same.
    places.forEach((place, node) => { order[node] = Math.min(place, this.nodeCount - 1); });
    this.picture().set(shown);
  }

  draw(out: Float32Array): number {
    const before = this.wasm.clamped();
    this.wasm.draw();
    out.set(this.picture());
    return this.wasm.clamped() - before;
  }

  memoryBytes(): number {
    return this.wasm.memory.buffer.byteLength;
  }

  private picture(): Float32Array {
    return new Float32Array(this.wasm.memory.buffer, this.wasm.pictureAt(), 4 * this.nodeCount);
  }

  private put(body: Uint8Array): boolean {
    const at = this.wasm.bodyAt(body.length);
    if (at !== 0) new Uint8Array(this.wasm.memory.buffer, at, body.length).set(body);
    return at !== 0;
  }

  private said(error: number): CompactError | null {
    return ERRORS[error - 1] ?? null;
  }
}
