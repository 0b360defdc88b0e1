#![allow(clippy::needless_range_loop, reason = "nodes and axes are named by their numbers")]

use super::*;
use crate::graph::NodeIndex;

fn ground(node_count: u32, edges: &[(u32, u32)], directed: bool, flat: bool) -> Ground {
    let csr = Csr::new(node_count as usize, edges.iter().map(|(from, to)| (NodeIndex(*from), NodeIndex(*to), 1.0)));
    let directed = if directed { edges.to_vec() } else { Vec::new() };
    let position = (0..node_count).map(|node| {
        let [x, y, z] = [0.31f32, 0.71, 0.17].map(|step| ((node + 1) as f32 * step).fract() * 800.0);
        [x, y, if flat { 0.0 } else { z }]
    });
    Ground { csr, directed, length: 80.0, flat, bound: 20_000.0, position: position.collect() }
}

fn grid(side: u32) -> Vec<(u32, u32)> {
    let at = |x: u32, y: u32| y * side + x;
    let cells = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    cells
        .flat_map(|(x, y)| {
            [(x + 1 < side).then(|| (at(x, y), at(x + 1, y))), (y + 1 < side).then(|| (at(x, y), at(x, y + 1)))]
        })
        .flatten()
        .collect()
}

fn distance(left: [f32; 3], right: [f32; 3]) -> f32 {
    minus(left, right).iter().map(|axis| axis * axis).sum::<f32>().sqrt()
}

const MODES: [Mode; 5] = [Mode::Hierarchical, Mode::Radial, Mode::Spectral, Mode::Clustered, Mode::Stress];

#[test]
fn every_mode_gives_every_node_a_finite_place_inside_the_bounds_and_twice_the_same() {
    let mut star: Vec<(u32, u32)> = (1..2_000).map(|leaf| (0, leaf)).collect();
    star.extend([(2_000, 2_001), (2_002, 2_002), (2_004, 2_005), (2_005, 2_006), (2_006, 2_004)]);
    for (nodes, edges) in [(0, vec![]), (1, vec![]), (5, vec![]), (2, vec![(0, 1)]), (2_010, star), (900, grid(30))] {
        for mode in MODES {
            for (directed, flat) in [(false, false), (false, true), (true, false), (true, true)] {
                let ground = ground(nodes, &edges, directed, flat);
                let found = places(mode, &ground).unwrap();
                assert_eq!(found.len(), nodes as usize);
                assert!(found.iter().flatten().all(|axis| axis.abs() <= 0.9 * ground.bound + 1.0), "{mode:?} {nodes}");
                assert!(!flat || found.iter().all(|place| place[2] == 0.0), "{mode:?}");
                assert_eq!(places(mode, &ground).unwrap(), found, "{mode:?}");
            }
        }
    }
    assert_eq!(places(Mode::ForceDirected, &ground(3, &[(0, 1)], false, false)), None);
}

#[test]
fn levels_are_longest_ways_and_cycles_are_cut() {
    assert_eq!(levels(6, &[(0, 1), (1, 2), (0, 2), (2, 3), (5, 3)]), [0, 1, 2, 3, NO_LEVEL, 0]);
    // 1 -> 2 -> 3 -> 1 with a way in: the edge back counts for nothing.
    assert_eq!(levels(4, &[(0, 1), (1, 2), (2, 3), (3, 1)]), [0, 1, 2, 3]);
    // A cycle without a way in begins at its first node.
    assert_eq!(levels(3, &[(1, 2), (2, 0), (0, 1)]), [0, 1, 2]);
    assert_eq!(levels(2, &[(0, 0), (0, 9)]), [NO_LEVEL, NO_LEVEL]);
    let chain: Vec<(u32, u32)> = (0..200_000).map(|node| (node, node + 1)).collect();
    assert_eq!(levels(200_001, &chain).last(), Some(&200_000), "no recursion");
}

#[test]
fn a_hierarchy_has_every_edge_downwards_and_parents_above_their_children() {
    let tree: Vec<(u32, u32)> = (1..63).map(|node| ((node - 1) / 2, node)).collect();
    for flat in [false, true] {
        let places = places(Mode::Hierarchical, &ground(63, &tree, true, flat)).unwrap();
        for (parent, child) in &tree {
            let drop = places[*parent as usize][1] - places[*child as usize][1];
            assert!((drop - 100.0).abs() < 0.1, "{drop}");
        }
        if flat {
            // A binary tree has a drawing without crossings: children stand in the order of their parents.
            let mut leaves: Vec<usize> = (31..63).collect();
            leaves.sort_by(|left, right| places[*left][0].total_cmp(&places[*right][0]));
            let parents: Vec<f32> = leaves.iter().map(|leaf| places[(leaf - 1) / 2][0]).collect();
            assert!(parents.is_sorted(), "{parents:?}");
        }
    }
}

