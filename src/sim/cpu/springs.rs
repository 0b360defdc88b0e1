//! Springs by pull: every node sums its own row, so nothing is scattered and the order is fixed.

#![allow(clippy::indexing_slicing, reason = "rows and slots were built together and stay within node_count")]

use super::pairs::Law;
use crate::graph::Csr;
use crate::sim::SimParams;
use crate::sim::hash::{direction, mix2};

/// Heaviest an edge pulls; above it the sums could leave the range of a f32.
pub(super) const EDGE_WEIGHT_MAX: f32 = 1e6;

/// Rows over slots, parallel edges merged into one of their summed weight, edges of weight 0 left out.
///
/// Merged because neighbours do not repel each other: that must be taken back once a pair, not once an edge.
#[derive(Debug, Default)]
pub(super) struct Springs {
    offset: Vec<u32>,
    neighbour: Vec<u32>,
    weight: Vec<f32>,
    /// Sum of each row's weights.
    weight_sum: Vec<f32>,
}

impl Springs {
    /// The rows of `csr` over slots: `node_of` gives each slot's node, `slot_of` each node's slot.
    pub(super) fn new(csr: &Csr, node_of: &[u32], slot_of: &[u32]) -> Self {
        let mut springs = Self {
            offset: Vec::with_capacity(node_of.len() + 1),
            neighbour: Vec::with_capacity(csr.half_edge_count()),
            weight: Vec::with_capacity(csr.half_edge_count()),
            weight_sum: Vec::with_capacity(node_of.len()),
        };
        springs.offset.push(0);
        let mut row: Vec<(u32, f32)> = Vec::new();
        for node in node_of {
            row.clear();
            row.extend(csr.row(*node as usize).map(|(other, weight)| (slot_of[other as usize], weight)));
            // Stable: parallel edges are summed in the order in which both ends have them.
            row.sort_by_key(|(slot, _)| *slot);
            let mut weight_sum = 0.0;
            for parallel in row.chunk_by(|left, right| left.0 == right.0) {
                let weight = parallel.iter().map(|(_, weight)| *weight).sum::<f32>().min(EDGE_WEIGHT_MAX);
                if weight > 0.0 {
                    springs.neighbour.push(parallel[0].0);
                    springs.weight.push(weight);
                    weight_sum += weight;
                }
            }
            springs.offset.push(springs.neighbour.len() as u32);
            springs.weight_sum.push(weight_sum);
        }
        springs
    }

    /// Bytes held for a graph of this size.
    pub(super) const fn footprint(node_count: usize, half_edges: usize) -> usize {
        size_of::<u32>() * (2 * node_count + 1 + 2 * half_edges)
    }

    /// Distinct neighbours of a slot.
    pub(super) fn degree(&self, slot: usize) -> u32 {
        self.offset[slot + 1] - self.offset[slot]
    }

    /// Sum of the weights at a slot.
    pub(super) fn weight_sum(&self, slot: usize) -> f32 {
        self.weight_sum[slot]
    }

    /// The slots next to `slot`.
    pub(super) fn neighbours(&self, slot: usize) -> &[u32] {
        &self.neighbour[self.offset[slot] as usize..self.offset[slot + 1] as usize]
    }

    /// Adds to `force` what every edge does to its ends, and takes back the repulsion of neighbours on each other
    /// when there is a `law` of repulsion.
    ///
    /// All arrays are `[node_count]` by slot, in world units. A spring's force on one end is exactly the opposite
    /// of that on the other. O(edges), no allocation. Source: Hooke's law.
    pub(super) fn add(
        &self,
        params: &SimParams,
        law: Option<&Law>,
        position: &[[f32; 3]],
        mass: &[f32],
        force: &mut [[f32; 3]],
    ) {
        let spring_k = if params.springs { params.spring_k } else { 0.0 };
        for (slot, force) in force.iter_mut().enumerate() {
            let row = self.offset[slot] as usize..self.offset[slot + 1] as usize;
            let at = position[slot];
            let mut sum = [0f32; 3];
            for (other, weight) in self.neighbour[row.clone()].iter().zip(&self.weight[row]) {
                let other = *other as usize;
                let to = position[other];
                let offset = [to[0] - at[0], to[1] - at[1], to[2] - at[2]];
                let d2 = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2];
                if d2 < f32::MIN_POSITIVE {
                    part(params, slot, other, -spring_k * weight * params.rest_length, &mut sum);
                    continue;
                }
                let distance = d2.sqrt();
                let mut along = spring_k * weight * (distance - params.rest_length) / distance;
                if let Some(law) = law {
                    along += law.weight(d2) * (mass[slot] * mass[other]);
                }
                for axis in 0..3 {
                    sum[axis] += along * offset[axis];
                }
            }
            for axis in 0..3 {
                force[axis] += sum[axis];
            }
        }
    }
}

/// A compressed spring of no length has no direction: its ends agree on one by the hash of their slots.
#[cold]
fn part(params: &SimParams, slot: usize, other: usize, strength: f32, sum: &mut [f32; 3]) {
    let (low, high) = (slot.min(other) as u32, slot.max(other) as u32);
    let way = direction(mix2(low, high), params.dimensions);
    let sign = if slot as u32 == low { 1.0 } else { -1.0 };
    for axis in 0..3 {
        sum[axis] += strength * sign * way[axis];
    }
}
