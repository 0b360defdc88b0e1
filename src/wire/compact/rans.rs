//! The entropy coder: one or four 32-bit rANS states over one row of 16-bit words, 12-bit frequencies.
//!
//! One state begins and ends at 0, so a block of few bits takes few bytes. Four begin and end at the bound, because which of
//! them takes the next word must not depend on how many there are; that costs 12 bytes a block. Either way, a block that does
//! not end where it began was corrupted. Symbol `i` of a pass goes through state `i` modulo their number: with four of them
//! the coder works on four symbols at a time, where one would wait for each product and look-up in turn.
//! Sources: Duda, "Asymmetric numeral systems", 2013; F. Giesen, "Interleaved entropy coders", 2014.

use std::hint::select_unpredictable;

use super::tables::{SCALE_LOG2, Tables};
use super::tokens::{PASSES, Pass, Token};

/// Below it a state takes in another word.
const LOW: u32 = 1 << 16;
const MASK: u32 = (1 << SCALE_LOG2) - 1;
/// Where states begin and end.
const fn start(states: usize) -> u32 {
    if states == 1 { 0 } else { LOW }
}

/// More than the tokens of a block, each of which makes one word at most.
const WORDS: usize = 8_192;

/// Words of a block, written from the end to the front.
#[derive(Debug)]
pub(super) struct Words {
    words: Box<[[u8; 2]; WORDS]>,
    /// The place of the next one.
    next: usize,
}

impl Words {
    pub(super) const BYTES: usize = 2 * WORDS;

    pub(super) fn new() -> Self {
        Self { words: Box::new([[0; 2]; WORDS]), next: WORDS - 1 }
    }

    /// Keeps the low word of `state` if it is `full`, and takes it off.
    #[inline(always)]
    fn shed(&mut self, state: u32, full: bool) -> u32 {
        if let Some(place) = self.words.get_mut(self.next % WORDS) {
            *place = (state as u16).to_le_bytes();
        }
        self.next -= usize::from(full);
        select_unpredictable(full, state >> 16, state)
    }
}

/// Appends the tokens to `out`: the states, then the words.
pub(super) fn encode<const STATES: usize>(
    tables: &Tables,
    passes: &[Pass; PASSES],
    words: &mut Words,
    out: &mut Vec<u8>,
) {
    words.next = WORDS - 1;
    let mut states = [start(STATES); STATES];
    // A decoder takes the last symbol first that the encoder put, so everything goes backwards here.
    for pass in passes.iter().rev() {
        let (groups, rest) = pass.tokens().as_chunks::<STATES>();
        states.iter_mut().zip(rest).rev().for_each(|(state, token)| put(tables, *token, state, words));
        for group in groups.iter().rev() {
            states.iter_mut().zip(group).rev().for_each(|(state, token)| put(tables, *token, state, words));
        }
    }
    let words = words.words.get(words.next + 1..).unwrap_or_default();
    for state in states {
        out.extend(state.to_le_bytes().iter().take(state_bytes(STATES, words.is_empty(), state)));
    }
    out.extend_from_slice(words.as_flattened());
}

#[inline(always)]
fn put(tables: &Tables, token: Token, state: &mut u32, words: &mut Words) {
    let symbol = tables.symbol(token.place());
    let shed = words.shed(*state, *state >= symbol.limit);
    let quotient = ((u128::from(symbol.reciprocal) * u128::from(shed)) >> 64) as u32;
    // 4,096 quotients, and the rest of the division.
    *state = shed + u32::from(symbol.start) + quotient * u32::from(symbol.complement);
}

/// One state tells by the length of the block how many bytes it takes: 4 when even and enough, 3 when odd, fewer without
/// words. More than one take 4 each.
fn state_bytes(states: usize, wordless: bool, state: u32) -> usize {
    match (states, wordless, state >> 24) {
        (1, true, _) => (u32::BITS - state.leading_zeros()).div_ceil(8) as usize,
        (1, false, 0) => 3,
        _ => 4,
    }
}

/// Takes symbols out of the bytes of one block.
#[derive(Debug)]
pub(super) struct RansReader<'bytes, const STATES: usize> {
    states: [u32; STATES],
    words: &'bytes [[u8; 2]],
    place: usize,
}

/// A symbol as the decoder needs it: how wide it is, and how far the slot lies inside it.
pub(super) struct Found {
    pub frequency: u32,
    pub inside: u32,
}

impl<'bytes, const STATES: usize> RansReader<'bytes, STATES> {
    /// `None` when `bytes` are fewer than the states take.
    pub(super) fn new(mut bytes: &'bytes [u8]) -> Option<Self> {
        let state_bytes = match (STATES, bytes.len()) {
            (1, length @ 0..3) => length,
            (1, length) => 4 - length % 2,
            _ => 4,
        };
        let mut states = [0; STATES];
        for state in &mut states {
            let (first, rest) = bytes.split_at_checked(state_bytes)?;
            *state = first.iter().rev().fold(0, |state, byte| state << 8 | u32::from(*byte));
            bytes = rest;
        }
        let (words, odd) = bytes.as_chunks();
        odd.is_empty().then_some(Self { states, words, place: 0 })
    }

    /// Decodes `count` symbols; `find` is given the place of each in the pass and its slot, and keeps the symbol.
    #[inline(always)]
    pub(super) fn pass(&mut self, count: usize, mut find: impl FnMut(usize, u32) -> Found) {
        // Copies, so that they stay in registers.
        let (mut states, mut place, words) = (self.states, self.place, self.words);
        let mut step = |index: usize, state: &mut u32| {
            let found = find(index, *state & MASK);
            // Frequencies of a table add up to the scale, so this fits.
            let next = found.frequency.wrapping_mul(*state >> SCALE_LOG2).wrapping_add(found.inside);
            *state = next;
            if let Some(word) = words.get(place) {
                // About one symbol in five takes a word, and which does is as good as random: no branch.
                let low = next < LOW;
                *state = select_unpredictable(low, next << 16 | u32::from(u16::from_le_bytes(*word)), next);
                place += usize::from(low);
            }
        };
        let whole = count - count % STATES;
        for index in (0..whole).step_by(STATES) {
            states.iter_mut().enumerate().for_each(|(lane, state)| step(index + lane, state));
        }
        states.iter_mut().take(count - whole).enumerate().for_each(|(lane, state)| step(whole + lane, state));
        (self.states, self.place) = (states, place);
    }

    /// Whether all words are taken and the states are where the encoder began.
    pub(super) fn is_over(&self) -> bool {
        self.states.iter().all(|state| *state == start(STATES)) && self.place == self.words.len()
    }
}
