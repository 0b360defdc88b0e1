/**
 * The compact profile of `swarmcast.v1`, decoded: src/wire/PROTOCOL.md, section 6, with the same names.
 *
 * The state is 32-bit integers that wrap, so every product goes through `Math.imul` and every sum through `| 0`. Nothing
 * here throws, whatever the bytes, and nothing allocates per frame but small objects per block.
 */
import { COORDINATE_MAX, STRIDE, VELOCITY_MAX } from "../protocol.js";
import { FLAGS, HOT, QUIET } from "./tables.js";

export const BLOCK_NODES = 1024;
export const INFO_BYTES = 32;
const HALF = 2048;
const HOT_FROM = 260;

export interface CompactInfo {
  nodeCount: number;
  origin: [number, number, number];
  quantum: number;
  tickRate: number;
  /** Counts the orders of the wire. */
  order: number;
}

export type CompactError =
  | "length" | "tables" | "format" | "nodes" | "quantum" | "memory" | "gap" | "short" | "index" | "mode" | "corrupt" | "drifted";

/**
 * Follows a chain; `sequence` is that of the last frame taken, 0 before any. After an error other than "gap" and "drifted"
 * nothing is followed until the next snapshot. `WasmDecoder` and, where that cannot run, `CompactDecoder`.
 */
export interface Decoder {
  readonly runs: "WebAssembly" | "script";
  readonly sequence: number;
  /** Of another sequence than the last frame's it begins anew, else it adds blocks. */
  snapshot(sequence: number, body: Uint8Array): CompactError | null;
  delta(base: number, sequence: number, normalise: boolean, body: Uint8Array): CompactError | null;
  mark(body: Uint8Array): CompactError | null;
  follows(block: number): boolean;
  leave(block: number): void;
  /** `places` says for every node of the wire where it is in the picture; `shown` is the picture of those not followed. */
  arrange(places: Uint32Array, shown: Float32Array): void;
  /**
   * Writes the picture to `out`, `[nodes * STRIDE]`: x, y, z in world units and speed in world units a second. Answers how many
   * values it brought to the edge of their range.
   */
  draw(out: Float32Array): number;
}

/** FNV-1a of the tables, as `info` carries it. */
export const TABLE_HASH = (() => {
  let hash = 0x811c9dc5;
  for (const frequency of [...FLAGS, ...QUIET.flat(), ...HOT.flat()]) {
    hash = Math.imul(hash ^ (frequency & 255), 0x01000193);
    hash = Math.imul(hash ^ (frequency >> 8), 0x01000193);
  }
  return hash >>> 0;
})();

/** Starts of the symbols of one table, the scale at the end; and the symbol of every slot. */
interface Table { starts: Uint16Array; symbols: Uint8Array }

function table(frequencies: readonly number[]): Table {
  const starts = new Uint16Array(frequencies.length + 1);
  const symbols = new Uint8Array(4096);
  frequencies.forEach((frequency, symbol) => {
    const start = starts[symbol]!;
    starts[symbol + 1] = start + frequency;
    symbols.fill(symbol, start, start + frequency);
  });
  return { starts, symbols };
}

const QUIET_TABLES = QUIET.map(table);
const HOT_TABLES = HOT.map(table);

export function parseInfo(body: DataView, nodesMax: number): CompactInfo | CompactError {
  if (body.byteLength !== INFO_BYTES) return "length";
  const info: CompactInfo = {
    nodeCount: body.getUint32(0, true),
    origin: [body.getFloat32(4, true), body.getFloat32(8, true), body.getFloat32(12, true)],
    quantum: body.getFloat32(16, true),
    tickRate: body.getUint16(24, true),
    order: body.getUint32(28, true),
  };
  if (body.getUint32(20, true) !== TABLE_HASH) return "tables";
  if (body.getUint8(26) !== 10 || body.getUint8(27) !== 12) return "format";
  if (info.nodeCount > nodesMax) return "nodes";
  if (!(info.quantum > 0 && Number.isFinite(info.quantum)) || !info.origin.every(Number.isFinite)) return "quantum";
  return info;
}

