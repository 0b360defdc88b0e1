//! PageRank by power iteration.
#![allow(clippy::indexing_slicing, reason = "every index is a node of the graph")]

use super::error::in_range;
use super::watch::{Pace, Phase};
use super::{AnalyticsError, Watch};
use crate::graph::Csr;

/// How ranks are computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageRankOptions {
    /// Part of a node's rank that goes to its neighbours, 0 to 0.999; the rest is dealt to all nodes alike.
    pub damping: f64,
    /// Sum of all changes of one iteration at which it ends, 1e-12 to 1.
    pub tolerance: f64,
    /// Iterations at most, 1 to 10,000.
    pub iterations_max: usize,
    /// A neighbour's part goes by the edge's weight; else every edge counts alike.
    pub weighted: bool,
}

impl Default for PageRankOptions {
    fn default() -> Self {
        Self { damping: 0.85, tolerance: 1e-6, iterations_max: 100, weighted: true }
    }
}

/// Ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRank {
    /// `[node_count]`, above 0, sum 1.
    pub rank: Vec<f64>,
    /// Iterations done.
    pub iterations: usize,
    /// Sum of all changes of the last one.
    pub change: f64,
    /// Whether that is within the tolerance.
    pub converged: bool,
}

/// Ranks of all nodes; every edge leads both ways. A node without edges (or whose edges all weigh 0) deals its rank to
/// all nodes alike. O(iterations * (nodes + edges)). Source: Brin and Page 1998.
///
/// # Errors
/// [`AnalyticsError::Range`], [`AnalyticsError::Stopped`].
pub fn pagerank(csr: &Csr, options: &PageRankOptions, watch: &dyn Watch) -> Result<PageRank, AnalyticsError> {
    in_range("damping", options.damping, 0.0, 0.999)?;
    in_range("tolerance", options.tolerance, 1e-12, 1.0)?;
    in_range("iterations_max", options.iterations_max as f64, 1.0, 10_000.0)?;
    let nodes = csr.node_count();
    let mut result =
        PageRank { rank: vec![1.0 / nodes.max(1) as f64; nodes], iterations: 0, change: 0.0, converged: nodes == 0 };
    let worth = |weight: f32| match options.weighted {
        true if weight > 0.0 && weight.is_finite() => f64::from(weight),
        true => 0.0,
        false => 1.0,
    };
    let start = Phase::new(watch, 0.0, 0.0);
    let mut strength: Vec<f64> = Vec::with_capacity(nodes);
    let mut pace = Pace::new(&start);
    for node in 0..nodes {
        pace.spend(1 + csr.degree(node), node, nodes)?;
        strength.push(csr.row(node).map(|(_, weight)| worth(weight)).sum());
    }
    // What a node gives for each unit of weight.
    let mut share = vec![0.0; nodes];
    let mut next = vec![0.0; nodes];
    while !result.converged && result.iterations < options.iterations_max {
        let (from, total) = (result.iterations as f64, options.iterations_max as f64);
        let phase = Phase::new(watch, from / total, (from + 1.0) / total);
        let mut dangling = 0.0;
        for node in 0..nodes {
            share[node] = match strength[node] > 0.0 {
                true => result.rank[node] / strength[node],
                false => {
                    dangling += result.rank[node];
                    0.0
                }
            };
        }
        let ground = (1.0 - options.damping + options.damping * dangling) / nodes as f64;
        // Gathered over the rows, which are symmetric, so the order of additions is fixed.
        let mut pace = Pace::new(&phase);
        for (node, rank) in next.iter_mut().enumerate() {
            pace.spend(1 + csr.degree(node), node, nodes)?;
            let taken: f64 = csr.row(node).map(|(from, weight)| worth(weight) * share[from as usize]).sum();
            *rank = ground + options.damping * taken;
        }
        // Rounding lets the sum drift by an ulp or so an iteration.
        let sum: f64 = next.iter().sum();
        next.iter_mut().for_each(|rank| *rank /= sum);
        result.change = next.iter().zip(&result.rank).map(|(new, old)| (new - old).abs()).sum();
        std::mem::swap(&mut result.rank, &mut next);
        result.iterations += 1;
        result.converged = result.change <= options.tolerance;
    }
    watch.progress(1.0)?;
    Ok(result)
}
