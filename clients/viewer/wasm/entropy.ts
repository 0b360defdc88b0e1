/**
 * The entropy coder of compact.ts, as far as symbols go: tables and rANS states, src/wire/PROTOCOL.md, section 6.3. It knows no nodes.
 */

const FLAGS: i32 = 110;
export const QUIET: i32 = 24;
const HOT: i32 = 8;

// Frequencies as `u16` from JavaScript. Then by table of values and slot / 4 a word: frequency, start and symbol in 12, 12 and 8 bits. Starts are
// multiples of 4, so the lowest bit of one is free to mark the escape.
export const frequencies: usize = memory.data(2 * (110 + 24 * 16 + 8 * 32), 16);
/** Bytes of a table. */
export const TABLE: i32 = 4 * 1024;
const ESCAPE: u32 = 1 << 12;
export const tables: usize = memory.data(4 * 1024 * (24 + 8), 64);

/** By place in a list: the odds of a flag, or the address of a table of values. */
export const tableOf: usize = memory.data(4 * 1040, 16);
/** Places as `u16` that `readFlags` found. */
export const corrected: usize = memory.data(2 * 1040, 16);

/** Lays out the tables of values, whose frequencies are multiples of 4. */
export function prepareTables(): void {
  let from = frequencies + 2 * FLAGS;
  for (let table = 0; table < QUIET + HOT; table++) {
    const count = table < QUIET ? 16 : 32;
    let start = 0;
    for (let symbol = 0; symbol < count; symbol++) {
      const frequency = i32(load<u16>(from));
      from += 2;
      for (let slot = start; slot < start + frequency && slot < 4096; slot += 4) {
        const mark = symbol == count - 1 ? ESCAPE : 0;
        store<u32>(tables + table * TABLE + slot, frequency | start << 12 | symbol << 24 | mark);
      }
      start += frequency;
    }
  }
}

// The entropy coder: state of symbol 0, 1, 2, 3 modulo 4 of the pass, or the only one; the next word, and their end.
let x0: u32 = 0;
let x1: u32 = 0;
let x2: u32 = 0;
let x3: u32 = 0;
let word: usize = 0;
let wordsEnd: usize = 0;

function stateAt(from: usize, bytes: i32): u32 {
  let x: u32 = 0;
  for (let place = bytes - 1; place >= 0; place--) x = x << 8 | u32(load<u8>(from + place));
  return x;
}

/** Takes up the states at `from`; false when there is no room for them. */
export function openStates(four: bool, from: usize, to: usize): bool {
  const bytes = i32(to - from);
  const each = four ? 4 : bytes < 3 ? bytes : 4 - (bytes & 1);
  word = from + each * (four ? 4 : 1);
  wordsEnd = to;
  if (word > to || ((to - word) & 1) != 0) return false;
  x0 = stateAt(from, each);
  x1 = four ? stateAt(from + 4, 4) : 0;
  x2 = four ? stateAt(from + 8, 4) : 0;
  x3 = four ? stateAt(from + 12, 4) : 0;
  return true;
}

// With four states the processor works on four symbols at a time. What is random, as a word that is taken or a node that is corrected,
// is no branch. Near the end of the words, where each has to be looked for, and with one state, it is one symbol after the other: there four
// states are handed on in turns.

/** `x`, or with the word at `next` below where it should have been. */
@inline function refilled(x: u32, next: usize): u32 {
  return select(x << 16 | u32(load<u16>(next)), x, x < 65536);
}

/** The state after the flag in `slot`, before it is refilled: `zero` of 4,096 say no. */
@inline function afterFlag(x: u32, zero: u32): u32 {
  const slot = x & 4095;
  const set = slot >= zero;
  return select(4096 - zero, zero, set) * (x >>> 12) + slot - select(zero, 0, set);
}

/** The state after the value whose entry in its table is `entry`, before it is refilled. */
@inline function afterValue(x: u32, entry: u32): u32 {
  return (entry & 4095) * (x >>> 12) + (x & 4095) - (entry >>> 12 & 4092);
}

