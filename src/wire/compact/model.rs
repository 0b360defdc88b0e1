//! The predictor: the state of one block of nodes, how it moves by itself, and how a correction changes it.
//!
//! Every operation is on `i32` and wraps, so that no input can overflow and every language gets the same bits. The state is
//! kept by axis, in arrays of the block's fixed size, so that what happens to every node in every tick is straight-line
//! code over arrays.

use super::lanes::{self, Bytes, cut, cut_mut, places};

/// Nodes of a block.
pub const BLOCK_NODES: usize = 1_024;

/// Units of one quantum.
pub const UNITS: i32 = 4_096;

/// A coordinate lies within this many quanta of the origin, either way; what lies beyond is moved there.
pub const BOX_QUANTA: i32 = (1 << 19) - 1;

/// Step of a quiet node's corrections, and how far it may be off without one: half a quantum.
pub(super) const HALF: i32 = UNITS / 2;

/// Energy from which a node is corrected in every tick.
pub(super) const HOT: i32 = 260;

/// Grid of positions at a normalising tick.
pub(super) const POSITION_GRID_LOG2: u32 = 10;
/// Grid of a quiet node's velocity at a normalising tick.
pub(super) const QUIET_GRID_LOG2: u32 = 7;
/// Grid of a hot node's velocity at a normalising tick.
pub(super) const HOT_GRID_LOG2: u32 = 11;

/// Corrections further apart than this teach the velocity as if they were this far apart.
const TICKS_MAX: i32 = 64;

const _: () = {
    assert!(BLOCK_NODES.is_power_of_two(), "indices are masked into a block");
    assert!((1 << POSITION_GRID_LOG2) <= HALF, "a correction keeps a position on the grid");
    assert!(BOX_QUANTA as i64 * UNITS as i64 + (HALF as i64) < i32::MAX as i64, "a reconstruction fits the state");
};

/// Places of a lane: those past the nodes keep lanes from lying 4,096 bytes apart, where all of a node's values would
/// compete for one set of the cache.
pub(super) const LANE_PLACES: usize = BLOCK_NODES + 16;

/// One value of every node of a block.
pub(super) type Lane = [i32; LANE_PLACES];

/// `lane[index]`, free of a bounds check because the index is masked.
#[inline(always)]
pub(super) fn at<T: Copy + Default, const PLACES: usize>(lane: &[T; PLACES], index: usize) -> T {
    const { assert!(PLACES >= BLOCK_NODES) }
    lane.get(index & (BLOCK_NODES - 1)).copied().unwrap_or_default()
}

/// `lane[index] = value`, as free of a bounds check.
#[inline(always)]
pub(super) fn set<T, const PLACES: usize>(lane: &mut [T; PLACES], index: usize, value: T) {
    if let Some(place) = lane.get_mut(index & (BLOCK_NODES - 1)) {
        *place = value;
    }
}

/// The state of a block, the same on both sides after every tick. Positions and velocities are in units, velocities per
/// tick. Places past the last node stay 0.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Position by axis.
    pub position: [Lane; 3],
    /// What the next tick adds to the position.
    pub velocity: [Lane; 3],
    /// What the last tick added to a hot node's position, correction included; means nothing for a quiet one.
    pub moved: [Lane; 3],
    /// Size of the recent corrections: which mode a node is in, and which tables code it.
    pub energy: Lane,
    /// Ticks since the last correction.
    pub ticks: [u8; BLOCK_NODES],
    /// Share of its velocity that every node loses in a tick, in 1/1024.
    pub decay: u8,
    /// Nodes there are, at most [`BLOCK_NODES`].
    pub count: usize,
}

impl Block {
    pub(super) fn new(count: usize) -> Self {
        Self {
            position: [[0; LANE_PLACES]; 3],
            velocity: [[0; LANE_PLACES]; 3],
            moved: [[0; LANE_PLACES]; 3],
            energy: [0; LANE_PLACES],
            ticks: [0; BLOCK_NODES],
            decay: 0,
            count: count.min(BLOCK_NODES),
        }
    }

