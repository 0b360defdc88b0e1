//! The static tables: how often each symbol comes, of 4,096, and what the coder derives from that.
//!
//! `PROTOCOL.md` names the graphs they were trained on; `bench/src/bin/trajectories.rs --train` prints them.

use super::rans::Found;
pub use super::tokens::{FLAG_CONTEXTS, HOT_CONTEXTS, QUIET_CONTEXTS, SYMBOLS_HOT, SYMBOLS_QUIET};
use super::tokens::{SYMBOLS, first_of_hot, first_of_quiet};

mod trained;
use trained::{FLAGS, HOT, QUIET};

/// Frequencies of a table add up to `1 << SCALE_LOG2`.
pub(super) const SCALE_LOG2: u32 = 12;

/// Least frequency of a flag: the reciprocal of 1 does not fit 64 bits.
pub const FLAG_FREQUENCY_MIN: u16 = 2;

/// Frequencies of corrections are multiples of this, so a decoder can look symbols up in tables of a quarter of the size,
/// which stay in the first-level cache. It costs 0.3 to 0.7 % of these symbols' bits.
pub const FREQUENCY_STEP: u16 = 4;

/// Entries of a look-up table.
const SLOTS: usize = (1 << SCALE_LOG2) / FREQUENCY_STEP as usize;

/// Places for the symbols of all tables: a power of two, so that an index is masked instead of checked.
const PLACES: usize = SYMBOLS.next_power_of_two();

const _: () = {
    let (mut quiet, mut hot, mut flags) = (QUIET.as_slice(), HOT.as_slice(), FLAGS.as_slice());
    while let [table, rest @ ..] = quiet {
        assert!(is_table(table, FREQUENCY_STEP));
        quiet = rest;
    }
    while let [table, rest @ ..] = hot {
        assert!(is_table(table, FREQUENCY_STEP));
        hot = rest;
    }
    while let [one, rest @ ..] = flags {
        assert!(is_table(&[(1 << SCALE_LOG2) - *one, *one], 1));
        assert!(*one >= FLAG_FREQUENCY_MIN && *one <= (1 << SCALE_LOG2) - FLAG_FREQUENCY_MIN);
        flags = rest;
    }
};

/// Whether all symbols have frequencies that are multiples of `step`, and together they fill the scale.
const fn is_table(mut frequencies: &[u16], step: u16) -> bool {
    let mut sum = 0;
    while let [frequency, rest @ ..] = frequencies {
        if *frequency == 0 || *frequency % step != 0 {
            return false;
        }
        sum += *frequency as u32;
        frequencies = rest;
    }
    sum == 1 << SCALE_LOG2
}

/// One symbol as the encoder uses it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Symbol {
    /// 2^64 over the frequency, rounded up: the high half of its product with a 32-bit number is the exact quotient.
    pub reciprocal: u64,
    /// From here on a state has no room for the symbol: the frequency by 2^20.
    pub limit: u32,
    /// The scale less the frequency.
    pub complement: u16,
    pub start: u16,
}

impl Symbol {
    fn new(frequency: u16, start: u16) -> Self {
        Self {
            reciprocal: (u64::MAX / u64::from(frequency)).wrapping_add(1),
            limit: u32::from(frequency) << (32 - SCALE_LOG2),
            complement: (1 << SCALE_LOG2) - frequency,
            start,
        }
    }

    fn frequency(self) -> u16 {
        (1 << SCALE_LOG2) - self.complement
    }
}

/// What the coder makes of the frequencies.
#[derive(Debug)]
pub(super) struct Tables {
    symbols: Box<[Symbol; PLACES]>,
    /// Of each table of flags, the frequency of a 1.
    flags: [u16; FLAG_CONTEXTS.next_power_of_two()],
    quiet: Box<[Slot; QUIET_CONTEXTS.next_power_of_two() * SLOTS]>,
    hot: Box<[Slot; HOT_CONTEXTS.next_power_of_two() * SLOTS]>,
}

/// The symbol of some neighbouring slots: frequency in bits 0-12, start in 13-24, symbol in 25-29. One load brings all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot(u32);

impl Slot {
    fn new(symbol: usize, from: Symbol) -> Self {
        Self(u32::from(from.frequency()) | u32::from(from.start) << 13 | (symbol as u32) << 25)
    }

    #[inline(always)]
    pub(super) fn symbol(self) -> u32 {
        self.0 >> 25
    }

    /// As [`Found`], for the slot that led here.
    #[inline(always)]
    pub(super) fn found(self, slot: u32) -> Found {
        Found { frequency: self.0 & 0x1FFF, inside: slot.wrapping_sub(self.0 >> 13 & 0xFFF) }
    }
}

impl Tables {
    /// Bytes of all of them.
    pub(super) const BYTES: usize = PLACES * size_of::<Symbol>()
        + (QUIET_CONTEXTS.next_power_of_two() + HOT_CONTEXTS.next_power_of_two()) * SLOTS * size_of::<Slot>();