/** Bits of a block, lowest first. Past the end it gives zeros and `failed` is set. */
class Bits {
  failed = false;
  private place: number;
  private held = 0;
  private count = 0;

  constructor(private readonly bytes: Uint8Array, start: number, private readonly end: number) {
    this.place = start;
  }

  /** At most 32 bits, unsigned. */
  take(width: number): number {
    if (width > 16) return (this.take(16) + this.take(width - 16) * 65536);
    while (this.count < width) {
      if (this.place >= this.end) {
        this.failed = true;
        return 0;
      }
      this.held |= this.bytes[this.place++]! << this.count;
      this.count += 8;
    }
    const value = this.held & ((1 << width) - 1);
    this.held >>>= width;
    this.count -= width;
    return value;
  }

  unary(most: number): number {
    let ones = 0;
    while (ones < most && this.take(1) === 1) ones++;
    return ones;
  }

  rice(low: number): number {
    const quotient = this.unary(20);
    return quotient === 20 ? this.take(32) : quotient * 2 ** low + this.take(low);
  }

  over(): boolean {
    return !this.failed && this.place === this.end && this.count < 8 && this.held === 0;
  }
}

/** One state or four over one row of words; symbol `i` of a pass goes through state `i` modulo their number. */
class Rans {
  private readonly states: Float64Array;
  private readonly start: number;
  private next = 0;
  private place: number;

  constructor(private readonly bytes: Uint8Array, start: number, private readonly end: number, states: 1 | 4) {
    const length = end - start;
    const stateBytes = states === 4 ? 4 : length < 3 ? length : 4 - (length % 2);
    this.start = states === 4 ? 65536 : 0;
    this.states = new Float64Array(states);
    this.place = Math.min(start + states * stateBytes, end);
    for (let byte = states * stateBytes - 1; byte >= 0; byte--) {
      const state = Math.floor(byte / stateBytes);
      this.states[state] = this.states[state]! * 256 + (start + byte < end ? bytes[start + byte]! : 0);
    }
  }

  beginPass(): void {
    this.next = 0;
  }

  private advance(state: number, frequency: number, rest: number): void {
    // Below 2^32 in all: exact in a double.
    let value = frequency * Math.floor(this.states[state]! / 4096) + rest;
    if (value < 65536 && this.place + 1 < this.end) {
      value = value * 65536 + (this.bytes[this.place]! | this.bytes[this.place + 1]! << 8);
      this.place += 2;
    }
    this.states[state] = value;
    this.next = (state + 1) % this.states.length;
  }

  symbol(from: Table): number {
    const slot = this.states[this.next]! % 4096;
    const symbol = from.symbols[slot]!;
    const start = from.starts[symbol]!;
    this.advance(this.next, from.starts[symbol + 1]! - start, slot - start);
    return symbol;
  }

  flag(one: number): boolean {
    const slot = this.states[this.next]! % 4096;
    const zero = 4096 - one;
    if (slot < zero) this.advance(this.next, zero, slot);
    else this.advance(this.next, one, slot - zero);
    return slot >= zero;
  }

  over(): boolean {
    return this.states.every((state) => state === this.start) && this.place === this.end;
  }
}

const unzigzag = (value: number): number => (value >>> 1) ^ -(value & 1);
const unrank = (rank: number): number => -unzigzag(rank) | 0;
const highest = (value: number): number => 31 - Math.clz32(value);
const size = (step: number): number => Math.min(Math.abs(step), 1 << 21);
const round = (value: number, grid: number): number => (value + grid / 2) & -grid;

function energyClass(energy: number): number {
  if (energy < 2) return energy;
  const high = highest(energy);
  return 2 * high + ((energy >> (high - 1)) & 1);
}

const energyOf = (kind: number): number => (kind < 2 ? kind : (2 + (kind & 1)) << ((kind >> 1) - 1));
const ticksClass = (ticks: number): number => 32 - Math.clz32(ticks);
const ticksOf = (kind: number): number => (kind === 0 ? 0 : 1 << (kind - 1));

