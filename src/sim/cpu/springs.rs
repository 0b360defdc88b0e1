//! Springs by pull: every node sums its own row, so nothing is scattered and the order is fixed.
//!
//! Half-edges are taken in blocks: first the offsets of a block are gathered, then its laws are worked out in whole vectors,
//! then each row adds its own. A row's sum has the same order however rows are cut into blocks or shared among threads.

#![allow(clippy::indexing_slicing, reason = "rows and slots were built together and stay within node_count")]

use std::ops::Range;

use multiversion::multiversion;

use super::pairs::Law;
use crate::graph::Csr;
use crate::sim::hash::{direction, mix2};
use crate::sim::params::EDGE_WEIGHT_MAX;
use crate::sim::{Dimensions, ForceModel, SimParams};

/// Half-edges worked on at a time: their numbers stay in the first-level cache.
const BLOCK: usize = 256;

/// Rows over slots, parallel edges merged into one of their summed weight.
///
/// Merged because neighbours do not repel each other: that must be taken back once a pair, not once an edge. A weight of 0
/// neither pulls nor takes anything back.
#[derive(Debug, Default)]
pub(super) struct Springs {
    offset: Vec<u32>,
    neighbour: Vec<u32>,
    weight: Vec<f32>,
    /// Rest lengths; empty while all have that of the parameters.
    rest: Vec<f32>,
    /// Sum of each row's weights.
    weight_sum: Vec<f32>,
    /// For each half-edge of the topology, where it was merged into.
    entry_of: Vec<u32>,
}

/// The law of attraction with its constants.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpringLaw {
    model: ForceModel,
    spring_k: f32,
    rest: f32,
    /// The grip: `tail + head / (1 + d^2 / soft2)`.
    tail: f32,
    head: f32,
    soft2: f32,
    /// Repulsion of neighbours that is taken back.
    repulsion: Option<Law>,
    dimensions: Dimensions,
}

impl SpringLaw {
    /// The law as `params` has it for a graph of this size.
    pub(super) fn new(params: &SimParams, node_count: usize) -> Self {
        let model = params.force_model;
        Self {
            model,
            spring_k: if params.springs { params.spring_k } else { 0.0 },
            rest: params.rest_length,
            tail: params.spring_tail,
            head: params.spring_head(),
            soft2: params.softening * params.softening,
            repulsion: (params.repulsion && model == ForceModel::TForce).then(|| Law::new(params, node_count)),
            dimensions: params.dimensions,
        }
    }
}

/// The numbers of a block of half-edges.
struct Block {
    /// From the row's node to its neighbour.
    x: [f32; BLOCK],
    y: [f32; BLOCK],
    z: [f32; BLOCK],
    weight: [f32; BLOCK],
    rest: [f32; BLOCK],
    /// Product of the masses.
    masses: [f32; BLOCK],
    /// Result: factor on the offset.
    along: [f32; BLOCK],
}

impl Springs {
    /// The rows of `csr` over slots: `node_of` gives each slot's node, `slot_of` each node's slot.
    pub(super) fn new(csr: &Csr, node_of: &[u32], slot_of: &[u32]) -> Self {
        let mut springs = Self {
            offset: Vec::with_capacity(node_of.len() + 1),
            neighbour: Vec::with_capacity(csr.half_edge_count()),
            weight: Vec::with_capacity(csr.half_edge_count()),
            rest: Vec::with_capacity(csr.half_edge_count()),
            weight_sum: Vec::with_capacity(node_of.len()),
            entry_of: vec![0; csr.half_edge_count()],
        };
        springs.offset.push(0);
        let mut row: Vec<(u32, u32, f32)> = Vec::new();
        for node in node_of {
            row.clear();
            let first = csr.offset()[*node as usize];
            let half_edges = csr.row(*node as usize).zip(first..);
            row.extend(half_edges.map(|((other, weight), at)| (slot_of[other as usize], at, weight)));
            // By half-edge where the neighbour is the same: parallel edges are summed in the order in which both ends have them.
            row.sort_unstable_by_key(|(slot, at, _)| (*slot, *at));
            let mut weight_sum = 0.0;
            for parallel in row.chunk_by(|left, right| left.0 == right.0) {
                let weight = parallel.iter().map(|(_, _, weight)| *weight).sum::<f32>().min(EDGE_WEIGHT_MAX);
                for (_, half_edge, _) in parallel {
                    springs.entry_of[*half_edge as usize] = springs.neighbour.len() as u32;
                }
                springs.neighbour.push(parallel[0].0);
                springs.weight.push(weight);
                weight_sum += weight;
            }
            springs.offset.push(springs.neighbour.len() as u32);
            springs.weight_sum.push(weight_sum);
        }
        springs
    }

    /// Bytes held for a graph of this size.
    pub(super) const fn footprint(node_count: usize, half_edges: usize) -> usize {
        size_of::<u32>() * (2 * node_count + 1 + 4 * half_edges)
    }

