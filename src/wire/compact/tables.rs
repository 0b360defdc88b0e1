//! The static tables: how often each symbol comes, of 4,096, and what the coder derives from that.
//!
//! `PROTOCOL.md` names the graphs they were trained on; `bench/src/bin/trajectories.rs --train` prints them.

pub use super::tokens::{FLAG_CONTEXTS, HOT_CONTEXTS, QUIET_CONTEXTS, SYMBOLS_HOT, SYMBOLS_QUIET};
use super::tokens::{SYMBOLS, first_of_hot, first_of_quiet};

mod trained;
use trained::{FLAGS, HOT, QUIET};

/// Frequencies of a table add up to `1 << SCALE_LOG2`.
pub(super) const SCALE_LOG2: u32 = 12;

/// Least frequency of a symbol: the reciprocal of 1 does not fit 64 bits.
pub const FREQUENCY_MIN: u16 = 2;

const BUCKET_LOG2: u32 = 4;
const BUCKETS: usize = 1 << (SCALE_LOG2 - BUCKET_LOG2);

const _: () = {
    let (mut quiet, mut hot, mut flags) = (QUIET.as_slice(), HOT.as_slice(), FLAGS.as_slice());
    while let [table, rest @ ..] = quiet {
        assert!(is_table(table));
        quiet = rest;
    }
    while let [table, rest @ ..] = hot {
        assert!(is_table(table));
        hot = rest;
    }
    while let [one, rest @ ..] = flags {
        assert!(is_table(&[(1 << SCALE_LOG2) - *one, *one]));
        flags = rest;
    }
};

/// Whether every symbol has its least frequency, and all of them fill the scale.
const fn is_table(mut frequencies: &[u16]) -> bool {
    let mut sum = 0;
    while let [frequency, rest @ ..] = frequencies {
        if *frequency < FREQUENCY_MIN {
            return false;
        }
        sum += *frequency as u32;
        frequencies = rest;
    }
    sum == 1 << SCALE_LOG2
}

/// One symbol as the coder uses it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Symbol {
    /// 2^64 over the frequency, rounded up: the high half of its product with a 32-bit number is the exact quotient.
    pub reciprocal: u64,
    pub frequency: u16,
    pub start: u16,
}

/// The symbols of all tables, and where to begin looking for the one of a slot.
#[derive(Debug)]
pub(super) struct Tables {
    symbols: Box<[Symbol]>,
    /// By table and bucket of slots: the symbol of the bucket's first slot, as its place.
    buckets: Box<[[u16; BUCKETS]]>,
}

impl Tables {
    pub(super) fn new() -> Self {
        let mut symbols = Vec::with_capacity(SYMBOLS);
        for one in FLAGS {
            push_table(&[(1 << SCALE_LOG2) - one, one], &mut symbols);
        }
        QUIET.iter().for_each(|table| push_table(table, &mut symbols));
        HOT.iter().for_each(|table| push_table(table, &mut symbols));
        let firsts = (0..QUIET_CONTEXTS).map(first_of_quiet).chain((0..HOT_CONTEXTS).map(first_of_hot));
        let buckets = firsts.map(|first| buckets_of(&symbols, first)).collect();
        Self { symbols: symbols.into_boxed_slice(), buckets }
    }

    #[inline(always)]
    pub(super) fn symbol(&self, place: usize) -> Symbol {
        self.symbols.get(place).copied().unwrap_or_default()
    }

    /// Place of the symbol that holds `slot`, in the quiet or hot table that begins at `first`.
    #[inline(always)]
    pub(super) fn find(&self, first: usize, slot: u32) -> usize {
        let hot = first_of_hot(0);
        let table = if first < hot {
            (first - first_of_quiet(0)) / SYMBOLS_QUIET
        } else {
            QUIET_CONTEXTS + (first - hot) / SYMBOLS_HOT
        };
        let bucket = (slot >> BUCKET_LOG2) as usize % BUCKETS;
        let start = self.buckets.get(table).and_then(|buckets| buckets.get(bucket)).copied().unwrap_or_default();
        let rest = self.symbols.get(usize::from(start)..).unwrap_or_default();
        let further = rest.iter().take_while(|symbol| u32::from(symbol.start + symbol.frequency) <= slot).count();
        usize::from(start) + further
    }
}

fn push_table(frequencies: &[u16], out: &mut Vec<Symbol>) {
    let mut start = 0;
    for frequency in frequencies {
        let reciprocal = (u64::MAX / u64::from(*frequency)).wrapping_add(1);
        out.push(Symbol { reciprocal, frequency: *frequency, start });
        start += frequency;
    }
}

fn buckets_of(symbols: &[Symbol], first: usize) -> [u16; BUCKETS] {
    let table = symbols.get(first..).unwrap_or_default();
    std::array::from_fn(|bucket| {
        let slot = bucket << BUCKET_LOG2;
        let before = table.iter().take_while(|symbol| usize::from(symbol.start + symbol.frequency) <= slot).count();
        (first + before) as u16
    })
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
        let quiet = (0..QUIET_CONTEXTS).map(|table| (first_of_quiet(table), SYMBOLS_QUIET));
        for (first, count) in quiet.chain((0..HOT_CONTEXTS).map(|table| (first_of_hot(table), SYMBOLS_HOT))) {
            for slot in 0..1 << SCALE_LOG2 {
                let place = tables.find(first, slot);
                let symbol = tables.symbol(place);
                assert!((first..first + count).contains(&place));
                assert!((u32::from(symbol.start)..u32::from(symbol.start + symbol.frequency)).contains(&slot));
            }
        }
    }

    #[test]
    fn reciprocals_divide_exactly() {
        for frequency in 2..=4_096_u16 {
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