    /// Every node at the origin, at rest.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.count);
    }

    /// The energies of the nodes there are, and some more places, by which functions of [`lanes`] know where to end.
    pub(super) fn energies(&self) -> &[i32] {
        cut(&self.energy, places(self.count))
    }

    /// A tick without corrections: velocities decay, positions move, energies fade, ticks count.
    pub(super) fn predict(&mut self, normalise: bool) {
        let Self { position, velocity, energy, ticks, .. } = self;
        let energy = cut_mut(energy, places(self.count));
        lanes::predict(position, velocity, energy, ticks, i32::from(self.decay), normalise);
    }

    /// Moves a quiet node by `steps` of half a quantum, and turns its velocity towards where it was found.
    #[inline]
    pub(super) fn correct_quiet(&mut self, node: usize, steps: [i32; 3]) {
        let ticks = i32::from(at(&self.ticks, node)).clamp(1, TICKS_MAX);
        let gain = if ticks <= 8 { 256 } else { 200 };
        for ((position, velocity), step) in self.position.iter_mut().zip(&mut self.velocity).zip(steps) {
            set(position, node, at(position, node).wrapping_add(step.wrapping_mul(HALF)));
            set(velocity, node, at(velocity, node).wrapping_add(divide(step.wrapping_mul(8 * gain), ticks)));
        }
        let energy = at(&self.energy, node);
        let energy = energy + ((divide(sum(steps) * 85, ticks) - energy) >> 2);
        set(&mut self.energy, node, energy);
        set(&mut self.ticks, node, 0);
        if energy >= HOT {
            for (moved, velocity) in self.moved.iter_mut().zip(&self.velocity) {
                set(moved, node, at(velocity, node));
            }
        }
    }

    /// [`Self::correct_quiet`] of every node that is `over`; `false`, and nothing is done, when that must go one by one.
    pub(super) fn correct_quiet_all(&mut self, over: &Bytes, steps: &[Lane; 3]) -> bool {
        let Self { position, velocity, moved, energy, ticks, .. } = self;
        let over = cut(over, places(self.count));
        lanes::correct_quiet(position, velocity, moved, energy, ticks, over, steps)
    }

    /// Moves every hot node by its `steps` of a quantum. The steps of quiet nodes are passed over.
    pub(super) fn correct_hot(&mut self, steps: &[Lane; 3]) {
        let Self { position, velocity, moved, energy, ticks, .. } = self;
        let energy = cut_mut(energy, places(self.count));
        lanes::correct_hot(position, velocity, moved, energy, ticks, steps);
    }

    /// Ends a normalising tick: what a snapshot leaves out is rounded away on all sides.
    pub(super) fn normalise(&mut self) {
        for energy in &mut self.energy {
            *energy = energy_of(energy_class(*energy));
        }
        for ticks in &mut self.ticks {
            *ticks = ticks_of(ticks_class(*ticks));
        }
        for (velocity, moved) in self.velocity.iter_mut().zip(&mut self.moved) {
            for ((velocity, moved), energy) in velocity.iter_mut().zip(moved).zip(&self.energy) {
                *velocity = round(*velocity, if *energy >= HOT { HOT_GRID_LOG2 } else { QUIET_GRID_LOG2 });
                *moved = *velocity;
            }
        }
    }

    /// FNV-1a over the words of the state, node by node.
    pub(super) fn hash(&self) -> u32 {
        let mut hash = 0x811C_9DC5_u32;
        let mut add = |word: i32| hash = (hash ^ word as u32).wrapping_mul(0x0100_0193);
        for node in 0..self.count {
            let energy = at(&self.energy, node);
            for axis in self.position.iter().chain(&self.velocity) {
                add(at(axis, node));
            }
            for axis in self.moved.iter().filter(|_| energy >= HOT) {
                add(at(axis, node));
            }
            add(energy);
            add(i32::from(at(&self.ticks, node)));
        }
        add(i32::from(self.decay));
        hash
    }
}

