//! Goal: the benches still run, against the engine as it is, and say what they are there to say.
//! Method: both binaries in their small size, with the engine of the same build.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

use swarmcast_bench::server::beside;

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn engine() -> PathBuf {
    beside(Path::new(env!("CARGO_BIN_EXE_floor"))).unwrap()
}

#[test]
fn the_floor_says_what_a_frame_costs() {
    let text = output(Command::new(env!("CARGO_BIN_EXE_floor")).arg("--small"));
    assert!(text.contains("| 3 | 29576 | "), "{text}");
    assert!(text.contains("us of the sender per delivered frame"), "{text}");
}

#[test]
fn the_floor_says_what_receiving_costs() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floor"));
    let text = output(command.args("receive --clients 3 --bytes 2048 --rounds 1 --seconds 1.5 --warm 0.1".split(' ')));
    let row = text.lines().find(|line| line.starts_with("| 3 | 2024 | ")).unwrap();
    let hz: f64 = row.split('|').nth(3).unwrap().trim().parse().unwrap();
    assert!((100.0..220.0).contains(&hz), "three clients at 60 Hz: {text}");
    assert!(text.contains("us of the receiver per received frame"), "{text}");
}

#[test]
fn first_light_reports_every_profile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let server = engine();
    for profile in ["swarmcast.v1", "v3"] {
        let stem = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("first-light-{profile}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_first-light"));
        command.current_dir(&root).args(["--small", "--profile", profile]).arg("--server").arg(&server);
        let text = output(command.arg("--out").arg(&stem));
        assert!(text.contains("| les_miserables.graphml | 3 | "), "{text}");
        let json = std::fs::read_to_string(format!("{}.json", stem.display())).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let engine = &json["rows"][1]["rounds"][0]["engine"];
        let published = engine["engine"]["published_hz"].as_f64().unwrap();
        assert!((30.0..70.0).contains(&published), "{published}");
        assert_eq!(engine["latency_ns"].is_null(), profile == "v3");
        assert!(Path::new(&format!("{}.md", stem.display())).exists());
    }
}

#[test]
fn a_graph_that_is_not_there_is_a_row_that_says_so() {
    let stem = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-light-none");
    let mut command = Command::new(env!("CARGO_BIN_EXE_first-light"));
    command.args(["--small", "--graph", "nowhere/out/debian.json"]);
    let text = output(command.arg("--out").arg(&stem));
    assert!(
        text.contains("not measured: no nowhere/out/debian.json; `python3 examples/graphs/make_debian.py`"),
        "{text}"
    );
}

#[test]
fn the_load_tester_is_set_beside_a_bare_receive_loop() {
    let text = output(
        Command::new(env!("CARGO_BIN_EXE_receive")).arg("--small").arg("--floor").arg(env!("CARGO_BIN_EXE_floor")),
    );
    assert!(text.contains("| 2024 | 3 | 180 |"), "{text}");
    assert!(text.contains("not asked of any row"), "{text}");
}

#[test]
fn an_interest_is_set_beside_all_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_interest"));
    let text = output(command.current_dir(root).args(["--small", "--server"]).arg(engine()));
    assert!(text.contains("| the space | ") && text.contains("| the nodes | "), "{text}");
    assert!(text.contains("all of it: "), "{text}");
}

#[test]
fn an_idle_connection_is_weighed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_idle"));
    let text = output(command.current_dir(root).args(["--small", "--server"]).arg(engine()));
    for profile in ["swarmcast.compact", "swarmcast.v1"] {
        assert!(text.contains(&format!("| {profile} | 50 | ")), "{text}");
    }
}

#[test]
fn ticks_are_counted_against_the_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_drift"));
    let text = output(command.current_dir(root).args(["--small", "--server"]).arg(engine()));
    let row = text.lines().last().unwrap();
    let cells: Vec<f64> = row.split('|').filter_map(|cell| cell.trim().trim_end_matches(" %").parse().ok()).collect();
    // A busy machine may leave ticks out, and a clock that is not the simulation's would be off by far more.
    assert!((0.9..3.0).contains(&cells[0]) && (-5.0..50.0).contains(&cells[3]), "{text}");
}

#[test]
fn packing_says_what_it_saves() {
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/graphs/les_miserables.graphml");
    let text = output(Command::new(env!("CARGO_BIN_EXE_packed")).arg(graph));
    for phase in ["hot", "settling"] {
        let row = text.lines().find(|line| line.contains(&format!("| {phase} |"))).unwrap();
        let cells: Vec<f64> = row.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
        let (alone, planes) = (cells[2], cells[3]);
        assert!(planes < alone && planes < 0.95, "{text}");
    }
}

#[test]
fn changes_says_what_a_live_graph_costs() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("changes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_changes"));
    let text = output(command.args(["--small", "--server"]).arg(engine()).arg("--folder").arg(folder));
    let told =
        ["one node, p99", "batches of 64", "viewers' p99", "quick-xml alone", "start to the first frame", "an edge"];
    for what in told {
        assert!(text.contains(what), "{what} is not in {text}");
    }
}

#[test]
fn analytics_have_a_row_each() {
    let text = output(Command::new(env!("CARGO_BIN_EXE_analytics")).args(["2000", "--rounds", "1"]));
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| job")).collect();
    assert_eq!(rows.len(), 12, "{text}");
    let ms = |row: &str| row.split('|').nth(2).unwrap().trim().parse::<f64>().unwrap();
    assert!(rows.iter().all(|row| ms(row) >= 0.0) && rows.iter().any(|row| ms(row) > 1.0), "{text}");
}
