//! Goal: the graph changes while it is streamed. Everybody who applies what is told holds the graph that REST shows; no frame is
//! torn, or of a structure that was not told before; nobody has to connect again (C14, C15, C44).
//! Method: the real server over real sockets; mirrors that know nothing but the stream and `GET /api/graph/changes`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarmcast::graph::{Change, EdgeRow, Graph, Node};
use swarmcast::wire::compact::Follower;
use swarmcast::wire::{FrameHeader, NodeRecord};

use crate::random::Random;
use crate::support::{Answer, Client, Event, Server, decode, graph, within};

const PATIENCE: Duration = Duration::from_secs(60);

fn post(server: &Server, path: &str, body: &Value) -> Answer {
    server.tell("POST", path, &body.to_string())
}

/// What a client makes of a stream.
struct Mirror {
    graph: Graph,
    version: u64,
    epoch: u64,
    fetched: usize,
}

impl Mirror {
    fn new(data: &Value) -> Self {
        let nodes: Vec<Node> = serde_json::from_value(data["nodes"].clone()).unwrap();
        let edges: Vec<EdgeRow> = serde_json::from_value(data["edges"].clone()).unwrap();
        let graph = Graph::from_rows(nodes, edges, (0, 0)).unwrap();
        Self { graph, version: data["version"].as_u64().unwrap(), epoch: data["epoch"].as_u64().unwrap(), fetched: 0 }
    }

    fn apply(&mut self, batches: &Value) {
        for batch in batches.as_array().unwrap() {
            let version = batch["version"].as_u64().unwrap();
            if version > self.version {
                assert_eq!(version, self.version + 1, "a version is missing");
                let changes: Vec<Change> = serde_json::from_value(batch["changes"].clone()).unwrap();
                self.graph.commit(&changes);
                self.version = version;
            }
        }
    }

    fn hear(&mut self, server: &Server, text: &Value) {
        if text["type"] != "graph_changed" || text["version"].as_u64().unwrap() <= self.version {
            return;
        }
        if text["batches"].is_null() || text["from"].as_u64().unwrap() > self.version {
            let to = text["version"].as_u64().unwrap();
            while self.version < to {
                let missed = server.get(&format!("/api/graph/changes?since={}", self.version)).json();
                self.apply(&missed["batches"]);
                self.fetched += 1;
            }
        } else {
            self.apply(&text["batches"]);
        }
        if self.version == text["version"].as_u64().unwrap() {
            assert_eq!(self.graph.nodes().len() as u64, text["node_count"].as_u64().unwrap());
            assert_eq!(self.graph.edges().len() as u64, text["edge_count"].as_u64().unwrap());
        }
        self.epoch = text["epoch"].as_u64().unwrap();
    }

    fn words(&self) -> Vec<u32> {
        self.graph.nodes().iter().map(|node| node.id.get() | node.class.wire_bits()).collect()
    }

    fn agrees_with(&self, data: &Value) {
        let other = Self::new(data);
        assert_eq!(self.version, other.version);
        assert_eq!(self.words(), other.words());
        let plain = |mirror: &Self| {
            let nodes: Vec<Node> =
                mirror.graph.nodes().iter().map(|node| Node { position: None, ..node.clone() }).collect();
            (nodes, mirror.graph.edges().to_vec())
        };
        assert_eq!(plain(self), plain(&other));
    }
}

fn random_batch(chance: &mut Random, turn: u64) -> Value {
    let name = |chance: &mut Random| json!(format!("r{}", chance.below(40)));
    let ops: Vec<Value> = (0..=chance.below(6))
        .map(|_| match chance.below(8) {
            0..3 => json!({ "op": "upsert_node", "node": { "key": name(chance), "label": format!("turn {turn}"), "class": if chance.below(9) == 0 { "agent" } else { "knowledge" } } }),
            3..6 => json!({ "op": "upsert_edge", "edge": { "source": name(chance), "target": name(chance), "weight": 1.0 + chance.below(4) as f64 }, "create_missing": true }),
            6 => json!({ "op": "upsert_node", "node": { "key": name(chance), "attributes": { "turn": turn, "old": null } } }),
            _ => json!({ "op": "remove_node", "id": name(chance) }),
        })
        .collect();
    json!({ "ops": ops })
}