#[test]
fn rings_are_as_far_out_as_their_nodes_are_from_the_middle() {
    let tree: Vec<(u32, u32)> = (1..127).map(|node| ((node - 1) / 2, node)).collect();
    for flat in [false, true] {
        let places = places(Mode::Radial, &ground(127, &tree, false, flat)).unwrap();
        let depth = |node: usize| (node + 1).ilog2();
        for node in 1..127 {
            let (own, parent) = (distance(places[node], places[0]), distance(places[(node - 1) / 2], places[0]));
            assert!(own >= parent + 79.9, "node {node} of ring {}: {own} {parent}", depth(node));
        }
        // Siblings stand together: nearer to each other than to the other side.
        assert!(distance(places[63], places[64]) < 0.4 * distance(places[63], places[95]));
    }
}

#[test]
fn spectral_places_unroll_a_path_and_a_grid() {
    let path: Vec<(u32, u32)> = (0..499).map(|node| (node, node + 1)).collect();
    let found = places(Mode::Spectral, &ground(500, &path, false, true)).unwrap();
    let along: Vec<f32> = found.iter().map(|place| place[0]).collect();
    assert!(along.is_sorted() || along.iter().rev().is_sorted(), "the slowest vibration of a path runs along it");
    let side = 24;
    let found = places(Mode::Spectral, &ground(side * side, &grid(side), false, true)).unwrap();
    // The two slowest are as slow as the exact ones, cos(pi x) and cos(pi y): Rayleigh's quotient, less than 3 % above.
    let edges = grid(side);
    let csr = ground(side * side, &edges, false, true).csr;
    for axis in 0..2 {
        let at = |node: u32| f64::from(found[node as usize][axis]);
        let degree = |node: u32| csr.row(node as usize).count() as f64;
        let mean = (0..side * side).map(|node| at(node) * degree(node)).sum::<f64>() / (2 * edges.len()) as f64;
        let rise: f64 = edges.iter().map(|(left, right)| (at(*left) - at(*right)).powi(2)).sum();
        let size: f64 = (0..side * side).map(|node| (at(node) - mean).powi(2) * degree(node)).sum();
        let exact = {
            let cosine = |node: u32| (std::f64::consts::PI * (f64::from(node % side) + 0.5) / f64::from(side)).cos();
            let mean = (0..side * side).map(|node| cosine(node) * degree(node)).sum::<f64>() / (2 * edges.len()) as f64;
            let rise: f64 = edges.iter().map(|(left, right)| (cosine(*left) - cosine(*right)).powi(2)).sum();
            rise / (0..side * side).map(|node| (cosine(node) - mean).powi(2) * degree(node)).sum::<f64>()
        };
        assert!(rise / size < 1.03 * exact, "axis {axis}: {} against {exact}", rise / size);
    }
}

#[test]
fn communities_do_not_overlap_and_hold_together() {
    // Eight cliques of twelve in a ring.
    let mut edges = Vec::new();
    for clique in 0..8u32 {
        for left in 0..12 {
            edges.extend((left + 1..12).map(|right| (clique * 12 + left, clique * 12 + right)));
        }
        edges.push((clique * 12, (clique * 12 + 17) % 96));
    }
    for flat in [false, true] {
        let found = places(Mode::Clustered, &ground(96, &edges, false, flat)).unwrap();
        let centre = |clique: usize| {
            let members = found[clique * 12..clique * 12 + 12].iter();
            times(members.fold([0.0; 3], |total, place| sum(total, *place)), 1.0 / 12.0)
        };
        for (node, place) in found.iter().enumerate() {
            for other in 0..96 {
                assert!(node == other || distance(*place, found[other]) > 20.0, "{node} {other}");
            }
            let own = distance(*place, centre(node / 12));
            for clique in (0..8).filter(|clique| *clique != node / 12) {
                assert!(own < 0.7 * distance(*place, centre(clique)), "node {node}, community {clique}");
            }
        }
    }
}

#[test]
fn packed_boxes_do_not_overlap() {
    let sizes: Vec<[f32; 3]> = (0..200u32)
        .map(|turn| [1.0 + (turn * 37 % 19) as f32, 1.0 + (turn * 53 % 7) as f32, 1.0 + (turn * 11 % 13) as f32])
        .collect();
    for packing in [Packing::Plane, Packing::Floor, Packing::Space] {
        let centres = pack(&sizes, packing);
        for left in 0..200 {
            for right in 0..left {
                let room = (0..3).map(|axis| {
                    (centres[left][axis] - centres[right][axis]).abs() - 0.5 * (sizes[left][axis] + sizes[right][axis])
                });
                assert!(room.fold(f32::NEG_INFINITY, f32::max) > -1e-3, "{packing:?} {left} {right}");
            }
        }
    }
}
