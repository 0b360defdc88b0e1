//! Goal: clients that this project did not write get, in every profile and over both transports, what PROTOCOL.md
//! says, and no client can get more than a polite refusal by breaking it.
//! Method: the programs in `tests/clients` (Python `websockets`, Node `ws`, NumPy, bare sockets) against the real
//! server, whose layout a further client keeps in motion. A loaded machine may cost frames, never correctness.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Motion, Server, graph, repository, within};

/// Frames that a run of some hundred may miss where the clients, the server and other tests share two cores.
const GAPS_MAX: &str = "60";

const PROFILES: [&str; 4] = ["swarmcast.v1", "v1", "v2", "v3"];

/// What is left of the legacy profiles, for the clients that read them.
const OTHER_PROFILES: [&str; 6] = ["legacy-26", "legacy-28", "v1-lead", "v5", "v42", "vf0"];

fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let done = Command::new("sh").arg(repository("tests/clients/setup.sh")).output().unwrap();
        assert!(done.status.success(), "tests/clients/setup.sh: {}", String::from_utf8_lossy(&done.stderr));
    });
}

/// Runs one of the clients to its end and returns its line of JSON, which has to say `ok`.
fn run(program: &str, arguments: &[&str]) -> Value {
    set_up();
    let folder = repository("tests/clients");
    let interpreter = if program.ends_with(".mjs") { "node".into() } else { folder.join(".venv/bin/python") };
    let started = Instant::now();
    // `timeout` ends a client that hangs; its own limits are shorter.
    let done =
        Command::new("timeout").arg("90").arg(interpreter).arg(folder.join(program)).args(arguments).output().unwrap();
    let (out, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    eprintln!("{program} {arguments:?}: {:.1} s", started.elapsed().as_secs_f32());
    assert!(done.status.success(), "{program} {arguments:?}: {}\n{said}\n{out}", done.status);
    let result: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(result["ok"], true, "{result}");
    result
}

/// `python`: further options of the two Python clients.
fn all_clients(server: &Server, python: &[&str]) {
    let (url, rest, tcp) =
        (format!("ws://{}/stream", server.http), format!("http://{}", server.http), server.tcp.to_string());
    let common = ["--check-rest", &rest, "--gaps-max", GAPS_MAX, "--first-frame-ms", "3000"];
    for profile in PROFILES {
        let of = |address: [&str; 2], more: &[&str]| -> Vec<String> {
            let own = ["--profile", profile];
            address.iter().chain(&own).chain(more).chain(&common).map(ToString::to_string).collect()
        };
        for (program, arguments) in [
            ("ws_python.py", of(["--url", &url], python)),
            ("tcp_python.py", of(["--addr", &tcp], python)),
            ("ws_node.mjs", of(["--url", &url], &["--by", "query", "--rate", "60"])),
        ] {
            let result = run(program, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(result["frames"].as_u64().unwrap() >= 40, "{result}");
        }
    }
}

#[test]
fn every_client_and_profile_on_a_small_graph() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let _motion = Motion::start(&server);
    all_clients(&server, &[]);
}

#[test]
fn the_other_legacy_profiles_at_5_hz() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let _motion = Motion::start(&server);
    let (rest, tcp) = (format!("http://{}", server.http), server.tcp.to_string());
    for profile in OTHER_PROFILES {
        let common = ["--addr", &tcp, "--profile", profile, "--rate", "5", "--check-rest", &rest];
        let result = run("tcp_python.py", &[&common[..], &["--frames-only", "--frames", "10"]].concat());
        assert!(result["frames"].as_u64().unwrap() >= 10, "{result}");
    }
}

#[test]
fn every_client_and_profile_on_the_embedded_graph() {
    // 24 Hz leave a shared machine time for three clients' checks of 1,998 nodes a frame.
    let server = Server::start(&["--rate", "24", "--set", "sim.cooling=0"]);
    // The conversation is held on the small graph.
    all_clients(&server, &["--frames-only", "--frames", "40"]);
}

#[test]
fn no_abuse_is_rewarded() {
    let server = Server::start(&["--set", "net.handshake_timeout_ms=2000"]);
    let (http, tcp) = (server.http.to_string(), server.tcp.to_string());
    let result = run("abuse.py", &["--http", &http, "--tcp", &tcp, "--handshake-timeout", "2"]);
    assert!(result["cases"].as_u64().unwrap() > 90, "{result}");
    assert_eq!(server.metric("swarmcast_connection_panics_total"), 0.0);
    assert!(within(Duration::from_secs(10), || server.metric("swarmcast_sessions") == 0.0), "sessions are left over");
}

#[test]
fn stalled_clients_of_either_transport_get_whole_frames_or_a_goodbye() {
    let server = Server::start(&["--set", "sim.cooling=0", "--set", "net.stall_seconds=60"]);
    let url = format!("ws://{}/stream", server.http);
    let tcp = server.tcp.to_string();
    for address in [["--url", &url], ["--addr", &tcp]] {
        let result = run("stalled.py", &[&address[..], &["--count", "10", "--hold", "4"]].concat());
        assert_eq!(result["ends"]["alive"], 10, "each goes on after 4 s of not reading: {result}");
    }
}
