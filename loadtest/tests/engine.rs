//! Goal: the ready scenarios run against the real engine as it stands, and what they find is sound: every frame that is
//! checked is right, nobody is lost, and what each client is owed adds up. Each is played in a short form.
//! Method: an engine of its own for each, on free ports, that never comes to rest. Times are not judged here: this
//! machine has other things to do. `bench/results` has those.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

struct Engine {
    child: Child,
    _output: BufReader<std::process::ChildStdout>,
    ws: String,
    tcp: String,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engine lies beside us after `cargo test --workspace`; this package alone builds it.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_swarmcast-load")).with_file_name("swarmcast");
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        assert!(build.args(["build", "--package", "swarmcast", "--bin", "swarmcast"]).status().unwrap().success());
    }
    path
}

fn engine() -> Engine {
    let mut command = Command::new(program());
    command.args(["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--mcp=", "--ephemeral", "--log", "warn"]);
    command.args(["--set", "sim.cooling=0", "--set", "sim.settle_velocity=0"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut ws, mut tcp, mut line) = (String::new(), String::new(), String::new());
    while ws.is_empty() || tcp.is_empty() {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the engine ended before it was ready");
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("stream"), Some(url)) => ws = url.to_owned(),
            (Some("tcp"), Some(address)) => tcp = format!("tcp://{}", address.trim_start_matches("tcp://")),
            _ => {}
        }
    }
    Engine { child, _output: output, ws, tcp }
}

/// Plays a ready scenario, with some of its text changed, and gives the report back.
fn play(name: &str, changes: &[(&str, &str)]) -> Value {
    let engine = engine();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine");
    std::fs::create_dir_all(&folder).unwrap();
    let ready = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
    let mut text = std::fs::read_to_string(ready).unwrap();
    text = text.replace("ws://127.0.0.1:7400/stream", &engine.ws).replace("tcp://127.0.0.1:7401", &engine.tcp);
    for (from, to) in changes {
        assert!(text.contains(from), "{name}: {from}");
        text = text.replace(from, to);
    }
    let (scenario, json) = (folder.join(format!("{name}.toml")), folder.join(format!("{name}.json")));
    std::fs::write(&scenario, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmcast-load"));
    command.args(["run", "--quiet", "--scenario"]).arg(&scenario).arg("--json").arg(&json);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3 | 99)), "{name}: {said}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    for group in report["groups"].as_array().unwrap() {
        assert_eq!(group["errors"], serde_json::json!({}), "{name}: {said}");
        assert_eq!(group["figures"]["lost"]["value"], 0.0, "{name}: {said}");
        assert!(group["figures"]["delivered"]["value"].as_f64().unwrap() > 0.0, "{name}: {said}");
    }
    report
}

fn figure(group: &Value, name: &str) -> f64 {
    group["figures"][name]["value"].as_f64().unwrap_or_else(|| panic!("{name} is not known"))
}

#[test]
fn a_hundred_viewers_are_owed_60_frames_a_second_each() {
    let report = play("viewers-100", &[("duration = \"30s\"", "duration = \"4s\"")]);
    let viewers = &report["groups"][0];
    let offered = figure(viewers, "offered");
    assert!((100.0 * 60.0 * 4.0 * 0.97..100.0 * 60.0 * 4.0 * 1.03).contains(&offered), "{offered}");
    assert_eq!(figure(viewers, "connected"), 100.0);
}

#[test]
fn a_hundred_clients_send_20_messages_a_second_each_and_every_ping_is_answered() {
    let report = play("messages-100x20", &[("duration = \"30s\"", "duration = \"4s\"")]);
    let pinging = &report["groups"][1];
    let (messages, answers) =
        (figure(pinging, "messages"), pinging["timings"]["round_trip"]["count"].as_f64().unwrap());
    assert!((3_900.0..4_100.0).contains(&messages), "{messages}");
    assert!((messages - answers).abs() <= 60.0, "{messages} pings, {answers} answers");
    assert!((3_900.0..4_100.0).contains(&figure(&report["groups"][0], "messages")));
}

#[test]
fn fifty_join_at_once_three_times() {
    let report = play("joins-50", &[("duration = \"5s\"", "duration = \"2s\"")]);
    let joiners = &report["groups"][0];
    assert_eq!(figure(joiners, "connected"), 150.0);
    assert_eq!(joiners["timings"]["first_frame"]["count"], 150);
}

#[test]
fn a_short_soak_checks_every_byte() {
    let report = play("soak-short", &[]);
    for group in report["groups"].as_array().unwrap() {
        assert!(figure(group, "verified") >= figure(group, "delivered"), "{group}");
    }
    let drift = report["drift"].as_array().unwrap();
    assert!(drift.iter().any(|drift| drift["figure"] == "latency.p99"), "{drift:?}");
}

#[test]
fn every_frame_of_the_compact_profile_is_within_its_bound_of_the_full_one() {
    let report = play("compact-verify", &[("duration = \"15s\"", "duration = \"4s\"")]);
    let mut references = 0;
    for group in report["groups"].as_array().unwrap() {
        let name = group["name"].as_str().unwrap();
        if name.ends_with("-reference") {
            references += 1;
            continue;
        }
        // Some ticks are left out for the full frames, and the last ones come after the end.
        let (compared, delivered) = (figure(group, "compared"), figure(group, "delivered"));
        assert!(compared >= 0.5 * delivered, "{name}: {compared} of {delivered}");
        assert!(figure(group, "infos") >= figure(group, "connected"), "{name}");
    }
    assert_eq!(references, 2, "one for each address");
}

#[test]
fn stages_that_take_turns_are_compared() {
    let shorter = [
        ("duration = \"8s\"", "duration = \"2s\""),
        // Slower than the stream of a small graph, and quick enough for its snapshot.
        ("20KB/s", "15KB/s"),
        ("clients = 900", "clients = 30"),
        ("clients = 100", "clients = 5"),
    ];
    let report = play("compact-slow-tenth", &shorter);
    assert!(figure(&report["groups"][0], "deltas") > 0.0);
    assert!(report["groups"][1]["timings"]["own_queue"]["count"].as_f64().unwrap() > 0.0);
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine/compact-slow-tenth.json");
    let compare = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarmcast-load"));
        let output = command.arg("compare").arg(&json).arg(&json).args(more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let stages = ["--before-stage", "calm", "--after-stage", "beside"];
    let (code, said, _) = compare(&[&stages[..], &["--bound", "quick/latency.p99 <= 1000x"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("compact-slow-tenth, calm") && said.contains("compact-slow-tenth, beside"), "{said}");
    let (code, _, said) = compare(&[&stages[..], &["--bound", "quick/latency.p99 <= 0.000001x"]].concat());
    assert_eq!(code, Some(99), "{said}");
    assert!(said.contains("BROKEN  quick/latency.p99 <= 0.000001x"), "{said}");
    let (code, _, said) = compare(&["--after-stage", "night"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no stage called night was measured"), "{said}");
}
