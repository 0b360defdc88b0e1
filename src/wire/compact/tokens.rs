//! Corrections as tokens: which table codes what, and the plain bits beside.

use super::bits::{BitReader, BitWriter, unzigzag, zigzag};
use super::model::{BLOCK_NODES, set};

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

const _: () = assert!(1 << ESCAPE_BITS >= 2 << 21, "every correction fits an escape");

/// One symbol of one table, as its place among the symbols of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token(u16);

impl Token {
    #[inline(always)]
    pub(super) fn new(first: usize, symbol: usize) -> Self {
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

    /// Gives it `count` tokens, for [`Self::set`].
    pub(super) fn resize(&mut self, count: usize) {
        self.count = count.min(BLOCK_NODES);
    }

    #[inline(always)]
    pub(super) fn set(&mut self, index: usize, token: Token) {
        set(&mut self.tokens, index, token);
    }

    pub(super) fn tokens(&self) -> &[Token] {
        self.tokens.get(..self.count).unwrap_or_default()
    }
}

/// Which table says whether a quiet node of this energy, this many ticks after its last correction, is corrected.
#[inline(always)]
pub(super) fn flag_context(energy: i32, ticks: u8) -> usize {
    const BUCKETS: [u8; 256] = {
        let mut buckets = [0; 256];
        let (mut rest, mut ticks) = (buckets.as_mut_slice(), 0_u32);
        while let Some((first, others)) = rest.split_first_mut() {
            *first = match ticks {
                0..=1 => 0,
                2..=7 => ticks as u8 - 1,
                8..=15 => 7,
                16..=31 => 8,
                32..=63 => 9,
                _ => 10,
            };
            (rest, ticks) = (others, ticks + 1);
        }
        buckets
    };
    let energy = (i32::BITS - energy.leading_zeros()).min(9) as usize;
    energy * TICK_BUCKETS + usize::from(BUCKETS.get(usize::from(ticks)).copied().unwrap_or_default())
}

/// The table of a quiet node's next axis, after the sizes of those before.
#[inline(always)]
pub(super) fn quiet_context(ticks: u8, axis: usize, any_before: bool) -> usize {
    let ticks = match ticks {
        0..=1 => 0,
        2 => 1,
        3 => 2,
        4..=7 => 3,
        8..=15 => 4,
        16.. => 5,
    };
    // Of three axes one at least is not 0.
    ticks * 4 + if any_before { 3 } else { axis.min(2) }
}

/// The table of a hot node's axes: half-octaves of energy up to 2,048, then by turns.
#[inline(always)]
pub(super) fn hot_context(energy: i32) -> usize {
    // The exponent of a float is the place of the highest bit, and the first bit of its fraction the bit below; the low bits
    // are masked away so that nothing is rounded. Unlike counting zeros, this is done to many nodes at once.
    let half_octave = ((energy & !0x7F) as f32).to_bits() >> 22;
    let half_octave = half_octave.wrapping_sub(2 * (127 + 8)) as i32;
    (if half_octave < 8 { half_octave } else { 6 + (half_octave & 1) }) as usize & (HOT_CONTEXTS - 1)
}

/// Energy from which corrections of hot nodes have plain low bits.
pub(super) const SHIFT_FROM: i32 = 1 << 11;

/// How many low bits of a hot node's corrections are plain.
#[inline(always)]
pub(super) fn hot_shift(energy: i32) -> u32 {
    energy.max(1).ilog2().saturating_sub(10)
}

/// Place of the first symbol of a table.
#[inline]
pub(super) fn first_of_flag(context: usize) -> usize {
    2 * context
}

/// As [`first_of_flag`].
#[inline]
pub(super) fn first_of_quiet(context: usize) -> usize {
    FIRST_QUIET + context * SYMBOLS_QUIET
}

/// As [`first_of_flag`].
#[inline]
pub(super) fn first_of_hot(context: usize) -> usize {
    FIRST_HOT + context * SYMBOLS_HOT
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
pub(super) fn symbol_of(value: i32, symbols: usize, shift: u32) -> usize {
    let high = value.wrapping_add((1 << shift) >> 1) >> shift;
    (rank(high) as usize).min(symbols - 1)
}

/// Appends what the symbol of a correction leaves open: its low bits, or all of it after an escape.
pub(super) fn put_plain(value: i32, symbols: usize, shift: u32, out: &mut BitWriter<'_>) {
    if symbol_of(value, symbols, shift) == symbols - 1 {
        out.put(zigzag(value), ESCAPE_BITS);
    } else {
        out.put(value.wrapping_add((1 << shift) >> 1) as u32 & ((1 << shift) - 1), shift);
    }
}

/// The correction of a symbol, with what [`put_plain`] wrote.
pub(super) fn take_value(symbol: usize, symbols: usize, shift: u32, from: &mut BitReader<'_>) -> Option<i32> {
    if symbol == symbols - 1 {
        return from.take(ESCAPE_BITS).map(unzigzag);
    }
    let low = from.take(shift)? as i32;
    Some((unrank(symbol as u32) << shift).wrapping_add(low).wrapping_sub((1 << shift) >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_correction_comes_back() {
        for shift in [0, 1, 5, 11, 18] {
            for value in (-70_000..70_000).step_by(7).chain([-(1 << 20), 1 << 20, -(1 << 19), 1 << 19]) {
                let mut bytes = Vec::new();
                let mut bits = BitWriter::new(&mut bytes);
                put_plain(value, SYMBOLS_HOT, shift, &mut bits);
                bits.end();
                let symbol = symbol_of(value, SYMBOLS_HOT, shift);
                let mut bits = BitReader::new(&bytes);
                assert_eq!(take_value(symbol, SYMBOLS_HOT, shift, &mut bits), Some(value));
                assert!(bits.is_over());
            }
        }
    }

    #[test]
    fn contexts_are_places_in_the_tables() {
        for energy in 0..3_000_000 {
            assert!(hot_context(energy) < HOT_CONTEXTS && hot_shift(energy) < 22);
            assert!(flag_context(energy, 255) < FLAG_CONTEXTS);
        }
        for energy in (256..i32::MAX - 100_000).step_by(40_961).chain(256..70_000) {
            let log2 = energy.ilog2();
            let half = (energy >> (log2 - 1)) as usize & 1;
            assert_eq!(hot_context(energy), 2 * (log2 as usize - 8).min(3) + half, "{energy}");
        }
        assert_eq!([1_023, 1_024, 2_047, 2_048, 4_095, 4_096].map(hot_shift), [0, 0, 0, 1, 1, 2]);
    }
}