    /// Distinct neighbours of a slot that pull.
    pub(super) fn degree(&self, slot: usize) -> u32 {
        self.weight[self.row(slot)].iter().filter(|weight| **weight > 0.0).count() as u32
    }

    /// `[node_count]`: sum of the weights at each slot.
    pub(super) fn weight_sums(&self) -> &[f32] {
        &self.weight_sum
    }

    /// The slots next to `slot`.
    pub(super) fn neighbours(&self, slot: usize) -> &[u32] {
        &self.neighbour[self.row(slot)]
    }

    /// Half-edges of the slots before `slot`.
    pub(super) fn before(&self, slot: usize) -> usize {
        self.offset[slot] as usize
    }

    fn row(&self, slot: usize) -> Range<usize> {
        self.offset[slot] as usize..self.offset[slot + 1] as usize
    }

    /// See [`crate::sim::Backend::set_springs`]; false when the arrays do not fit or hold what no spring can have.
    pub(super) fn set(&mut self, weight: &[f32], rest: &[f32]) -> bool {
        let fits = weight.len() == self.entry_of.len() && rest.len() == weight.len();
        if !fits || !weight.iter().chain(rest).all(|number| number.is_finite() && *number >= 0.0) {
            return false;
        }
        self.rest.clear();
        self.rest.resize(self.weight.len(), 0.0);
        self.weight.fill(0.0);
        for ((entry, weight), rest) in self.entry_of.iter().zip(weight).zip(rest) {
            let entry = *entry as usize;
            let whole = self.weight[entry] + weight;
            self.rest[entry] += if whole > 0.0 { (rest - self.rest[entry]) * (weight / whole) } else { *rest };
            self.weight[entry] = whole;
        }
        self.weight.iter_mut().for_each(|weight| *weight = weight.min(EDGE_WEIGHT_MAX));
        for slot in 0..self.weight_sum.len() {
            self.weight_sum[slot] = self.weight[self.row(slot)].iter().sum();
        }
        true
    }

    /// Sets `force`, one for each of `slots`, to what every edge does to it, less the repulsion of its neighbours where the law
    /// takes it back.
    ///
    /// `at` is `[node_count]` by slot: position in world units, and mass. A spring's force on one end is exactly the opposite of
    /// that on the other. O(half-edges), no allocation. Source: Hooke's law, or that of the model.
    pub(super) fn pull(&self, law: &SpringLaw, at: &[[f32; 4]], slots: Range<usize>, force: &mut [[f32; 3]]) {
        force.fill([0.0; 3]);
        let zero = [0.0; BLOCK];
        let mut block = Block { x: zero, y: zero, z: zero, weight: zero, rest: zero, masses: zero, along: zero };
        let last = self.offset[slots.end] as usize;
        let (mut from, mut row) = (self.offset[slots.start] as usize, slots.start);
        while from < last {
            let to = last.min(from + BLOCK);
            let first_row = row;
            row = self.gather(law, at, row, from..to, &mut block);
            let together = by_width(&mut block, to - from, law);
            self.add(first_row, from..to, &block, slots.start, force);
            if together {
                self.part(law, at, first_row, from..to, slots.start, force);
            }
            from = to;
        }
    }

    /// Fills the block with the half-edges `range`, of which the first is in `row` or later; returns the row of the last.
    fn gather(
        &self,
        law: &SpringLaw,
        at: &[[f32; 4]],
        mut row: usize,
        range: Range<usize>,
        block: &mut Block,
    ) -> usize {
        let count = range.len();
        block.weight[..count].copy_from_slice(&self.weight[range.clone()]);
        match self.rest.get(range.clone()) {
            Some(rest) if !rest.is_empty() => block.rest[..count].copy_from_slice(rest),
            _ => block.rest[..count].fill(law.rest),
        }
        let mut from = range.start;
        while from < range.end {
            while self.offset[row + 1] as usize <= from {
                row += 1;
            }
            let to = range.end.min(self.offset[row + 1] as usize);
            let [x, y, z, mass] = at[row];
            for (entry, other) in (from - range.start..).zip(&self.neighbour[from..to]) {
                let [other_x, other_y, other_z, other_mass] = at[*other as usize];
                block.x[entry] = other_x - x;
                block.y[entry] = other_y - y;
                block.z[entry] = other_z - z;
                block.masses[entry] = mass * other_mass;
            }
            from = to;
        }
        row
    }

    /// Adds the results of a block to the rows that they belong to.
    fn add(&self, mut row: usize, range: Range<usize>, block: &Block, first: usize, force: &mut [[f32; 3]]) {
        let mut from = range.start;
        while from < range.end {
            while self.offset[row + 1] as usize <= from {
                row += 1;
            }
            let to = range.end.min(self.offset[row + 1] as usize);
            let [mut x, mut y, mut z] = force[row - first];
            for entry in from - range.start..to - range.start {
                x += block.along[entry] * block.x[entry];
                y += block.along[entry] * block.y[entry];
                z += block.along[entry] * block.z[entry];
            }
            force[row - first] = [x, y, z];
            from = to;
        }
    }

