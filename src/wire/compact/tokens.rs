//! Corrections as tokens: which table codes what, and the plain bits beside.

use super::bits::{unzigzag, zigzag};
use super::lanes::Tokens;
use super::model::{BLOCK_NODES, HOT, at, set};
use super::nodes::Nodes;

/// Symbols of a quiet node's correction: 0, +1, -1, ... -7 and the escape.
pub const SYMBOLS_QUIET: usize = 16;
/// Symbols of a hot node's correction: 0, +1, -1, ... -15 and the escape.
pub const SYMBOLS_HOT: usize = 32;
/// Tables of "is this quiet node corrected?": energy x ticks.
pub const FLAG_CONTEXTS: usize = 10 * TICK_BUCKETS;
/// Tables of a quiet node's corrections: ticks x what the axes before said.
pub const QUIET_CONTEXTS: usize = 6 * 4;
/// Tables of a hot node's corrections: half-octaves of energy.
pub const HOT_CONTEXTS: usize = 8;

const TICK_BUCKETS: usize = 11;

/// Plain bits of an escaped correction.
const ESCAPE_BITS: u32 = 22;

const FIRST_QUIET: usize = 2 * FLAG_CONTEXTS;
const FIRST_HOT: usize = FIRST_QUIET + QUIET_CONTEXTS * SYMBOLS_QUIET;
/// Symbols of all tables together.
pub(super) const SYMBOLS: usize = FIRST_HOT + HOT_CONTEXTS * SYMBOLS_HOT;

/// Passes over a block: flags, then x, y and z of the quiet nodes that are corrected, then x, y and z of the hot ones.
pub(super) const PASSES: usize = 7;

const _: () = {
    assert!(1 << ESCAPE_BITS >= 2 << 21, "every correction fits an escape");
    assert!(HOT < 1 << 9, "energies of quiet nodes have nine bits at most");
};

/// One symbol of one table, as its place among the symbols of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token(u16);

impl Token {
    #[inline(always)]
    pub(super) fn new(first: u32, symbol: u32) -> Self {
        Self((first + symbol) as u16)
    }

    /// Its place in the tables, of [`Self::places`].
    #[inline(always)]
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// All places: two for each table of flags, then the symbols of quiet, then those of hot tables.
    #[must_use]
    pub const fn places() -> usize {
        SYMBOLS
    }
}

/// The tokens of one pass.
#[derive(Debug)]
pub(super) struct Pass {
    tokens: [Token; BLOCK_NODES],
    count: usize,
}

impl Pass {
    pub(super) const NEW: Self = Self { tokens: [Token(0); BLOCK_NODES], count: 0 };

