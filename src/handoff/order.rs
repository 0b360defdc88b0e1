//! The order in which the compact profile names nodes: near ones together, so that a view touches few blocks.

use crate::graph::NodeIndex;

/// A permutation of the nodes, both ways. Made when the layout is dealt anew, and then shared.
#[derive(Debug, Default)]
pub struct WireOrder {
    version: u32,
    /// Wire place → node index.
    nodes: Vec<u32>,
    /// Node index → wire place.
    places: Vec<u32>,
}

impl WireOrder {
    /// The order in which the node at wire place `p` is `nodes[p]`, a permutation of `0..nodes.len()`.
    #[must_use]
    pub fn new(version: u32, nodes: Vec<u32>) -> Self {
        let mut places = vec![0; nodes.len()];
        for (place, node) in nodes.iter().enumerate() {
            if let Some(slot) = places.get_mut(*node as usize) {
                *slot = place as u32;
            }
        }
        Self { version, nodes, places }
    }

    /// Counts the orders there have been, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Node indices in wire order.
    #[must_use]
    pub fn nodes(&self) -> &[u32] {
        &self.nodes
    }

    /// Where a node is in wire order.
    #[must_use]
    pub fn place(&self, node: NodeIndex) -> Option<usize> {
        self.places.get(node.get()).map(|place| *place as usize)
    }
}
