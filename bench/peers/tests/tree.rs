//! Goal: the servers of others, and the runtimes under them, never reach the engine.
//! Method: what cargo says that the engine is built from.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

/// Names of the packages that `package` is built from.
fn tree(package: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(["tree", "--package", package, "--edges", "normal", "--all-features"]);
    let output = command.args(["--prefix", "none", "--locked", "--offline"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

const FOREIGN: [&str; 5] = ["tokio", "axum", "hyper", "fastwebsockets", "tokio-tungstenite"];

#[test]
fn the_engine_is_built_without_the_peers() {
    let engine = tree("swarmcast");
    assert!(engine.iter().any(|name| name == "mio"), "{engine:?}");
    for name in FOREIGN {
        assert!(!engine.iter().any(|found| found == name), "{name} is in the engine");
    }
}

#[test]
fn the_peers_are_found_where_they_are() {
    let peers = tree("swarmcast-peers");
    for name in FOREIGN {
        assert!(peers.iter().any(|found| found == name), "{name} is not in the peers: the other test proves nothing");
    }
}