    /// Takes the tokens of `nodes` out of those of all nodes.
    pub(super) fn gather(&mut self, all: &Tokens, nodes: &Nodes) {
        self.count = nodes.len();
        for (token, node) in self.tokens.iter_mut().zip(nodes.iter()) {
            *token = at(all, node);
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    #[inline(always)]
    pub(super) fn push(&mut self, token: Token) {
        set(&mut self.tokens, self.count, token);
        self.count += 1;
    }

    pub(super) fn tokens(&self) -> &[Token] {
        self.tokens.get(..self.count).unwrap_or_default()
    }
}

/// Length in binary of a number below 2^24: the exponent of a float. Unlike counting zeros, this is done to many at once.
#[inline(always)]
fn bits(number: i32) -> i32 {
    let exponent = ((number as f32).to_bits() >> 23) as i32 - 126;
    if number > 0 { exponent } else { 0 }
}

/// Which table says whether a quiet node of this energy, this many ticks after its last correction, is corrected.
#[inline(always)]
pub(super) fn flag_context(energy: i32, ticks: u8) -> u32 {
    let ticks = i32::from(ticks);
    // 0, 0, 1, ... 6 for 0 to 7 ticks, then 7, 8, 9, 10 from 8, 16, 32, 64 on.
    let few = if ticks > 0 { ticks - 1 } else { 0 };
    let many = bits(ticks) + 3;
    let many = if many < 10 { many } else { 10 };
    let ticks = if ticks < 8 { few } else { many };
    // Hot nodes have no flag; the mask only keeps what comes out of theirs inside the tables.
    let energy = bits(energy & 0x1FF);
    (energy * TICK_BUCKETS as i32 + ticks) as u32
}

/// The tables of a quiet node's axes, by the ticks since its last correction: the one for x.
#[inline(always)]
pub(super) fn quiet_row(ticks: u8) -> u32 {
    // A sum of comparisons: code for many nodes at once.
    let from = |least: u8| if ticks >= least { 4 } else { 0 };
    from(2) + from(3) + from(4) + from(8) + from(16)
}

/// The table of a quiet node's next axis, of those of its row, after the sizes of those before.
#[inline(always)]
pub(super) fn quiet_context(row: u32, axis: u32, any_before: bool) -> u32 {
    // Of three axes one at least is not 0.
    row + if any_before { 3 } else { axis.min(2) }
}

/// Twice the place of the highest bit, less 8, and the bit below it, of an energy from 256 on: half-octaves. The low bits are
/// masked away so that nothing is rounded.
#[inline(always)]
fn half_octave(energy: i32) -> i32 {
    (((energy & !0x7F) as f32).to_bits() >> 22) as i32 - 2 * (127 + 8)
}

/// The table of a hot node's axes: half-octaves of energy up to 2,048, then by turns.
#[inline(always)]
pub(super) fn hot_context(energy: i32) -> u32 {
    let half_octave = half_octave(energy);
    (if half_octave < 8 { half_octave } else { 6 + (half_octave & 1) }) as u32 & (HOT_CONTEXTS as u32 - 1)
}

/// How many low bits of a hot node's corrections are plain.
#[inline(always)]
pub(super) fn hot_shift(energy: i32) -> u32 {
    let shift = (half_octave(energy) >> 1) - 2;
    if shift > 0 { shift as u32 } else { 0 }
}

/// Place of the first symbol of a table.
#[inline]
pub(super) fn first_of_flag(context: u32) -> u32 {
    2 * context
}

/// As [`first_of_flag`].
#[inline]
pub(super) fn first_of_quiet(context: u32) -> u32 {
    FIRST_QUIET as u32 + context * SYMBOLS_QUIET as u32
}

/// As [`first_of_flag`].
#[inline]
pub(super) fn first_of_hot(context: u32) -> u32 {
    FIRST_HOT as u32 + context * SYMBOLS_HOT as u32
}

/// Turned so that positive means along the velocity.
#[inline(always)]
pub(super) fn along(step: i32, velocity: i32) -> i32 {
    if velocity < 0 { step.wrapping_neg() } else { step }
}

/// 0, 1, -1, 2, -2 become 0, 1, 2, 3, 4.
#[inline(always)]
pub(super) fn rank(value: i32) -> u32 {
    zigzag(value.wrapping_neg())
}

/// The inverse of [`rank`].
#[inline(always)]
pub(super) fn unrank(rank: u32) -> i32 {
    unzigzag(rank).wrapping_neg()
}

/// The symbol of a correction, in a table of `symbols`.
#[inline(always)]
pub(super) fn symbol_of(value: i32, symbols: usize, shift: u32) -> u32 {
    let high = value.wrapping_add((1 << shift) >> 1) >> shift;
    rank(high).min(symbols as u32 - 1)
}

/// What the symbol of a correction leaves open, and how many bits these are: its low bits, or all of it after an escape.
#[inline(always)]
pub(super) fn plain_of(value: i32, symbols: usize, shift: u32) -> (u32, u32) {
    let symbol = symbol_of(value, symbols, shift);
    let low = value.wrapping_add((1 << shift) >> 1) as u32 & ((1 << shift) - 1);
    let bits = if symbol == symbols as u32 - 1 { zigzag(value) } else { low };
    (bits, plain_width(symbol, symbols, shift))
}

/// How many plain bits go with a symbol.
#[inline(always)]
pub(super) fn plain_width(symbol: u32, symbols: usize, shift: u32) -> u32 {
    if symbol == symbols as u32 - 1 { ESCAPE_BITS } else { shift }
}

/// The correction of a symbol and its plain bits.
#[inline(always)]
pub(super) fn value_of(symbol: u32, bits: u32, symbols: usize, shift: u32) -> i32 {
    let value = (unrank(symbol) << shift).wrapping_add(bits as i32).wrapping_sub((1 << shift) >> 1);
    if symbol == symbols as u32 - 1 { unzigzag(bits) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_correction_comes_back() {
        for shift in [0, 1, 5, 11, 18] {
            for value in (-70_000..70_000).step_by(7).chain([-(1 << 20), 1 << 20, -(1 << 19), 1 << 19]) {
                let symbol = symbol_of(value, SYMBOLS_HOT, shift);
                let (bits, width) = plain_of(value, SYMBOLS_HOT, shift);
                assert!(bits >> width == 0 && width == plain_width(symbol, SYMBOLS_HOT, shift));
                assert_eq!(value_of(symbol, bits, SYMBOLS_HOT, shift), value);
            }
        }
    }

    #[test]
    fn contexts_are_places_in_the_tables() {
        for energy in 0..3_000_000 {
            assert!(hot_context(energy) < HOT_CONTEXTS as u32 && hot_shift(energy) < 31);
        }
        for energy in 0..HOT {
            for ticks in 0..=255_u8 {
                let bucket = match ticks {
                    0..=7 => u32::from(ticks).saturating_sub(1),
                    8.. => (4 + u8::ilog2(ticks)).min(10),
                };
                let length = i32::BITS - energy.leading_zeros();
                assert_eq!(flag_context(energy, ticks), length * TICK_BUCKETS as u32 + bucket, "{energy} {ticks}");
            }
        }
        for energy in (256..(1 << 30) + (1 << 25)).step_by(40_961).chain(256..70_000) {
            let log2 = i32::ilog2(energy);
            let half = (energy >> (log2 - 1)) as u32 & 1;
            assert_eq!(hot_shift(energy), log2.saturating_sub(10));
            assert_eq!(hot_context(energy), 2 * (log2 - 8).min(3) + half, "{energy}");
        }
        assert_eq!([1_023, 1_024, 2_047, 2_048, 4_095, 4_096].map(hot_shift), [0, 0, 0, 1, 1, 2]);
    }
}
