//! Repulsion of every node on every other, remade from the positions alone: nothing is kept from step to step.

#![allow(clippy::indexing_slicing, reason = "ranks and slots are permutations of 0..n over arrays of n")]

use super::morton::MortonSorter;
use super::pairs::{Law, Pull, Sources, pull};
use super::tree::{List, Tree};
use crate::sim::SimParams;
use crate::sim::hash::{direction, mix};

/// Nodes up to which all pairs are summed. At 1,054 nodes (`desktops.csv`) a step takes 9.7 ms that way and 1.5 ms by
/// the tree, at 0.75 % error (medians of 60 steps).
pub(super) const EXACT_NODES_MAX: usize = 256;

/// Largest value of u / (1 + u^2)^2, at u = 1 / sqrt(3).
const LAW_PEAK: f32 = 0.324_76;

/// Scratch of the repulsion, sized once.
#[derive(Debug, Default)]
pub(super) struct Repulsion {
    sorter: MortonSorter,
    /// The nodes in sorted order.
    points: Sources,
    tree: Tree,
    /// What acts on one group.
    list: List,
}

impl Repulsion {
    /// For `node_count` nodes.
    pub(super) fn new(node_count: usize) -> Self {
        Self {
            sorter: MortonSorter::new(node_count),
            points: Sources::with_capacity(node_count),
            tree: Tree::with_capacity(node_count),
            list: List::with_capacity(node_count),
        }
    }

    /// Bytes held for `node_count` nodes.
    pub(super) const fn footprint(node_count: usize) -> usize {
        MortonSorter::footprint(node_count)
            + Sources::footprint(node_count)
            + Tree::footprint(node_count)
            + List::footprint(node_count)
    }

    /// Sets `force` and `stiffness` to what all other nodes do to each.
    ///
    /// All are `[node_count]` by slot. Positions must be finite. Nodes at one place get no force from each other
    /// but a push along the hash of their slot, as strong as the law ever is. No allocation.
    pub(super) fn evaluate(
        &mut self,
        params: &SimParams,
        position: &[[f32; 3]],
        mass: &[f32],
        force: &mut [[f32; 3]],
        stiffness: &mut [f32],
    ) {
        let law = Law::new(params);
        self.gather(params, position, mass);
        if law.cutoff.is_finite() {
            self.sum::<true>(params, &law, force, stiffness);
        } else {
            self.sum::<false>(params, &law, force, stiffness);
        }
        self.part_coincident(params, position, mass, force);
    }

    /// What the last [`Self::evaluate`] should have found at `slot`, by brute force in double precision, the parting
    /// of coincident nodes left out. O(nodes).
    pub(super) fn exact(&self, law: &Law, slot: usize, position: &[[f32; 3]], mass: &[f32]) -> [f64; 3] {
        let mut sum = [0f64; 3];
        let (soft2, cutoff) = (f64::from(law.soft2), f64::from(law.cutoff));
        for (other, other_mass) in position.iter().zip(mass) {
            let offset = [0, 1, 2].map(|axis| f64::from(position[slot][axis]) - f64::from(other[axis]));
            let d2: f64 = offset.iter().map(|axis| axis * axis).sum();
            if d2 <= cutoff * cutoff {
                let q = d2 + soft2;
                let factor = f64::from(law.strength) * f64::from(mass[slot]) * f64::from(*other_mass) / (q * q);
                (0..3).for_each(|axis| sum[axis] += factor * offset[axis]);
            }
        }
        sum
    }

    /// Sorts and copies the nodes in that order.
    fn gather(&mut self, params: &SimParams, position: &[[f32; 3]], mass: &[f32]) {
        self.sorter.sort(position, params.dimensions);
        self.points.clear();
        for rank in 0..position.len() {
            let slot = self.sorter.index(rank);
            self.points.push(position[slot], mass[slot], 0.0);
        }
        self.points.pad();
    }

    fn sum<const CUTOFF: bool>(
        &mut self,
        params: &SimParams,
        law: &Law,
        force: &mut [[f32; 3]],
        stiffness: &mut [f32],
    ) {
        let Self { sorter, points, tree, list } = self;
        let mut put = |rank: usize, found: Pull| {
            let slot = sorter.index(rank);
            store(law, points.mass[rank], found, &mut force[slot], &mut stiffness[slot]);
        };
        if points.len() <= EXACT_NODES_MAX || params.theta == 0.0 {
            for rank in 0..points.len() {
                let mut found = Pull::default();
                pull::<false, CUTOFF>(points.at(rank), points, law, &mut found);
                put(rank, found);
            }
            return;
        }
        tree.build(sorter, points, params.dimensions, params.theta);
        for (start, end) in tree.groups() {
            tree.list::<CUTOFF>(points, (*start, *end), law, list);
            for rank in *start as usize..*end as usize {
                let mut found = Pull::default();
                pull::<false, CUTOFF>(points.at(rank), &list.nodes, law, &mut found);
                pull::<true, CUTOFF>(points.at(rank), &list.cells, law, &mut found);
                put(rank, found);
            }
        }
    }

    /// Coincident nodes stand side by side in the order.
    fn part_coincident(&self, params: &SimParams, position: &[[f32; 3]], mass: &[f32], force: &mut [[f32; 3]]) {
        for rank in 1..position.len() {
            let (before, here) = (self.sorter.index(rank - 1), self.sorter.index(rank));
            if position[before] == position[here] {
                push(params, here, mass[here], &mut force[here]);
                let first = rank == 1 || position[self.sorter.index(rank - 2)] != position[before];
                if first {
                    push(params, before, mass[before], &mut force[before]);
                }
            }
        }
    }
}

/// Scales what [`pull`] found for mass 1 to the node's own, without the node's own share of the stiffness.
fn store(law: &Law, mass: f32, found: Pull, force: &mut [f32; 3], stiffness: &mut f32) {
    let scale = law.strength * mass;
    *force = found.force.map(|axis| axis * scale);
    *stiffness = scale * (found.stiffness - mass / (law.soft2 * law.soft2)).max(0.0);
}

#[cold]
fn push(params: &SimParams, slot: usize, mass: f32, force: &mut [f32; 3]) {
    let way = direction(mix(slot as u32), params.dimensions);
    for axis in 0..3 {
        force[axis] += LAW_PEAK * params.repel_k * mass * mass * way[axis];
    }
}

/// RMS relative error that the tree stays within at a setting; the table in the documentation of [`super`] has what
/// was measured.
#[cfg(test)]
pub(super) fn error_bound(theta: f32) -> f32 {
    1e-4 + 0.13 * theta * theta
}
