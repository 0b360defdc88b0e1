//! Corrections as tokens: which table codes what, and the plain bits beside.

use super::bits::{unzigzag, zigzag};

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

/// Width of half an escaped correction.
const ESCAPE_HALF_BITS: u32 = 11;

const RAW: u16 = 1 << 15;

const FIRST_QUIET: usize = 2 * FLAG_CONTEXTS;
const FIRST_HOT: usize = FIRST_QUIET + QUIET_CONTEXTS * SYMBOLS_QUIET;
/// Symbols of all tables together.
pub(super) const SYMBOLS: usize = FIRST_HOT + HOT_CONTEXTS * SYMBOLS_HOT;

const _: () = {
    assert!(SYMBOLS < RAW as usize, "bit 15 marks plain bits");
    assert!(1 << (2 * ESCAPE_HALF_BITS) >= 2 << 21, "every correction fits an escape");
};

/// One symbol of one table, or up to 11 plain bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u16);

/// A token taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Place among the symbols of all tables.
    Symbol(usize),
    /// Plain bits.
    Raw { width: u32, bits: u32 },
}

impl Token {
    fn raw(width: u32, bits: u32) -> Self {
        debug_assert!(width <= ESCAPE_HALF_BITS && bits >> width == 0);
        Self(RAW | (width << ESCAPE_HALF_BITS) as u16 | bits as u16)
    }

    /// Whether a quiet node is corrected.
    #[inline]
    pub(super) fn flag(energy: i32, ticks: u8, corrected: bool) -> Self {
        Self((2 * flag_context(energy, ticks) + usize::from(corrected)) as u16)
    }

    /// Its place in the tables, of [`Self::places`]; `None` for plain bits. For those who count tokens.
    #[must_use]
    pub fn place(self) -> Option<usize> {
        (self.0 & RAW == 0).then_some(usize::from(self.0))
    }

    /// All places: two for each table of flags, then the symbols of quiet, then those of hot tables.
    #[must_use]
    pub const fn places() -> usize {
        SYMBOLS
    }

    /// Width of plain bits, 0 for a symbol.
    #[must_use]
    pub fn raw_bits(self) -> u32 {
        match self.kind() {
            Kind::Symbol(_) => 0,
            Kind::Raw { width, .. } => width,
        }
    }

    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        if self.0 & RAW == 0 {
            return Kind::Symbol(usize::from(self.0));
        }
        let word = u32::from(self.0 & !RAW);
        Kind::Raw { width: word >> ESCAPE_HALF_BITS, bits: word & ((1 << ESCAPE_HALF_BITS) - 1) }
    }
}

/// Which table says whether a quiet node of this energy, this many ticks after its last correction, is corrected.
#[inline]
pub(super) fn flag_context(energy: i32, ticks: u8) -> usize {
    let energy = (i32::BITS - energy.leading_zeros()).min(9) as usize;
    let ticks = match ticks {
        0..=7 => usize::from(ticks).saturating_sub(1),
        8..=15 => 7,
        16..=31 => 8,
        32..=63 => 9,
        64.. => 10,
    };
    energy * TICK_BUCKETS + ticks
}

/// The table of a quiet node's next axis, after the sizes of those before.
#[inline]
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

