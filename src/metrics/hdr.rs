//! Durations in the buckets of HdrHistogram, in cells that one thread writes and anybody reads.
//!
//! The crate's own recorder hands its counts over through a channel and allocates while it does; here a record is one
//! load and one store. [`Hdr::take`] gives the counts to the crate's histogram, which knows quantiles and log files.

use hdrhistogram::Histogram;

use super::Counter;

/// Buckets of one power of two, as a power of two: 2^7 of them are apart by less than 0.8 %, two significant digits.
const HALF_BITS: u32 = 7;

/// Longest duration that is told apart, ns; a longer one counts as this.
pub const NS_MAX: u64 = 60_000_000_000;

/// Significant digits.
pub const DIGITS: u8 = 2;

const CELLS: usize = place(NS_MAX) + 1;

const _: () = assert!(CELLS * size_of::<Counter>() <= 32 << 10, "memory of one histogram");

/// A histogram from 1 ns to [`NS_MAX`].
#[derive(Debug)]
pub struct Hdr {
    cells: Box<[Counter]>,
}

impl Default for Hdr {
    fn default() -> Self {
        Self { cells: (0..CELLS).map(|_| Counter::default()).collect() }
    }
}

impl Hdr {
    /// Counts one duration. No allocation.
    pub fn record(&self, ns: u64) {
        if let Some(cell) = self.cells.get(place(ns.min(NS_MAX))) {
            cell.add(1);
        }
    }

    /// What was recorded since the last call with this `taken`; all of it at the first. A record that comes meanwhile is
    /// in this call's or in the next one's.
    pub fn take(&self, taken: &mut Taken) -> Histogram<u64> {
        let mut out = empty();
        taken.0.resize(CELLS, 0);
        for (index, (cell, before)) in self.cells.iter().zip(&mut taken.0).enumerate() {
            let count = cell.get();
            let fresh = count - *before;
            if fresh > 0 {
                // The bounds are the same, so nothing is outside of them.
                let _ = out.record_n(lowest(index), fresh);
            }
            *before = count;
        }
        out
    }

    /// Everything recorded since start.
    #[must_use]
    pub fn all(&self) -> Histogram<u64> {
        self.take(&mut Taken::default())
    }
}

/// Counts that a reader has had.
#[derive(Clone, Debug, Default)]
pub struct Taken(Vec<u64>);

/// A histogram of the same bounds.
fn empty() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, NS_MAX, DIGITS) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are constants that a test has made one with"),
    }
}

/// The cell of a duration: below 2^8 its own, above that 2^7 cells for each power of two.
const fn place(ns: u64) -> usize {
    let bits = u64::BITS - ns.leading_zeros();
    let shift = bits.saturating_sub(HALF_BITS + 1);
    ((shift as usize) << HALF_BITS) + (ns >> shift) as usize
}

/// The shortest duration of a cell.
const fn lowest(place: usize) -> u64 {
    let shift = (place >> HALF_BITS).saturating_sub(1);
    ((place - (shift << HALF_BITS)) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn cells_are_the_buckets_of_the_crate(ns in 0..=NS_MAX, bits in 0..36_u32) {
            let ns = ns >> bits;
            let (crates, ours) = (empty(), lowest(place(ns)));
            proptest::prop_assert!(crates.equivalent(ours, ns), "{ns} ns is in the cell of {ours} ns");
            proptest::prop_assert_eq!(ours, crates.lowest_equivalent(ns));
        }
    }

    #[test]
    fn every_cell_is_reached_in_order() {
        for index in 0..CELLS {
            assert_eq!(place(lowest(index)), index);
            assert!(index == 0 || lowest(index - 1) < lowest(index));
        }
    }

    #[test]
    fn a_reader_gets_each_record_once() {
        let (hdr, mut taken) = (Hdr::default(), Taken::default());
        hdr.record(1_000);
        hdr.record(2_000_000);
        let first = hdr.take(&mut taken);
        assert_eq!((first.len(), first.value_at_quantile(0.5)), (2, first.highest_equivalent(1_000)));
        assert_eq!(hdr.take(&mut taken).len(), 0);
        hdr.record(u64::MAX);
        let second = hdr.take(&mut taken);
        assert_eq!((second.len(), second.max()), (1, second.highest_equivalent(NS_MAX)));
        assert_eq!(hdr.all().len(), 3);
    }
}
