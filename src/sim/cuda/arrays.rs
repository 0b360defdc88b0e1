//! The arrays of a graph as they are uploaded: by slot, rows and components cut into pieces of one warp's work each.

#![allow(clippy::indexing_slicing, reason = "slots and nodes are permutations of 0..node_count, made here")]

use super::layout::{COMPONENT_PIECE, PINNED, ROW_MAX, ROW_PIECE};
use crate::graph::Csr;
use crate::sim::params::{EDGE_WEIGHT_MAX, repulsion_mass};
use crate::sim::slots::Deal;
use crate::sim::{SimParams, Topology};

/// Rest length that stands for that of the parameters.
const REST_OF_PARAMS: f32 = -1.0;

/// What an upload takes to the device, and what the host keeps of it. `[node_count]` by slot unless said; the shapes of
/// the pieces stand in `layout.cuh`.
#[derive(Debug, Default)]
pub(super) struct Arrays {
    /// By node.
    pub(super) slot_of: Vec<u32>,
    /// Where nodes begin; repulsion mass.
    pub(super) point: Vec<[f32; 4]>,
    pub(super) state: Vec<u32>,
    pub(super) component: Vec<u32>,
    pub(super) row: Vec<u32>,
    pub(super) neighbour: Vec<u32>,
    pub(super) springs: Springs,
    pub(super) long_row: Vec<u32>,
    pub(super) long_first: Vec<u32>,
    pub(super) row_piece: Vec<[u32; 2]>,
    pub(super) member: Vec<u32>,
    pub(super) member_piece: Vec<[u32; 2]>,
    pub(super) component_first: Vec<u32>,
    pub(super) component_size: Vec<u32>,
}

/// Strengths and rest lengths of the springs, by merged half-edge.
#[derive(Debug, Default)]
pub(super) struct Springs {
    pub(super) weight: Vec<f32>,
    pub(super) rest: Vec<f32>,
    /// By slot: sum of the row's weights.
    pub(super) weight_sum: Vec<f32>,
    /// For each half-edge of the topology, where it was merged into.
    entry_of: Vec<u32>,
}

impl Arrays {
    /// Places the nodes and deals slots.
    pub(super) fn new(params: &SimParams, topology: &Topology) -> Self {
        let mut deal = Deal::new(params, topology);
        let components = std::mem::take(&mut deal.components);
        let state = |node: &u32| if topology.pinned[*node as usize] { PINNED } else { 0 };
        let mut arrays = Self {
            state: deal.node_of.iter().map(state).collect(),
            component: components.of,
            component_size: components.size,
            slot_of: std::mem::take(&mut deal.slot_of),
            ..Self::default()
        };
        let degree = arrays.take_rows(&topology.csr, &deal.node_of);
        let point = |([x, y, z], degree): ([f32; 3], &u32)| [x, y, z, repulsion_mass(*degree)];
        arrays.point = deal.by_slot().zip(&degree).map(point).collect();
        arrays.cut_rows();
        arrays.cut_components();
        arrays
    }

    /// Keeps what the host goes on needing: who is where, what is fixed, and the springs.
    pub(super) fn forget_uploaded(&mut self) {
        let Self { slot_of, state, row, springs, .. } = std::mem::take(self);
        *self = Self { slot_of, state, row, springs, ..Self::default() };
    }

    /// Rows over slots, parallel edges merged into one. Returns how many neighbours pull at each slot.
    fn take_rows(&mut self, csr: &Csr, node_of: &[u32]) -> Vec<u32> {
        let Self { slot_of, row, neighbour, springs, .. } = self;
        springs.entry_of = vec![0; csr.half_edge_count()];
        let mut half_edges: Vec<(u32, u32)> = Vec::new();
        row.push(0);
        for node in node_of {
            half_edges.clear();
            let first = csr.offset()[*node as usize];
            half_edges
                .extend(csr.row(*node as usize).zip(first..).map(|((other, _), at)| (slot_of[other as usize], at)));
            // Parallel edges are summed in the order in which both ends have them.
            half_edges.sort_unstable();
            for parallel in half_edges.chunk_by(|left, right| left.0 == right.0) {
                for (_, half_edge) in parallel {
                    springs.entry_of[*half_edge as usize] = neighbour.len() as u32;
                }
                neighbour.push(parallel[0].0);
            }
            row.push(neighbour.len() as u32);
        }
        springs.weight = vec![0.0; neighbour.len()];
        springs.rest = vec![REST_OF_PARAMS; neighbour.len()];
        for (entry, weight) in springs.entry_of.iter().zip(csr.weight()) {
            springs.weight[*entry as usize] += weight;
        }
        springs.sum_rows(row);
        let pulls = |row: &[u32]| {
            let weights = &springs.weight[row[0] as usize..row[1] as usize];
            weights.iter().filter(|weight| **weight > 0.0).count() as u32
        };
        row.windows(2).map(pulls).collect()
    }

    /// Cuts what one thread should not sum alone.
    fn cut_rows(&mut self) {
        self.long_first.push(0);
        for slot in 0..self.slot_of.len() {
            let (first, end) = (self.row[slot], self.row[slot + 1]);
            if (end - first) as usize > ROW_MAX {
                self.long_row.push(slot as u32);
                self.row_piece.extend((first..end).step_by(ROW_PIECE).map(|from| [slot as u32, from]));
                self.long_first.push(self.row_piece.len() as u32);
            }
        }
    }

    /// Lists the slots of each component, in order, and cuts the lists.
    fn cut_components(&mut self) {
        let mut next = Vec::with_capacity(self.component_size.len());
        let mut first = 0;
        self.component_first.push(0);
        for size in &self.component_size {
            next.push(first);
            let end = first + size;
            self.member_piece.extend(
                (first..end).step_by(COMPONENT_PIECE).map(|from| [from, end.min(from + COMPONENT_PIECE as u32)]),
            );
            self.component_first.push(self.member_piece.len() as u32);
            first = end;
        }
        self.member = vec![0; self.component.len()];
        for (slot, component) in (0u32..).zip(&self.component) {
            let place = &mut next[*component as usize];
            self.member[*place as usize] = slot;
            *place += 1;
        }
    }
}

impl Springs {
    /// New strengths and rest lengths by the topology's half-edges, merged as the edges are: strengths add up, rest lengths
    /// are averaged by strength. False when the arrays have another length, and nothing has changed then.
    pub(super) fn set(&mut self, row: &[u32], weight: &[f32], rest: &[f32]) -> bool {
        if weight.len() != self.entry_of.len() || rest.len() != self.entry_of.len() {
            return false;
        }
        self.weight.fill(0.0);
        self.rest.fill(0.0);
        for ((entry, weight), rest) in self.entry_of.iter().zip(weight).zip(rest) {
            let sane = |number: f32| if number.is_finite() { number.max(0.0) } else { 0.0 };
            self.weight[*entry as usize] += sane(*weight);
            self.rest[*entry as usize] += sane(*weight) * sane(*rest);
        }
        for (weight, rest) in self.weight.iter().zip(&mut self.rest) {
            *rest = if *weight > 0.0 { *rest / weight } else { 0.0 };
        }
        self.sum_rows(row);
        true
    }

    fn sum_rows(&mut self, row: &[u32]) {
        self.weight.iter_mut().for_each(|weight| *weight = weight.min(EDGE_WEIGHT_MAX));
        let sum = |row: &[u32]| self.weight[row[0] as usize..row[1] as usize].iter().sum();
        self.weight_sum = row.windows(2).map(sum).collect();
    }
}
