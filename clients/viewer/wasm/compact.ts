/**
 * The decoder of the compact profile as WebAssembly, in AssemblyScript: src/wire/PROTOCOL.md, section 6, with the same names
 * as `src/wire/compact.ts`, which is the one to read first. `npm run build:wasm` makes `compact.wasm` of it and `entropy.ts`.
 *
 * Memory, from low to high: tables, then what `begin` lays out for a number of nodes: state, order, picture, body. Every address
 * is derived from the node count and from block indices that were compared with it; bytes of the body are only ever data.
 * What reads bits or words may run past the end of a block by `SLACK` bytes before it is stopped, and those are there.
 */

import { QUIET, TABLE, corrected, frequencies, isOver, openStates, prepareTables, readFlags, readValues, tableOf, tables } from "./entropy";

/** Nodes of a block; its arrays have places for as many, and those past the last node stay 0. */
const NODES: i32 = 1024;
const HALF: i32 = 2048;
const HOT_FROM: i32 = 260;

// A block's state: p, v and w with an axis in each of four lanes, the fourth 0; then e as i32, k and decay as u8. The gaps of 64
// bytes keep the values of one node from lying multiples of 4,096 bytes apart, where all would compete for one set of the cache.
const P: usize = 0;
const V: usize = 16 * 1024 + 64;
const W: usize = 2 * V;
const E: usize = 3 * V;
const K: usize = E + 4 * 1024 + 64;
const DECAY: usize = K + 1024;
const FOLLOWED: usize = DECAY + 1;
const BLOCK: usize = DECAY + 64;

const SLACK: usize = 64;

/** By k: the column of a flag's context, and the first of the four tables of a correction, as an offset. */
const columns: usize = memory.data(256, 16);
const rows: usize = memory.data(4 * 256, 16);

// What one block needs while it is decoded. Nodes as `u16`; the symbols of three axes by place in a
// list, beside which the fourth lane stays 0.
const every: usize = memory.data(2 * 1040, 16);
const quiets: usize = memory.data(2 * 1040, 16);
const hots: usize = memory.data(2 * 1040, 16);
const quietSymbols: usize = memory.data(16 * 1040, 16);
const hotSymbols: usize = memory.data(16 * 1040, 16);

let nodes: i32 = 0;
let blocks: i32 = 0;
let state: usize = 0;
let order: usize = 0;
let picture: usize = 0;
let body: usize = 0;
let scale: f32 = 0;
let speed: f32 = 0;
let originX: f32 = 0;
let originY: f32 = 0;
let originZ: f32 = 0;
let clampedCount: i32 = 0;

export function tablesAt(): usize { return frequencies; }
export function orderAt(): usize { return order; }
export function pictureAt(): usize { return picture; }
/** Coordinates and velocities that `draw` brought to the edge of their range. */
export function clamped(): i32 { return clampedCount; }

/** Lays out the tables that were written to `tablesAt()`, whose frequencies of values are multiples of 4. */
export function prepare(): void {
  prepareTables();
  for (let k = 0; k < 256; k++) {
    store<u8>(columns + k, k < 8 ? max(k - 1, 0) : min(35 - clz(k), 10));
    store<u32>(rows + 4 * k, u32(4 * TABLE * (k < 2 ? 0 : k < 4 ? k - 1 : k < 8 ? 3 : k < 16 ? 4 : 5)));
  }
  for (let node = 0; node < NODES; node++) store<u16>(every + 2 * node, u16(node));
}

/** Room for a chain of `count` nodes, of which nothing is known yet; false when there is none. */
export function begin(count: i32): bool {
  nodes = count;
  blocks = (count + NODES - 1) / NODES;
  state = (__heap_base + 63) & ~63;
  order = state + usize(blocks) * BLOCK;
  picture = (order + 4 * count + 63) & ~63;
  body = picture + 16 * count;
  // Beyond 2^25 nodes addresses would not fit 32 bits.
  if (u32(count) > 1 << 25 || !reach(body)) {
    nodes = 0;
    blocks = 0;
    return false;
  }
  memory.fill(state, 0, body - state);
  for (let node = 0; node < count; node++) store<u32>(order + 4 * node, node);
  return true;
}

