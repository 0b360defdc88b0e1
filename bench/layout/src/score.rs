//! How good a layout is, in four numbers that do not depend on its size, place or turning.
//!
//! - **stress**: how far distances on paper are from distances in the graph, 0 is perfect. Over pairs of nodes of one
//!   component, the mean of ((s * x - d) / d)^2, where x is the distance of the pair in the layout, d its hops and s the
//!   scale that makes the sum least (scale-normalised stress: Smelser, Miller and Kobourov, BELIV 2024).
//! - **np1, np2**: how well neighbourhoods are kept, 1 is perfect. For every node that has a neighbour, let G be the
//!   nodes within 1 or 2 hops, itself left out, and L as many of the nodes nearest to it in the layout; the mean of
//!   |G and L| / |G or L|, as t-FDP (Zhong et al., TVCG 2023) has it, so that published figures can be compared.
//! - **edge spread**: standard deviation of the edge lengths over their mean; 0 is all alike.

#![allow(clippy::indexing_slicing, reason = "marks and counts are pairs, indexed by hops less one")]

mod nearest;
mod stress;

use serde::Serialize;
use swarmcast::graph::Csr;

use crate::graph::Network;
use crate::points::{Points, distance};
use crate::random::Random;
use nearest::Nearest;

/// The four numbers, and what they were measured on. NaN stands for "nothing to measure".
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Axes of the layout.
    pub dimensions: usize,
    /// 0 and up.
    pub stress: f64,
    /// Nodes from which distances were taken to all others; every node where there are few.
    pub stress_sources: usize,
    /// 0 to 1, within one hop.
    pub np1: f64,
    /// 0 to 1, within two hops.
    pub np2: f64,
    /// Nodes whose neighbourhoods were looked at.
    pub np_nodes: usize,
    /// Standard deviation over mean of the edge lengths.
    pub edge_spread: f64,
    /// In the layout's own units.
    pub edge_mean: f64,
}

/// Nodes up to which all neighbourhoods are looked at.
const NP_ALL_NODES_MAX: usize = 20_000;

/// Neighbourhoods looked at in a larger graph: the standard error of a mean of numbers from 0 to 1 is then below .0071.
const NP_SAMPLE: u32 = 5_000;

/// Scores `points` as a layout of `network`. The same arguments give the same numbers.
///
/// Stress is exact while nodes * (nodes + half-edges) is at most 4e8, so up to about 5,000 nodes; then it is from
/// sources drawn by a fixed seed to all nodes. Neighbourhoods are exact up to 20,000 nodes, then a sample of 5,000.
///
/// # Panics
/// When there are not as many points as nodes.
#[must_use]
pub fn score(network: &Network, points: &Points) -> Score {
    assert_eq!(points.at.len(), network.node_count, "every node has a place");
    let rows = network.rows();
    let (stress, stress_sources) = stress::scale_normalised(&rows, &points.at);
    let (np1, np2, np_nodes) = neighbourhoods(&rows, &points.at);
    let (edge_mean, edge_spread) = edge_lengths(network, &points.at);
    Score { dimensions: points.dimensions, stress, stress_sources, np1, np2, np_nodes, edge_spread, edge_mean }
}

/// Means over the nodes looked at of what is kept of one and of two hops, and how many were looked at.
fn neighbourhoods(rows: &Csr, at: &[[f64; 3]]) -> (f64, f64, usize) {
    let nearest = Nearest::new(at);
    let nodes = rows.node_count() as u32;
    let looked_at =
        if at.len() > NP_ALL_NODES_MAX { Random::new(3).sample(nodes, NP_SAMPLE) } else { (0..nodes).collect() };
    let (mut sum1, mut sum2, mut count) = (0.0, 0.0, 0usize);
    // The turn in which a node was last within one, or two, hops.
    let mut marks = vec![[0u32; 2]; at.len()];
    let mut found = Vec::new();
    for (turn, node) in (1..).zip(looked_at) {
        let [one, two] = mark_hops(rows, node, turn, &mut marks);
        if one == 0 {
            continue;
        }
        // The wider of the two searches holds the narrower one.
        nearest.others(node, two, &mut found);
        let marked = |other: &&u32, hops: usize| marks.get(**other as usize).is_some_and(|mark| mark[hops] == turn);
        let hits1 = found.iter().take(one).filter(|other| marked(other, 0)).count();
        let hits2 = found.iter().filter(|other| marked(other, 1)).count();
        sum1 += jaccard(hits1, one);
        sum2 += jaccard(hits2, two);
        count += 1;
    }
    (sum1 / count as f64, sum2 / count as f64, count)
}

/// Of two sets of `size` that share `hits`.
fn jaccard(hits: usize, size: usize) -> f64 {
    hits as f64 / (2 * size - hits) as f64
}