    pub(super) fn new() -> Self {
        let mut symbols = Vec::with_capacity(SYMBOLS);
        for one in FLAGS {
            push_table(&[(1 << SCALE_LOG2) - one, one], &mut symbols);
        }
        QUIET.iter().for_each(|table| push_table(table, &mut symbols));
        HOT.iter().for_each(|table| push_table(table, &mut symbols));
        let mut all = Box::new([Symbol::default(); PLACES]);
        all.iter_mut().zip(&symbols).for_each(|(place, symbol)| *place = *symbol);
        let mut flags = [0; FLAG_CONTEXTS.next_power_of_two()];
        flags.iter_mut().zip(FLAGS).for_each(|(place, one)| *place = one);
        let mut quiet: Box<[Slot; QUIET_CONTEXTS.next_power_of_two() * SLOTS]> = boxed();
        let mut hot: Box<[Slot; HOT_CONTEXTS.next_power_of_two() * SLOTS]> = boxed();
        fill(
            quiet.as_mut_slice(),
            &symbols,
            (0..QUIET_CONTEXTS).map(|table| (first_of_quiet(table as u32), SYMBOLS_QUIET)),
        );
        fill(hot.as_mut_slice(), &symbols, (0..HOT_CONTEXTS).map(|table| (first_of_hot(table as u32), SYMBOLS_HOT)));
        Self { symbols: all, flags, quiet, hot }
    }

    #[inline(always)]
    pub(super) fn symbol(&self, place: usize) -> Symbol {
        self.symbols.get(place % PLACES).copied().unwrap_or_default()
    }

    /// The frequency of a 1 in a table of flags.
    #[inline(always)]
    pub(super) fn flag(&self, context: usize) -> u32 {
        u32::from(self.flags.get(context % self.flags.len()).copied().unwrap_or_default())
    }

    /// The symbol of a slot, in the table that begins at `first`, of [`first_slot`].
    #[inline(always)]
    pub(super) fn quiet(&self, first: u32, slot: u32) -> Slot {
        look_up(&self.quiet, first, slot)
    }

    /// As [`Self::quiet`].
    #[inline(always)]
    pub(super) fn hot(&self, first: u32, slot: u32) -> Slot {
        look_up(&self.hot, first, slot)
    }
}

/// Where the look-up table of a context begins.
#[inline(always)]
pub(super) fn first_slot(context: u32) -> u32 {
    context * SLOTS as u32
}

#[inline(always)]
fn look_up<const LENGTH: usize>(slots: &[Slot; LENGTH], first: u32, slot: u32) -> Slot {
    let place = (first | (slot / u32::from(FREQUENCY_STEP))) as usize;
    slots.get(place % LENGTH).copied().unwrap_or_default()
}

fn boxed<const LENGTH: usize>() -> Box<[Slot; LENGTH]> {
    Box::new([Slot::default(); LENGTH])
}

/// One table after the other, each given by its first symbol's place and the number of them.
fn fill(slots: &mut [Slot], symbols: &[Symbol], tables: impl Iterator<Item = (u32, usize)>) {
    let each = tables.flat_map(|(first, count)| symbols.iter().skip(first as usize).take(count).enumerate());
    let mut rest = slots;
    for (symbol, from) in each {
        let Some((own, after)) = rest.split_at_mut_checked(usize::from(from.frequency() / FREQUENCY_STEP)) else {
            return;
        };
        own.fill(Slot::new(symbol, *from));
        rest = after;
    }
}

fn push_table(frequencies: &[u16], out: &mut Vec<Symbol>) {
    let mut start = 0;
    for frequency in frequencies {
        out.push(Symbol::new(*frequency, start));
        start += frequency;
    }
}

/// FNV-1a over the frequencies as little-endian `u16`: flags, then quiet, then hot tables. Both sides must have the same.
#[must_use]
pub fn table_hash() -> u32 {
    let all = FLAGS.iter().chain(QUIET.as_flattened()).chain(HOT.as_flattened());
    let bytes = all.flat_map(|frequency| frequency.to_le_bytes());
    bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_leads_to_its_symbol() {
        let tables = Tables::new();
        let quiet = (0..QUIET_CONTEXTS as u32).map(|table| (first_of_quiet(table), true, table));
        for (first, quiet, table) in
            quiet.chain((0..HOT_CONTEXTS as u32).map(|table| (first_of_hot(table), false, table)))
        {
            for slot in 0..1 << SCALE_LOG2 {
                let entry =
                    if quiet { tables.quiet(first_slot(table), slot) } else { tables.hot(first_slot(table), slot) };
                let symbol = tables.symbol((first + entry.symbol()) as usize);
                let found = entry.found(slot);
                assert_eq!(found.frequency, u32::from(symbol.frequency()));
                assert!(found.inside == slot - u32::from(symbol.start) && found.inside < found.frequency);
            }
        }
    }

    #[test]
    fn reciprocals_divide_exactly() {
        for frequency in 2..4_096_u16 {
            let mut out = Vec::new();
            push_table(&[frequency], &mut out);
            for state in [0, 1, 4_095, 4_096, 65_535, 65_536, 1 << 31, u32::MAX - 1, u32::MAX] {
                for state in [state, state / u32::from(frequency) * u32::from(frequency)] {
                    let quotient = ((u128::from(out[0].reciprocal) * u128::from(state)) >> 64) as u32;
                    assert_eq!(quotient, state / u32::from(frequency));
                }
            }
        }
    }
}