export class CompactDecoder implements Decoder {
  readonly runs = "script";
  /** Sequence of the last frame taken. */
  sequence = 0;
  /** By axis and node: units, units a tick. */
  readonly p: [Int32Array, Int32Array, Int32Array];
  readonly v: [Int32Array, Int32Array, Int32Array];
  private readonly w: [Int32Array, Int32Array, Int32Array];
  private readonly e: Int32Array;
  private readonly k: Uint8Array;
  private readonly decay: Uint8Array;
  private readonly followed: Uint8Array;
  private readonly steps = new Int32Array(3);
  private places: Uint32Array;
  private readonly picture: Float32Array;
  /** Nodes of the block at hand that are quiet and corrected, and that are hot; by axis and place in them, their symbols. */
  private readonly corrected = new Uint32Array(BLOCK_NODES);
  private readonly hotNodes = new Uint32Array(BLOCK_NODES);
  private readonly quietSymbols = [0, 1, 2].map(() => new Uint8Array(BLOCK_NODES));
  private readonly hotSymbols = [0, 1, 2].map(() => new Uint8Array(BLOCK_NODES));
  private readonly quietSteps = [0, 1, 2].map(() => new Int32Array(BLOCK_NODES));
  private readonly hotSteps = [0, 1, 2].map(() => new Int32Array(BLOCK_NODES));

  constructor(readonly info: CompactInfo) {
    const nodes = info.nodeCount;
    const axes = (): [Int32Array, Int32Array, Int32Array] => [new Int32Array(nodes), new Int32Array(nodes), new Int32Array(nodes)];
    [this.p, this.v, this.w] = [axes(), axes(), axes()];
    this.e = new Int32Array(nodes);
    this.k = new Uint8Array(nodes);
    const blocks = Math.ceil(nodes / BLOCK_NODES);
    this.decay = new Uint8Array(blocks);
    this.followed = new Uint8Array(blocks);
    this.places = Uint32Array.from({ length: nodes }, (_, node) => node);
    this.picture = new Float32Array(nodes * STRIDE);
  }

  follows(block: number): boolean {
    return this.followed[block] === 1;
  }

  leave(block: number): void {
    if (block in this.followed) this.followed[block] = 0;
  }

  snapshot(sequence: number, body: Uint8Array): CompactError | null {
    if (sequence !== this.sequence) this.followed.fill(0);
    this.sequence = sequence;
    return this.each(body, (block, start, end) => {
      this.followed[block] = 1;
      return this.readSnapshot(block, new Bits(body, start, end)) ? null : "corrupt";
    });
  }

  delta(base: number, sequence: number, normalise: boolean, body: Uint8Array): CompactError | null {
    if (base !== this.sequence) return "gap";
    this.sequence = sequence;
    this.followed.forEach((followed, block) => followed === 1 && this.predict(block, normalise));
    const error = this.each(body, (block, start, end) => (this.follows(block) ? this.readDelta(block, body, start, end) : null));
    if (error === null && normalise) this.followed.forEach((followed, block) => followed === 1 && this.normalise(block));
    return error;
  }

  mark(body: Uint8Array): CompactError | null {
    return this.entries(body, (block, start, end) => {
      if (end - start !== 4) return "corrupt";
      const hash = new DataView(body.buffer, body.byteOffset + start, 4).getUint32(0, true);
      return this.follows(block) && this.hash(block) !== hash ? "drifted" : null;
    });
  }

  arrange(places: Uint32Array, shown: Float32Array): void {
    this.places = places;
    this.picture.set(shown);
  }

  draw(out: Float32Array): number {
    const { picture, places, info } = this;
    // Each step rounded to a float, as every other client does it.
    const scale = Math.fround(info.quantum / 4096);
    const speed = Math.fround(scale * info.tickRate);
    let clamped = 0;
    const within = (value: number, max: number): number => {
      if (value >= -max && value <= max) return value;
      clamped += 1;
      return value < 0 ? -max : max;
    };
    for (let block = 0; block < this.followed.length; block++) {
      if (this.followed[block] === 0) continue;
      const [start, end] = this.range(block);
      for (let node = start; node < end; node++) {
        const to = places[node]! * STRIDE;
        let square = 0;
        for (let axis = 0; axis < 3; axis++) {
          picture[to + axis] = within(Math.fround(Math.fround(this.p[axis]![node]!) * scale) + info.origin[axis]!, COORDINATE_MAX);
          square += within(Math.fround(this.v[axis]![node]!) * speed, VELOCITY_MAX) ** 2;
        }
        picture[to + 3] = Math.sqrt(square);
      }
    }
    out.set(picture);
    return clamped;
  }