/** `count` flags, of which those at `tableOf` say what the odds are; answers how many are set, whose indices `corrected` then has. */
export function readFlags(count: i32, four: bool): i32 {
  let a = x0;
  let b = x1;
  let c = x2;
  let d = x3;
  let next = word;
  const end = wordsEnd;
  let to = corrected;
  let index = 0;
  if (four) {
    for (; index + 4 <= count && next + 8 <= end; index += 4) {
      const odds = tableOf + 4 * index;
      let zero = load<u32>(odds);
      store<u16>(to, u16(index));
      to += usize((a & 4095) >= zero) << 1;
      a = afterFlag(a, zero);
      const more = next + (usize(a < 65536) << 1);
      a = refilled(a, next);
      zero = load<u32>(odds, 4);
      store<u16>(to, u16(index + 1));
      to += usize((b & 4095) >= zero) << 1;
      b = afterFlag(b, zero);
      const third = more + (usize(b < 65536) << 1);
      b = refilled(b, more);
      zero = load<u32>(odds, 8);
      store<u16>(to, u16(index + 2));
      to += usize((c & 4095) >= zero) << 1;
      c = afterFlag(c, zero);
      const fourth = third + (usize(c < 65536) << 1);
      c = refilled(c, third);
      zero = load<u32>(odds, 12);
      store<u16>(to, u16(index + 3));
      to += usize((d & 4095) >= zero) << 1;
      d = afterFlag(d, zero);
      next = fourth + (usize(d < 65536) << 1);
      d = refilled(d, fourth);
    }
  }
  for (; index < count; index++) {
    const zero = load<u32>(tableOf + 4 * index);
    store<u16>(to, u16(index));
    to += usize((a & 4095) >= zero) << 1;
    a = afterFlag(a, zero);
    if (a < 65536 && next < end) {
      a = refilled(a, next);
      next += 2;
    }
    if (four) {
      const first = a;
      a = b;
      b = c;
      c = d;
      d = first;
    }
  }
  closePass(a, b, c, d, next, four ? index : 0);
  return i32((to - corrected) >>> 1);
}

/** Symbols of `count` values from the tables at `tableOf`, into the lane at `to` of as many vectors; whether there is an escape. */
export function readValues(count: i32, four: bool, to: usize): bool {
  let a = x0;
  let b = x1;
  let c = x2;
  let d = x3;
  let next = word;
  const end = wordsEnd;
  let all: u32 = 0;
  let index = 0;
  if (four) {
    for (; index + 4 <= count && next + 8 <= end; index += 4) {
      const from = tableOf + 4 * index;
      const lane = to + 16 * index;
      let entry = load<u32>(load<u32>(from) + (a & 4092));
      store<u32>(lane, entry >>> 24);
      all |= entry;
      a = afterValue(a, entry);
      const more = next + (usize(a < 65536) << 1);
      a = refilled(a, next);
      entry = load<u32>(load<u32>(from, 4) + (b & 4092));
      store<u32>(lane, entry >>> 24, 16);
      all |= entry;
      b = afterValue(b, entry);
      const third = more + (usize(b < 65536) << 1);
      b = refilled(b, more);
      entry = load<u32>(load<u32>(from, 8) + (c & 4092));
      store<u32>(lane, entry >>> 24, 32);
      all |= entry;
      c = afterValue(c, entry);
      const fourth = third + (usize(c < 65536) << 1);
      c = refilled(c, third);
      entry = load<u32>(load<u32>(from, 12) + (d & 4092));
      store<u32>(lane, entry >>> 24, 48);
      all |= entry;
      d = afterValue(d, entry);
      next = fourth + (usize(d < 65536) << 1);
      d = refilled(d, fourth);
    }
  }
  for (; index < count; index++) {
    const entry = load<u32>(load<u32>(tableOf + 4 * index) + (a & 4092));
    store<u32>(to + 16 * index, entry >>> 24);
    all |= entry;
    a = afterValue(a, entry);
    if (a < 65536 && next < end) {
      a = refilled(a, next);
      next += 2;
    }
    if (four) {
      const first = a;
      a = b;
      b = c;
      c = d;
      d = first;
    }
  }
  closePass(a, b, c, d, next, four ? index : 0);
  return (all & ESCAPE) != 0;
}

/** Keeps the states for the next pass, which begins with the first one again. */
function closePass(a: u32, b: u32, c: u32, d: u32, next: usize, index: i32): void {
  for (; (index & 3) != 0; index++) {
    const first = a;
    a = b;
    b = c;
    c = d;
    d = first;
  }
  x0 = a;
  x1 = b;
  x2 = c;
  x3 = d;
  word = next;
}

/** Whether the states are where the encoder began, and no word is left. */
export function isOver(four: bool): bool {
  const stop: u32 = four ? 65536 : 0;
  return x0 == stop && (!four || (x1 == stop && x2 == stop && x3 == stop)) && word == wordsEnd;
}
