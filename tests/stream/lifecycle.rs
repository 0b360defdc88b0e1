//! Goal: the program starts, says what it does, refuses what it cannot do with a reason and an exit code, answers its
//! HTTP pages, holds its limits, and ends by telling every client, within five seconds.
//! Method: the real program as a child process, signals, exit codes, and what stands on its two outputs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Answer, Client, Event, Folder, PATIENCE, Server, Tcp, Ws, least_of_three, reset, run, within};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

#[test]
fn a_signal_closes_every_client_with_1001_and_ends_with_0() {
    for (signal, stalled) in [(SIGTERM, false), (SIGINT, false), (SIGTERM, true), (SIGINT, true)] {
        let mut server = Server::start(&["--set", "sim.cooling=0"]);
        let (mut ws, mut tcp) = (server.ws(""), server.tcp("{}"));
        // Never read: its buffers fill within a few frames of 56 KB.
        let stalled = stalled.then(|| {
            let client = Ws::connect(server.http, "", Some(4_096));
            assert!(within(PATIENCE, || server.metric("swarmcast_lease_copies_total") > 0.0));
            client
        });
        ws.frame();
        tcp.frame();
        let started = Instant::now();
        server.signal(signal);
        assert_eq!(ws.goodbye(Duration::from_secs(5)), Some(1001), "WebSocket, signal {signal}");
        assert_eq!(tcp.goodbye(Duration::from_secs(5)), Some(1001), "TCP, signal {signal}");
        let status = server.wait(Duration::from_secs(6)).expect("it ends");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(status.code(), Some(0), "{}", server.errors());
        assert!(TcpStream::connect(server.http).is_err() && TcpStream::connect(server.tcp).is_err());
        drop(stalled);
    }
}

#[test]
fn a_port_in_use_is_named_with_its_holder_at_once() {
    let holder = Server::start(&[""; 0]);
    for (flag, address, other) in
        [("--http", holder.http, ["--tcp", "127.0.0.1:0"]), ("--tcp", holder.tcp, ["--http", "127.0.0.1:0"])]
    {
        let at_once = Duration::from_secs(1);
        let took = least_of_three(at_once, || {
            let started = Instant::now();
            let ended = run(&[flag, &address.to_string(), other[0], other[1]]);
            let took = started.elapsed();
            assert_eq!(ended.status.code(), Some(1));
            let said = String::from_utf8(ended.stderr).unwrap();
            for part in [&address.to_string(), "already in use", "swarmcast", &holder.pid().to_string(), flag] {
                assert!(said.contains(part), "{part} is missing in {said}");
            }
            took
        });
        assert!(took < at_once, "{took:?}");
    }
}

#[test]
fn what_the_user_gave_wrong_is_named_with_its_place_and_exit_code_2() {
    let folder = Folder::new("lifecycle");
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let csv = file("edges.csv", "source,target,weight\na,b,1\nb,c,heavy\n");
    let json = file("graph.json", "{\n  \"nodes\": [\n    {\"id\": 1},\n  ]\n}\n");
    let toml = file("swarm.toml", "[sim]\nrate_hz = 0\n");
    let missing = folder.join("none.gexf").display().to_string();
    for (flags, parts) in [
        (vec!["--graph", &csv], vec![csv.as_str(), "3"]),
        (vec!["--graph", &json], vec![json.as_str(), "4"]),
        (vec!["--graph", &missing], vec![missing.as_str()]),
        (vec!["--config", &toml], vec!["swarm.toml:2", "rate_hz"]),
        (vec!["--set", "sim.rate_hz=121"], vec!["sim.rate_hz", "121", "120"]),
        (vec!["--set", "sim.rate=60"], vec!["sim.rate", "sim.rate_hz"]),
        (vec!["--http", "0.0.0.0:0"], vec!["net.http", "net.allow_remote"]),
        (vec!["--tcp", "nowhere"], vec!["net.tcp", "nowhere"]),
        (vec!["--colour"], vec!["--colour"]),
    ] {
        let own = ["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"];
        let ports: &[&str] = if flags[0] == "--http" || flags[0] == "--tcp" { &[] } else { &own };
        let ended = run(&[ports, &flags].concat());
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{flags:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{flags:?}: {part} is missing in {said}");
        }
    }
}

