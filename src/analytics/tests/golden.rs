//! What `tests/golden/analytics/make.py` wrote down of networkx, igraph, scikit-learn and scipy.

use std::path::Path;

use serde_json::Value;

use super::super::*;
use super::csr;
use crate::graph::Csr;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/analytics").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::INFINITY)).collect()
}

/// Labels; -1 becomes [`NOISE`].
fn labels(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|label| label.as_u64().map_or(NOISE, |label| label as u32)).collect()
}

fn points(value: &Value) -> Vec<[f32; 3]> {
    let point = |point: &Value| [0, 1, 2].map(|axis| point[axis].as_f64().unwrap() as f32);
    value.as_array().unwrap().iter().map(point).collect()
}

fn graph(value: &Value) -> Csr {
    let edge = |edge: &Value| {
        (edge[0].as_u64().unwrap() as u32, edge[1].as_u64().unwrap() as u32, edge[2].as_f64().unwrap() as f32)
    };
    let edges: Vec<_> = value["edges"].as_array().unwrap().iter().map(edge).collect();
    csr(value["nodes"].as_u64().unwrap() as usize, &edges)
}

fn graphs() -> impl Iterator<Item = (&'static str, Value, Csr)> {
    ["karate", "lfr250", "lfr1000", "parts"].into_iter().map(|name| {
        let value = golden(&format!("{name}.json"));
        let graph = graph(&value);
        (name, value, graph)
    })
}

fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = found == expected || (found - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(same, "{what}, {at}: {found} instead of {expected}");
    }
}

#[test]
fn paths_ranks_and_components_are_those_of_networkx() {
    for (name, value, graph) in graphs() {
        for (lengths, key) in [(Lengths::Hops, "hops"), (Lengths::Weights, "weights"), (Lengths::Inverse, "inverse")] {
            let found = shortest_paths(&graph, 0, lengths, &Unwatched).unwrap();
            close(&found.distance, &numbers(&value[key]), 1e-12, name);
        }
        for (weighted, key) in [(true, "pagerank"), (false, "pagerank_unweighted")] {
            let options = PageRankOptions { weighted, ..PageRankOptions::default() };
            let found = pagerank(&graph, &options, &Unwatched).unwrap();
            // What is left after a change of 1e-6 is 0.85 / 0.15 of it at most.
            close(&found.rank, &numbers(&value[key]), 6e-6, name);
        }
        assert_eq!(connected_components(&graph, &Unwatched).unwrap().component, labels(&value["components"]), "{name}");
    }
}

#[test]
fn modularity_is_that_of_networkx_and_communities_are_as_good() {
    for (name, value, graph) in graphs() {
        let of = |key: &str| value[key].as_f64().unwrap();
        let measured = modularity(&graph, &labels(&value["louvain"])).unwrap();
        assert!((measured - of("louvain_modularity")).abs() < 1e-9, "{name}: {measured}");
        let quality = |seed| {
            let options = LeidenOptions { seed, ..LeidenOptions::default() };
            leiden(&graph, &options, &Unwatched).unwrap().modularity.unwrap()
        };
        let mut found: Vec<f64> = (0..11).map(quality).collect();
        found.sort_by(f64::total_cmp);
        assert!(found[0] >= 0.98 * of("louvain_modularity"), "{name}: {found:?}");
        let best = of("louvain_modularity").max(of("leiden_modularity"));
        assert!(found[5] >= 0.98 * best, "{name}: {found:?} against the best of forty, {best}");
        if name == "parts" {
            // So few nodes that chance decides where labels stop.
            continue;
        }
        for seed in 0..5 {
            let options = LabelOptions { seed, ..LabelOptions::default() };
            let spread = label_propagation(&graph, &options, &Unwatched).unwrap().modularity.unwrap();
            let reference = of("propagation_modularity_mean");
            assert!(spread >= 0.98 * reference, "{name}, seed {seed}: {spread} against {reference}");
        }
    }
}

#[test]
fn density_clusters_equal_those_of_scikit_learn() {
    for (set, value) in golden("density.json").as_array().unwrap().iter().enumerate() {
        let options = DbscanOptions {
            radius: value["radius"].as_f64().unwrap(),
            neighbours_min: value["neighbours"].as_u64().unwrap() as usize,
        };
        let found = dbscan(&points(&value["points"]), &options, &Unwatched).unwrap();
        assert_eq!(found.cluster, labels(&value["cluster"]), "set {set}");
        assert_eq!(found.cores as u64, value["cores"].as_u64().unwrap(), "set {set}");
        assert_eq!(found.noise, found.cluster.iter().filter(|label| **label == NOISE).count());
    }
}

#[test]
fn means_from_the_same_start_equal_those_of_scikit_learn() {
    for (set, value) in golden("means.json").as_array().unwrap().iter().enumerate() {
        let first = points(&value["first"]).iter().map(|point| point.map(f64::from)).collect::<Vec<_>>();
        let points = points(&value["points"]);
        let options =
            KMeansOptions { tolerance: 1e-6, iterations_max: 300, clusters: first.len(), ..KMeansOptions::default() };
        let found = kmeans_from(&points, first, &options, &Unwatched).unwrap();
        assert_eq!(found.cluster, labels(&value["cluster"]), "set {set}");
        close(&[found.inertia], &[value["inertia"].as_f64().unwrap()], 1e-6, "inertia");
        for (centre, expected) in found.centre.iter().zip(value["centre"].as_array().unwrap()) {
            close(centre, &numbers(expected), 1e-6, "centre");
        }
        // Our own start, of one run, against the best of twenty.
        let own = (0..10).map(|seed| kmeans(&points, &KMeansOptions { seed, ..options }, &Unwatched).unwrap().inertia);
        let best = own.fold(f64::INFINITY, f64::min);
        assert!(best <= 1.02 * value["best_inertia"].as_f64().unwrap(), "set {set}: {best}");
    }
}

#[test]
fn outliers_equal_those_of_scikit_learn_and_scipy() {
    for (set, value) in golden("outliers.json").as_array().unwrap().iter().enumerate() {
        let points = points(&value["points"]);
        let options = LofOptions { neighbours: value["neighbours"].as_u64().unwrap() as usize };
        let factor = local_outlier_factor(&points, &options, &Unwatched).unwrap();
        close(&factor, &numbers(&value["factor"]), 1e-3, "factor");
        let graph = csr(points.len(), &[]);
        let score = z_scores(&feature(&graph, &points, Feature::Distance, &Unwatched).unwrap());
        close(&score.score, &numbers(&value["distance_zscore"]), 1e-3, "distance");
        if set == 0 {
            let first = (0..factor.len()).max_by(|a, b| factor[*a].total_cmp(&factor[*b]));
            assert_eq!(first, Some(250), "the planted outlier ranks first");
        }
    }
    for (name, value, graph) in graphs() {
        let degrees = feature(&graph, &[], Feature::Degree, &Unwatched).unwrap();
        close(&z_scores(&degrees).score, &numbers(&value["degree_zscore"]), 1e-3, name);
    }
}