  private range(block: number): [number, number] {
    return [block * BLOCK_NODES, Math.min((block + 1) * BLOCK_NODES, this.info.nodeCount)];
  }

  private each(body: Uint8Array, take: (block: number, start: number, end: number) => CompactError | null): CompactError | null {
    const error = this.entries(body, take);
    if (error !== null) this.followed.fill(0);
    return error;
  }

  private entries(body: Uint8Array, take: (block: number, start: number, end: number) => CompactError | null): CompactError | null {
    let place = 0;
    const varint = (): number => {
      let value = 0;
      for (let digit = 0; digit < 5 && place < body.length; digit++) {
        const byte = body[place++]!;
        value += (byte & 127) * 2 ** (7 * digit);
        if (byte < 128) return value < 2 ** 32 ? value : -1;
      }
      return -1;
    };
    let after = -1;
    while (place < body.length) {
      const block = varint();
      if (block < 0) return "short";
      if (block <= after || block >= this.followed.length) return "index";
      const bytes = varint();
      if (bytes < 0 || place + bytes > body.length) return "short";
      const error = take(block, place, place + bytes);
      if (error !== null) return error;
      place += bytes;
      after = block;
    }
    return null;
  }

  private predict(block: number, normalise: boolean): void {
    const [start, end] = this.range(block);
    const decay = this.decay[block]!;
    for (let axis = 0; axis < 3; axis++) {
      const [p, v] = [this.p[axis]!, this.v[axis]!];
      for (let node = start; node < end; node++) {
        let velocity = v[node]!;
        if (decay > 0) {
          velocity = (velocity - ((Math.imul(velocity, decay) + 512) >> 10)) | 0;
          v[node] = velocity;
        }
        const position = (p[node]! + velocity) | 0;
        p[node] = normalise ? round(position, 1024) : position;
      }
    }
    const [e, k] = [this.e, this.k];
    for (let node = start; node < end; node++) {
      e[node] = e[node]! - (e[node]! >> 4);
      if (k[node]! < 255) k[node] = k[node]! + 1;
    }
  }

  private normalise(block: number): void {
    const [start, end] = this.range(block);
    for (let node = start; node < end; node++) {
      const energy = energyOf(energyClass(this.e[node]!));
      this.e[node] = energy;
      this.k[node] = ticksOf(ticksClass(this.k[node]!));
      for (let axis = 0; axis < 3; axis++) {
        const velocity = round(this.v[axis]![node]!, energy >= HOT_FROM ? 2048 : 128);
        this.v[axis]![node] = velocity;
        this.w[axis]![node] = velocity;
      }
    }
  }

  private quiet(node: number, steps: Int32Array): void {
    const ticks = Math.min(Math.max(this.k[node]!, 1), 64);
    const gain = ticks <= 8 ? 256 : 200;
    let sum = 0;
    for (let axis = 0; axis < 3; axis++) {
      const step = steps[axis]!;
      const [p, v] = [this.p[axis]!, this.v[axis]!];
      p[node] = p[node]! + Math.imul(step, HALF);
      v[node] = v[node]! + Math.trunc(Math.imul(step, 8 * gain) / ticks);
      sum += size(step);
    }
    const energy = this.e[node]!;
    const next = energy + ((Math.trunc(sum * 85 / ticks) - energy) >> 2);
    this.e[node] = next;
    this.k[node] = 0;
    if (next >= HOT_FROM) for (let axis = 0; axis < 3; axis++) this.w[axis]![node] = this.v[axis]![node]!;
  }

