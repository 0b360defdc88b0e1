//! Nothing here panics, answers with something that is no number, or takes for ever: empty graphs, one node, loops only,
//! ten thousand components, everything in one place, a star; and every computation stops when it is told to.

use std::cell::Cell;

use super::super::*;
use super::{csr, random_edges, random_points};
use crate::graph::Csr;
use crate::limits::{ANALYTICS_DENSE_NODES_MAX, ANALYTICS_TABLE_BYTES_MAX};

/// Runs everything there is, by name.
type Run<'a> = Box<dyn Fn(&dyn Watch) -> Result<Vec<f64>, AnalyticsError> + 'a>;

fn everything<'a>(graph: &'a Csr, points: &'a [[f32; 3]]) -> Vec<(&'static str, Run<'a>)> {
    let quality = |found: Partition| found.modularity.into_iter().collect::<Vec<_>>();
    let mut runs: Vec<(&'static str, Run<'a>)> = vec![
        ("components", Box::new(|watch| connected_components(graph, watch).map(|_| Vec::new()))),
        ("pagerank", Box::new(|watch| pagerank(graph, &PageRankOptions::default(), watch).map(|found| found.rank))),
        ("propagation", Box::new(move |watch| label_propagation(graph, &LabelOptions::default(), watch).map(quality))),
        ("leiden", Box::new(move |watch| leiden(graph, &LeidenOptions::default(), watch).map(quality))),
        ("kmeans", Box::new(|watch| kmeans(points, &KMeansOptions::default(), watch).map(|found| vec![found.inertia]))),
        ("dbscan", Box::new(|watch| dbscan(points, &DbscanOptions::default(), watch).map(|_| Vec::new()))),
        ("lof", Box::new(|watch| local_outlier_factor(points, &LofOptions::default(), watch))),
        (
            "stress",
            Box::new(|watch| {
                let options = StressOptions { iterations_max: 5, ..StressOptions::default() };
                majorise(graph, points, &options, watch).map(|found| {
                    found.position.iter().flatten().map(|axis| f64::from(*axis)).chain(found.stress).collect()
                })
            }),
        ),
        ("landmarks", Box::new(|watch| landmarks(graph, 4, Lengths::Inverse, watch).map(|_| Vec::new()))),
    ];
    for (name, kind) in [
        ("degree", Feature::Degree),
        ("strength", Feature::Strength),
        ("distance", Feature::Distance),
        ("edge length", Feature::EdgeLength),
        ("crowd", Feature::Crowd { radius: 150.0 }),
    ] {
        let run = move |watch: &dyn Watch| feature(graph, points, kind, watch).map(|values| z_scores(&values).score);
        runs.push((name, Box::new(run)));
    }
    if graph.node_count() > 0 {
        for (name, lengths) in [("hops", Lengths::Hops), ("lengths", Lengths::Weights), ("inverse", Lengths::Inverse)] {
            let run = move |watch: &dyn Watch| {
                let found = shortest_paths(graph, 0, lengths, watch)?;
                Ok(found.distance.into_iter().filter(|distance| *distance != f64::INFINITY).collect())
            };
            runs.push((name, Box::new(run)));
        }
    }
    runs
}

#[test]
fn odd_graphs_and_places_give_numbers() {
    let pairs: Vec<_> = (0..10_000).map(|pair| (2 * pair, 2 * pair + 1, 1.0)).collect();
    let star: Vec<_> = (1..20_000).map(|leaf| (0, leaf, 1.0)).collect();
    let weightless: Vec<_> = (0..50).map(|node| (node, (node + 1) % 51, 0.0)).collect();
    let graphs = [
        ("empty", csr(0, &[])),
        ("one node", csr(1, &[])),
        ("loops only", csr(5, &[(0, 0, 1.0), (3, 3, 2.0)])),
        ("one edge", csr(2, &[(0, 1, 1.0)])),
        ("parallel edges", csr(3, &[(0, 1, 1.0), (1, 0, 2.0), (0, 1, 3.0)])),
        ("weightless", csr(51, &weightless)),
        ("tiny and huge weights", csr(4, &[(0, 1, 1e-38), (1, 2, 3e38), (2, 3, f32::MIN_POSITIVE / 4.0)])),
        ("10,000 components", csr(20_000, &pairs)),
        ("star", csr(20_000, &star)),
    ];
    for (name, graph) in &graphs {
        let nodes = graph.node_count();
        let line = (0..nodes).map(|node| [node as f32, 0.0, 0.0]).collect();
        let places = [
            ("one place", vec![[3.0, -2.0, 1.0]; nodes]),
            ("line", line),
            ("scattered", random_points(1, nodes, 1_000.0)),
            ("far flung", random_points(2, nodes, 1e9)),
        ];
        for (place, points) in &places {
            for (run, compute) in everything(graph, points) {
                let found = compute(&Unwatched).unwrap_or_else(|error| panic!("{name}, {place}, {run}: {error}"));
                assert!(found.iter().all(|value| value.is_finite()), "{name}, {place}, {run}");
            }
        }
    }
}