/// `value / by`, the fraction dropped, for `by` from 1 to [`TICKS_MAX`], by a product with its reciprocal.
#[inline(always)]
fn divide(value: i32, by: i32) -> i32 {
    /// 2^63 over each, rounded up: with 32 bits above the numerator to spare the quotient is exact.
    const RECIPROCALS: [u64; TICKS_MAX as usize + 1] = {
        let mut all = [0; TICKS_MAX as usize + 1];
        let (mut rest, mut by) = (all.as_mut_slice(), 0_u64);
        while let Some((first, others)) = rest.split_first_mut() {
            *first = if by == 0 { 0 } else { (1_u64 << 63).div_ceil(by) };
            (rest, by) = (others, by + 1);
        }
        all
    };
    let reciprocal = RECIPROCALS.get(by as usize).copied().unwrap_or_default();
    let size = ((u128::from(value.unsigned_abs()) * u128::from(reciprocal)) >> 63) as i32;
    if value < 0 { size.wrapping_neg() } else { size }
}

/// How many half quanta are nearest to an offset.
#[inline(always)]
pub(super) fn half_quanta(off: i32) -> i32 {
    let steps = (off.unsigned_abs().wrapping_add(HALF as u32 / 2) >> HALF.ilog2()) as i32;
    if off < 0 { -steps } else { steps }
}

/// Sum of the sizes of three corrections. The longest code gives 2^21 each, so nothing that is made of it overflows.
#[inline(always)]
pub(super) fn sum(steps: [i32; 3]) -> i32 {
    steps.iter().map(|step| step.wrapping_abs().min(1 << 21)).sum()
}

/// To the nearest multiple of `1 << log2`, halves upwards.
#[inline(always)]
pub(super) fn round(value: i32, log2: u32) -> i32 {
    value.wrapping_add(1 << (log2 - 1)) & (-1 << log2)
}

/// Place of the highest bit and the bit below it: half-octaves. Energies are never negative.
pub(super) fn energy_class(energy: i32) -> u32 {
    let energy = energy.max(0) as u32;
    match energy.checked_ilog2() {
        Some(log2 @ 1..) => 2 * log2 + ((energy >> (log2 - 1)) & 1),
        _ => energy,
    }
}

/// The least energy of a class; a class of 62 or more has none and gives 0.
pub(super) fn energy_of(class: u32) -> i32 {
    match class {
        0 | 1 => class as i32,
        2..62 => ((2 + (class & 1)) << (class / 2 - 1)) as i32,
        _ => 0,
    }
}

/// 0 for none, else one more than the place of the highest bit.
pub(super) fn ticks_class(ticks: u8) -> u32 {
    u8::BITS - ticks.leading_zeros()
}

/// The least count of a class; a class of 9 or more has none and gives 0.
pub(super) fn ticks_of(class: u32) -> u8 {
    if class == 0 { 0 } else { 1_u8.checked_shl(class - 1).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_their_own_least_member() {
        for class in 0..62 {
            assert_eq!(energy_class(energy_of(class)), class);
        }
        for energy in 0..100_000 {
            let least = energy_of(energy_class(energy));
            assert!(least <= energy && (energy < 4 || energy < least * 3 / 2 + 1), "{energy} {least}");
        }
        for ticks in 0..=255_u8 {
            let least = u32::from(ticks_of(ticks_class(ticks)));
            let ticks = u32::from(ticks);
            assert!(least <= ticks && ticks < (2 * least).max(1));
        }
    }

    #[test]
    fn reciprocals_divide_as_a_division_does() {
        for by in 1..=TICKS_MAX {
            let edges = [0, 1, 2, 63, 64, 65, i32::MAX - 1, i32::MAX];
            let multiples = (1..40).flat_map(|factor| [by * factor * 7_919 - 1, by * factor * 7_919]);
            for value in edges.into_iter().chain(multiples) {
                assert_eq!((divide(value, by), divide(-value, by)), (value / by, -value / by));
            }
            assert_eq!(divide(i32::MIN, by), i32::MIN / by);
        }
    }

    #[test]
    fn rounding_moves_by_half_a_grid_at_most() {
        for value in [-5_000, -513, -512, -511, 0, 511, 512, 1_535, i32::MAX, i32::MIN] {
            let off = round(value, 10).wrapping_sub(value);
            assert!((-512..=512).contains(&off), "{value}");
            assert_eq!(round(value, 10) & 1_023, 0);
        }
    }
}