/// Marks the nodes within one and two hops of `node`, itself left out, and counts them.
fn mark_hops(rows: &Csr, node: u32, turn: u32, marks: &mut [[u32; 2]]) -> [usize; 2] {
    let mut counts = [0; 2];
    let mut mark = |other: u32, hops: usize| {
        if let Some(mark) = marks.get_mut(other as usize).filter(|mark| other != node && mark[hops] != turn) {
            mark[hops] = turn;
            counts[hops] += 1;
        }
    };
    for (one, _) in rows.row(node as usize) {
        mark(one, 0);
        mark(one, 1);
        rows.row(one as usize).for_each(|(two, _)| mark(two, 1));
    }
    counts
}

/// Mean, and standard deviation over mean.
fn edge_lengths(network: &Network, at: &[[f64; 3]]) -> (f64, f64) {
    let lengths: Vec<f64> = network.edges.iter().filter_map(|edge| edge_length(*edge, at)).collect();
    let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / lengths.len() as f64;
    (mean, variance.sqrt() / mean)
}

/// `None` when an end is not there.
#[must_use]
pub fn edge_length([left, right]: [u32; 2], at: &[[f64; 3]]) -> Option<f64> {
    Some(distance(*at.get(left as usize)?, *at.get(right as usize)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(at: &[[f64; 2]]) -> Points {
        Points { dimensions: 2, at: at.iter().map(|[x, y]| [*x, *y, 0.0]).collect() }
    }

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} instead of {expected}");
    }

    #[test]
    fn a_path_laid_out_straight_is_perfect_at_any_size() {
        let path = Network::new("", 4, [[0, 1], [1, 2], [2, 3]], Vec::new());
        for step in [1.0, 1e-6, 7e5] {
            let score = score(&path, &flat(&[[0.0, 0.0], [step, 0.0], [2.0 * step, 0.0], [3.0 * step, 0.0]]));
            close(score.stress, 0.0);
            // An end has one neighbour, and that is the nearest. A middle node has two, and both are.
            close(score.np1, 1.0);
            close(score.np2, 1.0);
            close(score.edge_spread, 0.0);
            assert_eq!((score.stress_sources, score.np_nodes), (4, 4));
        }
    }

    #[test]
    fn a_path_bent_to_a_triangle_has_the_stress_worked_out_by_hand() {
        // Hops 1, 1, 2; distances all 1. With x/d = 1, 1, 1/2: sum 2.5, squares 2.25, so 1 - 2.5^2 / (2.25 * 3).
        let path = Network::new("", 3, [[0, 1], [1, 2]], Vec::new());
        let score = score(&path, &flat(&[[0.0, 0.0], [0.5, 0.75f64.sqrt()], [1.0, 0.0]]));
        close(score.stress, 1.0 - 6.25 / 6.75);
        // Two hops are the whole graph.
        close(score.np2, 1.0);
    }

    #[test]
    fn a_path_in_the_wrong_order_keeps_the_neighbours_counted_by_hand() {
        // On a line in the order 0 2 1 3, steps of 1, 1.1, 1.2 so that no two distances tie.
        let path = Network::new("", 4, [[0, 1], [1, 2], [2, 3]], Vec::new());
        let score = score(&path, &flat(&[[0.0, 0.0], [2.1, 0.0], [1.0, 0.0], [3.3, 0.0]]));
        // One hop. 0: {1} against {2}: 0. 1: {0, 2} against {2, 3}: 1/3. 2: {1, 3} against {0, 1}: 1/3. 3: {2}, {1}: 0.
        close(score.np1, (0.0 + 1.0 / 3.0 + 1.0 / 3.0 + 0.0) / 4.0);
        // Two hops. 0: {1, 2} against {2, 1}: 1. 1 and 2: all others. 3: {1, 2} against {1, 2}: 1.
        close(score.np2, 1.0);
        // Lengths 2.1, 1.1, 2.3: mean 5.5/3.
        let mean: f64 = 5.5 / 3.0;
        let variance = ((2.1 - mean).powi(2) + (1.1 - mean).powi(2) + (2.3 - mean).powi(2)) / 3.0;
        close(score.edge_mean, mean);
        close(score.edge_spread, variance.sqrt() / mean);
    }

    #[test]
    fn components_are_not_held_to_a_distance_from_each_other() {
        let pairs = Network::new("", 5, [[0, 1], [2, 3]], Vec::new());
        let score = score(&pairs, &flat(&[[0.0, 0.0], [1.0, 0.0], [500.0, 0.0], [500.0, 1.0], [3.0, 9.0]]));
        close(score.stress, 0.0);
        close(score.np1, 1.0);
        assert_eq!(score.np_nodes, 4, "a node without neighbours has no neighbourhood");
    }

    #[test]
    fn everything_in_one_place_is_as_bad_as_it_gets_and_finite() {
        let path = Network::new("", 3, [[0, 1], [1, 2]], Vec::new());
        close(score(&path, &flat(&[[4.0, 4.0]; 3])).stress, 1.0);
    }

    #[test]
    fn space_counts() {
        let path = Network::new("", 3, [[0, 1], [1, 2]], Vec::new());
        let points = Points { dimensions: 3, at: vec![[0.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 4.0]] };
        close(score(&path, &points).stress, 0.0);
    }
}