#[test]
fn every_client_holds_the_graph_and_no_frame_is_torn() {
    let server = Arc::new(Server::start(&graph("karate.gexf")));
    let done = Arc::new(AtomicBool::new(false));
    let mut viewers = Vec::new();
    for viewer in 0..6 {
        let (server, done) = (Arc::clone(&server), Arc::clone(&done));
        viewers.push(thread::spawn(move || {
            let mut client: Box<dyn Client> = match viewer {
                0 => Box::new(server.tcp("{}")),
                1 => Box::new(server.tcp(r#"{"profile":"swarmcast.compact"}"#)),
                2 => Box::new(server.ws("?profile=swarmcast.compact&bits=12")),
                3 => Box::new(server.ws("?profile=swarmcast.v1&rate=30")),
                4 => Box::new(server.ws("?profile=v2")),
                _ => Box::new(server.ws("")),
            };
            let mut mirror = Mirror::new(&server.get("/api/graph/data").json());
            let mut follower = Follower::new(1 << 20);
            let (mut checked, mut epochs, mut quiet) = (0, 0, 0);
            while quiet < 3 {
                let event = client.next(Duration::from_millis(400));
                if done.load(Ordering::Relaxed) && !matches!(event, Some(Event::Text(_))) {
                    let at = server.get("/api/graph/state").json()["version"].as_u64().unwrap();
                    quiet += usize::from(mirror.version == at);
                }
                match event {
                    Some(Event::Text(text)) => {
                        let before = mirror.epoch;
                        mirror.hear(&server, &text);
                        epochs += usize::from(mirror.epoch != before);
                    }
                    Some(Event::Frame(frame)) if viewer == 4 => {
                        assert_eq!((frame.len() - 1) % 36, 0);
                    }
                    Some(Event::Frame(frame)) if viewer == 1 || viewer == 2 => {
                        let header = *FrameHeader::parse_compact(&frame).unwrap().0;
                        assert!(u64::from(header.epoch.get()) <= mirror.epoch, "a structure that was not told");
                        follower.take(&frame).unwrap();
                        checked += 1;
                    }
                    Some(Event::Frame(frame)) => {
                        let (header, records) = decode(&frame);
                        let epoch = u64::from(header.epoch.get());
                        assert!(epoch <= mirror.epoch, "a structure that was not told");
                        assert!(records.iter().all(|record| record.position().iter().all(|x| x.is_finite())));
                        if epoch == mirror.epoch {
                            let words: Vec<u32> =
                                records.iter().map(|record: &NodeRecord| record.id_flags.get()).collect();
                            assert_eq!(words, mirror.words(), "epoch {epoch}");
                            checked += 1;
                        }
                    }
                    Some(other) => panic!("viewer {viewer}: {other:?}"),
                    None => {}
                }
            }
            mirror.agrees_with(&server.get("/api/graph/data").json());
            assert!(epochs > 20, "viewer {viewer} saw {epochs} structures");
            (viewer, checked)
        }));
    }
    let mut chance = Random(7);
    let (mut refused, mut version) = (0, 0);
    for turn in 0..150 {
        let answer = post(&server, "/api/graph/batch", &random_batch(&mut chance, turn));
        match answer.status {
            200 => {
                version += 1;
                assert_eq!(answer.json()["version"], version);
            }
            422 => refused += 1,
            status => panic!("{status}: {}", answer.text()),
        }
        thread::sleep(Duration::from_millis(chance.below(30)));
    }
    assert!(refused > 0 && version > 50, "{refused} refused, {version} done");
    done.store(true, Ordering::Relaxed);
    for viewer in viewers {
        let (viewer, checked) = viewer.join().unwrap();
        assert!(viewer == 4 || checked > 50, "viewer {viewer} checked {checked} frames");
    }
}

#[test]
fn ten_thousand_nodes_come_and_go_while_two_hundred_watch() {
    let server = Server::start(&graph("desktops.csv"));
    let mut viewers: Vec<_> = (0..200)
        .map(|viewer| {
            let query = ["?rate=10", "?rate=10&profile=swarmcast.compact"][viewer % 2];
            server.ws(query)
        })
        .collect();
    let before = server.state();
    let nodes: Vec<Value> = (0..10_000).map(|n| json!({ "key": format!("new {n}"), "label": "new" })).collect();
    let added = post(&server, "/api/graph/nodes", &json!({ "nodes": nodes }));
    assert_eq!(added.status, 201, "{}", added.text());
    assert_eq!(added.json()["created"], 10_000);
    let edges: Vec<Value> =
        (0..10_000).map(|n| json!({ "source": format!("new {n}"), "target": format!("new {}", n / 3) })).collect();
    assert_eq!(post(&server, "/api/graph/edges", &json!({ "edges": edges })).status, 201);
    assert_eq!(server.state()["node_count"], before["node_count"].as_u64().unwrap() + 10_000);
    let ops: Vec<Value> = (0..10_000).map(|n| json!({ "op": "remove_node", "id": format!("new {n}") })).collect();
    let removed = post(&server, "/api/graph/batch", &json!({ "ops": ops }));
    assert_eq!((removed.status, &removed.json()["removed"]), (200, &json!(10_000)));
    assert_eq!(server.state()["node_count"], before["node_count"]);
    let epoch = server.state()["epoch"].as_u64().unwrap();
    for viewer in &mut viewers {
        let started = Instant::now();
        let mut structures = 0;
        loop {
            assert!(started.elapsed() < PATIENCE);
            match viewer.next(PATIENCE) {
                Some(Event::Text(text)) => structures += usize::from(text["type"] == "graph_changed"),
                Some(Event::Frame(frame)) => {
                    let header = FrameHeader::parse_compact(&frame)
                        .map(|parsed| *parsed.0)
                        .unwrap_or_else(|_| *decode(&frame).0);
                    if u64::from(header.epoch.get()) == epoch {
                        assert_eq!(u64::from(header.node_count.get()), before["node_count"].as_u64().unwrap());
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(structures, 3);
    }
}

#[test]
fn new_nodes_begin_among_their_neighbours_and_the_rest_stays() {
    let server = Server::start(&graph("desktops.csv"));
    server.settle();
    let places = |data: &Value| -> Vec<(u64, [f64; 3])> {
        let axis = |row: &Value, axis: &str| row[axis].as_f64().unwrap();
        data["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["id"].as_u64().unwrap(), ["x", "y", "z"].map(|name| axis(row, name))))
            .collect()
    };
    let far = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let before = places(&server.get("/api/graph/data").json());
    let (anchor, at) = before[100];
    let answer = post(
        &server,
        "/api/graph/batch",
        &json!({ "ops": [
        { "op": "add_node", "node": { "key": "a new one" } },
        { "op": "add_edge", "edge": { "source": "a new one", "target": anchor } },
    ] }),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["results"][0]["node"].as_u64().unwrap();
    server.settle();
    let after = places(&server.get("/api/graph/data").json());
    let new = after.iter().find(|(node, _)| *node == id).unwrap().1;
    let side = before.iter().map(|(_, at)| at.iter().fold(0.0_f64, |most, x| most.max(x.abs()))).fold(0.0, f64::max);
    assert!(far(new, at) < side / 2.0, "{new:?} is far from its neighbour {at:?}");
    let mut moves: Vec<f64> = before
        .iter()
        .zip(&after)
        .map(|((id, from), (same, to))| {
            assert_eq!(id, same);
            far(*from, *to)
        })
        .collect();
    moves.sort_by(f64::total_cmp);
    assert!(moves[moves.len() / 2] < side / 100.0, "the median node moved {} of {side}", moves[moves.len() / 2]);
}

#[test]
fn what_is_wrong_with_a_change_is_said_and_nothing_is_done() {
    let server = Server::start(&graph("karate.gexf"));
    let wrong = |method: &str, path: &str, body: &str, status: u16, field: &str| {
        let answer = server.tell(method, path, body);
        let json = answer.json();
        assert_eq!(answer.status, status, "{body}: {json}");
        let paths: Vec<&str> = json["affectedPaths"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(paths, if field.is_empty() { vec![] } else { vec![field] }, "{body}: {json}");
    };
    let nodes = "/api/graph/nodes";
    wrong("POST", nodes, "{", 400, "");
    wrong("POST", nodes, "[]", 400, "");
    wrong("POST", nodes, r#"{"nodes":[]}"#, 400, "nodes");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x","wieght":1}]}"#, 400, "nodes[0].wieght");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x"},{"key":"y","weight":"much"}]}"#, 400, "nodes[1].weight");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x","attributes":{"a":[1]}}]}"#, 400, "nodes[0].attributes.a");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x"}],"nods":1}"#, 400, "nods");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x","weight":-1}]}"#, 400, "ops[0].weight");
    wrong("POST", nodes, r##"{"nodes":[{"key":"x","colour":"#12345"}]}"##, 400, "nodes[0].colour");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x"},{"key":"x"}]}"#, 409, "ops[1].key");
    wrong("POST", nodes, r#"{"nodes":[{"key":"x"}],"if_version":7}"#, 409, "if_version");
    wrong("POST", "/api/graph/edges", r#"{"edges":[{"source":"nobody","target":1}]}"#, 422, "ops[0].source");
    wrong("POST", "/api/graph/edges", r#"{"edges":[{"source":67108864,"target":1}]}"#, 400, "edges[0].source");
    wrong("POST", "/api/graph/batch", r#"{"ops":[{"op":"remove_edge"}]}"#, 400, "ops[0]");
    wrong("POST", "/api/graph/batch", r#"{"ops":[{"op":"explode"}]}"#, 400, "ops[0].op");
    wrong("PATCH", "/api/graph/nodes/1", r#"{"position":[1,2]}"#, 400, "position");
    wrong("PATCH", "/api/graph/nodes/999", "{}", 404, "");
    wrong("DELETE", "/api/graph/edges/999", "", 404, "");
    wrong("GET", "/api/graph/nodes?limit=0", "", 400, "limit");
    wrong("GET", "/api/graph/data/paginated?page=0", "", 400, "page");
    wrong("GET", "/api/graph/changes?since=1", "", 400, "since");
    let state = server.state();
    assert_eq!((&state["version"], &state["node_count"], &state["epoch"]), (&json!(0), &json!(34), &json!(1)));
}

#[test]
fn rows_are_read_changed_and_removed_one_by_one() {
    let server = Server::start(&graph("karate.gexf"));
    let made = post(
        &server,
        "/api/graph/nodes",
        &json!({ "nodes": [
        { "key": "ada", "label": "Ada", "class": "agent", "group": "g", "colour": "#102030", "attributes": { "born": 1815, "q": true } },
    ], "author": "a test" }),
    );
    let id = made.json()["results"][0]["node"].clone();
    let path = format!("/api/graph/nodes/{id}");
    let row = server.get(&path).json();
    assert_eq!(
        (&row["label"], &row["colour"], &row["attributes"]["born"], &row["degree"]),
        (&json!("Ada"), &json!("#102030"), &json!(1815), &json!(0))
    );
    let edge =
        post(&server, "/api/graph/edges", &json!({ "edges": [{ "source": "ada", "target": 1, "relation": "knows" }] }));
    let edge = edge.json()["results"][0]["edge"].clone();
    assert_eq!(server.get(&format!("/api/graph/edges/{edge}")).json()["relation"], "knows");
    assert_eq!(server.get(&format!("/api/graph/edges?node={id}")).json()["rows"].as_array().unwrap().len(), 1);
    let changed = server.tell("PATCH", &path, r#"{"label":"Ada L.","group":null,"attributes":{"q":null,"x":1.5}}"#);
    assert_eq!((changed.status, &changed.json()["updated"]), (200, &json!(1)));
    let row = server.get(&path).json();
    assert_eq!(
        (&row["label"], &row["group"], &row["attributes"]),
        (&json!("Ada L."), &json!(null), &json!({ "born": 1815, "x": 1.5 }))
    );
    // The same request again changes nothing, and a key makes a retry safe.
    let retry = json!({ "nodes": [{ "key": "once" }], "idempotency_key": "k1" });
    let first = post(&server, "/api/graph/nodes", &retry);
    let again = post(&server, "/api/graph/nodes", &retry);
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    // Pages meet without a gap.
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/graph/nodes?limit=10{cursor}")).json();
        ids.extend(page["rows"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids.len(), 36);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    // By number: every node and every edge once.
    let part = |page: usize| server.get(&format!("/api/graph/data/paginated?page={page}&page_size=10")).json();
    let pages: Vec<Value> = (1..=part(1)["total_pages"].as_u64().unwrap() as usize).map(part).collect();
    let all = |name: &str| -> Vec<u64> {
        let rows = pages.iter().flat_map(|page| page[name].as_array().unwrap());
        let mut ids: Vec<u64> = rows.map(|row| row["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!((pages.len(), all("nodes")), (4, ids));
    assert_eq!(all("edges"), (0..79).collect::<Vec<u64>>());
    assert_eq!(part(5)["nodes"], json!([]));
    assert_eq!(server.get("/api/graph/nodes?q=ADA").json()["rows"].as_array().unwrap().len(), 1);
    let gone = server.tell("DELETE", &format!("{path}?author=me"), "");
    assert_eq!((gone.status, &gone.json()["removed"]), (200, &json!(1)));
    assert_eq!(server.get(&path).status, 404);
    let changes = server.get("/api/graph/changes?since=0").json();
    let authors: Vec<_> =
        changes["batches"].as_array().unwrap().iter().map(|batch| batch["author"].as_str().unwrap()).collect();
    assert_eq!(authors, ["a test", "rest", "rest", "rest", "me"]);
}

#[test]
fn a_removal_that_is_sent_again_is_answered_as_it_was() {
    let server = Server::start(&graph("karate.gexf"));
    let path = |id: &Value, key: &str| format!("/api/graph/nodes/{id}?idempotency_key={key}");
    let made = post(&server, "/api/graph/nodes", &json!({ "nodes": [{ "key": "ada" }, { "key": "bob" }] })).json();
    let [ada, bob] = [0_usize, 1].map(|row| made["results"][row]["node"].clone());
    let edges = json!({ "edges": [{ "source": "ada", "target": 1 }, { "source": "bob", "target": 1 }] });
    let edge = post(&server, "/api/graph/edges", &edges).json()["results"][0]["edge"].clone();

    let removals = [format!("/api/graph/edges/{edge}?idempotency_key=edge"), path(&ada, "node")];
    let change = |body: &str| server.tell("PATCH", &path(&bob, "patch"), body);
    let first = removals.clone().map(|path| server.tell("DELETE", &path, ""));
    let changed = change(r#"{"label":"Bob"}"#);
    for answer in first.iter().chain([&changed]) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(server.tell("DELETE", &path(&bob, "bob"), "").status, 200);
    let before = server.state();
    for (path, first) in removals.iter().zip(&first) {
        let again = server.tell("DELETE", path, "");
        assert_eq!((again.status, again.json()), (200, first.json()), "{path}");
    }
    // A change of what somebody removed since was made all the same.
    let again = change(r#"{"label":"Bob"}"#);
    assert_eq!((again.status, again.json()), (200, changed.json()));
    let other = change(r#"{"label":"Robert"}"#);
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("key_reused")), "{}", other.text());
    // Without the key, or with a new one, there is nothing to remove.
    for query in ["", "?idempotency_key=new"] {
        let gone = server.tell("DELETE", &format!("/api/graph/nodes/{ada}{query}"), "");
        assert_eq!((gone.status, &gone.json()["code"]), (404, &json!("not_found")), "{}", gone.text());
    }
    assert_eq!(server.state()["version"], before["version"], "nothing of that was done again");
}

/// Position of a node, as its row shows it.
fn place(server: &Server, path: &str) -> [f64; 3] {
    // There are no positions of a new structure for a tick.
    assert!(within(PATIENCE, || server.get(path).json()["x"].is_number()));
    let row = server.get(path).json();
    ["x", "y", "z"].map(|axis| row[axis].as_f64().unwrap())
}

#[test]
fn a_label_moves_nothing_and_a_place_does() {
    let server = Server::start(&graph("karate.gexf"));
    let start = [400.0, -300.0, 200.0];
    let node = json!({ "key": "wanderer", "position": start });
    let made = post(
        &server,
        "/api/graph/batch",
        &json!({ "ops": [
        { "op": "add_node", "node": node },
        { "op": "add_edge", "edge": { "source": "wanderer", "target": 1 } },
    ] }),
    );
    let path = format!("/api/graph/nodes/{}", made.json()["results"][0]["node"]);
    let far = |a: [f64; 3]| a.iter().zip(start).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    assert!(within(PATIENCE, || far(place(&server, &path)) > 20.0), "it is drawn to its neighbour");
    assert_eq!(post(&server, "/api/simulation/pause", &json!({})).status, 200);
    let at = place(&server, &path);
    let change = |body: &Value| assert_eq!(server.tell("PATCH", &path, &body.to_string()).status, 200, "{body}");
    change(&json!({ "label": "W.", "attributes": { "seen": true } }));
    change(&json!({ "pinned": true }));
    change(&json!({ "pinned": false }));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(place(&server, &path), at);
    change(&json!({ "position": [1.0, 2.0, 3.0] }));
    assert!(within(PATIENCE, || place(&server, &path) == [1.0, 2.0, 3.0]), "{:?}", place(&server, &path));
    // It wanders off, and is put there again.
    assert_eq!(post(&server, "/api/simulation/resume", &json!({})).status, 200);
    assert!(within(PATIENCE, || place(&server, &path) != [1.0, 2.0, 3.0]), "it stays");
    assert_eq!(post(&server, "/api/simulation/pause", &json!({})).status, 200);
    change(&json!({ "position": [1.0, 2.0, 3.0] }));
    assert!(within(PATIENCE, || place(&server, &path) == [1.0, 2.0, 3.0]), "{:?}", place(&server, &path));
}

#[test]
fn a_client_that_comes_back_is_told_what_it_missed() {
    let server = Server::start(&graph("karate.gexf"));
    let client = server.ws("?profile=swarmcast.compact&rate=10&bits=12");
    let first = client.hello().clone();
    assert_eq!((&first["is_reconnection"], &first["state_sync_sent"]), (&json!(false), &json!(false)));
    let mut mirror = Mirror::new(&server.get("/api/graph/data").json());
    drop(client);
    for turn in 0..5 {
        let ops = json!([
            { "op": "add_node", "node": { "key": format!("missed {turn}") } },
            { "op": "add_edge", "edge": { "source": format!("missed {turn}"), "target": 1 } },
        ]);
        assert_eq!(post(&server, "/api/graph/batch", &json!({ "ops": ops })).status, 200);
    }
    let back = format!("?session={}&version={}", first["session"], mirror.version);
    let mut client = server.ws(&back);
    let again = client.hello().clone();
    assert_eq!((&again["is_reconnection"], &again["state_sync_sent"]), (&json!(true), &json!(true)));
    let subscription = |of: &Value| (of["profile"].clone(), of["rate"].clone(), of["bits"].clone());
    assert_eq!(subscription(&again), subscription(&first));
    assert_ne!(again["session"], first["session"]);
    mirror.hear(&server, &client.text("graph_changed"));
    assert_eq!(mirror.fetched, 0, "all of it was in the message");
    mirror.agrees_with(&server.get("/api/graph/data").json());

    // What is named anew is as named; who missed nothing is told nothing but that.
    let client = server.ws(&format!("?session={}&version={}&rate=5", again["session"], mirror.version));
    let again = client.hello().clone();
    assert_eq!((&again["state_sync_sent"], &again["rate"], &again["bits"]), (&json!(true), &json!(5), &json!(12)));
    // A version that is not yet, and a session that never was.
    for (query, known) in
        [(format!("?session={}&version=99", again["session"]), true), ("?session=9999&version=1".into(), false)]
    {
        let client = server.ws(&query);
        let greeting = client.hello();
        assert_eq!(
            (&greeting["is_reconnection"], &greeting["state_sync_sent"]),
            (&json!(known), &json!(false)),
            "{query}"
        );
    }
}

#[test]
fn a_change_is_taken_between_two_ticks() {
    let flags = graph("karate.gexf");
    let server = Server::start(&[&flags[0], &flags[1], "--rate", "1"]);
    let turns = || server.metric("swarmcast_turns_total");
    let before = turns();
    for turn in 0..20 {
        let added = post(&server, "/api/graph/nodes", &json!({ "nodes": [{ "key": format!("node {turn}") }] }));
        assert_eq!(added.status, 201);
    }
    // Each is answered when the simulation has it: by ticks, that were twenty.
    assert!(turns() - before < 10.0, "{} ticks", turns() - before);
}

#[test]
fn a_profile_that_cannot_carry_an_id_is_closed_and_not_lied_to() {
    let server = Server::start(&graph("karate.gexf"));
    let mut narrow = server.ws("?profile=v1");
    let mut wide = server.ws("?profile=v2");
    let added = post(&server, "/api/graph/nodes", &json!({ "nodes": [{ "key": "20000" }] }));
    assert_eq!(added.json()["results"][0]["node"], 20_000);
    assert_eq!(narrow.goodbye(PATIENCE), Some(1003));
    let size = 1 + 36 * 35;
    assert!(within(PATIENCE, || wide.frame().len() == size));
}
