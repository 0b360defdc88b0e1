//! Goal: a layout of many steps is as good on a device as on the CPU: positions part, as every rounding grows, and what they are worth
//! does not.
//! Method: 500 steps of both from one start; stress with optimal scaling over all pairs, and mean edge length.

use std::collections::VecDeque;

use super::*;

/// A square mesh and a tree beside it.
fn mesh_and_tree(side: u32) -> Topology {
    let mesh = side * side;
    let across = (0..mesh).filter(move |node| node % side + 1 < side).map(|node| (node, node + 1));
    let down = (0..mesh - side).map(|node| (node, node + side));
    let tree = (1..60).map(|node| (mesh + (node - 1) / 3, mesh + node));
    let edges: Vec<_> = across.chain(down).chain(tree).collect();
    let nodes = (mesh + 60) as usize;
    let csr = Csr::new(nodes, edges.iter().map(|(from, to)| (NodeIndex(*from), NodeIndex(*to), 1.0)));
    Topology { csr, start: vec![None; nodes], pinned: vec![false; nodes] }
}

fn hops(topology: &Topology, from: usize) -> Vec<Option<u32>> {
    let mut hops = vec![None; topology.csr.node_count()];
    let mut next = VecDeque::from([(from, 0)]);
    hops[from] = Some(0);
    while let Some((node, far)) = next.pop_front() {
        for (other, _) in topology.csr.row(node) {
            if hops[other as usize].is_none() {
                hops[other as usize] = Some(far + 1);
                next.push_back((other as usize, far + 1));
            }
        }
    }
    hops
}

/// Stress and mean edge length.
fn worth(topology: &Topology, records: &[NodeRecord]) -> (f64, f64) {
    let at: Vec<[f64; 3]> = records.iter().map(|record| record.position().map(f64::from)).collect();
    let apart = |a: usize, b: usize| (0..3).map(|axis| (at[a][axis] - at[b][axis]).powi(2)).sum::<f64>().sqrt();
    let mut pairs = Vec::new();
    for node in 0..at.len() {
        let reached = hops(topology, node).into_iter().enumerate().skip(node + 1);
        pairs.extend(reached.filter_map(|(other, hops)| Some((apart(node, other), f64::from(hops?)))));
    }
    let (near, far) = pairs.iter().fold((0.0, 0.0), |(near, far), (x, d)| (near + x / d, far + (x / d).powi(2)));
    let scale = near / far;
    let stress = pairs.iter().map(|(x, d)| ((scale * x - d) / d).powi(2)).sum::<f64>() / pairs.len() as f64;
    let edges: Vec<f64> = pairs.iter().filter(|(_, d)| *d == 1.0).map(|(x, _)| *x).collect();
    (stress, edges.iter().sum::<f64>() / edges.len() as f64)
}

#[test]
fn five_hundred_steps_are_worth_what_those_of_the_cpu_are() {
    let topology = mesh_and_tree(12);
    let nodes = topology.csr.node_count();
    for dimensions in [Dimensions::Two, Dimensions::Three] {
        for tree in [false, true] {
            let params = SimParams { dimensions, ..SimParams::default() };
            let mut wanted = cpu(params, &topology);
            let (mut found, _) = cuda(params, &topology, tree, false);
            let first = records(&wanted, nodes);
            for _ in 0..500 {
                wanted.step();
                found.step();
            }
            found.finish().unwrap();
            let [(start, _), (wanted, wanted_edge), (found, found_edge)] =
                [first, records(&wanted, nodes), records(&found, nodes)].map(|records| worth(&topology, &records));
            assert!((found / wanted - 1.0).abs() < 0.02, "{dimensions:?} tree {tree}: stress {found} {wanted}");
            let edge = found_edge / wanted_edge - 1.0;
            assert!(edge.abs() < 0.02, "{dimensions:?} tree {tree}: edges {found_edge} {wanted_edge}");
            assert!(start > 0.0 && (wanted / start - 1.0).abs() > 0.02, "it went on from its start: {start} {wanted}");
        }
    }
}
