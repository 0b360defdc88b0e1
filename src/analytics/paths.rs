//! Shortest paths from one node, with the tree they form.
#![allow(clippy::indexing_slicing, reason = "every index is a node of the graph, or lies in its rows")]

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use super::watch::Pace;
use super::{AnalyticsError, Watch};
use crate::base::effort;
use crate::graph::Csr;

/// The parent of a node that has none: the source, and every node that is not reached.
pub const NO_PARENT: u32 = u32::MAX;

/// Comparisons that putting an entry into the heap, or taking one out, comes to.
const HEAP_WORK: usize = 24;

/// What an edge measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lengths {
    /// Every edge is 1 long.
    #[default]
    Hops,
    /// As long as its weight, for weights that are distances. 0 is a length.
    Weights,
    /// 1 / weight, for weights that are strengths. An edge of weight 0 cannot be walked.
    Inverse,
}

impl Lengths {
    /// Length of an edge of `weight`; `None` when it cannot be walked. A weight that is negative or no number is none.
    #[must_use]
    pub fn of(self, weight: f32) -> Option<f64> {
        let weight = f64::from(weight);
        match self {
            Self::Hops => Some(1.0),
            Self::Weights => (weight >= 0.0 && weight.is_finite()).then_some(weight),
            Self::Inverse => (weight > 0.0 && weight.is_finite()).then(|| 1.0 / weight),
        }
    }
}

/// Distances from one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// Index of the source.
    pub source: u32,
    /// `[node_count]`, in units of the lengths; +inf where no path leads.
    pub distance: Vec<f64>,
    /// `[node_count]`, the index of the node before on a shortest path, or [`NO_PARENT`]. Of several such nodes the one
    /// nearest to the source, then the one with the lowest index; with hops the first that breadth-first search meets.
    pub parent: Vec<u32>,
    /// Nodes reached, the source among them.
    pub reached: usize,
}

impl Paths {
    /// Largest finite distance.
    #[must_use]
    pub fn eccentricity(&self) -> f64 {
        self.distance.iter().copied().filter(|distance| distance.is_finite()).fold(0.0, f64::max)
    }
}

/// Distances and parents from `source`, over edges taken in both directions.
///
/// Breadth-first search for hops, O(nodes + edges); else Dijkstra with a binary heap, O((nodes + edges) log nodes).
/// Sums are f64, added along the path from the source.
///
/// # Errors
/// [`AnalyticsError::Node`] when there is no such source; [`AnalyticsError::Stopped`].
pub fn shortest_paths(csr: &Csr, source: usize, lengths: Lengths, watch: &dyn Watch) -> Result<Paths, AnalyticsError> {
    let nodes = csr.node_count();
    if source >= nodes {
        return Err(AnalyticsError::Node { node: source, nodes });
    }
    let mut paths = Paths {
        source: source as u32,
        distance: vec![f64::INFINITY; nodes],
        parent: vec![NO_PARENT; nodes],
        reached: 0,
    };
    paths.distance[source] = 0.0;
    match lengths {
        Lengths::Hops => breadth_first(csr, &mut paths, watch)?,
        Lengths::Weights | Lengths::Inverse => dijkstra(csr, lengths, &mut paths, watch)?,
    }
    watch.progress(1.0)?;
    Ok(paths)
}

fn breadth_first(csr: &Csr, paths: &mut Paths, watch: &dyn Watch) -> Result<(), AnalyticsError> {
    let (mut queue, mut pace) = (VecDeque::from([paths.source]), Pace::new(watch));
    while let Some(node) = queue.pop_front() {
        pace.spend(1 + csr.degree(node as usize), paths.reached, csr.node_count())?;
        paths.reached += 1;
        let next = paths.distance[node as usize] + 1.0;
        for (neighbour, _) in csr.row(node as usize) {
            if paths.distance[neighbour as usize].is_infinite() {
                paths.distance[neighbour as usize] = next;
                paths.parent[neighbour as usize] = node;
                queue.push_back(neighbour);
            }
        }
    }
    Ok(())
}

/// Heap entry; the smallest distance, then the lowest index, is the greatest.
#[derive(PartialEq)]
struct Reach {
    distance: f64,
    node: u32,
}

impl Eq for Reach {}

impl Ord for Reach {
    fn cmp(&self, other: &Self) -> Ordering {
        effort::spend(1);
        other.distance.total_cmp(&self.distance).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Reach {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A node's parent is settled before it, so parents never form a circle, not even over edges of length 0.
fn dijkstra(csr: &Csr, lengths: Lengths, paths: &mut Paths, watch: &dyn Watch) -> Result<(), AnalyticsError> {
    let mut settled = vec![false; csr.node_count()];
    let mut heap = BinaryHeap::from([Reach { distance: 0.0, node: paths.source }]);
    let mut pace = Pace::new(watch);
    while let Some(Reach { distance, node }) = heap.pop() {
        let at = node as usize;
        // Also where a shorter way was found meanwhile: there may be as many of those as there are edges.
        pace.spend(HEAP_WORK, paths.reached, csr.node_count())?;
        if std::mem::replace(&mut settled[at], true) {
            continue;
        }
        pace.spend(csr.degree(at), paths.reached, csr.node_count())?;
        paths.reached += 1;
        for (neighbour, weight) in csr.row(at) {
            let Some(length) = lengths.of(weight) else { continue };
            let (next, to) = (distance + length, neighbour as usize);
            if next < paths.distance[to] {
                // Of a node that all are joined to each may go through the whole heap.
                pace.spend(HEAP_WORK, paths.reached, csr.node_count())?;
                paths.distance[to] = next;
                paths.parent[to] = node;
                heap.push(Reach { distance: next, node: neighbour });
            }
        }
    }
    Ok(())
}
