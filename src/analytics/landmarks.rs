//! Landmark distances: bounds on the distance of any two nodes from a few exact searches.
#![allow(clippy::indexing_slicing, reason = "landmarks and nodes index tables made for them")]

use super::error::{in_range, table_fits};
use super::watch::Phase;
use super::{AnalyticsError, Lengths, Watch, shortest_paths};
use crate::graph::Csr;
use crate::limits::ANALYTICS_DENSE_NODES_MAX;

/// Exact distances from a few nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks {
    /// Indices, in the order in which they were chosen.
    pub node: Vec<u32>,
    /// `[landmarks][node_count]`, +inf where no path leads.
    pub distance: Vec<Vec<f64>>,
}

/// Searches from up to `count` landmarks, 1 to [`ANALYTICS_DENSE_NODES_MAX`]: first the node with the most edges, then
/// always the one farthest from all before. A node that no landmark reaches is farther than any, so each component gets
/// one before any gets two. There are fewer where every node is at distance 0 of one.
///
/// # Errors
/// [`AnalyticsError::Range`]; [`AnalyticsError::Table`] for `count * nodes` distances; [`AnalyticsError::Stopped`].
pub fn landmarks(csr: &Csr, count: usize, lengths: Lengths, watch: &dyn Watch) -> Result<Landmarks, AnalyticsError> {
    in_range("landmarks", count as f64, 1.0, ANALYTICS_DENSE_NODES_MAX as f64)?;
    let nodes = csr.node_count();
    let count = count.min(nodes);
    table_fits("landmark distances", count, nodes, size_of::<f64>())?;
    let degree = |node: usize| csr.offset()[node + 1] - csr.offset()[node];
    let mut nearest = vec![f64::INFINITY; nodes];
    let mut found = Landmarks { node: Vec::new(), distance: Vec::new() };
    while found.node.len() < count {
        let rank = |node: usize| (nearest[node], degree(node));
        let next = (0..nodes).fold(0, |best, node| if rank(node) > rank(best) { node } else { best });
        if nearest[next] <= 0.0 {
            break;
        }
        let part = |done: usize| done as f64 / count as f64;
        let phase = Phase::new(watch, part(found.node.len()), part(found.node.len() + 1));
        let paths = shortest_paths(csr, next, lengths, &phase)?;
        nearest.iter_mut().zip(&paths.distance).for_each(|(nearest, distance)| *nearest = nearest.min(*distance));
        found.node.push(next as u32);
        found.distance.push(paths.distance);
    }
    watch.progress(1.0)?;
    Ok(found)
}

impl Landmarks {
    /// An upper bound on the distance of two nodes: the shortest way over a landmark, never below the true distance (but
    /// for the rounding of sums of lengths that are not whole). +inf when no landmark reaches both.
    #[must_use]
    pub fn estimate(&self, a: usize, b: usize) -> f64 {
        if a == b {
            return 0.0;
        }
        self.distance.iter().map(|row| row[a] + row[b]).fold(f64::INFINITY, f64::min)
    }

    /// A lower bound on the distance of two nodes, by the triangle inequality; +inf when a landmark reaches one of them
    /// alone, for then no path leads from one to the other.
    #[must_use]
    pub fn at_least(&self, a: usize, b: usize) -> f64 {
        let rows = self.distance.iter().filter(|row| row[a].is_finite() || row[b].is_finite());
        rows.map(|row| (row[a] - row[b]).abs()).fold(0.0, f64::max)
    }
}