  private hot(node: number, steps: Int32Array): void {
    const energy = this.e[node]!;
    const share = energy < 420 ? 130 : energy < 1000 ? 180 : energy < 3400 ? 210 : 230;
    const next = energy + (((size(steps[0]!) + size(steps[1]!) + size(steps[2]!)) * 171 - energy) >> 2);
    for (let axis = 0; axis < 3; axis++) {
      const step = Math.imul(steps[axis]!, 2 * HALF);
      const [p, v, w] = [this.p[axis]!, this.v[axis]!, this.w[axis]!];
      p[node] = p[node]! + step;
      const now = (v[node]! + step) | 0;
      v[node] = next < HOT_FROM ? now : now + (Math.imul((now - w[node]!) | 0, share) >> 8);
      w[node] = now;
    }
    this.e[node] = next;
    this.k[node] = 0;
  }

  private along(step: number, axis: number, node: number): number {
    return this.v[axis]![node]! < 0 ? -step | 0 : step;
  }

  private readDelta(block: number, body: Uint8Array, start: number, end: number): CompactError | null {
    if (start >= end) return "short";
    const mode = body[start++]!;
    let decay = -1;
    if ((mode & 4) !== 0) {
      if (start >= end) return "short";
      decay = body[start++]!;
    }
    const [coding, plain] = [mode & 3, (mode & 8) !== 0];
    if (mode > 15 || coding === 0 || (coding === 1 && plain)) return "mode";
    let bits = new Bits(body, start, start);
    if (plain) {
      let [bytes, digit] = [0, 0];
      do {
        if (start >= end || digit > 4) return "short";
        bytes += (body[start]! & 127) * 2 ** (7 * digit++);
      } while (body[start++]! >= 128);
      if (bytes > end - start) return "short";
      bits = new Bits(body, start, start + bytes);
      start += bytes;
    }
    const done = coding === 1
      ? this.readGaps(block, body, start, end)
      : this.readEntropy(block, bits, new Rans(body, start, end, coding === 2 ? 1 : 4));
    if (!done) return "corrupt";
    if (decay >= 0) this.decay[block] = decay;
    return null;
  }

  private readGaps(block: number, body: Uint8Array, start: number, end: number): boolean {
    const [first, last] = this.range(block);
    let [corrections, digit] = [0, 0];
    do {
      if (start >= end || digit > 4) return false;
      corrections += (body[start]! & 127) * 2 ** (7 * digit++);
    } while (body[start++]! >= 128);
    if (corrections > last - first) return false;
    const low = highest(Math.max(1, Math.floor(((last - first) * 45 >> 6) / (corrections + 1))));
    const bits = new Bits(body, start, end);
    let next = first;
    for (let correction = 0; correction < corrections; correction++) {
      const node = next + bits.rice(low);
      if (bits.failed || node >= last) return false;
      for (let axis = 0; axis < 3; axis++) {
        const rank = bits.unary(15);
        this.steps[axis] = rank < 15 ? this.along(unrank(rank), axis, node) : unzigzag(bits.take(22));
      }
      if (bits.failed) return false;
      this.quiet(node, this.steps);
      next = node + 1;
    }
    return bits.over();
  }