#[test]
fn everything_in_one_place_is_one_cluster_and_no_outlier() {
    let points = vec![[7.0, 7.0, 7.0]; 5_000];
    let found = dbscan(&points, &DbscanOptions::default(), &Unwatched).unwrap();
    assert_eq!((found.size, found.noise), (vec![5_000], 0));
    let factor = local_outlier_factor(&points, &LofOptions::default(), &Unwatched).unwrap();
    assert!(factor.iter().all(|one| (one - 1.0).abs() < 1e-9));
    let found = kmeans(&points, &KMeansOptions::default(), &Unwatched).unwrap();
    assert_eq!((found.size, found.inertia, found.converged), (vec![5_000], 0.0, true));
    assert!(z_scores(&[0.1; 1_000]).score.iter().all(|score| *score == 0.0));
}

#[test]
fn an_empty_cluster_begins_again_at_the_farthest_position() {
    let points = [[0.0; 3], [1.0, 0.0, 0.0], [100.0, 0.0, 0.0], [101.0, 0.0, 0.0]];
    // The third centre wins no position.
    let first = vec![[0.0; 3], [0.0; 3], [1e6, 0.0, 0.0]];
    let found = kmeans_from(&points, first, &KMeansOptions::default(), &Unwatched).unwrap();
    assert!(found.size.iter().all(|size| *size > 0), "{found:?}");
    assert!(found.inertia <= 0.5, "{found:?}");
}

#[test]
fn bad_input_is_named_and_no_table_of_all_pairs_is_made() {
    let graph = csr(3, &[(0, 1, 1.0)]);
    let bad = [[0.0, f32::NAN, 0.0]; 3];
    let message = |error: Result<(), AnalyticsError>| error.unwrap_err().to_string();
    assert_eq!(
        message(shortest_paths(&graph, 3, Lengths::Hops, &Unwatched).map(drop)),
        "node index 3 is not below the 3 nodes of the graph"
    );
    assert_eq!(
        message(kmeans(&bad, &KMeansOptions { clusters: 0, ..KMeansOptions::default() }, &Unwatched).map(drop)),
        "clusters is 0, not from 1 to 4096"
    );
    for found in [
        kmeans(&bad, &KMeansOptions::default(), &Unwatched).map(drop),
        dbscan(&bad, &DbscanOptions::default(), &Unwatched).map(drop),
        local_outlier_factor(&bad, &LofOptions::default(), &Unwatched).map(drop),
        majorise(&graph, &bad, &StressOptions::default(), &Unwatched).map(drop),
        feature(&graph, &bad, Feature::Distance, &Unwatched).map(drop),
    ] {
        assert_eq!(found, Err(AnalyticsError::NotFinite { node: 0 }));
    }
    assert_eq!(
        majorise(&graph, &[], &StressOptions::default(), &Unwatched),
        Err(AnalyticsError::Positions { positions: 0, nodes: 3 })
    );
    let nan = PageRankOptions { damping: f64::NAN, ..PageRankOptions::default() };
    assert!(matches!(pagerank(&graph, &nan, &Unwatched), Err(AnalyticsError::Range { parameter: "damping", .. })));
    // 2,048 rows of 70,000 distances are more than a table may have; the error comes before the memory is taken.
    let wide = csr(70_000, &[]);
    let error = landmarks(&wide, ANALYTICS_DENSE_NODES_MAX, Lengths::Hops, &Unwatched).unwrap_err();
    let bytes = 2_048 * 70_000 * 8;
    assert_eq!(error, AnalyticsError::Table { table: "landmark distances", bytes });
    assert_eq!(
        error.to_string(),
        format!("landmark distances takes {bytes} bytes; the limit is {ANALYTICS_TABLE_BYTES_MAX}")
    );
    let too_many = landmarks(&wide, ANALYTICS_DENSE_NODES_MAX + 1, Lengths::Hops, &Unwatched);
    assert!(matches!(too_many, Err(AnalyticsError::Range { .. })));
}

/// Stops after so many reports, and checks that progress never falls.
struct StopAfter {
    left: Cell<usize>,
    last: Cell<f64>,
}

impl Watch for StopAfter {
    fn progress(&self, part: f64) -> Result<(), AnalyticsError> {
        assert!((0.0..=1.0).contains(&part) && part >= self.last.get(), "{part} after {}", self.last.get());
        self.last.set(part);
        match self.left.get() {
            0 => Err(AnalyticsError::Stopped),
            left => {
                self.left.set(left - 1);
                Ok(())
            }
        }
    }
}

#[test]
fn every_computation_reports_rising_progress_and_stops_when_told() {
    let (nodes, edges) = random_edges(3, 9_000);
    let graph = csr(nodes, &edges);
    let points = random_points(1, nodes, 1_000.0);
    for (name, compute) in everything(&graph, &points) {
        let watch = |reports| StopAfter { left: Cell::new(reports), last: Cell::new(0.0) };
        assert_eq!(compute(&watch(0)), Err(AnalyticsError::Stopped), "{name}");
        assert_eq!(compute(&watch(1)), Err(AnalyticsError::Stopped), "{name}");
        let whole = watch(usize::MAX);
        assert!(compute(&whole).is_ok(), "{name}");
        assert_eq!(whole.last.get(), 1.0, "{name} ends at 1");
    }
}
