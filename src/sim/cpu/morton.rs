//! The order of nearness: nodes sorted along a Morton curve, remade from the positions of every step.

#![allow(clippy::indexing_slicing, reason = "indices are the permutation 0..n, digits are masked to the table size")]

use std::cmp::Ordering;

use crate::sim::Dimensions;

/// Bits of a key: 10 an axis in space, 15 in the plane. The tree cannot be deeper than its keys.
pub(in crate::sim) const KEY_BITS: u32 = 30;
const DIGIT_BITS: u32 = 10;
const DIGITS: usize = 1 << DIGIT_BITS;
const PASSES: usize = (KEY_BITS / DIGIT_BITS) as usize;

const _: () = {
    assert!(KEY_BITS.is_multiple_of(DIGIT_BITS) && PASSES % 2 == 1, "an odd number of passes ends in `sorted`");
    assert!(KEY_BITS.is_multiple_of(6), "whole bits an axis in two and in three dimensions");
};

/// A key in the high word, the index it belongs to in the low one.
type Entry = u64;

/// Sorts points by Morton key, then, where keys are equal, by position and index: coincident points end up side
/// by side. No allocation after [`Self::new`].
#[derive(Debug, Default)]
pub(in crate::sim) struct MortonSorter {
    sorted: Vec<Entry>,
    scratch: Vec<Entry>,
}

impl MortonSorter {
    /// For up to `capacity` points.
    pub(in crate::sim) fn new(capacity: usize) -> Self {
        Self { sorted: vec![0; capacity], scratch: vec![0; capacity] }
    }

    /// Bytes held for `capacity` points.
    pub(in crate::sim) const fn footprint(capacity: usize) -> usize {
        2 * capacity * size_of::<Entry>()
    }

    /// Sorts; [`Self::index`] and [`Self::key`] then answer by rank. O(n), worst case O(n log n) in one cell.
    pub(in crate::sim) fn sort(&mut self, points: &[[f32; 3]], dimensions: Dimensions) {
        let frame = KeyFrame::around(points, dimensions);
        let mut counts = [[0u32; DIGITS]; PASSES];
        for ((entry, point), index) in self.scratch.iter_mut().zip(points).zip(0u32..) {
            let key = frame.key(*point);
            for (pass, count) in counts.iter_mut().enumerate() {
                count[digit(key, pass)] += 1;
            }
            *entry = (u64::from(key) << 32) | u64::from(index);
        }
        for (pass, count) in counts.iter_mut().enumerate() {
            let mut next = 0;
            for slot in count.iter_mut() {
                (*slot, next) = (next, next + *slot);
            }
            for entry in &self.scratch {
                let slot = &mut count[digit((entry >> 32) as u32, pass)];
                self.sorted[*slot as usize] = *entry;
                *slot += 1;
            }
            if pass + 1 < PASSES {
                std::mem::swap(&mut self.sorted, &mut self.scratch);
            }
        }
        self.order_within_keys(points);
    }

    /// The point at `rank`.
    pub(in crate::sim) fn index(&self, rank: usize) -> usize {
        self.sorted[rank] as u32 as usize
    }

    /// The points in the order of their ranks.
    pub(in crate::sim) fn indices(&self) -> impl Iterator<Item = usize> {
        self.sorted.iter().map(|entry| *entry as u32 as usize)
    }

    /// The key at `rank`.
    pub(in crate::sim) fn key(&self, rank: usize) -> u32 {
        (self.sorted[rank] >> 32) as u32
    }

    fn order_within_keys(&mut self, points: &[[f32; 3]]) {
        for run in self.sorted.chunk_by_mut(|left, right| left >> 32 == right >> 32) {
            if run.len() > 1 {
                // Unstable sorting does not allocate, and no two entries are equal.
                run.sort_unstable_by(|left, right| {
                    let (left, right) = (*left as u32, *right as u32);
                    by_position(&points[left as usize], &points[right as usize]).then(left.cmp(&right))
                });
            }
        }
    }
}

fn by_position(left: &[f32; 3], right: &[f32; 3]) -> Ordering {
    let axis = |axis: usize| left[axis].total_cmp(&right[axis]);
    axis(0).then(axis(1)).then(axis(2))
}

fn digit(key: u32, pass: usize) -> usize {
    (key >> (pass as u32 * DIGIT_BITS)) as usize & (DIGITS - 1)
}

