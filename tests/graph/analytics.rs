//! Goal: analytics over HTTP are those of the references, never hold up the simulation, can be watched and stopped, and what
//! is published reaches every profile that has a place for it (C18, C20, C21, C22).
//! Method: the real server; golden values of networkx; long jobs on a large graph, seen by counters and never by times.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use swarmcast::wire::compact::Follower;
use swarmcast::wire::{
    COLUMN_CLUSTER, COLUMN_COMMUNITY, COLUMN_DISTANCE, COLUMN_PARENT, COLUMN_RANK, FrameHeader, KIND_COLUMNS,
    decode_v1, decode_v2, decode_v3,
};

use crate::support::{Answer, Client, Event, PATIENCE, Server, graph, repository, within};

fn send(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.http);
    server.send(format!("{head}{headers}{length}\r\n{body}").as_bytes())
}

fn post(server: &Server, path: &str, body: &Value) -> Answer {
    send(server, "POST", &format!("/api/analytics/{path}"), "", &body.to_string())
}

/// The job's answer with its result.
fn done(server: &Server, kind: &str, body: &Value) -> Value {
    let answer = post(server, &format!("{kind}?wait=10"), body);
    let json = answer.json();
    assert_eq!((answer.status, &json["state"]), (200, &json!("done")), "{json}");
    json
}

fn job(server: &Server, id: u64) -> Value {
    server.get(&format!("/api/analytics/jobs/{id}")).json()
}

/// Begins a job that nobody waits for; its number.
fn begin(server: &Server, kind: &str, body: &Value) -> u64 {
    let answer = post(server, kind, body);
    let json = answer.json();
    assert_eq!(answer.status, 202, "{json}");
    let id = json["job"].as_u64().unwrap();
    assert!(answer.head.contains(&format!("location: /api/analytics/jobs/{id}")), "{}", answer.head);
    id
}