/// The table of a hot node's axes, and how many low bits of a correction are plain.
#[inline]
pub(super) fn hot_context(energy: i32) -> (usize, u32) {
    let log2 = energy.max(256).ilog2();
    let half = (energy >> (log2 - 1)) as usize & 1;
    let (row, shift) = if log2 > 11 { (3, log2 - 10) } else { (log2 as usize - 8, u32::from(log2 == 11)) };
    (2 * row + half, shift)
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

/// Tokens of three corrections without plain bits, all in tables of as many symbols; `None` when one has to be escaped.
/// Nearly every correction is such a one, and goes out in one piece.
#[inline(always)]
pub(super) fn plain_values(firsts: [usize; 3], symbols: usize, values: [i32; 3]) -> Option<[Token; 3]> {
    let [x, y, z] = values.map(rank);
    let [first_x, first_y, first_z] = firsts.map(|first| first as u32);
    let escape = symbols as u32 - 1;
    let token = |first, rank| Token((first + rank) as u16);
    (x.max(y).max(z) < escape).then(|| [token(first_x, x), token(first_y, y), token(first_z, z)])
}

/// Tokens of one correction: the symbol of `value >> shift`, rounded, in the table that begins at `first`; then the low
/// bits, or all of them after an escape.
#[inline]
pub(super) fn push_value(first: usize, symbols: usize, shift: u32, value: i32, out: &mut impl FnMut(Token)) {
    let high = (value.wrapping_add((1 << shift) >> 1)) >> shift;
    let symbol = rank(high);
    if (symbol as usize) < symbols - 1 {
        out(Token((first + symbol as usize) as u16));
        if shift > 0 {
            let mut low = value.wrapping_add((1 << shift) >> 1) as u32 & ((1 << shift) - 1);
            let mut left = shift;
            while left > 0 {
                let width = left.min(ESCAPE_HALF_BITS);
                out(Token::raw(width, low & ((1 << width) - 1)));
                low >>= width;
                left -= width;
            }
        }
    } else {
        escape(first + symbols - 1, value, out);
    }
}

#[cold]
fn escape(place: usize, value: i32, out: &mut impl FnMut(Token)) {
    let word = zigzag(value);
    let mask = (1 << ESCAPE_HALF_BITS) - 1;
    out(Token(place as u16));
    out(Token::raw(ESCAPE_HALF_BITS, word & mask));
    out(Token::raw(ESCAPE_HALF_BITS, (word >> ESCAPE_HALF_BITS) & mask));
}

/// What [`push_value`] says, read back: `symbol` was decoded, `raw` takes plain bits.
#[inline]
pub(super) fn value_of(symbol: usize, symbols: usize, shift: u32, mut raw: impl FnMut(u32) -> u32) -> i32 {
    if symbol < symbols - 1 {
        let (mut low, mut done) = (0, 0);
        while done < shift {
            let width = (shift - done).min(ESCAPE_HALF_BITS);
            low |= raw(width) << done;
            done += width;
        }
        (unrank(symbol as u32) << shift).wrapping_add(low as i32).wrapping_sub((1 << shift) >> 1)
    } else {
        let low = raw(ESCAPE_HALF_BITS);
        unzigzag(low | raw(ESCAPE_HALF_BITS) << ESCAPE_HALF_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_correction_comes_back() {
        for shift in [0, 1, 5, 11, 18] {
            for value in (-70_000..70_000).step_by(7).chain([-(1 << 20), 1 << 20, -(1 << 19), 1 << 19]) {
                let mut tokens = Vec::new();
                push_value(first_of_hot(0), SYMBOLS_HOT, shift, value, &mut |token| tokens.push(token));
                let symbol = tokens[0].place().unwrap() - first_of_hot(0);
                let mut rest = tokens[1..].iter();
                let back = value_of(symbol, SYMBOLS_HOT, shift, |width| match rest.next().unwrap().kind() {
                    Kind::Raw { width: found, bits } if found == width => bits,
                    other => panic!("{other:?}"),
                });
                assert_eq!(back, value);
                assert!(rest.next().is_none() && tokens.len() <= 4);
            }
        }
    }

    #[test]
    fn contexts_are_places_in_the_tables() {
        for energy in 0..3_000_000 {
            let (context, shift) = hot_context(energy);
            assert!(context < HOT_CONTEXTS && shift < 22);
            assert!(flag_context(energy, 255) < FLAG_CONTEXTS);
        }
        assert_eq!((hot_context(256), hot_context(1_023)), ((0, 0), (3, 0)));
        assert_eq!((hot_context(1_024), hot_context(2_048), hot_context(4_095)), ((4, 0), (6, 1), (7, 1)));
        assert_eq!((hot_context(4_096), hot_context(6_144)), ((6, 2), (7, 2)));
    }
}
