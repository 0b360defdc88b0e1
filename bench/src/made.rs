//! Graphs that are made, the same every time: for questions of time alone, at any size.

use swarmcast::graph::{Csr, NodeIndex};

/// Spreads the bits of a number over all of it. Source: the finaliser of `MurmurHash3`.
#[must_use]
pub fn hash(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

/// Edges mostly to near indices, some to far ones: 3 a node. Above 0 nodes.
#[must_use]
pub fn near_and_far(nodes: u32) -> Csr {
    let edge = move |node: u32, turn: u64| {
        let random = hash(u64::from(node) * 3 + turn);
        let reach = if random & 15 == 0 { u64::from(nodes) } else { 64.min(u64::from(nodes)) };
        (NodeIndex(node), NodeIndex(((u64::from(node) + (random >> 8) % reach) % u64::from(nodes)) as u32), 1.0)
    };
    Csr::new(nodes as usize, (0..nodes).flat_map(move |node| (0..3).map(move |turn| edge(node, turn))))
}