  private readEntropy(block: number, bits: Bits, rans: Rans): boolean {
    const [first, last] = this.range(block);
    const { corrected, hotNodes } = this;
    let [quietCount, hotCount] = [0, 0];
    for (let node = first; node < last; node++) {
      const energy = this.e[node]!;
      if (energy >= HOT_FROM) {
        hotNodes[hotCount++] = node;
        continue;
      }
      const k = this.k[node]!;
      const ticks = k < 8 ? Math.max(k - 1, 0) : Math.min(highest(k) + 4, 10);
      if (rans.flag(FLAGS[Math.min(32 - Math.clz32(energy), 9) * 11 + ticks]!)) corrected[quietCount++] = node;
    }
    for (let axis = 0; axis < 3; axis++) {
      rans.beginPass();
      const symbols = this.quietSymbols[axis]!;
      for (let place = 0; place < quietCount; place++) {
        const k = this.k[corrected[place]!]!;
        const row = k < 2 ? 0 : k < 4 ? k - 1 : k < 8 ? 3 : k < 16 ? 4 : 5;
        let any = false;
        for (let before = 0; before < axis; before++) any ||= this.quietSymbols[before]![place] !== 0;
        symbols[place] = rans.symbol(QUIET_TABLES[4 * row + (any ? 3 : axis)]!);
      }
    }
    for (let axis = 0; axis < 3; axis++) {
      rans.beginPass();
      const symbols = this.hotSymbols[axis]!;
      for (let place = 0; place < hotCount; place++) {
        const energy = this.e[hotNodes[place]!]!;
        const high = highest(energy);
        symbols[place] = rans.symbol(HOT_TABLES[2 * Math.min(high - 8, 3) + ((energy >> (high - 1)) & 1)]!);
      }
    }
    if (!rans.over()) return false;
    for (let axis = 0; axis < 3; axis++) {
      const [symbols, steps] = [this.quietSymbols[axis]!, this.quietSteps[axis]!];
      for (let place = 0; place < quietCount; place++) {
        steps[place] = this.along(valueOf(symbols[place]!, 16, 0, bits), axis, corrected[place]!);
      }
    }
    for (let axis = 0; axis < 3; axis++) {
      const [symbols, steps] = [this.hotSymbols[axis]!, this.hotSteps[axis]!];
      for (let place = 0; place < hotCount; place++) {
        const shift = Math.max(highest(this.e[hotNodes[place]!]!) - 10, 0);
        steps[place] = this.along(valueOf(symbols[place]!, 32, shift, bits), axis, hotNodes[place]!);
      }
    }
    if (!bits.over()) return false;
    for (let place = 0; place < quietCount; place++) {
      for (let axis = 0; axis < 3; axis++) this.steps[axis] = this.quietSteps[axis]![place]!;
      this.quiet(corrected[place]!, this.steps);
    }
    for (let place = 0; place < hotCount; place++) {
      for (let axis = 0; axis < 3; axis++) this.steps[axis] = this.hotSteps[axis]![place]!;
      this.hot(hotNodes[place]!, this.steps);
    }
    return true;
  }

  private readSnapshot(block: number, bits: Bits): boolean {
    const [first, last] = this.range(block);
    const field = (width: number): [number, number] => {
      const least = bits.take(width) << (32 - width) >> (32 - width);
      return [least, bits.take(5)];
    };
    const positions = [field(22), field(22), field(22)];
    const [energies, ticks] = [field(7), field(5)];
    const [quiet, hot] = [bits.take(5), bits.take(5)];
    this.decay[block] = bits.take(8);
    if (positions.some(([, width]) => width > 22) || energies[1] > 7 || ticks[1] > 5) return false;
    for (let node = first; node < last; node++) {
      const energyKind = energies[0] + bits.take(energies[1]);
      const ticksKind = ticks[0] + bits.take(ticks[1]);
      if (bits.failed || energyKind < 0 || energyKind >= 60 || ticksKind < 0 || ticksKind >= 9) return false;
      const energy = energyOf(energyKind);
      this.e[node] = energy;
      this.k[node] = ticksOf(ticksKind);
      positions.forEach(([least, width], axis) => {
        this.p[axis]![node] = (least + bits.take(width)) << 10;
      });
      for (let axis = 0; axis < 3; axis++) {
        const velocity = unzigzag(bits.rice(energy >= HOT_FROM ? hot : quiet)) << (energy >= HOT_FROM ? 11 : 7);
        this.v[axis]![node] = velocity;
        this.w[axis]![node] = velocity;
      }
    }
    return bits.over();
  }

  private hash(block: number): number {
    const [start, end] = this.range(block);
    let hash = 0x811c9dc5 | 0;
    const add = (word: number): void => {
      hash = Math.imul(hash ^ word, 0x01000193);
    };
    for (let node = start; node < end; node++) {
      for (const axis of this.p) add(axis[node]!);
      for (const axis of this.v) add(axis[node]!);
      if (this.e[node]! >= HOT_FROM) for (const axis of this.w) add(axis[node]!);
      add(this.e[node]!);
      add(this.k[node]!);
    }
    add(this.decay[block]!);
    return hash >>> 0;
  }
}

/** The correction of a symbol, with what the plain bits add to it. */
function valueOf(symbol: number, symbols: number, shift: number, bits: Bits): number {
  if (symbol === symbols - 1) return unzigzag(bits.take(22));
  return ((unrank(symbol) << shift) + bits.take(shift) - ((1 << shift) >> 1)) | 0;
}