fn golden() -> Value {
    let text = std::fs::read_to_string(repository("tests/golden/analytics/karate.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// A ring of so many nodes with chords, so that a search takes a while and a layout for ever.
fn large(name: &str, nodes: u32) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let edges = (0..nodes).flat_map(|node| [(node, (node + 1) % nodes), (node, (node * 7 + 13) % nodes)]);
    let lines: String = edges.map(|(a, b)| format!("{a},{b}\n")).collect();
    std::fs::write(&path, format!("source,target\n{lines}")).unwrap();
    path.display().to_string()
}

/// What no machine finishes while a test runs.
fn endless() -> Value {
    json!({ "pivots": 200, "iterations_max": 10_000, "tolerance": 0, "unit": 1 })
}

#[test]
fn results_on_the_karate_club_are_those_of_networkx() {
    let server = Server::start(&graph("karate.gexf"));
    let golden = golden();
    for lengths in ["hops", "weights", "inverse"] {
        let json = done(&server, "sssp", &json!({ "source": 0, "lengths": lengths }));
        let result = &json["result"];
        assert_eq!(
            (&json["algorithm"], &json["epoch"], &json["progress"]),
            (&json!("dijkstra"), &json!(1), &json!(1.0))
        );
        assert_eq!(json["parameters"]["lengths"], lengths);
        assert_eq!(numbers(&result["ids"]), (0..34).map(f64::from).collect::<Vec<_>>());
        for (found, expected) in numbers(&result["distance"]).iter().zip(numbers(&golden[lengths])) {
            assert!((found - expected).abs() <= 1e-9 * expected, "{lengths}: {found} {expected}");
        }
        assert_eq!((&result["parent"][0], &result["reached"]), (&Value::Null, &json!(34)));
    }
    let ranks = done(&server, "pagerank", &json!({}));
    for (found, expected) in numbers(&ranks["result"]["rank"]).iter().zip(numbers(&golden["pagerank"])) {
        assert!((found - expected).abs() < 6e-6, "{found} {expected}");
    }
    let quality = done(&server, "community", &json!({}))["result"]["modularity"].as_f64().unwrap();
    assert!(quality >= 0.98 * golden["louvain_modularity"].as_f64().unwrap(), "{quality}");
    assert_eq!(done(&server, "components", &json!({}))["result"]["count"], 1);
    // These look at positions, and say at which tick.
    for (kind, body) in [("clustering", json!({})), ("anomaly", json!({})), ("stress", json!({ "values": false }))] {
        assert!(done(&server, kind, &body)["tick"].is_u64(), "{kind}");
    }
    assert_eq!(server.metric("swarmcast_analytics_done_total"), 9.0);
}

#[test]
fn a_long_job_is_watched_and_stopped_while_the_simulation_goes_on() {
    let graph = large("analytics_long.csv", 20_000);
    let still = ["--graph", &graph, "--set", "sim.cooling=0", "--set", "sim.settle_velocity=0"];
    let server = Server::start(&still);
    let id = begin(&server, "stress", &endless());
    let progress = || job(&server, id)["progress"].as_f64().unwrap();
    assert!(within(PATIENCE, || progress() > 0.1), "{}", job(&server, id));
    assert_eq!(server.get("/health/detail").json()["analytics"]["running"], 1);
    let tick = || server.metric("swarmcast_ticks_total");
    let (first, before) = (tick(), progress());
    assert!(within(PATIENCE, || tick() >= first + 30.0), "the simulation goes on");
    assert!(within(PATIENCE, || progress() > before), "and so does the job");
    assert_eq!(job(&server, id)["state"], "running");
    let told = send(&server, "DELETE", &format!("/api/analytics/jobs/{id}"), "", "").json();
    assert_eq!(told["job"], id);
    assert!(within(PATIENCE, || job(&server, id)["state"] == "cancelled"), "{}", job(&server, id));
    assert_eq!(server.metric("swarmcast_analytics_cancelled_total"), 1.0);
    // The worker is free again; and a server that has a job running still goes down.
    done(&server, "sssp", &json!({ "source": 5 }));
    begin(&server, "stress", &endless());
    let mut server = server;
    server.signal(15);
    assert!(server.wait(Duration::from_secs(10)).is_some_and(|status| status.success()));
}

#[test]
fn a_full_queue_says_so_and_waiting_jobs_can_be_taken_back() {
    let graph = large("analytics_queue.csv", 20_000);
    // Few ticks: a worker runs where nothing else wants to, and beside another test's simulation that may be nowhere for long.
    let server = Server::start(&["--graph", &graph, "--rate", "2"]);
    let running = begin(&server, "stress", &endless());
    assert!(within(PATIENCE, || job(&server, running)["state"] == "running"));
    let queued: Vec<u64> = (0..16).map(|_| begin(&server, "components", &json!({}))).collect();
    let refused = post(&server, "components", &json!({}));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(job(&server, queued[3])["state"], "queued");
    assert!(job(&server, queued[3])["epoch"].is_null());
    send(&server, "DELETE", &format!("/api/analytics/jobs/{}", queued[3]), "", "");
    assert_eq!(job(&server, queued[3])["state"], "cancelled");
    // There is one place now; whoever waits for a job that does not begin in time is told where it will be.
    let answer = post(&server, "components?wait=0.1", &json!({}));
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("queued")));
    send(&server, "DELETE", &format!("/api/analytics/jobs/{running}"), "", "");
    assert!(within(PATIENCE, || queued.iter().all(|id| *id == queued[3] || job(&server, *id)["state"] == "done")));
    // Thirty-two ended jobs are kept.
    for _ in 0..33 {
        done(&server, "sssp", &json!({ "source": 1, "values": false }));
    }
    let gone = server.get(&format!("/api/analytics/jobs/{running}"));
    assert_eq!(gone.status, 404, "{}", gone.text());
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let server = Server::start(&graph("karate.gexf"));
    let refused = |kind: &str, body: &str, status: u16, field: &str| {
        let answer = send(&server, "POST", &format!("/api/analytics/{kind}"), "", body);
        let json = answer.json();
        assert_eq!(answer.status, status, "{kind} {body}: {json}");
        assert_eq!(json["affectedPaths"], if field.is_empty() { json!([]) } else { json!([field]) }, "{json}");
    };
    refused("sssp", r#"{"source": 34}"#, 400, "source");
    refused("sssp", r#"{"source": 1, "speed": 2}"#, 400, "speed");
    refused("clustering", r#"{"clusters": -1}"#, 400, "clusters");
    refused("clustering", "nonsense", 400, "body");
    refused("sssp?wait=11", r#"{"source": 1}"#, 400, "wait");
    refused("sssp?wait=soon", r#"{"source": 1}"#, 400, "wait");
    refused("sssp?when=now", r#"{"source": 1}"#, 400, "when");
    refused("divination", "", 404, "");
    let status = |method: &str, path: &str, headers: &str| send(&server, method, path, headers, "").status;
    assert_eq!(status("GET", "/api/analytics/sssp", ""), 405);
    assert_eq!(status("GET", "/api/analytics/jobs/1", ""), 404);
    assert_eq!(status("DELETE", "/api/analytics/jobs/x", ""), 404);
    assert_eq!(status("POST", "/api/analytics/components", "Origin: http://evil.example\r\n"), 403);
    let head = format!("POST /api/analytics/components HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.http);
    assert_eq!(server.send(format!("{head}\r\n").as_bytes()).status, 411);
    assert_eq!(server.send(format!("{head}Content-Length: 300000\r\n\r\n").as_bytes()).status, 413);
    // A body that comes in pieces is waited for; what follows it on the connection is the next request.
    let body = r#"{"source": 33, "values": false}"#;
    let two = format!(
        "POST /api/analytics/sssp?wait=5 HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}\
         GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        body.len(),
        host = server.http
    );
    let text = String::from_utf8(server.send(two.as_bytes()).body).unwrap();
    assert!(text.contains("\"state\":\"done\"") && text.ends_with(r#"{"status":"ok"}"#), "{text}");
    let large = large("analytics_small.csv", 5_000);
    let server = Server::start(&["--graph", &large]);
    let answer = post(&server, "landmarks?wait=10", &json!({ "count": 2049 })).json();
    assert!(answer["message"].as_str().unwrap().contains("from 1 to 2048"), "no table of all pairs: {answer}");
}

/// Takes frames until one is as it should be.
fn frame_where(client: &mut impl Client, what: &str, mut good: impl FnMut(&[u8]) -> bool) {
    for _ in 0..2_000 {
        if good(&client.frame()) {
            return;
        }
    }
    panic!("no frame came in which {what}");
}

#[test]
fn what_is_published_is_in_every_profile_that_has_a_place_for_it() {
    let server = Server::start(&graph("karate.gexf"));
    // At rest as well: frames come then for those who have to hear of something.
    server.settle();
    let mut v1 = server.ws("?profile=v1");
    let mut v2 = server.ws("?profile=v2");
    let mut v3 = server.tcp(r#"{"type":"subscribe","profile":"v3"}"#);
    let first = decode_v2(&v2.frame()).unwrap().to_vec();
    assert!(first.iter().all(|node| node.tail.distance.get().is_infinite() && node.tail.parent.get() == -1));
    // Not asked for, not sent.
    done(&server, "sssp", &json!({ "source": 3 }));
    let json = done(&server, "sssp", &json!({ "source": 0, "publish": true }));
    assert_eq!(json["published"], true);
    let result = &json["result"];
    let expected: HashMap<u32, (f32, i32)> = (0..34)
        .map(|node| {
            let (distance, parent) = (&result["distance"][node], &result["parent"][node]);
            (node as u32, (distance.as_f64().unwrap() as f32, parent.as_i64().unwrap_or(-1) as i32))
        })
        .collect();
    frame_where(&mut v2, "v2 has every distance and parent", |frame| {
        let nodes = decode_v2(frame).unwrap();
        let tail = |id: u32| expected[&(id & 0x03FF_FFFF)];
        nodes.iter().all(|node| (node.tail.distance.get(), node.tail.parent.get()) == tail(node.id_flags.get()))
    });
    frame_where(&mut v1, "v1 has every distance", |frame| {
        let nodes = decode_v1(frame).unwrap();
        nodes.iter().all(|node| node.tail.distance.get() == expected[&u32::from(node.id_flags.get() & 0x3FFF)].0)
    });
    let communities = done(&server, "community", &json!({ "publish": true }));
    let clusters = done(&server, "clustering", &json!({ "publish": true, "clusters": 3 }));
    done(&server, "anomaly", &json!({ "publish": true }));
    let ranks = done(&server, "pagerank", &json!({ "publish": true }));
    frame_where(&mut v3, "v3 has all of it", |frame| {
        let nodes = decode_v3(frame).unwrap();
        nodes.iter().all(|node| {
            let id = (node.node.id_flags.get() & 0x03FF_FFFF) as usize;
            node.community.get() == communities["result"]["community"][id].as_u64().unwrap() as u32
                && node.cluster.get() == clusters["result"]["cluster"][id].as_u64().unwrap() as u32
                && node.anomaly.get() > 0.0
                && node.node.tail.distance.get() == expected[&(id as u32)].0
        })
    });
    // One that comes later has it from its first frame on; the compact profile as columns.
    let late = server.ws("?profile=v2").frame();
    assert!(decode_v2(&late).unwrap().iter().all(|node| node.tail.distance.get().is_finite()));
    let mut compact = server.ws("?profile=swarmcast.compact");
    let mut follower = Follower::new(1_000);
    while !follower.is_live() {
        follower.take(&compact.frame()).unwrap();
    }
    let column = |column: u8| -> HashMap<u32, u32> {
        follower.column(column).unwrap().map(|(id, word)| (id & 0x03FF_FFFF, word)).collect()
    };
    for (id, (distance, parent)) in &expected {
        assert_eq!(f32::from_bits(column(COLUMN_DISTANCE)[id]), *distance);
        assert_eq!(column(COLUMN_PARENT)[id].cast_signed(), *parent);
        let label = communities["result"]["community"][*id as usize].as_u64().unwrap();
        assert_eq!(u64::from(column(COLUMN_COMMUNITY)[id]), label);
        assert!(column(COLUMN_CLUSTER)[id] >= 1);
        let rank = ranks["result"]["rank"][*id as usize].as_f64().unwrap();
        assert_eq!(f32::from_bits(column(COLUMN_RANK)[id]), rank as f32);
    }
    // One that is there already hears of newer values.
    let json = done(&server, "sssp", &json!({ "source": 33, "publish": true }));
    let mut columns = 0;
    while follower
        .column(COLUMN_DISTANCE)
        .is_none_or(|mut all| !all.any(|(id, word)| id & 0x03FF_FFFF == 33 && word == 0))
    {
        match compact.next(PATIENCE) {
            Some(Event::Frame(message)) => {
                let header = *FrameHeader::parse_compact(&message).unwrap().0;
                columns += u32::from(header.kind == KIND_COLUMNS);
                follower.take(&message).unwrap();
            }
            Some(Event::Text(_)) => {}
            other => panic!("no newer columns but {other:?} after {columns}; {json}"),
        }
    }
}
