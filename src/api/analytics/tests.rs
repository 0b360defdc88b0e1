use serde_json::{Value, json};

use super::*;
use crate::analytics::{Job, LofOptions, Unwatched};
use crate::graph::{Graph, GraphBuilder};

/// Nodes 10, 20, 30 in a row, and 40 by itself.
fn graph() -> Graph {
    let mut builder = GraphBuilder::new(10, 10);
    let nodes: Vec<_> = ["10", "20", "30", "40"].iter().map(|key| builder.node(key).unwrap()).collect();
    builder.edge(nodes[0], nodes[1], 2.0, false).unwrap();
    builder.edge(nodes[1], nodes[2], 4.0, false).unwrap();
    builder.finish()
}

fn asked(kind: &str, body: &str) -> Result<Ask, AskError> {
    read(kind, body.as_bytes(), &graph()).unwrap()
}

fn refused(kind: &str, body: &str, field: &str, words: &str) {
    let AskError { field: found, message } = asked(kind, body).unwrap_err();
    assert_eq!(found, field, "{kind} {body}: {message}");
    assert!(message.contains(words), "{kind} {body}: {message}");
}

fn result(kind: &str, body: &str) -> (Value, Option<crate::handoff::SidePlanes>) {
    let graph = graph();
    let ids: Vec<u32> = graph.nodes().iter().map(|node| node.id.get()).collect();
    let positions = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [900.0, 0.0, 0.0]];
    let ask = asked(kind, body).unwrap();
    let outcome = ask.job.run(&graph.csr(), &positions, &Unwatched).unwrap();
    let text = show(&ask.job, &outcome, &ids, ask.values, &Unwatched).unwrap();
    (serde_json::from_slice(&text).unwrap(), planes(3, &outcome, &ids))
}

#[test]
fn every_kind_has_defaults_and_repeats_what_is_in_force() {
    assert!(read("divination", b"{}", &graph()).is_none());
    let ask = asked("clustering", "").unwrap();
    assert_eq!(
        ask.parameters,
        json!({
            "algorithm": "kmeans", "clusters": 8, "tolerance": 0.001, "seed": 42, "iterations_max": 100,
            "publish": false, "values": true,
        })
    );
    let ask = asked("anomaly", "{}").unwrap();
    assert_eq!(ask.job, Job::Lof { options: LofOptions { neighbours: 32 }, threshold: 1.5 });
    let ask = asked("pagerank", r#"{"publish": true, "damping": 0.5}"#).unwrap();
    assert!(ask.publish && ask.values);
    assert_eq!((ask.algorithm, &ask.parameters["damping"]), ("pagerank", &json!(0.5)));
    for kind in ["community", "components", "stress", "landmarks"] {
        assert!(asked(kind, "{}").is_ok(), "{kind}");
    }
}

#[test]
fn what_is_wrong_is_named_with_value_and_range() {
    refused("sssp", "{}", "source", "is missing");
    refused("sssp", r#"{"source": 11}"#, "source", "source is 11, must be the id of a node");
    refused("sssp", r#"{"source": "10"}"#, "source", "must be the id");
    refused(
        "sssp",
        r#"{"source": 10, "lengths": "miles"}"#,
        "lengths",
        "\"miles\", must be one of hops, weights, inverse",
    );
    refused("sssp", r#"{"source": 10, "target": 20}"#, "target", "unknown field target; known: ");
    refused("clustering", r#"{"clusters": 0}"#, "clusters", "clusters is 0, must be a whole number from 1 to 4096");
    refused("clustering", r#"{"clusters": 2.5}"#, "clusters", "2.5");
    refused("clustering", r#"{"radius": 1}"#, "radius", "unknown field");
    refused("pagerank", r#"{"damping": 1}"#, "damping", "damping is 1, must be a number from 0 to 0.999");
    refused("pagerank", r#"{"weighted": 1}"#, "weighted", "must be true or false");
    refused("landmarks", r#"{"pairs": [[10]]}"#, "pairs", "list of at most");
    refused("landmarks", r#"{"pairs": [[10, 99]]}"#, "pairs", "pairs is 99");
    refused("stress", r#"{"publish": true}"#, "publish", "unknown field");
    refused("components", "[]", "body", "must be a JSON object");
    refused("components", "{", "body", "is not JSON");
}

#[test]
fn results_have_ids_and_what_is_unknown_is_null() {
    let (json, planes) = result("sssp", r#"{"source": 30, "lengths": "weights"}"#);
    assert_eq!((&json["source"], &json["reached"], &json["eccentricity"]), (&json!(30), &json!(3), &json!(6.0)));
    assert_eq!(json["ids"], json!([10, 20, 30, 40]));
    assert_eq!(json["distance"], json!([6.0, 4.0, 0.0, null]));
    assert_eq!(json["parent"], json!([20, 30, null, null]));
    let planes = planes.unwrap();
    assert_eq!((planes.epoch, planes.parent.as_deref()), (3, Some(&[20, 30, -1, -1][..])));
    assert_eq!(planes.distance.as_deref(), Some(&[6.0, 4.0, 0.0, f32::INFINITY][..]));
    let (json, planes) = result("clustering", r#"{"algorithm": "dbscan", "radius": 5, "neighbours_min": 2}"#);
    assert_eq!((&json["cluster"], &json["noise"]), (&json!([1, 1, 1, null]), &json!(1)), "labels count from 1");
    assert_eq!(planes.unwrap().cluster.as_deref(), Some(&[1, 1, 1, 0][..]));
    let (json, _) = result("components", r#"{"values": false}"#);
    assert_eq!(json, json!({ "count": 2, "sizes": [3, 1] }));
    let (json, _) = result("anomaly", r#"{"algorithm": "zscore", "feature": "distance", "threshold": 1.5}"#);
    assert_eq!((&json["outliers"], &json["first"][0]["id"]), (&json!(1), &json!(40)));
    let (json, none) = result("landmarks", r#"{"count": 1, "pairs": [[10, 30], [10, 40]]}"#);
    assert_eq!(json["landmarks"], json!([20]));
    assert_eq!(json["pairs"][0], json!({ "from": 10, "to": 30, "estimate": 2.0, "at_least": 0.0 }));
    assert!(json["pairs"][1]["estimate"].is_null() && none.is_none());
    let (json, _) = result("stress", "{}");
    assert!(json["stress"].as_f64() <= json["stress_before"].as_f64());
    assert_eq!(json["position"].as_array().unwrap().len(), 4);
    let (json, planes) = result("pagerank", "{}");
    assert_eq!(json["converged"], json!(true));
    assert!((planes.unwrap().rank.unwrap().iter().sum::<f32>() - 1.0).abs() < 1e-6);
}

#[test]
fn planes_add_up_within_an_epoch_and_begin_anew_with_the_next() {
    let first = result("sssp", r#"{"source": 10}"#).1.unwrap();
    let second = result("components", "{}").1.unwrap();
    let both = crate::handoff::SidePlanes::default().with(first).with(second.clone());
    assert!(both.distance.is_some() && both.component.is_some());
    assert_eq!((both.epoch, both.version), (3, 2));
    let other = both.with(crate::handoff::SidePlanes { epoch: 4, ..second });
    assert!(other.distance.is_none() && other.component.is_some());
    assert_eq!((other.epoch, other.version), (4, 3));
}
