//! Connected components.
#![allow(clippy::indexing_slicing, reason = "every index is a node of the graph")]

use super::watch::Pace;
use super::{AnalyticsError, Watch};
use crate::graph::Csr;

/// Which nodes hang together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Components {
    /// `[node_count]`, from 0 in the order of each component's lowest node index.
    pub component: Vec<u32>,
    /// Nodes of every component.
    pub size: Vec<u32>,
}

/// Components over all edges, whatever their weight. Depth-first, O(nodes + edges).
///
/// # Errors
/// [`AnalyticsError::Stopped`].
pub fn connected_components(csr: &Csr, watch: &dyn Watch) -> Result<Components, AnalyticsError> {
    let nodes = csr.node_count();
    let mut found = Components { component: vec![u32::MAX; nodes], size: Vec::new() };
    let (mut stack, mut visited, mut pace) = (Vec::new(), 0, Pace::new(watch));
    for start in 0..nodes {
        if found.component[start] != u32::MAX {
            continue;
        }
        let (label, mut size) = (found.size.len() as u32, 0);
        found.component[start] = label;
        stack.push(start as u32);
        while let Some(node) = stack.pop() {
            pace.spend(1 + csr.degree(node as usize), visited, nodes)?;
            visited += 1;
            size += 1;
            for (neighbour, _) in csr.row(node as usize) {
                if found.component[neighbour as usize] == u32::MAX {
                    found.component[neighbour as usize] = label;
                    stack.push(neighbour);
                }
            }
        }
        found.size.push(size);
    }
    watch.progress(1.0)?;
    Ok(found)
}
