//! Which node is kept in which slot, and where it begins: the same in every backend, since what looks random is a hash of the slot.

#![allow(clippy::indexing_slicing, reason = "slots and nodes are permutations of 0..node_count, made here")]

use super::cpu::morton::MortonSorter;
use super::start::{self, Components};
use super::{Dimensions, SimParams, Topology};

/// The nodes of a graph, placed, and dealt to slots along a Morton curve of their places: neighbours in space are neighbours in memory.
pub(super) struct Deal {
    /// `[node_count]` by node, world units.
    pub(super) placed: Vec<[f32; 3]>,
    /// `[node_count]` by slot.
    pub(super) node_of: Vec<u32>,
    /// `[node_count]` by node.
    pub(super) slot_of: Vec<u32>,
    /// By slot.
    pub(super) components: Components,
}

impl Deal {
    /// O(nodes log nodes + edges).
    pub(super) fn new(params: &SimParams, topology: &Topology) -> Self {
        let csr = &topology.csr;
        let node_count = csr.node_count();
        let by_node = Components::of(csr);
        let placed = start::place(csr, &by_node, &topology.start, params, params.bounds_for(node_count));
        let mut sorter = MortonSorter::new(node_count);
        sorter.sort(&placed, params.dimensions);
        let node_of: Vec<u32> = (0..node_count).map(|slot| sorter.index(slot) as u32).collect();
        let mut slot_of = vec![0; node_count];
        for (slot, node) in (0u32..).zip(&node_of) {
            slot_of[*node as usize] = slot;
        }
        let components = by_node.permuted(&node_of);
        Self { placed, node_of, slot_of, components }
    }

    /// Where the node of each slot begins.
    pub(super) fn by_slot(&self) -> impl Iterator<Item = [f32; 3]> + '_ {
        self.node_of.iter().map(|node| self.placed[*node as usize])
    }
}

/// `at`, moved into a cube of half-side `bound` and, in two dimensions, the plane.
pub(super) fn inside(params: &SimParams, bound: f32, at: [f32; 3]) -> [f32; 3] {
    let [x, y, z] = at.map(|axis| axis.clamp(-bound, bound));
    [x, y, if params.dimensions == Dimensions::Two { 0.0 } else { z }]
}