/** Where a message of `bytes` is to be put; 0 when there is no memory for it. */
export function bodyAt(bytes: i32): usize {
  return reach(body + bytes) ? body : 0;
}

function reach(end: usize): bool {
  const pages = i32((end + SLACK + 0xffff) >>> 16) - memory.size();
  return pages <= 0 || memory.grow(pages) >= 0;
}

/** How states become coordinates: world units of a quantum, ticks a second, and where 0 is. */
export function scaled(quantum: f32, tickRate: f32, x: f32, y: f32, z: f32): void {
  scale = quantum / 4096;
  speed = scale * tickRate;
  originX = x;
  originY = y;
  originZ = z;
}

@inline function blockAt(block: i32): usize { return state + usize(block) * BLOCK; }
@inline function countOf(block: i32): i32 { return min(NODES, nodes - block * NODES); }

export function follows(block: i32): bool {
  return u32(block) < u32(blocks) && load<u8>(blockAt(block), FOLLOWED) != 0;
}

export function leave(block: i32): void {
  if (u32(block) < u32(blocks)) store<u8>(blockAt(block), 0, FOLLOWED);
}

export function leaveAll(): void {
  for (let block = 0; block < blocks; block++) store<u8>(blockAt(block), 0, FOLLOWED);
}

// --- messages ----------------------------------------------------------------------------------------------

// The errors of `src/wire/compact.ts`, in the order that src/wire/wasm.ts knows them by.
const SHORT = 1;
const INDEX = 2;
const MODE = 3;
const CORRUPT = 4;
const DRIFTED = 5;

/** Where `varint` stopped reading. */
let place_: usize = 0;

/** A varint from `place_`, which it moves; -1 when it is cut short or longer than 32 bits. */
function varint(end: usize): i64 {
  let value: i64 = 0;
  for (let digit = 0; digit < 5 && place_ < end; digit++) {
    const byte = i64(load<u8>(place_++));
    value |= (byte & 127) << (7 * digit);
    if (byte < 128) return value < 0x1_0000_0000 ? value : -1;
  }
  return -1;
}

const SNAPSHOT = 0;
const DELTA = 1;
const CHECK = 2;

function entries(kind: i32, end: usize, normalise: bool): i32 {
  place_ = body;
  let next = 0;
  while (place_ < end) {
    const block = varint(end);
    if (block < 0) return SHORT;
    if (block < next || block >= blocks) return INDEX;
    const bytes = varint(end);
    if (bytes < 0 || bytes > i64(end - place_)) return SHORT;
    const from = place_;
    const to = from + usize(bytes);
    if (kind == DELTA) for (; next < i32(block); next++) tick(next, normalise, 0, 0);
    let error = 0;
    if (kind == DELTA) error = tick(i32(block), normalise, from, to);
    else if (kind == SNAPSHOT) error = readSnapshot(i32(block), from, to) ? 0 : CORRUPT;
    else error = check(i32(block), from, to);
    if (error != 0) return error;
    next = i32(block) + 1;
    place_ = to;
  }
  if (kind == DELTA) for (; next < blocks; next++) tick(next, normalise, 0, 0);
  return 0;
}

/** Takes the snapshot of `bytes` at `bodyAt`; 0 or an error, and nothing is followed after one. */
export function snapshot(bytes: i32): i32 {
  const error = entries(SNAPSHOT, body + bytes, false);
  if (error != 0) leaveAll();
  return error;
}

/** Takes the delta of `bytes` at `bodyAt`, as `snapshot` does. */
export function delta(bytes: i32, normalise: bool): i32 {
  const error = entries(DELTA, body + bytes, normalise);
  if (error != 0) leaveAll();
  return error;
}

/** Compares the state with the mark of `bytes` at `bodyAt`. */
export function mark(bytes: i32): i32 {
  return entries(CHECK, body + bytes, false);
}

function check(block: i32, from: usize, to: usize): i32 {
  if (to - from != 4) return CORRUPT;
  return follows(block) && hash(block) != load<u32>(from) ? DRIFTED : 0;
}

// Mode byte of a delta: 2 is entropy with one state.
const GAPS = 1;
const FOUR = 3;
const DECAYS = 4;
const PLAIN = 8;

