//! Goal: the comparison runs from end to end, and says of everything whether it was measured.
//! Method: one small graph, few steps, one round; a peer that is not installed must be in the report as such.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use swarmcast_layout::compare::Plan;
use swarmcast_layout::peers::Peer;
use swarmcast_layout::report;

#[test]
fn a_small_comparison_is_measured_and_reported() {
    let plan = Plan {
        graphs: vec!["islands".to_owned()],
        changed: vec!["grid1k".to_owned()],
        growing: vec!["comm1k".to_owned()],
        dimensions: vec![2],
        only: vec!["d3".to_owned(), "fm3".to_owned()],
        rounds: 2,
        seconds: 2,
        ticks: 40,
    };
    let results = plan.run().unwrap();
    let row = &results.rows[0];
    assert_eq!((row.nodes, row.ours.len(), row.peers.len()), (819, 2, 2));
    for peer in &row.peers {
        let installed = Peer::named(&peer.name).unwrap().missing().is_none();
        if installed {
            assert_eq!(peer.not_measured, None, "{peer:?}");
            assert_eq!((peer.rounds.len(), peer.ratios.len()), (2, if peer.live { 2 } else { 0 }));
            assert!(peer.rounds[0].score.as_ref().unwrap().np1 > 0.0 && peer.rounds[0].taken.whole_ms > 0.0);
        } else {
            assert_eq!(peer.not_measured.as_deref(), Some("not installed"));
            println!("{} is not installed: not measured", peer.name);
        }
    }
    let stem = std::env::temp_dir().join(format!("swarmcast-layout-report-{}", std::process::id()));
    report::write(&stem, &results).unwrap();
    let [text, json] = ["md", "json"].map(|end| stem.with_extension(end));
    let written = fs::read_to_string(&text).unwrap();
    assert!(written.contains("| **swarmcast** |"), "{written}");
    // Neither 10,000 nodes nor three dimensions were asked for.
    assert!(written.contains("| 3D step, 10,000 nodes, to d3-force-3d | - ×"), "{written}");
    assert!(written.contains("not measured"), "{written}");
    assert!(written.contains("| grid1k 2D | 10 |"), "{written}");
    let json_text = fs::read_to_string(&json).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&json_text).unwrap();
    assert_eq!(parsed["rows"][0]["graph"], "islands");
    for file in [text, json] {
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn nothing_of_the_others_is_in_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    for name in ["forceatlas2", "fjadra", "fdg-sim"] {
        let entry = format!("name = \"{name}\"");
        assert!(!lock.contains(&entry), "{name} is in the workspace");
        let folder = if name == "forceatlas2" { name } else { "rust" };
        let theirs = fs::read_to_string(root.join("bench/layout/peers").join(folder).join("Cargo.lock")).unwrap();
        assert!(theirs.contains(&entry), "{name} is not where it should be: this test proves nothing");
    }
}
