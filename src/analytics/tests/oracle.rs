//! A thousand random graphs: the answers of petgraph, or of the definition itself.

use petgraph::algo::dijkstra;
use petgraph::graph::{NodeIndex as PetIndex, UnGraph};
use petgraph::unionfind::UnionFind;

use super::super::*;
use super::{csr, grid, random_edges, random_points};

const GRAPHS: u64 = 1_000;

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

#[test]
fn distances_equal_dijkstra_and_parents_form_a_shortest_path_tree() {
    let mut unreached = 0;
    for seed in 0..GRAPHS {
        let (nodes, edges) = random_edges(seed, 60);
        let graph = csr(nodes, &edges);
        for lengths in [Lengths::Hops, Lengths::Weights, Lengths::Inverse] {
            let mut other = UnGraph::<(), f64>::new_undirected();
            (0..nodes).for_each(|_| {
                other.add_node(());
            });
            for (a, b, weight) in edges.iter().filter(|(a, b, _)| a != b) {
                if let Some(length) = lengths.of(*weight) {
                    other.add_edge(PetIndex::new(*a as usize), PetIndex::new(*b as usize), length);
                }
            }
            let source = seed as usize % nodes;
            let expected = dijkstra(&other, PetIndex::new(source), None, |edge| *edge.weight());
            let paths = shortest_paths(&graph, source, lengths, &Unwatched).unwrap();
            assert_eq!(paths.reached, expected.len());
            for node in 0..nodes {
                let (distance, parent) = (paths.distance[node], paths.parent[node]);
                match expected.get(&PetIndex::new(node)) {
                    Some(expected) => {
                        assert!(near(distance, *expected), "seed {seed} {lengths:?}: {distance} {expected}")
                    }
                    None => {
                        unreached += 1;
                        assert!(distance.is_infinite() && parent == NO_PARENT);
                    }
                }
                if distance.is_finite() && node != source {
                    let best = graph.row(node).filter(|(other, _)| *other == parent);
                    let best = best.filter_map(|(_, weight)| lengths.of(weight)).fold(f64::INFINITY, f64::min);
                    assert_eq!(paths.distance[parent as usize] + best, distance, "an edge of the tree is tight");
                    let mut at = node;
                    let steps = std::iter::from_fn(|| {
                        at = paths.parent[at] as usize;
                        (at != source).then_some(())
                    });
                    assert!(steps.take(nodes).count() < nodes, "parents lead to the source");
                }
            }
            assert_eq!((paths.distance[source], paths.parent[source]), (0.0, NO_PARENT));
        }
    }
    assert!(unreached > 1_000, "many graphs hang apart: {unreached}");
}

#[test]
fn components_equal_union_find() {
    for seed in 0..GRAPHS {
        let (nodes, edges) = random_edges(seed ^ 0xABCD, 80);
        let mut union = UnionFind::new(nodes);
        edges.iter().for_each(|(a, b, _)| {
            union.union(*a as usize, *b as usize);
        });
        let mut order = Vec::new();
        let mut expected = Vec::new();
        for node in 0..nodes {
            let root = union.find(node);
            let place = order.iter().position(|other| *other == root).unwrap_or_else(|| {
                order.push(root);
                order.len() - 1
            });
            expected.push(place as u32);
        }
        let found = connected_components(&csr(nodes, &edges), &Unwatched).unwrap();
        assert_eq!(found.component, expected);
        assert_eq!(found.size.iter().sum::<u32>() as usize, nodes);
        assert_eq!(found.size.len(), order.len());
    }
}

