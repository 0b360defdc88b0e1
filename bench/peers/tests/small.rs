//! Goal: the peers still run, every one that is installed, and one that is not is said.
//! Method: `peers` in its small size, with the engine and the floor of the same build.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

const SERVERS: [&str; 10] = [
    "floor",
    "floor-writev",
    "swarmcast",
    "tungstenite-mio",
    "tokio-tungstenite",
    "axum",
    "fastwebsockets",
    "node-ws",
    "bun",
    "uwebsockets",
];

/// Peers that are not Rust, and so may be missing.
const SCRIPTS: [&str; 3] = ["node-ws", "bun", "uwebsockets"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A program of another package, beside ours. `cargo test --workspace` builds it; this package alone may not have.
fn beside(package: &str, name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_peers")).with_file_name(name);
    if !path.exists() {
        let profile = if path.parent().is_some_and(|folder| folder.ends_with("release")) { "release" } else { "test" };
        let mut build = Command::new(env!("CARGO"));
        output(build.args(["build", "--package", package, "--bin", name, "--profile", profile]));
    }
    path
}

fn peers(stem: &Path, more: &[&str]) -> String {
    let (engine, floor) = (beside("swarmcast", "swarmcast"), beside("swarmcast-bench", "floor"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.current_dir(root()).arg("--small").args(more);
    output(command.arg("--server").arg(engine).arg("--floor").arg(floor).arg("--out").arg(stem))
}

#[test]
fn every_server_delivers_what_was_asked_for() {
    let stem = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let text = peers(&stem, &[]);
    let json = std::fs::read_to_string(format!("{}.json", stem.display())).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let lines = json["summary"].as_array().unwrap();
    for name in SERVERS {
        let line = lines.iter().find(|line| line["server"] == name).unwrap_or_else(|| panic!("no {name}: {text}"));
        let figures = &line["figures"];
        if figures.is_null() {
            let why = line["without"].as_str().unwrap();
            assert!(SCRIPTS.contains(&name) && why.starts_with("not installed: "), "{name}: {why}");
            assert!(text.contains(&format!("| {name} | not installed: ")), "{text}");
            continue;
        }
        // Five clients at 60 Hz. A busy machine may be late, but a server that sends half or twice is broken.
        let per_s = figures["delivered_per_s"].as_f64().unwrap();
        assert!((150.0..450.0).contains(&per_s), "{name}: {per_s} frames/s");
        assert!(figures["cpu_us"].as_f64().unwrap() > 0.0, "{name}: {line}");
        assert!(figures["to_floor"].as_f64().unwrap() > 0.0, "{name}: {line}");
        // A clock that is not the clients' would be off by far more than this.
        let p50_ns = figures["latency_ns"][0].as_u64().unwrap();
        assert!((1..1_000_000_000).contains(&p50_ns), "{name}: {p50_ns} ns");
    }
    assert!(text.contains("| swarmcast, shards only | "), "{text}");
    let standing = &json["standings"][0];
    assert_eq!((&standing["frame_bytes"], &standing["clients"]), (&serde_json::json!(2_024), &serde_json::json!(5)));
    assert!(standing["to_floor"][0].as_f64().unwrap() > 0.0, "{standing}");
    for best in [&standing["to_best_peer"][0], &standing["p99"][0]] {
        let name = best.as_str().unwrap();
        assert!(SERVERS.contains(&name) && !name.starts_with("floor") && name != "swarmcast", "{standing}");
    }
    assert!(text.contains("### Against the budget"), "{text}");
}

#[test]
fn a_server_that_is_not_installed_is_printed() {
    let stem = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-none");
    let text = peers(&stem, &["--scripts", "nowhere", "--only", "bun,uwebsockets"]);
    for name in ["bun", "uwebsockets"] {
        assert!(
            text.contains(&format!("| {name} | not installed: `sh bench/peers/setup.sh` installs it | ")),
            "{text}"
        );
    }
    assert!(text.contains("| floor | "), "{text}");
    assert!(!text.contains("| axum | "), "{text}");
}

#[test]
fn a_row_over_the_budget_says_so() {
    let stem = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-budget");
    let text = peers(&stem, &["--budget-mb", "0.001", "--only", "floor"]);
    assert!(text.contains("Left out: one message a second would be"), "{text}");
}

#[test]
fn an_unknown_name_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    let output = command.current_dir(root()).args(["--small", "--only", "nginx"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("--only nginx: there are floor, floor-writev, swarmcast, "), "{text}");
}