/** One tick of one block, with the corrections from `from` to `to`, or none where both are 0. */
function tick(block: i32, normalise: bool, from: usize, to: usize): i32 {
  const at = blockAt(block);
  if (load<u8>(at, FOLLOWED) == 0) return 0;
  const count = countOf(block);
  predict(at, count, normalise);
  if (to != 0) {
    if (from >= to) return SHORT;
    const mode = i32(load<u8>(from++));
    const decays = (mode & DECAYS) != 0;
    let decay: u8 = 0;
    if (decays) {
      if (from >= to) return SHORT;
      decay = load<u8>(from++);
    }
    let plain = from;
    if ((mode & PLAIN) != 0) {
      place_ = from;
      const bytes = varint(to);
      if (bytes < 0 || bytes > i64(to - place_)) return SHORT;
      plain = place_;
      from = place_ + usize(bytes);
    }
    const coding = mode & 3;
    if (coding == 0 || (mode & ~(3 | DECAYS | (coding == GAPS ? 0 : PLAIN))) != 0) return MODE;
    const done = coding == GAPS ? readGaps(at, count, from, to) : readEntropy(at, count, coding == FOUR, plain, from, to);
    if (!done) return CORRUPT;
    if (decays) store<u8>(at, decay, DECAY);
  }
  if (normalise) normaliseBlock(at, count);
  return 0;
}

// --- the predictor -------------------------------------------------------------------------------------------

@inline function round(value: v128, log2: i32): v128 {
  return v128.and(i32x4.add(value, i32x4.splat(1 << (log2 - 1))), i32x4.splat(-1 << log2));
}

function predict(at: usize, count: i32, normalise: bool): void {
  const decay = i32(load<u8>(at, DECAY));
  const end = at + 16 * count;
  for (let node = at; node < end; node += 16) {
    let v = v128.load(node, V);
    if (decay != 0) {
      const lost = i32x4.add(i32x4.mul(v, i32x4.splat(decay)), i32x4.splat(512));
      v = i32x4.sub(v, i32x4.shr_s(lost, 10));
      v128.store(node, v, V);
    }
    const p = i32x4.add(v128.load(node, P), v);
    v128.store(node, normalise ? round(p, 10) : p, P);
  }
  for (let node = 0; node < count; node += 4) {
    const e = v128.load(at + 4 * node, E);
    v128.store(at + 4 * node, i32x4.sub(e, i32x4.shr_s(e, 4)), E);
  }
  for (let node = 0; node < count; node += 16) {
    v128.store(at + node, i8x16.add_sat_u(v128.load(at + node, K), i8x16.splat(1)), K);
  }
}

function normaliseBlock(at: usize, count: i32): void {
  for (let node = 0; node < count; node++) {
    // A class' least member has the two highest bits of the others, of the ticks the highest one.
    let e = load<i32>(at + 4 * node, E);
    if (e >= 2) e &= -1 << (30 - clz(e));
    store<i32>(at + 4 * node, e, E);
    const k = i32(load<u8>(at + node, K));
    const least: i32 = k == 0 ? 0 : 1 << (31 - clz(k));
    store<u8>(at + node, u8(least), K);
    const v = round(v128.load(at + 16 * node, V), e >= HOT_FROM ? 11 : 7);
    v128.store(at + 16 * node, v, V);
    v128.store(at + 16 * node, v, W);
  }
}