    /// A compressed spring of no length has no direction: its ends agree on one by the hash of their slots.
    #[cold]
    fn part(
        &self,
        law: &SpringLaw,
        at: &[[f32; 4]],
        mut row: usize,
        range: Range<usize>,
        first: usize,
        force: &mut [[f32; 3]],
    ) {
        for entry in range {
            while self.offset[row + 1] as usize <= entry {
                row += 1;
            }
            let other = self.neighbour[entry] as usize;
            let apart2: f32 = (0..3).map(|axis| (at[other][axis] - at[row][axis]).powi(2)).sum();
            if apart2 >= f32::MIN_POSITIVE || law.model != ForceModel::TForce {
                continue;
            }
            let rest = self.rest.get(entry).copied().unwrap_or(law.rest);
            let (low, high) = (row.min(other) as u32, row.max(other) as u32);
            let way = direction(mix2(low, high), law.dimensions);
            let grip = law.tail + law.head;
            let strength = law.spring_k * self.weight[entry] * grip * rest * if row as u32 == low { -1.0 } else { 1.0 };
            (0..3).for_each(|axis| force[row - first][axis] += strength * way[axis]);
        }
    }
}

/// Works out `along` for the first `count` half-edges; returns whether the ends of any are at one place.
#[inline(always)]
fn by_width(block: &mut Block, count: usize, law: &SpringLaw) -> bool {
    #[cfg(test)]
    match super::width::forced() {
        Some(super::width::Width::Plain) => return plain(block, count, law),
        Some(super::width::Width::Avx2) => return avx2(block, count, law),
        None => {}
    }
    widest(block, count, law)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2", "x86_64+avx2"))]
fn widest(block: &mut Block, count: usize, law: &SpringLaw) -> bool {
    plain(block, count, law)
}

#[cfg(test)]
#[multiversion(targets("x86_64+avx2"))]
fn avx2(block: &mut Block, count: usize, law: &SpringLaw) -> bool {
    plain(block, count, law)
}

/// In vectors of whatever it is compiled into.
#[inline(always)]
fn plain(block: &mut Block, count: usize, law: &SpringLaw) -> bool {
    match (law.model, &law.repulsion) {
        (ForceModel::TForce, Some(repulsion)) => each(block, count, |d2, distance, weight, rest, masses| {
            let back = if weight > 0.0 { repulsion.weight(d2) * masses } else { 0.0 };
            spring(law, d2, distance, weight, rest) + back
        }),
        (ForceModel::TForce, None) => {
            each(block, count, |d2, distance, weight, rest, _| spring(law, d2, distance, weight, rest))
        }
        (ForceModel::ForceAtlas2, _) => each(block, count, |_, _, weight, _, _| law.spring_k * weight),
        (ForceModel::LinLog, _) => each(block, count, |_, distance, weight, rest, _| {
            let rest = rest.max(f32::MIN_POSITIVE);
            law.spring_k * weight * rest * ln(1.0 + distance / rest) / distance
        }),
    }
}

/// Factor on the offset of a spring's ends.
#[inline(always)]
fn spring(law: &SpringLaw, d2: f32, distance: f32, weight: f32, rest: f32) -> f32 {
    let grip = law.tail + law.head * law.soft2 / (law.soft2 + d2);
    law.spring_k * weight * grip * (distance - rest) / distance
}

#[inline(always)]
fn each(block: &mut Block, count: usize, along: impl Fn(f32, f32, f32, f32, f32) -> f32) -> bool {
    let mut together = 0u32;
    let (x, y, z) = (&block.x[..count], &block.y[..count], &block.z[..count]);
    let (weight, rest, masses) = (&block.weight[..count], &block.rest[..count], &block.masses[..count]);
    let results = &mut block.along[..count];
    for entry in 0..count {
        let d2 = x[entry] * x[entry] + y[entry] * y[entry] + z[entry] * z[entry];
        let apart = d2 >= f32::MIN_POSITIVE;
        let found = along(d2, d2.sqrt(), weight[entry], rest[entry], masses[entry]);
        results[entry] = if apart { found } else { 0.0 };
        together |= u32::from(!apart);
    }
    together != 0
}

/// Natural logarithm of a number from 1 on, to 2e-6, from products and one division: the same bits everywhere.
/// Source: the series of the inverse hyperbolic tangent.
#[inline(always)]
fn ln(number: f32) -> f32 {
    let bits = number.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let s2 = s * s;
    let series = 1.0 + s2 * (1.0 / 3.0 + s2 * (1.0 / 5.0 + s2 * (1.0 / 7.0 + s2 * (1.0 / 9.0))));
    exponent as f32 * std::f32::consts::LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        for step in 0..2_000 {
            let number = 1.0 + (step as f32 * 0.01).exp() - 1.0;
            assert!((ln(number) - number.ln()).abs() <= 4e-6 * number.ln().max(1.0), "{number}");
        }
        assert_eq!(ln(1.0), 0.0);
    }
}