#[test]
fn ranks_sum_to_one_and_solve_the_equation() {
    let mut isolated = 0;
    for seed in 0..GRAPHS {
        let (nodes, edges) = random_edges(seed ^ 0x77, 60);
        let graph = csr(nodes, &edges);
        for weighted in [false, true] {
            let options = PageRankOptions { weighted, ..PageRankOptions::default() };
            let found = pagerank(&graph, &options, &Unwatched).unwrap();
            assert!((found.rank.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(found.converged && found.iterations <= 100 && found.change <= 1e-6);
            // One application of the definition, from the sender's side, moves it by no more than the tolerance.
            let worth = |weight: f32| if weighted { f64::from(weight) } else { 1.0 };
            let mut next = vec![0.0; nodes];
            for node in 0..nodes {
                let sum: f64 = graph.row(node).map(|(_, weight)| worth(weight)).sum();
                if sum > 0.0 {
                    graph
                        .row(node)
                        .for_each(|(to, weight)| next[to as usize] += found.rank[node] * worth(weight) / sum);
                } else {
                    isolated += 1;
                    next.iter_mut().for_each(|rank| *rank += found.rank[node] / nodes as f64);
                }
            }
            let change: f64 =
                (0..nodes).map(|node| (0.15 / nodes as f64 + 0.85 * next[node] - found.rank[node]).abs()).sum();
            assert!(change <= 1e-6, "seed {seed}: {change}");
        }
    }
    assert!(isolated > 500, "many nodes lead nowhere: {isolated}");
}

#[test]
fn landmark_estimates_hold_the_true_distance_between_them() {
    for seed in 0..200 {
        let (nodes, edges) = random_edges(seed ^ 0x1234, 60);
        let graph = csr(nodes, &edges);
        for lengths in [Lengths::Hops, Lengths::Weights, Lengths::Inverse] {
            let marks = landmarks(&graph, 1 + seed as usize % 8, lengths, &Unwatched).unwrap();
            for from in 0..nodes {
                let exact = shortest_paths(&graph, from, lengths, &Unwatched).unwrap();
                for to in 0..nodes {
                    let (low, high, true_distance) =
                        (marks.at_least(from, to), marks.estimate(from, to), exact.distance[to]);
                    let slack = if lengths == Lengths::Hops { 0.0 } else { 1e-9 * (1.0 + true_distance.min(1e9)) };
                    assert!(high >= true_distance - slack, "seed {seed}: {high} below {true_distance}");
                    assert!(low <= true_distance + slack, "seed {seed}: {low} above {true_distance}");
                }
            }
            for (row, node) in marks.node.iter().enumerate() {
                assert!(
                    marks.distance[row]
                        .iter()
                        .enumerate()
                        .all(|(to, exact)| near(marks.estimate(*node as usize, to).max(0.0), *exact)
                            || !exact.is_finite())
                );
            }
        }
    }
}

#[test]
fn communities_are_connected_and_no_single_move_gains() {
    for seed in 0..300 {
        let (nodes, edges) = random_edges(seed ^ 0x55, 80);
        let graph = csr(nodes, &edges);
        let found =
            leiden(&graph, &LeidenOptions { seed, iterations_max: 100, ..LeidenOptions::default() }, &Unwatched)
                .unwrap();
        let Some(quality) = found.modularity else { continue };
        assert!(found.converged);
        let inside: Vec<_> = edges
            .iter()
            .filter(|(a, b, weight)| *weight > 0.0 && found.community[*a as usize] == found.community[*b as usize])
            .copied()
            .collect();
        let parts = connected_components(&csr(nodes, &inside), &Unwatched).unwrap();
        assert_eq!(parts.size.len(), found.size.len(), "seed {seed}: communities hang together");
        assert!(found.size.is_sorted_by(|a, b| a >= b));
        for node in 0..nodes {
            for label in 0..found.size.len() as u32 {
                let mut moved = found.community.clone();
                moved[node] = label;
                let other = modularity(&graph, &moved).unwrap();
                assert!(other <= quality + 1e-5, "seed {seed}: node {node} to {label} gains {}", other - quality);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (nodes, edges) = random_edges(99, 3_000);
    let graph = csr(nodes, &edges);
    let points = random_points(7, nodes, 100.0);
    let twice = |run: &dyn Fn() -> String| assert_eq!(run(), run());
    twice(&|| format!("{:?}", leiden(&graph, &LeidenOptions::default(), &Unwatched)));
    twice(&|| format!("{:?}", label_propagation(&graph, &LabelOptions::default(), &Unwatched)));
    twice(&|| format!("{:?}", kmeans(&points, &KMeansOptions::default(), &Unwatched)));
    twice(&|| format!("{:?}", majorise(&graph, &points, &StressOptions::default(), &Unwatched)));
    let other = KMeansOptions { seed: 43, ..KMeansOptions::default() };
    assert_ne!(kmeans(&points, &KMeansOptions::default(), &Unwatched), kmeans(&points, &other, &Unwatched));
}

#[test]
fn stress_never_rises_and_counts_graph_distances() {
    for seed in 0..60 {
        let (nodes, edges) = random_edges(seed ^ 0x99, 120);
        let graph = csr(nodes, &edges);
        let points = random_points(seed, nodes, if seed % 7 == 0 { 0.0 } else { 300.0 });
        for (lengths, pivots) in
            [(Lengths::Hops, 5), (Lengths::Hops, 2_000), (Lengths::Weights, 10), (Lengths::Inverse, 10)]
        {
            let options = StressOptions { lengths, pivots, iterations_max: 40, ..StressOptions::default() };
            let found = majorise(&graph, &points, &options, &Unwatched).unwrap();
            assert_eq!(found.stress.len(), found.iterations + 1);
            for pair in found.stress.windows(2) {
                assert!(pair[1] <= pair[0], "seed {seed} {lengths:?} {pivots}: {pair:?}");
            }
            assert!(found.position.iter().flatten().all(|axis| axis.is_finite()));
        }
    }
    // A path whose index order is not its order along the path: index distance as target would fold it.
    let order: Vec<u32> = (0..40).map(|step| step * 17 % 40).collect();
    let edges: Vec<_> = order.windows(2).map(|pair| (pair[0], pair[1], 1.0)).collect();
    let options =
        StressOptions { pivots: 40, unit: 10.0, iterations_max: 10_000, tolerance: 1e-9, ..StressOptions::default() };
    let found = majorise(&csr(40, &edges), &random_points(3, 40, 400.0), &options, &Unwatched).unwrap();
    let ends = [order[0], order[39]].map(|node| found.position[node as usize].map(f64::from));
    let length = spatial::squared(ends[0], ends[1]).sqrt();
    assert!((length - 390.0).abs() < 4.0, "39 edges of 10 units: {length}");
    assert!(*found.stress.last().unwrap() < 1e-4, "{:?}", found.stress.last());
}

#[test]
fn few_pivots_do_nearly_what_all_pairs_do() {
    let graph = grid(20);
    let flat: Vec<[f32; 3]> = random_points(5, 400, 200.0).iter().map(|point| [point[0], point[1], 0.0]).collect();
    let options = |pivots| StressOptions {
        pivots,
        unit: 10.0,
        iterations_max: 1_000,
        tolerance: 1e-6,
        ..StressOptions::default()
    };
    let full = majorise(&graph, &flat, &options(400), &Unwatched).unwrap();
    let sparse = majorise(&graph, &flat, &options(50), &Unwatched).unwrap();
    assert!(sparse.position.iter().all(|point| point[2] == 0.0), "a flat layout stays flat");
    // Both layouts by the measure of all pairs: one iteration from each reports the stress of its start.
    let judge = |points: &[[f32; 3]]| {
        let one = StressOptions { iterations_max: 1, ..options(400) };
        majorise(&graph, points, &one, &Unwatched).unwrap().stress[0]
    };
    let (full, sparse) = (judge(&full.position), judge(&sparse.position));
    assert!(sparse <= 1.1 * full, "{sparse} against {full}");
}
