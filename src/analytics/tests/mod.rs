//! Against petgraph, against golden values of networkx, igraph, scikit-learn and scipy, and on degenerate input.

mod cancel;
mod degenerate;
mod golden;
mod oracle;

use super::random::Random;
use crate::graph::{Csr, NodeIndex};

fn csr(nodes: usize, edges: &[(u32, u32, f32)]) -> Csr {
    Csr::new(nodes, edges.iter().map(|(a, b, weight)| (NodeIndex(*a), NodeIndex(*b), *weight)))
}

/// A graph of up to `nodes_max` nodes from nearly empty to dense, with loops, parallel edges and weights of 0.
fn random_edges(seed: u64, nodes_max: usize) -> (usize, Vec<(u32, u32, f32)>) {
    let mut random = Random::new(seed);
    let nodes = 1 + random.below(nodes_max);
    let density = 1 + random.below(4);
    let edges = random.below(nodes * density + 1);
    let edge = |random: &mut Random| {
        let weight = if random.below(10) == 0 { 0.0 } else { (random.unit() * 10.0) as f32 };
        (random.below(nodes) as u32, random.below(nodes) as u32, weight)
    };
    (nodes, (0..edges).map(|_| edge(&mut random)).collect())
}

fn random_points(seed: u64, count: usize, side: f64) -> Vec<[f32; 3]> {
    let mut random = Random::new(seed);
    (0..count).map(|_| [(); 3].map(|()| ((random.unit() - 0.5) * side) as f32)).collect()
}

/// A grid of `side` times `side` nodes.
fn grid(side: u32) -> Csr {
    let mut edges = Vec::new();
    for node in 0..side * side {
        if node % side + 1 < side {
            edges.push((node, node + 1, 1.0));
        }
        if node / side + 1 < side {
            edges.push((node, node + side, 1.0));
        }
    }
    csr((side * side) as usize, &edges)
}