/// The cube that keys divide. What lies outside gets the key of the nearest cell: a key only says what is near.
struct KeyFrame {
    low: [f32; 3],
    /// Cells per world unit.
    scale: f32,
    cells: u32,
    dimensions: Dimensions,
}

impl KeyFrame {
    /// Spans the points, but at most four standard deviations each way, so that one node flung far away does not
    /// leave the rest a single cell.
    fn around(points: &[[f32; 3]], dimensions: Dimensions) -> Self {
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        let (mut sum, mut sum2) = ([0f64; 3], 0f64);
        for point in points {
            for axis in 0..3 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
                sum[axis] += f64::from(point[axis]);
                sum2 += f64::from(point[axis]) * f64::from(point[axis]);
            }
        }
        let count = points.len().max(1) as f64;
        let mean = sum.map(|axis| axis / count);
        let variance = sum2 / count - mean.iter().map(|axis| axis * axis).sum::<f64>();
        let reach = 4.0 * variance.max(0.0).sqrt();
        let mut extent = 0f32;
        for axis in 0..3 {
            low[axis] = low[axis].max((mean[axis] - reach) as f32);
            high[axis] = high[axis].min((mean[axis] + reach) as f32);
            extent = extent.max(high[axis] - low[axis]);
        }
        let axes = if dimensions == Dimensions::Two { 2 } else { 3 };
        let cells = 1u32 << (KEY_BITS / axes);
        let scale = if extent > 0.0 { cells as f32 / extent } else { 0.0 };
        Self { low, scale, cells, dimensions }
    }

    fn key(&self, point: [f32; 3]) -> u32 {
        // The cast saturates and takes NaN (0 x infinity) to 0.
        let cell = |axis: usize| (((point[axis] - self.low[axis]) * self.scale) as u32).min(self.cells - 1);
        match self.dimensions {
            Dimensions::Two => spread2(cell(0)) | spread2(cell(1)) << 1,
            Dimensions::Three => spread3(cell(0)) | spread3(cell(1)) << 1 | spread3(cell(2)) << 2,
        }
    }
}

/// Puts one zero before each of 16 bits.
const fn spread2(mut bits: u32) -> u32 {
    bits = (bits | bits << 8) & 0x00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333;
    (bits | bits << 1) & 0x5555_5555
}

/// Puts two zeros before each of 10 bits.
const fn spread3(mut bits: u32) -> u32 {
    bits = (bits | bits << 16) & 0x0300_00ff;
    bits = (bits | bits << 8) & 0x0300_f00f;
    bits = (bits | bits << 4) & 0x030c_30c3;
    (bits | bits << 2) & 0x0924_9249
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::hash::cube_point;

    #[test]
    fn spreading_keeps_every_bit_in_its_place() {
        for bit in 0..10 {
            assert_eq!(spread3(1 << bit), 1 << (3 * bit));
        }
        for bit in 0..15 {
            assert_eq!(spread2(1 << bit), 1 << (2 * bit));
        }
    }

    #[test]
    fn a_sort_is_a_permutation_in_key_order_with_coincident_points_side_by_side() {
        for dimensions in [Dimensions::Two, Dimensions::Three] {
            let mut points: Vec<_> = (0..3_000).map(|key| cube_point(key % 1_000, dimensions)).collect();
            points.push([1e6, -1e6, 0.0]);
            let mut sorter = MortonSorter::new(points.len());
            for _ in 0..2 {
                sorter.sort(&points, dimensions);
                let mut seen = vec![false; points.len()];
                for rank in 0..points.len() {
                    assert!(!std::mem::replace(&mut seen[sorter.index(rank)], true));
                    assert!(rank == 0 || sorter.key(rank - 1) <= sorter.key(rank));
                }
                let pairs =
                    (1..points.len()).filter(|rank| points[sorter.index(rank - 1)] == points[sorter.index(*rank)]);
                assert_eq!(pairs.count(), 2_000, "each of 1,000 points came three times");
            }
        }
    }

    #[test]
    fn no_points_and_one_place_are_sorted_too() {
        let mut sorter = MortonSorter::new(5);
        sorter.sort(&[[7.0; 3]; 5], Dimensions::Three);
        assert_eq!((0..5).map(|rank| sorter.index(rank)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        MortonSorter::new(0).sort(&[], Dimensions::Two);
    }
}
