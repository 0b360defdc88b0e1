//! The entropy coder: one 32-bit rANS state, 12-bit frequencies, renormalised by 16 bits.
//!
//! The state begins and ends at 0 instead of at the bound, so a block of few bits takes few bytes, and a block that does
//! not end at 0 was corrupted. Source: Duda, "Asymmetric numeral systems", 2013; the word-wise form is F. Giesen's.

use super::tables::{SCALE_LOG2, Tables};
use super::tokens::{Kind, Token};

/// Below it the state takes in another word.
const LOW: u32 = 1 << 16;
const MASK: u32 = (1 << SCALE_LOG2) - 1;

/// Appends the tokens to `out`. `words` is scratch.
pub(super) fn encode(tables: &Tables, tokens: &[Token], words: &mut Vec<u16>, out: &mut Vec<u8>) {
    words.clear();
    let mut state = 0_u32;
    for token in tokens.iter().rev() {
        match token.kind() {
            Kind::Symbol(place) => {
                let symbol = tables.symbol(place);
                let frequency = u32::from(symbol.frequency);
                if state >> (32 - SCALE_LOG2) >= frequency {
                    words.push(state as u16);
                    state >>= 16;
                }
                let quotient = ((u128::from(symbol.reciprocal) * u128::from(state)) >> 64) as u32;
                state = (quotient << SCALE_LOG2) + (state - quotient * frequency) + u32::from(symbol.start);
            }
            Kind::Raw { width, bits } => {
                if width > 0 && state >> (32 - width) > 0 {
                    words.push(state as u16);
                    state >>= 16;
                }
                // A uniform symbol: bits above bits, as a symbol of frequency 2^(12 - width) would be placed.
                let low = SCALE_LOG2 - width;
                state = (state >> low << SCALE_LOG2) | bits << low | (state & ((1 << low) - 1));
            }
        }
    }
    // The length tells how many bytes the state takes: 4 when even and enough, 3 when odd, fewer without words.
    let state_bytes = match (words.is_empty(), state >> 24) {
        (true, _) => (u32::BITS - state.leading_zeros()).div_ceil(8) as usize,
        (false, 0) => 3,
        (false, _) => 4,
    };
    out.extend(state.to_le_bytes().iter().take(state_bytes));
    out.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
}

/// Takes symbols out of the bytes of one block.
#[derive(Debug)]
pub(super) struct RansReader<'bytes> {
    state: u32,
    words: std::slice::ChunksExact<'bytes, u8>,
}

impl<'bytes> RansReader<'bytes> {
    pub(super) fn new(bytes: &'bytes [u8]) -> Self {
        let state_bytes = if bytes.len() < 3 { bytes.len() } else { 4 - bytes.len() % 2 };
        let (first, words) = bytes.split_at(state_bytes.min(bytes.len()));
        let state = first.iter().rev().fold(0, |state, byte| state << 8 | u32::from(*byte));
        Self { state, words: words.chunks_exact(2) }
    }

    #[inline(always)]
    fn refill(&mut self) {
        if self.state < LOW
            && let Some(word) = self.words.next()
            && let Ok(word) = <[u8; 2]>::try_from(word)
        {
            self.state = self.state << 16 | u32::from(u16::from_le_bytes(word));
        }
    }

    /// The next symbol, as the place it has in the table whose symbols begin at place `first`.
    #[inline(always)]
    pub(super) fn symbol(&mut self, tables: &Tables, first: usize) -> usize {
        let slot = self.state & MASK;
        let place = tables.find(first, slot);
        let symbol = tables.symbol(place);
        self.state = u32::from(symbol.frequency) * (self.state >> SCALE_LOG2) + slot - u32::from(symbol.start);
        self.refill();
        place - first
    }

    /// The next flag of the table whose two symbols begin at place `first`.
    #[inline(always)]
    pub(super) fn flag(&mut self, tables: &Tables, first: usize) -> bool {
        let slot = self.state & MASK;
        let one = tables.symbol(first + 1);
        let (start, frequency, set) = if slot < u32::from(one.start) {
            (0, u32::from(one.start), false)
        } else {
            (u32::from(one.start), u32::from(one.frequency), true)
        };
        self.state = frequency * (self.state >> SCALE_LOG2) + slot - start;
        self.refill();
        set
    }

    /// `width` plain bits, at most 12.
    #[inline]
    pub(super) fn raw(&mut self, width: u32) -> u32 {
        let low = SCALE_LOG2 - width;
        let slot = self.state & MASK;
        self.state = (self.state >> SCALE_LOG2) << low | (slot & ((1 << low) - 1));
        self.refill();
        slot >> low
    }

    /// Whether all words are taken and the state is where the encoder began.
    pub(super) fn is_over(&self) -> bool {
        self.state == 0 && self.words.len() == 0
    }
}