/** Sum of the sizes of three corrections, each counting at most 2^21; the fourth lane is 0. */
@inline function sizeOf(steps: v128): i32 {
  const size = i32x4.min_u(i32x4.abs(steps), i32x4.splat(1 << 21));
  const pairs = i32x4.add(size, v128.shuffle<i32>(size, size, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}

@inline function correctQuiet(at: usize, node: i32, steps: v128): void {
  const ticks = min(max(i32(load<u8>(at + node, K)), 1), 64);
  const gain = ticks <= 8 ? 8 * 256 : 8 * 200;
  const lane = at + 16 * node;
  v128.store(lane, i32x4.add(v128.load(lane, P), i32x4.mul(steps, i32x4.splat(HALF))), P);
  const e = load<i32>(at + 4 * node, E);
  const size = sizeOf(steps);
  // The divisions by `ticks` of three axes and of the size. Half more than a whole number is never near a whole number after
  // them, so that below 2^17 a float is exact enough.
  const whole = i32x4.replace_lane(i32x4.mul(steps, i32x4.splat(gain)), 3, size * 85);
  let share: v128;
  if (size <= 64) {
    const parts = f32x4.convert_i32x4_s(whole);
    const half = v128.or(v128.and(parts, f32x4.splat(-0.0)), f32x4.splat(0.5));
    share = i32x4.trunc_sat_f32x4_s(f32x4.mul(f32x4.add(parts, half), f32x4.splat(1 / f32(ticks))));
  } else {
    share = i32x4(
      i32x4.extract_lane(whole, 0) / ticks, i32x4.extract_lane(whole, 1) / ticks, i32x4.extract_lane(whole, 2) / ticks,
      i32x4.extract_lane(whole, 3) / ticks,
    );
  }
  const v = i32x4.add(v128.load(lane, V), i32x4.replace_lane(share, 3, 0));
  v128.store(lane, v, V);
  const next = e + ((i32x4.extract_lane(share, 3) - e) >> 2);
  store<i32>(at + 4 * node, next, E);
  store<u8>(at + node, 0, K);
  if (next >= HOT_FROM) v128.store(lane, v, W);
}

@inline function correctHot(at: usize, node: i32, e: i32, steps: v128): void {
  // 130, 180, 210 or 230, without branches: energies differ from node to node.
  const share = 130 + 50 * i32(e >= 420) + 30 * i32(e >= 1000) + 20 * i32(e >= 3400);
  const next = e + ((sizeOf(steps) * 171 - e) >> 2);
  const lane = at + 16 * node;
  const step = i32x4.shl(steps, 12);
  v128.store(lane, i32x4.add(v128.load(lane, P), step), P);
  const now = i32x4.add(v128.load(lane, V), step);
  const change = i32x4.shr_s(i32x4.mul(i32x4.sub(now, v128.load(lane, W)), i32x4.splat(share)), 8);
  v128.store(lane, next < HOT_FROM ? now : i32x4.add(now, change), V);
  v128.store(lane, now, W);
  store<i32>(at + 4 * node, next, E);
  store<u8>(at + node, 0, K);
}

function hash(block: i32): u32 {
  const at = blockAt(block);
  const count = countOf(block);
  let hash: u32 = 0x811c9dc5;
  for (let node = 0; node < count; node++) {
    const e = load<u32>(at + 4 * node, E);
    hash = mixed(mixed(hash, at + 16 * node + P), at + 16 * node + V);
    if (e >= u32(HOT_FROM)) hash = mixed(hash, at + 16 * node + W);
    hash = (hash ^ e) * 0x01000193;
    hash = (hash ^ u32(load<u8>(at + node, K))) * 0x01000193;
  }
  return (hash ^ u32(load<u8>(at, DECAY))) * 0x01000193;
}

@inline function mixed(hash: u32, from: usize): u32 {
  hash = (hash ^ load<u32>(from)) * 0x01000193;
  hash = (hash ^ load<u32>(from, 4)) * 0x01000193;
  return (hash ^ load<u32>(from, 8)) * 0x01000193;
}

// --- corrections ---------------------------------------------------------------------------------------------

@inline function unzigzag(value: u32): i32 { return i32(value >>> 1) ^ -i32(value & 1); }

/** Moves in `value` as the last lane: after three axes and a 0 they are the first three. */
@inline function shifted(steps: v128, value: i32): v128 {
  return v128.shuffle<i32>(steps, i32x4.splat(value), 1, 2, 3, 4);
}

/** Place of the next bit, counted from `body`. */
let bit: u32 = 0;

/** At most 32 bits, lowest first. */
@inline function take(width: i32): u32 {
  const value = load<u64>(body + (bit >>> 3)) >>> (bit & 7);
  bit += width;
  return u32(value & ((u64(1) << width) - 1));
}

/** Ones before a zero, at most `most`, after which no zero follows. */
@inline function unary(most: i32): i32 {
  const ones = min(i32(ctz(~(load<u64>(body + (bit >>> 3)) >>> (bit & 7)))), most);
  bit += ones + i32(ones < most);
  return ones;
}

function rice(log2: i32): u32 {
  const quotient = unary(20);
  return quotient == 20 ? take(32) : u32(quotient) << log2 | take(log2);
}

/** Whether nothing is left before `to` but the zeros of the last byte. */
function bitsAreOver(to: usize): bool {
  const left = i32(to - body) * 8 - i32(bit);
  return left >= 0 && left < 8 && take(left) == 0;
}

function readGaps(at: usize, count: i32, from: usize, to: usize): bool {
  place_ = from;
  const corrections = varint(to);
  if (corrections < 0 || corrections > count) return false;
  bit = 8 * u32(place_ - body);
  const end: u32 = 8 * u32(to - body);
  const log2 = 31 - clz(max(((count * 45) >> 6) / (i32(corrections) + 1), 1));
  let next = 0;
  for (let correction = 0; correction < i32(corrections); correction++) {
    const gap = rice(log2);
    if (gap >= u32(count - next) || bit > end) return false;
    const node = next + i32(gap);
    let steps = i32x4.splat(0);
    for (let axis = 0; axis < 3; axis++) {
      const rank = unary(15);
      let step = rank < 15 ? -unzigzag(rank) : unzigzag(take(22));
      if (rank < 15 && load<i32>(at + 16 * node + 4 * axis, V) < 0) step = -step;
      steps = shifted(steps, step);
    }
    if (bit > end) return false;
    correctQuiet(at, node, shifted(steps, 0));
    next = node + 1;
  }
  return bitsAreOver(to);
}

/** The corrections that three symbols mean, along the velocity. */
@inline function stepsOf(symbols: v128, lane: usize): v128 {
  const sign = i32x4.shr_s(v128.load(lane, V), 31);
  // Odd ranks are along it: -unzigzag(rank), and its negative, are xor and difference with the sign of each.
  const odd = i32x4.neg(v128.and(symbols, i32x4.splat(1)));
  const value = i32x4.neg(v128.xor(i32x4.shr_u(symbols, 1), odd));
  return i32x4.sub(v128.xor(value, sign), sign);
}

/** The corrections in the plain bits from `plain` to `from` and the symbols from there to `to`. */
function readEntropy(at: usize, count: i32, four: bool, plain: usize, from: usize, to: usize): bool {
  if (!openStates(four, from, to)) return false;
  let quietCount = count;
  let hotCount = 0;
  let quietList = every;
  let hotList = every;
  let least = i32x4.splat(HOT_FROM);
  let most = i32x4.splat(0);
  for (let node = 0; node < count; node += 4) {
    const e = v128.load(at + 4 * node, E);
    least = i32x4.min_s(least, e);
    most = i32x4.max_s(most, e);
  }
  if (!v128.any_true(i32x4.lt_s(least, i32x4.splat(HOT_FROM)))) {
    quietCount = 0;
    hotCount = count;
  } else if (v128.any_true(i32x4.ge_s(most, i32x4.splat(HOT_FROM)))) {
    quietCount = 0;
    quietList = quiets;
    hotList = hots;
    for (let node = 0; node < count; node++) {
      const hot = i32(load<i32>(at + 4 * node, E) >= HOT_FROM);
      store<u16>(quiets + 2 * quietCount, u16(node));
      store<u16>(hots + 2 * hotCount, u16(node));
      quietCount += 1 - hot;
      hotCount += hot;
    }
  }

  for (let index = 0; index < quietCount; index++) {
    const node = u32(load<u16>(quietList + 2 * index));
    const context = min(32 - clz(load<i32>(at + 4 * node, E)), 9) * 11 + i32(load<u8>(columns + u32(load<u8>(at + node, K))));
    store<u32>(tableOf + 4 * index, 4096 - u32(load<u16>(frequencies + 2 * context)));
  }
  const correctedCount = readFlags(quietCount, four);
  for (let index = 0; index < correctedCount; index++) {
    const node = u32(load<u16>(quietList + 2 * u32(load<u16>(corrected + 2 * index))));
    store<u16>(corrected + 2 * index, u16(node));
    store<u32>(tableOf + 4 * index, tables + load<u32>(rows + 4 * u32(load<u8>(at + node, K))));
  }
  let escaped = readValues(correctedCount, four, quietSymbols);
  for (let index = 0; index < correctedCount; index++) {
    const any = load<u32>(quietSymbols + 16 * index) != 0;
    store<u32>(tableOf + 4 * index, load<u32>(tableOf + 4 * index) + (any ? 3 * TABLE : TABLE));
  }
  escaped = readValues(correctedCount, four, quietSymbols + 4) || escaped;
  for (let index = 0; index < correctedCount; index++) {
    // From the second or the last table to the third or the last one.
    const any = load<u32>(quietSymbols + 16 * index) != 0;
    const more = load<u32>(quietSymbols + 16 * index, 4) != 0 ? 2 * TABLE : TABLE;
    store<u32>(tableOf + 4 * index, load<u32>(tableOf + 4 * index) + (any ? 0 : more));
  }
  escaped = readValues(correctedCount, four, quietSymbols + 8) || escaped;
  bit = 8 * u32(plain - body);
  const plainEnd: u32 = 8 * u32(from - body);
  if (escaped && !readPlain(at, correctedCount, 0, plainEnd)) return false;

  if (hotCount > 0) {
    for (let index = 0; index < hotCount; index++) {
      const e = load<i32>(at + 4 * u32(load<u16>(hotList + 2 * index)), E);
      const high = 31 - clz(e);
      const table = QUIET + 2 * min(high - 8, 3) + ((e >> (high - 1)) & 1);
      store<u32>(tableOf + 4 * index, tables + table * TABLE);
    }
    escaped = readValues(hotCount, four, hotSymbols);
    escaped = readValues(hotCount, four, hotSymbols + 4) || escaped;
    escaped = readValues(hotCount, four, hotSymbols + 8) || escaped;
    const shifted = v128.any_true(i32x4.ge_s(most, i32x4.splat(SHIFT_FROM)));
    if ((escaped || shifted) && !readPlain(at, hotCount, hotList, plainEnd)) return false;
  }
  if (!isOver(four) || !bitsAreOver(from)) return false;

  for (let index = 0; index < correctedCount; index++) {
    const node = i32(load<u16>(corrected + 2 * index));
    correctQuiet(at, node, stepsOf(v128.load(quietSymbols + 16 * index), at + 16 * node));
  }
  for (let index = 0; index < hotCount; index++) {
    const node = i32(load<u16>(hotList + 2 * index));
    correctHot(at, node, load<i32>(at + 4 * node, E), stepsOf(v128.load(hotSymbols + 16 * index), at + 16 * node));
  }
  return true;
}

/** Energy from which corrections of hot nodes have plain low bits. */
const SHIFT_FROM = 2048;

/**
 * What the symbols of `count` quiet nodes, or of the hot ones at `list`, leave open, from `bit` to `end`: puts the rank of the whole correction in the place of
 * each symbol that says less.
 */
function readPlain(at: usize, count: i32, list: usize, end: u32): bool {
  const hot = list != 0;
  const symbols = hot ? hotSymbols : quietSymbols;
  const escape: u32 = hot ? 31 : 15;
  for (let axis = 0; axis < 12; axis += 4) {
    for (let index = 0; index < count; index++) {
      const lane = symbols + 16 * index + axis;
      const symbol = load<u32>(lane);
      let shift = 0;
      if (hot) shift = max(21 - clz(load<i32>(at + 4 * u32(load<u16>(list + 2 * index)), E)), 0);
      if (symbol == escape) store<u32>(lane, rankOf(unzigzag(take(22))));
      else if (shift > 0) store<u32>(lane, rankOf((-unzigzag(symbol) << shift) + i32(take(shift)) - (1 << shift >> 1)));
      if (bit > end) return false;
    }
  }
  return true;
}

/** 0, 1, 2, 3, 4 for 0, 1, -1, 2, -2. */
@inline function rankOf(value: i32): u32 { return u32(-value << 1 ^ -value >> 31); }

// --- snapshots -----------------------------------------------------------------------------------------------

function readSnapshot(block: i32, from: usize, to: usize): bool {
  const at = blockAt(block);
  const count = countOf(block);
  const end: u32 = 8 * u32(to - body);
  bit = 8 * u32(from - body);
  // Least value and width of each field.
  const leastX = i32(take(22) << 10) >> 10;
  const widthX = take(5);
  const leastY = i32(take(22) << 10) >> 10;
  const widthY = take(5);
  const leastZ = i32(take(22) << 10) >> 10;
  const widthZ = take(5);
  const leastEnergy = i32(take(7) << 25) >> 25;
  const widthEnergy = take(5);
  const leastTicks = i32(take(5) << 27) >> 27;
  const widthTicks = take(5);
  const quiet = take(5);
  const hot = take(5);
  const decay = take(8);
  if (widthX > 22 || widthY > 22 || widthZ > 22 || widthEnergy > 7 || widthTicks > 5 || bit > end) return false;
  for (let node = 0; node < count; node++) {
    const energy = leastEnergy + i32(take(widthEnergy));
    const ticks = leastTicks + i32(take(widthTicks));
    if (u32(energy) >= 60 || u32(ticks) >= 9) return false;
    const e = energy < 2 ? energy : (2 + (energy & 1)) << ((energy >> 1) - 1);
    store<i32>(at + 4 * node, e, E);
    const k: i32 = ticks == 0 ? 0 : 1 << (ticks - 1);
    store<u8>(at + node, u8(k), K);
    const lane = at + 16 * node;
    store<i32>(lane, (leastX + i32(take(widthX))) << 10, P);
    store<i32>(lane, (leastY + i32(take(widthY))) << 10, P + 4);
    store<i32>(lane, (leastZ + i32(take(widthZ))) << 10, P + 8);
    for (let axis = 0; axis < 12; axis += 4) {
      const v = unzigzag(rice(e >= HOT_FROM ? hot : quiet)) << (e >= HOT_FROM ? 11 : 7);
      store<i32>(lane + axis, v, V);
      store<i32>(lane + axis, v, W);
    }
    if (bit > end) return false;
  }
  store<u8>(at, u8(decay), DECAY);
  store<u8>(at, 1, FOLLOWED);
  return bitsAreOver(to);
}

// --- what is shown -------------------------------------------------------------------------------------------

/** Writes x, y, z and speed of every followed node to its place in the picture, in world units, within their ranges. */
export function draw(): void {
  for (let block = 0; block < blocks; block++) {
    const at = blockAt(block);
    if (load<u8>(at, FOLLOWED) != 0) drawBlock(block, at, countOf(block));
  }
}

function drawBlock(block: i32, at: usize, count: i32): void {
  const origin = f32x4(originX, originY, originZ, 0);
  let beyond = i32x4.splat(0);
  let places = order + 4 * usize(block * NODES);
  const end = at + 16 * count;
  for (let lane = at; lane < end; lane += 16) {
    const where = f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(v128.load(lane, P)), f32x4.splat(scale)), origin);
    const moving = f32x4.mul(f32x4.convert_i32x4_s(v128.load(lane, V)), f32x4.splat(speed));
    const within = f32x4.pmin(f32x4.pmax(where, f32x4.splat(-10000)), f32x4.splat(10000));
    const slow = f32x4.pmin(f32x4.pmax(moving, f32x4.splat(-1000)), f32x4.splat(1000));
    beyond = i32x4.sub(i32x4.sub(beyond, f32x4.ne(where, within)), f32x4.ne(moving, slow));
    const square = f32x4.mul(slow, slow);
    const sum = f32x4.add(f32x4.add(square, v128.shuffle<f32>(square, square, 1, 1, 1, 1)), v128.shuffle<f32>(square, square, 2, 2, 2, 2));
    v128.store(picture + 16 * usize(load<u32>(places)), v128.shuffle<f32>(within, f32x4.sqrt(sum), 0, 1, 2, 4));
    places += 4;
  }
  clampedCount += i32x4.extract_lane(beyond, 0) + i32x4.extract_lane(beyond, 1) + i32x4.extract_lane(beyond, 2);
}