#[test]
fn a_check_prints_what_would_run_and_does_not_listen() {
    // The ports are taken: a check that listened would fail.
    let holder = Server::start(&[""; 0]);
    let (http, tcp) = (holder.http.to_string(), holder.tcp.to_string());
    let ended = run(&["serve", "--check", "--ephemeral", "--http", &http, "--tcp", &tcp, "--rate", "24", "--no-pin"]);
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    for part in [
        "rate_hz = 24 # flag --rate",
        "seed = ",
        "embedded (json, changes are not kept): 1998 nodes, 3874 edges",
        "cores [",
        "threads",
        "  sim        core any",
        "shard-0",
        "lanes",
        "sim -> shard frame",
        "memory",
        "  in all ",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert!(!said.contains("ready"), "{said}");
}

#[test]
fn the_configuration_is_shown_with_its_origins() {
    let ended = run(&["config", "show", "--ephemeral", "--origin", "--rate", "50", "--set", "net.stall_seconds=7"]);
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0));
    for line in ["rate_hz = 50 # flag --rate", "stall_seconds = 7 # flag --set", "http = \"127.0.0.1:7400\" # default"]
    {
        assert!(said.lines().any(|found| found == line), "{line} is missing in {said}");
    }
    let default = run(&["config", "default"]);
    assert!(String::from_utf8(default.stdout).unwrap().contains("stall_seconds = 10"));
}

#[test]
fn port_0_takes_a_free_one_and_says_which() {
    let server = Server::start(&[""; 0]);
    assert!(server.http.port() != 0 && server.tcp.port() != 0 && server.http != server.tcp);
    assert!(server.banner.contains(&format!("stream  ws://{}/stream", server.http)), "{}", server.banner);
    let off = Server::start(&["--set", "log.level=warn"]);
    assert_ne!(off.http, server.http, "two run side by side");
}

#[test]
fn pages_answer_and_the_rest_is_refused() {
    let server = Server::start(&[""; 0]);
    assert!(within(PATIENCE, || server.get("/readyz").status == 200));
    let healthz = server.get("/healthz");
    assert_eq!((healthz.status, healthz.json()["status"].as_str()), (200, Some("ok")));
    let ready = server.get("/readyz").json();
    assert_eq!((ready["ready"].as_bool(), ready["parts"]["sim"]["alive"].as_bool()), (Some(true), Some(true)));
    let viewer = server.get("/");
    assert_eq!(viewer.status, 200);
    assert!(viewer.head.contains("text/html") && viewer.text().contains("<canvas"), "{}", viewer.head);
    let root = server.request("GET", "/", "Accept: application/json\r\n").json();
    assert_eq!((root["name"].as_str(), root["health"].as_str()), (Some("swarmcast"), Some("ok")));
    let detail = server.get("/health/detail").json();
    assert!(detail["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20, "{detail}");
    let data = server.get("/api/graph/data").json();
    assert_eq!((data["nodes"].as_array().unwrap().len(), data["edges"].as_array().unwrap().len()), (1998, 3874));
    assert!(data["sequence"].is_null(), "no class was named");

    let status = |method: &str, path: &str| server.request(method, path, "").status;
    assert_eq!(status("GET", "/no/such/page"), 404);
    assert_eq!(status("GET", "/api/graph/data?class=65000"), 404, "nobody subscribes to it");
    assert_eq!(status("GET", "/api/graph/data?class=0"), 404);
    assert_eq!(status("GET", "/api/graph/data?class=x"), 400);
    assert_eq!(status("GET", "/api/graph/data?colour=red"), 400);
    for path in ["/", "/healthz", "/metrics", "/api/graph/data"] {
        let refused = server.request("DELETE", path, "");
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.head.contains("allow: get, head"), "{}", refused.head);
        let head = server.request("HEAD", path, "");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    assert_eq!(server.request("GET", "/", "Origin: http://elsewhere.example\r\n").status, 403);
    assert_eq!(server.send(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n").status, 421);
}

/// Names, labels and values of an OpenMetrics text; panics at the first line that is none.
fn parse_metrics(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            match words.next() {
                Some("HELP" | "TYPE" | "UNIT") => assert!(words.next().is_some_and(is_name), "{line}"),
                Some("EOF") => assert!(text.ends_with("# EOF\n"), "EOF stands at the end"),
                _ => panic!("not a comment of OpenMetrics: {line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_finite(), "{line}");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("no }}: {line}"))),
            None => (series, ""),
        };
        assert!(is_name(name) && name.starts_with("swarmcast_"), "{line}");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(key) && value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
        }
        assert!(found.insert(series.to_owned(), value).is_none(), "{series} stands twice");
    }
    found
}

#[test]
fn every_metrics_line_is_valid_and_the_figures_move() {
    let server = Server::start(&["--set", "sim.cooling=0"]);
    let mut client = server.ws("");
    client.frame();
    let before = parse_metrics(&server.get("/metrics").text());
    for _ in 0..10 {
        client.frame();
    }
    client.say("ping");
    client.text("pong");
    let after = parse_metrics(&server.get("/metrics").text());
    assert!(before.keys().all(|series| after.contains_key(series)));
    for name in [
        "swarmcast_ticks_total",
        "swarmcast_frames_published_total",
        "swarmcast_frames_sent_total{shard=\"0\"}",
        "swarmcast_sent_bytes_total{shard=\"0\"}",
        "swarmcast_writes_total{shard=\"0\"}",
        "swarmcast_step_seconds_count",
        "swarmcast_messages_received_total{shard=\"0\"}",
        "swarmcast_tick_to_wire_seconds_count{shard=\"0\"}",
        "swarmcast_http_requests_total",
    ] {
        assert!(after[name] > before[name], "{name}: {} and then {}", before[name], after[name]);
    }
    for (series, value) in after.iter().filter(|(series, _)| series.contains("_total") || series.contains("_bucket")) {
        assert!(before.get(series).is_none_or(|earlier| earlier <= value), "{series} went back");
    }
    assert_eq!((after["swarmcast_sessions"], after["swarmcast_nodes"]), (1.0, 1998.0));
    let buckets = |name: &str| -> Vec<f64> {
        let prefix = format!("{name}_bucket");
        let mut rows: Vec<(f64, f64)> = after
            .iter()
            .filter(|(series, _)| series.starts_with(&prefix))
            .map(|(series, value)| {
                let bound = series.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
                (bound.parse().unwrap_or(f64::INFINITY), *value)
            })
            .collect();
        rows.sort_by(|left, right| left.0.total_cmp(&right.0));
        rows.into_iter().map(|(_, value)| value).collect()
    };
    let steps = buckets("swarmcast_step_seconds");
    assert!(steps.is_sorted() && steps.last() == after.get("swarmcast_step_seconds_count"), "{steps:?}");
}

#[test]
fn one_connection_over_the_limit_is_told_so_and_there_is_room_again_after_one_leaves() {
    let server = Server::start(&["--set", "net.connections_max=3"]);
    let mut inside = vec![server.ws(""), server.ws("")];
    let tcp = server.tcp("{}");
    let upgrade = "GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let refused = server.send(upgrade.as_bytes());
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("full")));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    let mut late = Tcp::open(server.tcp, "{}", None);
    assert_eq!(late.text("error")["code"], "full");
    assert_eq!(late.goodbye(PATIENCE), Some(1013));
    assert_eq!(server.metric("swarmcast_streams_refused_total"), 2.0);
    assert_eq!(server.metric("swarmcast_sessions"), 3.0);
    assert_eq!(server.get("/healthz").status, 200, "HTTP is not counted");
    inside.pop().unwrap().close();
    assert!(within(PATIENCE, || server.metric("swarmcast_sessions") == 2.0));
    server.ws("").frame();
    drop(tcp);
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let server = Server::start(&["--set", "net.handshake_timeout_ms=500"]);
    let started = Instant::now();
    let mut half = TcpStream::connect(server.http).unwrap();
    half.set_read_timeout(Some(PATIENCE)).unwrap();
    half.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut silent = TcpStream::connect(server.http).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tcp = Tcp::open(server.tcp, "", None);
    let mut half_line = TcpStream::connect(server.tcp).unwrap();
    half_line.set_read_timeout(Some(PATIENCE)).unwrap();
    half_line.write_all(b"{\"profile\":").unwrap();
    assert_eq!(Answer::read(&mut half).status, 408);
    let mut nothing = Vec::new();
    assert_eq!(silent.read_to_end(&mut nothing).unwrap(), 0);
    assert_eq!(tcp.goodbye(PATIENCE), Some(1002));
    assert!(half_line.read_to_end(&mut nothing).unwrap() > 0 && nothing.windows(7).any(|word| word == b"goodbye"));
    assert!(started.elapsed() >= Duration::from_millis(450), "not before its time: {:?}", started.elapsed());
    assert!(server.metric("swarmcast_handshake_timeouts_total") >= 3.0);
    assert_eq!(server.metric("swarmcast_sessions"), 0.0);
}

