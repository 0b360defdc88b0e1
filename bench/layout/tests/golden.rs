//! Goal: the scores are those that somebody else works out from the same definitions.
//! Method: `golden/reference.py` did it with numpy and scipy; every case must agree to nine digits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use swarmcast_layout::graph::Network;
use swarmcast_layout::points::Points;
use swarmcast_layout::score::score;

fn edges(path: &Path) -> Network {
    let text = fs::read_to_string(path).unwrap();
    let mut rows = text.lines().map(|line| {
        let (left, right) = line.split_once(' ').unwrap();
        [left.parse::<u32>().unwrap(), right.parse::<u32>().unwrap()]
    });
    let [nodes, _] = rows.next().unwrap();
    Network::new("", nodes as usize, rows, Vec::new())
}

#[test]
fn scores_agree_with_an_independent_implementation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = fs::read_to_string(folder.join("scores.json")).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), 3);
    for (name, expected) in expected {
        let network = edges(&folder.join(format!("{name}.edges")));
        let points = Points::read(&folder.join(format!("{name}.csv")), network.node_count).unwrap();
        let score = score(&network, &points);
        let found =
            [("stress", score.stress), ("np1", score.np1), ("np2", score.np2), ("edge_spread", score.edge_spread)];
        for (field, value) in found {
            let expected = expected[field].as_f64().unwrap();
            assert!((value - expected).abs() < 1e-9, "{name} {field}: {value} instead of {expected}");
        }
    }
}
