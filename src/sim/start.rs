//! Where nodes begin: given positions are kept, the others placed from the shape of the graph and the seed.

#![allow(clippy::indexing_slicing, reason = "rows of a Csr name its own nodes, labels its own components")]

use super::hash::{cube_point, fold_seed, mix2};
use super::{Dimensions, SimParams};
use crate::graph::Csr;

/// Which connected component each node is in, numbered by first node.
#[derive(Clone, Debug, Default)]
pub(super) struct Components {
    /// `[node_count]`.
    pub(super) of: Vec<u32>,
    /// `[component_count]`, nodes.
    pub(super) size: Vec<u32>,
}

impl Components {
    const UNSEEN: u32 = u32::MAX;

    /// Labels every node. O(nodes + edges).
    pub(super) fn of(csr: &Csr) -> Self {
        let mut of = vec![Self::UNSEEN; csr.node_count()];
        let mut size = Vec::new();
        let mut reached: Vec<u32> = Vec::new();
        for first in 0..csr.node_count() {
            if of[first] != Self::UNSEEN {
                continue;
            }
            let label = size.len() as u32;
            reached.clear();
            reached.push(first as u32);
            of[first] = label;
            let mut next = 0;
            while let Some(node) = reached.get(next).copied() {
                next += 1;
                for (other, _) in csr.row(node as usize) {
                    if of[other as usize] == Self::UNSEEN {
                        of[other as usize] = label;
                        reached.push(other);
                    }
                }
            }
            size.push(reached.len() as u32);
        }
        Self { of, size }
    }

    /// Components, counted.
    pub(super) fn count(&self) -> usize {
        self.size.len()
    }

    /// The labels in another order of the nodes.
    pub(super) fn permuted(&self, node_of: &[u32]) -> Self {
        Self { of: node_of.iter().map(|node| self.of[*node as usize]).collect(), size: self.size.clone() }
    }

    /// Bytes held for `node_count` nodes without edges.
    pub(super) const fn footprint(node_count: usize) -> usize {
        2 * node_count * size_of::<u32>()
    }
}

/// A position inside `bound` for every node of `csr`, `[node_count]`.
pub(super) fn place(
    csr: &Csr,
    _components: &Components,
    given: &[Option<[f32; 3]>],
    params: &SimParams,
    bound: f32,
) -> Vec<[f32; 3]> {
    let spread = match params.dimensions {
        Dimensions::Two => (csr.node_count() as f32).sqrt(),
        Dimensions::Three => (csr.node_count() as f32).cbrt(),
    };
    let seed = fold_seed(params.seed);
    let placed = given.iter().zip(0u32..).map(|(given, node)| {
        let hashed =
            cube_point(mix2(seed, node), params.dimensions).map(|axis| axis * params.rest_length * spread * 0.5);
        let mut at = given.filter(|at| at.iter().all(|axis| axis.is_finite())).unwrap_or(hashed);
        if params.dimensions == Dimensions::Two {
            at[2] = 0.0;
        }
        at.map(|axis| axis.clamp(-bound, bound))
    });
    placed.collect()
}
