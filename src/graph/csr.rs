//! Compressed sparse rows: the adjacency that springs and analytics walk.

use super::NodeIndex;
use crate::base::effort;

/// Undirected adjacency. Every edge stands in the rows of both ends; self-loops are left out.
///
/// `offset` is `[node_count + 1]`, `neighbour` and `weight` are `[offset[node_count]]`. Within a row the
/// order is that of the edge list, so a sum over a row repeats bit for bit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Csr {
    offset: Box<[u32]>,
    neighbour: Box<[u32]>,
    weight: Box<[f32]>,
}

impl Csr {
    /// Builds the rows of `edges`, whose ends must be below `node_count`. O(nodes + edges), two passes.
    ///
    /// # Panics
    /// When an edge names a node that is not there, or half-edges outgrow a u32: [`super::GraphBuilder`]
    /// lets neither happen.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "ends are checked against node_count in the first pass")]
    pub fn new(node_count: usize, edges: impl Iterator<Item = (NodeIndex, NodeIndex, f32)> + Clone) -> Self {
        let kept = edges.filter(|(source, target, _)| source != target);
        let mut offset = vec![0u32; node_count + 1];
        let mut half_edges = 0usize;
        for (source, target, _) in kept.clone() {
            assert!(source.get() < node_count && target.get() < node_count, "an edge ends at a node of the graph");
            offset[source.get() + 1] += 1;
            offset[target.get() + 1] += 1;
            half_edges += 2;
        }
        assert!(u32::try_from(half_edges).is_ok(), "offsets are u32");
        for row in 0..node_count {
            offset[row + 1] += offset[row];
        }
        let mut next: Vec<u32> = offset.clone();
        let mut neighbour = vec![0u32; half_edges];
        let mut weight = vec![0f32; half_edges];
        for (source, target, edge_weight) in kept {
            for (from, to) in [(source, target), (target, source)] {
                let slot = next[from.get()] as usize;
                neighbour[slot] = to.0;
                weight[slot] = edge_weight;
                next[from.get()] += 1;
            }
        }
        Self { offset: offset.into(), neighbour: neighbour.into(), weight: weight.into() }
    }

    /// Nodes, counted.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.offset.len().saturating_sub(1)
    }

    /// Twice the number of edges, self-loops left out.
    #[must_use]
    pub fn half_edge_count(&self) -> usize {
        self.neighbour.len()
    }

    /// Row starts, `[node_count + 1]`, non-decreasing.
    #[must_use]
    pub fn offset(&self) -> &[u32] {
        &self.offset
    }

    /// Other end of every half-edge, row by row.
    #[must_use]
    pub fn neighbour(&self) -> &[u32] {
        &self.neighbour
    }

    /// Weight of every half-edge, row by row.
    #[must_use]
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// Half-edges of one node; 0 when there is no such node.
    #[must_use]
    pub fn degree(&self, node: usize) -> usize {
        match (self.offset.get(node), self.offset.get(node + 1)) {
            (Some(start), Some(end)) => (end - start) as usize,
            _ => 0,
        }
    }

    /// Neighbours and weights of one node; empty when there is no such node.
    pub fn row(&self, node: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let bounds = match (self.offset.get(node), self.offset.get(node + 1)) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => 0..0,
        };
        let neighbours = self.neighbour.get(bounds.clone()).unwrap_or(&[]);
        let weights = self.weight.get(bounds).unwrap_or(&[]);
        effort::spend(neighbours.len());
        neighbours.iter().copied().zip(weights.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_stands_in_both_rows_and_loops_in_none() {
        let edges = [(0, 1, 2.0), (2, 2, 9.0), (1, 3, 0.5)];
        let csr = Csr::new(4, edges.into_iter().map(|(s, t, w)| (NodeIndex(s), NodeIndex(t), w)));
        assert_eq!(csr.offset(), [0, 1, 3, 3, 4]);
        assert_eq!(csr.row(1).collect::<Vec<_>>(), [(0, 2.0), (3, 0.5)]);
        assert_eq!(csr.row(2).count(), 0);
        assert_eq!(csr.half_edge_count(), 4);
        assert_eq!(csr.row(99).count(), 0);
    }

    #[test]
    fn an_empty_graph_has_no_rows() {
        let csr = Csr::new(0, std::iter::empty());
        assert_eq!((csr.node_count(), csr.offset()), (0, &[0u32][..]));
    }
}