#[test]
fn three_hundred_that_come_and_go_leave_nothing_behind() {
    let server = Server::start(&["--set", "sim.cooling=0"]);
    // Threads and buffers of the first connection are no leak.
    server.ws("").close();
    assert!(within(PATIENCE, || server.metric("swarmcast_sessions") == 0.0));
    let files = server.metric("swarmcast_open_files");
    for round in 0..300 {
        match round % 5 {
            0 => server.ws("?profile=v2").close(),
            1 => drop(server.ws("?rate=10")),
            2 => drop(server.tcp("{\"rate\":5}")),
            3 => reset(server.ws("").stream()),
            _ => {
                let mut client = server.tcp("{\"profile\":\"v3\"}");
                assert!(matches!(client.next(PATIENCE), Some(Event::Frame(_))));
                reset(client.stream());
            }
        }
    }
    let is_back = || server.metric("swarmcast_sessions") == 0.0 && server.metric("swarmcast_open_files") <= files;
    assert!(within(PATIENCE, is_back), "{files} files, now {}", server.metric("swarmcast_open_files"));
    for gauge in ["swarmcast_connections", "swarmcast_classes", "swarmcast_demand_bytes_per_second"] {
        assert!(within(PATIENCE, || server.metric(gauge) == 0.0), "{gauge} is {}", server.metric(gauge));
    }
    assert!(server.metric("swarmcast_streams_opened_total") >= 301.0);
}
