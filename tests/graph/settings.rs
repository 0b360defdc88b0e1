//! Goal: a setting that was answered with 200 is in force in the running simulation; nothing is done in part, nothing is swallowed;
//! who watches hears of every change; what was saved survives a restart and what was not does not (K2 to K6).
//! Method: the real server over REST, WebSocket and TCP, asked as a user asks, then as an attacker.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarmcast::wire::{SettingsBody, SettingsMessage, SettingsPath, SettingsValue};

use crate::support::{Answer, Client, Event, Folder, Server, Ws, graph, run, within};

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    server.send(head.as_bytes())
}

fn put(server: &Server, path: &str, value: &Value) -> Answer {
    send(server, "PUT", "/api/settings/path", &json!({ "path": path, "value": value }))
}

fn get(server: &Server, path: &str) -> Value {
    server.get(&format!("/api/settings/path?path={path}")).json()["value"].clone()
}

fn batch(server: &Server, updates: &[(&str, Value)]) -> Answer {
    let updates: Vec<Value> = updates.iter().map(|(path, value)| json!({ "path": path, "value": value })).collect();
    send(server, "PUT", "/api/settings/batch", &json!({ "updates": updates }))
}

fn current(server: &Server) -> Value {
    server.get("/api/settings/current").json()
}

/// Mean length of the edges, world units.
fn mean_edge(server: &Server) -> f64 {
    let data = server.get("/api/graph/data").json();
    let nodes = data["nodes"].as_array().unwrap();
    let at: BTreeMap<u64, Vec<f64>> = nodes
        .iter()
        .map(|node| {
            let axis = |axis: &str| node[axis].as_f64().or_else(|| node["position"][axis].as_f64()).unwrap();
            (node["id"].as_u64().unwrap(), ["x", "y", "z"].map(axis).to_vec())
        })
        .collect();
    let edges = data["edges"].as_array().unwrap();
    let length = |edge: &Value| {
        let end = |end: &str| &at[&edge[end].as_u64().unwrap()];
        end("source").iter().zip(end("target")).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    edges.iter().map(length).sum::<f64>() / edges.len() as f64
}

#[test]
fn a_changed_spring_changes_the_layout_and_is_left_at_once() {
    let server = Server::start(&graph("karate.gexf"));
    server.settle();
    let (before, tick) = (mean_edge(&server), server.state()["tick"].as_u64().unwrap());
    let answer = put(&server, "visualisation.graphs.knowledge.physics.restLength", &json!(240)).json();
    assert_eq!((&answer["key"], &answer["value"]), (&json!("sim.rest_length"), &json!(240.0)), "{answer}");
    assert!(answer["tick"].as_u64().unwrap() >= tick && answer["version"] == 2, "{answer}");
    assert_eq!(get(&server, "sim.rest_length"), 240.0);
    assert_eq!(get(&server, "visualisation.graphs.agents.physics.rest_length"), 240.0, "one space, one physics");
    assert!(within(Duration::from_secs(5), || !server.is_settled()), "a change of a parameter reheats");
    server.settle();
    let longer = mean_edge(&server);
    assert!(longer > 1.5 * before, "edges of {before} became {longer}");
    let [firm, soft] = [100_000, 100].map(|spring_k| {
        assert_eq!(put(&server, "sim.spring_k", &json!(spring_k)).status, 200);
        assert!(within(Duration::from_secs(5), || !server.is_settled()), "it reheats");
        server.settle();
        mean_edge(&server)
    });
    assert!(soft > 1.05 * firm, "firm springs come nearer to their length: {firm}, soft ones {soft}");
    // Pausing does not keep it from being taken.
    assert_eq!(send(&server, "POST", "/api/simulation/pause", &Value::Null).status, 200);
    assert_eq!(put(&server, "sim.damping", &json!(0.5)).json()["value"], 0.5);
}

#[test]
fn rate_and_dimensions_change_while_it_runs() {
    let server = Server::start(&[&graph("karate.gexf")[..], &["--rate".to_owned(), "20".to_owned()]].concat());
    let answer = batch(&server, &[("sim.rateHz", json!(100)), ("sim.dimensions", json!(2))]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let state = server.state();
    assert_eq!((&state["tick_rate"], &state["dimensions"]), (&json!(100), &json!(2)));
    assert_eq!(state["settings"]["version"], current(&server)["version"]);
    assert_eq!(state["settings"]["hash"], current(&server)["hash"]);
    assert_eq!(server.ws("").hello()["settings"]["version"], 2);
    let ticks = || server.metric("swarmcast_ticks_total");
    let reheat = || assert_eq!(send(&server, "POST", "/api/simulation/reheat", &Value::Null).status, 200);
    reheat();
    let first = ticks();
    assert!(within(Duration::from_secs(20), || ticks() - first >= 10.0));
    // A loaded machine makes ticks fewer, never more: at 100 Hz there would be two hundred.
    assert_eq!(put(&server, "sim.rate_hz", &json!(2)).status, 200);
    reheat();
    let (first, started) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let (made, most) = (ticks() - first, 2.0 * started.elapsed().as_secs_f64() + 2.0);
    assert!(made <= most, "{made} ticks, at most {most} are due");
    let data = server.get("/api/graph/data").json();
    for node in data["nodes"].as_array().unwrap() {
        let z = node["z"].as_f64().or_else(|| node["position"]["z"].as_f64()).unwrap();
        assert_eq!(z, 0.0, "{node}");
    }
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    let server = Server::start(&graph("karate.gexf"));
    let before = current(&server);
    let answer = batch(&server, &[("sim.damping", json!(0.3)), ("sim.repel_k", json!(-1)), ("sim.nothing", json!(1))]);
    assert_eq!(answer.status, 400);
    let text = answer.text();
    for named in ["sim.repel_k", "sim.nothing", "0 to 10000000"] {
        assert!(text.contains(named), "{named} is not in {text}");
    }
    assert!(!text.contains("\"sim.damping\""), "{text}");
    assert_eq!(current(&server), before);
    let wrong = batch(&server, &[("sim.damping", json!(0.3)), ("net.hold_max", json!(9))]);
    assert_eq!((wrong.status, wrong.text().contains("needs_restart")), (409, true));
    assert!(wrong.text().contains("net.hold_max"));
    assert_eq!(current(&server), before);
    let answer = batch(
        &server,
        &[
            ("sim.damping", json!(0.1)),
            ("sim.theta", json!(0.5)),
            ("sim.damping", json!(0.25)),
            ("budgets.stepMs", json!(3.5)),
        ],
    );
    let answer = answer.json();
    assert_eq!(answer["values"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!((get(&server, "sim.damping"), get(&server, "budgets.step_ms")), (json!(0.25), json!(3.5)));
    let detail = server.get("/health/detail").json();
    let step = detail["stages"].as_array().unwrap().iter().find(|row| row["stage"] == "step").unwrap();
    assert_eq!(step["budget_ms"], 3.5);
    let many = |count: usize| vec![("sim.damping", json!(0.3)); count];
    assert_eq!(batch(&server, &many(50)).status, 200);
    let refused = batch(&server, &many(51));
    assert_eq!((refused.status, refused.text().contains("50")), (400, true));
    assert_eq!(batch(&server, &[]).status, 400);
    let paths = |count: usize| json!({ "paths": vec!["sim.damping"; count] });
    let read = send(&server, "POST", "/api/settings/batch", &paths(50)).json();
    assert_eq!((read["values"].as_array().unwrap().len(), &read["values"][49]["value"]), (50, &json!(0.3)));
    assert_eq!(send(&server, "POST", "/api/settings/batch", &paths(51)).status, 400);
}

#[test]
fn what_is_no_setting_is_refused_and_never_swallowed() {
    let server = Server::start(&graph("karate.gexf"));
    let before = current(&server);
    let cases = [
        ("sim.damping", json!(1.5), 400, "0 to 0.999"),
        ("sim.damping", json!("0.5"), 400, "number"),
        ("sim.damping", json!(null), 400, "number"),
        ("sim.springs", json!(1), 400, "true or false"),
        ("sim.force_model", json!("t-force"), 400, "t_force"),
        ("sim.rate_hz", json!(0), 400, "1 to 120"),
        ("sim.rate_hz", json!(59.5), 400, "whole"),
        ("sim", json!({}), 400, "section"),
        ("", json!(1), 400, "no setting"),
        ("sim.dampin", json!(1), 400, "sim.damping"),
        ("visualisation.glow.intensity", json!(1), 400, "no setting"),
        ("visualisation.graphs.knowledge.physics.graphSeparationX", json!(1), 400, "two-graphs"),
        ("net.http", json!("127.0.0.1:1"), 409, "start"),
        ("sim.backend", json!("cuda"), 409, "start"),
    ];
    for (path, value, status, words) in cases {
        let answer = put(&server, path, &value);
        assert_eq!(answer.status, status, "{path} {value}: {}", answer.text());
        assert!(answer.text().contains(words), "{words} is not in {}", answer.text());
    }
    for body in [
        json!([]),
        json!({}),
        json!({ "path": "sim.damping" }),
        json!({ "path": 1, "value": 1 }),
        json!({ "path": "sim.damping", "value": 0.5, "more": 1 }),
    ] {
        assert_eq!(send(&server, "PUT", "/api/settings/path", &body).status, 400, "{body}");
    }
    assert_eq!(current(&server), before);
    assert_eq!(server.get("/api/settings/path").status, 400);
    assert_eq!(server.get("/api/settings/path?path=sim.dampin").status, 400);
    assert_eq!(server.get("/api/settings/path?path=sim&other=1").status, 400);
    assert_eq!(server.get("/api/settings/current?since=x").status, 400);
    assert_eq!(server.get("/api/settings/current?since=1&hash=zz").status, 400);
    assert_eq!(get(&server, "sim")["damping"], before["settings"]["sim"]["damping"]);
    assert!(get(&server, "visualisation.graphs.logseq.physics")["spring_k"].is_f64());
    assert_eq!(put(&server, "sim.backend", &before["settings"]["sim"]["backend"]).status, 200, "it stays as it is");
}

#[test]
fn the_schema_describes_what_is_in_force() {
    let server = Server::start(&graph("karate.gexf"));
    let (schema, settings) = (server.get("/api/settings/schema").json(), current(&server)["settings"].clone());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut checked = 0;
    for (section, rows) in settings.as_object().unwrap() {
        for (leaf, value) in rows.as_object().unwrap() {
            let row = &schema["properties"][section]["properties"][leaf];
            for (keyword, bound) in [("minimum", false), ("maximum", true)] {
                if let Some(bound_at) = row[keyword].as_f64() {
                    let value = value.as_f64().unwrap();
                    assert!(if bound { value <= bound_at } else { value >= bound_at }, "{section}.{leaf} = {value}");
                }
            }
            let kind = match value {
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                _ => "array",
            };
            assert_eq!(row["type"], kind, "{section}.{leaf}");
            assert!(row["description"].as_str().unwrap().ends_with('.'));
            checked += 1;
        }
    }
    assert!(checked > 60 && schema["x-registry"]["paths"] == checked);
}

#[test]
fn saved_settings_survive_a_restart_and_others_do_not() {
    let folder = Folder::new("settings");
    let store = folder.join("graph.db").display().to_string();
    let flags = ["--store", &store, "--set", "sim.theta=0.7"];
    {
        let server = Server::start(&flags);
        let answer =
            batch(&server, &[("sim.damping", json!(0.4)), ("sim.theta", json!(0.3)), ("log.level", json!("warn"))]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let saved = send(&server, "POST", "/api/settings/save", &Value::Null);
        let saved = saved.json();
        assert_eq!(saved["saved"], json!(["sim.damping", "sim.theta", "log.level"]), "{saved}");
        assert_eq!(saved["overridden_by_flags"], json!(["sim.theta"]));
        let again = send(&server, "POST", "/api/settings/save", &json!({})).json();
        assert_eq!(again["changed"], 0);
        assert_eq!(put(&server, "sim.repel_k", &json!(99)).status, 200);
        assert_eq!(server.state()["version"], 1, "a save is a batch of the log");
        shows_what_was_saved(&store);
        assert_eq!(put(&server, "sim.repel_k", &json!(98)).status, 200);
        let again = send(&server, "POST", "/api/settings/save", &Value::Null);
        assert_eq!((again.status, &again.json()["changed"]), (200, &json!(1)), "it goes on as if nobody had looked");
        assert_eq!(put(&server, "sim.repel_k", &json!(17_000.0)).status, 200);
        assert_eq!(send(&server, "POST", "/api/settings/save", &Value::Null).status, 200);
    }
    shows_what_was_saved(&store);
    {
        let server = Server::start(&flags);
        assert_eq!((get(&server, "sim.damping"), get(&server, "log.level")), (json!(0.4), json!("warn")));
        assert_eq!((get(&server, "sim.theta"), get(&server, "sim.repel_k")), (json!(0.7), json!(17_000.0)));
        let reset = send(&server, "POST", "/api/settings/reset", &json!({ "paths": ["sim.damping"] }));
        assert_eq!(reset.json()["values"][0]["value"], 0.9);
        assert_eq!(get(&server, "log.level"), "warn");
        assert_eq!(send(&server, "POST", "/api/settings/reset", &Value::Null).status, 200);
        assert_eq!((get(&server, "sim.theta"), get(&server, "log.level")), (json!(0.7), json!("info")));
        let saved = send(&server, "POST", "/api/settings/save", &Value::Null).json();
        assert_eq!((&saved["saved"], &saved["changed"]), (&json!([]), &json!(3)), "{saved}");
    }
    let server = Server::start(&["--store", &store]);
    assert_eq!((get(&server, "sim.damping"), get(&server, "sim.theta")), (json!(0.9), json!(1.1)));
    drop(server);
    let server = Server::start(&graph("karate.gexf"));
    let refused = send(&server, "POST", "/api/settings/save", &Value::Null);
    assert_eq!((refused.status, refused.text().contains("--store")), (409, true), "{}", refused.text());
}

/// `config show` has what an engine with this store begins with, and where it comes from; `serve --check` has it as well.
fn shows_what_was_saved(store: &str) {
    let flags = ["--store", store, "--set", "sim.theta=0.7"];
    let saved = format!("damping = 0.4 # saved in {store}");
    let level = format!("level = \"warn\" # saved in {store}");
    let shown = run(&[&["config", "show", "--origin"][..], &flags].concat());
    let said = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    for line in [&*saved, &*level, "theta = 0.7 # flag --set", "repel_k = 17000.0 # default"] {
        assert!(said.lines().any(|found| found == line), "{line} is missing in {said}");
    }
    let nothing = run(&[&["config", "show", "--ephemeral"][..], &flags].concat());
    assert!(String::from_utf8(nothing.stdout).unwrap().lines().any(|line| line == "damping = 0.9"));
}

#[test]
fn a_store_that_cannot_be_read_is_said_beside_the_configuration() {
    let folder = Folder::new("show-damaged");
    let store = folder.join("graph.db");
    let show = || run(&["config", "show", "--store", &store.display().to_string()]);
    assert!(show().status.success() && !store.exists(), "one that is not there is not made");
    std::fs::write(&store, "no database").unwrap();
    let shown = show();
    assert!(String::from_utf8(shown.stdout).unwrap().contains("damping = 0.9"));
    let words = String::from_utf8(shown.stderr).unwrap();
    assert!(!shown.status.success() && words.contains("graph.db"), "{words}");
}

#[test]
fn limits_that_are_live_hold_at_once() {
    let server = Server::start(&graph("karate.gexf"));
    let nodes = server.state()["node_count"].as_u64().unwrap();
    assert_eq!(put(&server, "graph.nodes_max", &json!(nodes)).status, 200);
    let node = json!({ "nodes": [{ "key": "one more" }] });
    assert_eq!(send(&server, "POST", "/api/graph/nodes", &node).status, 507);
    assert_eq!(put(&server, "graph.nodesMax", &json!(nodes + 1)).status, 200);
    assert_eq!(send(&server, "POST", "/api/graph/nodes", &node).status, 201);
    let _first = server.ws("");
    assert_eq!(put(&server, "net.connections_per_address_max", &json!(1)).status, 200);
    let upgrade = server.request(
        "GET",
        "/stream",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    assert_ne!(upgrade.status, 101, "{}", upgrade.text());
    assert_eq!(put(&server, "net.connections_per_address_max", &json!(0)).status, 200);
    let _second = server.ws("");
}

#[test]
fn times_of_connections_change_while_they_last() {
    let server = Server::start(&graph("karate.gexf"));
    // Somebody who says nothing is asked after half a minute; from now on after a second.
    let _quiet = server.ws("");
    assert_eq!(server.metric("swarmcast_pings_sent_total"), 0.0);
    assert_eq!(put(&server, "net.ping_seconds", &json!(1)).json()["value"], 1);
    assert!(within(Duration::from_secs(5), || server.metric("swarmcast_pings_sent_total") >= 1.0));
    // Somebody who does not say hello is told so after five seconds; from now on after 300 ms.
    assert_eq!(put(&server, "net.handshake_timeout_ms", &json!(300)).json()["value"], 300);
    let mut silent = std::net::TcpStream::connect(server.tcp).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begun = Instant::now();
    std::io::Read::read_to_end(&mut silent, &mut Vec::new()).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // What is live is what the schema says, reads back, and nothing else is taken.
    let live = [
        ("net.hold_ms_max", 700),
        ("net.pong_seconds", 3),
        ("net.frame_lease_max_ms", 200),
        ("net.stall_seconds", 4),
        ("net.lease_copy_bytes_max", 1 << 20),
        ("graph.watch_ms", 300),
        ("mcp.connections_per_token", 7),
        ("mcp.calls_per_second", 8),
        ("mcp.changes_per_second", 9),
    ];
    let schema = server.get("/api/settings/schema").json();
    for (path, value) in live {
        let answer = put(&server, path, &json!(value));
        assert_eq!((answer.status, &answer.json()["value"]), (200, &json!(value)), "{path}: {}", answer.text());
        assert_eq!(get(&server, path), json!(value), "{path}");
    }
    for (section, rows) in current(&server)["settings"].as_object().unwrap() {
        for (leaf, value) in rows.as_object().unwrap() {
            let row = &schema["properties"][section]["properties"][leaf];
            let other = match value {
                Value::Bool(value) => json!(!value),
                Value::Number(number) if number.is_i64() => json!(number.as_i64().unwrap() + 1),
                _ => continue,
            };
            let answer = put(&server, &format!("{section}.{leaf}"), &other);
            match row["x-live"] == true {
                true => assert_ne!(answer.status, 409, "{section}.{leaf}: {}", answer.text()),
                false => assert!([400, 409].contains(&answer.status), "{section}.{leaf}: {}", answer.text()),
            }
            if answer.status == 409 {
                assert!(answer.text().contains("needs_restart"), "{}", answer.text());
            }
        }
    }
}

/// Settings by path, as a client that hears of changes has them.
#[derive(Default)]
struct Mirror {
    version: u64,
    hash: String,
    values: BTreeMap<String, Value>,
}

impl Mirror {
    fn hear(&mut self, delta: &Value) {
        if delta["whole"] == true {
            self.values.clear();
        } else {
            assert_eq!(delta["from"], self.version, "a change is missing");
        }
        for change in delta["changes"].as_array().unwrap() {
            self.values.insert(change["path"].as_str().unwrap().to_owned(), change["value"].clone());
        }
        self.version = delta["version"].as_u64().unwrap();
        self.hash = delta["hash"].as_str().unwrap().to_owned();
    }

    fn agrees_with(&self, current: &Value) {
        assert_eq!((json!(self.version), json!(self.hash)), (current["version"].clone(), current["hash"].clone()));
        for (path, value) in &self.values {
            let (section, leaf) = path.split_once('.').unwrap();
            assert_eq!(&current["settings"][section][leaf], value, "{path}");
        }
        let count: usize =
            current["settings"].as_object().unwrap().values().map(|rows| rows.as_object().unwrap().len()).sum();
        assert_eq!(self.values.len(), count);
    }
}

#[test]
fn who_watches_hears_of_every_change_and_who_was_away_gets_what_it_missed() {
    let server = Server::start(&graph("karate.gexf"));
    let mut clients: Vec<Box<dyn Client>> = vec![Box::new(server.ws("")), Box::new(server.tcp("{}"))];
    let mut mirrors = [Mirror::default(), Mirror::default()];
    for (client, mirror) in clients.iter_mut().zip(&mut mirrors) {
        client.send(&json!({ "type": "settings_subscribe" }));
        let whole = client.text("settings_delta");
        assert_eq!((&whole["whole"], &whole["from"]), (&json!(true), &json!(0)));
        mirror.hear(&whole);
        mirror.agrees_with(&current(&server));
    }
    let mut idle = server.ws("");
    for (path, value) in [("sim.damping", json!(0.2)), ("budgets.step_ms", json!(1)), ("sim.bounds", json!(5_000))] {
        assert_eq!(put(&server, path, &value).status, 200);
    }
    assert_eq!(put(&server, "sim.bounds", &json!(5_000)).status, 200, "nothing changes, nobody is told");
    for (client, mirror) in clients.iter_mut().zip(&mut mirrors) {
        for _ in 0..3 {
            let delta = client.text("settings_delta");
            assert_eq!(delta["changes"].as_array().unwrap().len(), 1, "{delta}");
            mirror.hear(&delta);
        }
        mirror.agrees_with(&current(&server));
        assert!(client.text_within("settings_delta", Duration::from_millis(300)).is_none());
    }
    assert!(idle.text_within("settings_delta", Duration::from_millis(100)).is_none(), "it did not ask");
    // Away for two changes, then back with what it had.
    clients[0].send(&json!({ "type": "settings_unsubscribe" }));
    clients[0].text("settings_unsubscribed");
    let away = Mirror { version: mirrors[0].version, hash: mirrors[0].hash.clone(), values: mirrors[0].values.clone() };
    assert_eq!(batch(&server, &[("sim.theta", json!(0.4)), ("sim.softening", json!(30))]).status, 200);
    assert_eq!(put(&server, "sim.theta", &json!(0.6)).status, 200);
    assert!(clients[0].text_within("settings_delta", Duration::from_millis(200)).is_none());
    clients[0].send(&json!({ "type": "settings_subscribe", "version": away.version, "hash": away.hash }));
    let delta = clients[0].text("settings_delta");
    assert_eq!((&delta["whole"], delta["changes"].as_array().unwrap().len()), (&json!(false), 2), "{delta}");
    let mut away = away;
    away.hear(&delta);
    away.agrees_with(&current(&server));
    let missed =
        server.get(&format!("/api/settings/current?since={}&hash={}", mirrors[0].version, mirrors[0].hash)).json();
    assert_eq!(missed["changes"], delta["changes"]);
    // A version of another process: the hash tells.
    let strange = server.get(&format!("/api/settings/current?since=2&hash={}", "0".repeat(64))).json();
    assert_eq!((&strange["whole"], strange["from"].as_u64()), (&json!(true), Some(0)));
    for wrong in
        [json!({ "type": "settings_subscribe", "hash": "xyz" }), json!({ "type": "settings_subscribe", "version": -1 })]
    {
        clients[0].send(&wrong);
        assert!(clients[0].text("error")["category"].is_string());
    }
}

/// The next binary message about settings; frames are passed over.
fn next(client: &mut Ws) -> SettingsMessage {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        match client.next(Duration::from_secs(1)) {
            Some(Event::Frame(bytes)) if matches!(bytes.first(), Some(0 | 0xFF)) => {
                return SettingsMessage::decode(&bytes).unwrap();
            }
            Some(Event::Close(code)) => panic!("closed with {code}"),
            Some(Event::End) => panic!("it ended"),
            _ => {}
        }
    }
    panic!("no message about settings came");
}

fn ask(client: &mut Ws, request: u32, registry: u32, body: SettingsBody) -> SettingsMessage {
    client.binary(&SettingsMessage { request, registry, body }.encode());
    let answer = next(client);
    assert_eq!(answer.request, request);
    answer
}

fn name(path: &str) -> SettingsPath {
    SettingsPath::Name(path.to_owned())
}

fn error_code(answer: &SettingsMessage) -> &str {
    match &answer.body {
        SettingsBody::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn binary_messages_do_what_rest_does() {
    let server = Server::start(&graph("karate.gexf"));
    let mut client = server.ws("?rate=5");
    let schema = server.get("/api/settings/schema").json();
    let registry = schema["x-registry"]["version"].as_u64().unwrap() as u32;
    let id = schema["properties"]["sim"]["properties"]["damping"]["x-id"].as_u64().unwrap() as u16;
    assert_eq!(ask(&mut client, 1, 0, SettingsBody::Ping(77)).body, SettingsBody::Pong(77));
    let SettingsBody::Response { version: 1, values } =
        ask(&mut client, 2, registry, SettingsBody::Get(SettingsPath::Id(id))).body
    else {
        panic!("a response");
    };
    assert_eq!(values, [(SettingsPath::Id(id), SettingsValue::F64(0.9))]);
    let set = SettingsBody::Set(name("visualisation.graphs.knowledge.physics.damping"), SettingsValue::F32(0.6));
    let SettingsBody::Response { version: 2, values } = ask(&mut client, 3, 0, set).body else { panic!("a response") };
    assert_eq!(values[0].1, SettingsValue::F64(0.6));
    assert_eq!(get(&server, "sim.damping"), 0.6);
    // All or none, over 256 bytes, so compressed both ways.
    let mut items: Vec<_> = (0..49).map(|step| (name("sim.repel_k"), SettingsValue::I32(step))).collect();
    items.push((name("sim.theta"), SettingsValue::F64(9.0)));
    let answer = ask(&mut client, 4, 0, SettingsBody::BatchSet(items.clone()));
    assert_eq!(error_code(&answer), "invalid_value");
    assert_eq!(get(&server, "sim.repel_k"), 17_000.0);
    items.pop();
    items.push((SettingsPath::Id(id), SettingsValue::F64(0.7)));
    let SettingsBody::Response { values, .. } =
        ask(&mut client, 5, registry, SettingsBody::BatchSet(items.clone())).body
    else {
        panic!("a response");
    };
    assert_eq!((values.len(), &values[0].1), (2, &SettingsValue::F64(48.0)), "the last of a key counts");
    items.push((name("sim.theta"), SettingsValue::F64(1.0)));
    assert_eq!(error_code(&ask(&mut client, 6, registry, SettingsBody::BatchSet(items))), "out_of_range");
    let everything =
        SettingsBody::BatchGet(vec![name("sim"), name("net"), name("visualisation.graphs.agents.physics")]);
    let SettingsBody::Response { values, .. } = ask(&mut client, 7, 0, everything).body else { panic!("a response") };
    assert!(values.iter().all(|(_, value)| matches!(value, SettingsValue::Object(members) if members.len() > 10)));
    // A delta for whoever says what it has, and one for every change.
    let have = |version, hash| SettingsBody::Delta { from: 0, version, hash, changes: Vec::new() };
    let SettingsBody::Delta { from: 0, version, hash, changes } = ask(&mut client, 8, 0, have(0, [0; 32])).body else {
        panic!("everything");
    };
    assert_eq!((changes.len() as u64, version), (schema["x-registry"]["paths"].as_u64().unwrap(), 3));
    assert_eq!(put(&server, "sim.damping", &json!(0.1)).status, 200);
    let pushed = next(&mut client);
    let SettingsBody::Delta { from: 3, version: 4, changes, .. } = &pushed.body else { panic!("{pushed:?}") };
    assert_eq!(
        (pushed.request, pushed.registry, changes.as_slice()),
        (0, registry, &[(SettingsPath::Id(id), SettingsValue::F64(0.1))][..])
    );
    assert_eq!(ask(&mut client, 9, 0, have(version, hash)).body, pushed.body, "the same for who was away");
    assert_eq!(
        error_code(&ask(&mut client, 10, registry ^ 1, SettingsBody::Get(SettingsPath::Id(id)))),
        "stale_registry"
    );
    assert_eq!(
        error_code(&ask(&mut client, 11, registry, SettingsBody::Get(SettingsPath::Id(60_000)))),
        "unknown_path"
    );
    assert_eq!(
        error_code(&ask(&mut client, 12, 0, SettingsBody::Set(name("net.hold_max"), SettingsValue::I32(3)))),
        "needs_restart"
    );
    let mut legacy = server.ws("?profile=v1");
    legacy.binary(&SettingsMessage { request: 1, registry: 0, body: SettingsBody::Ping(1) }.encode());
    assert_eq!(legacy.text("error")["code"], "unsupported", "its frames could not be told from an answer");
}

#[test]
fn damaged_messages_cost_an_error_and_nothing_else() {
    let server = Server::start(&graph("karate.gexf"));
    let resident = server.resident_kib();
    let before = current(&server);
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 40 << 20], 9);
    let packed = |length: u32| [&[0xFF, 3][..], &length.to_le_bytes(), &bomb].concat();
    let deep =
        |depth: usize| [&[0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0][..], &[8, 1, 0, 0, 0].repeat(depth), &[0]].concat();
    let many = [&[0, 3, 1, 0, 0, 0, 0, 0, 0, 0][..], &[0xFF, 0xFF]].concat();
    let huge = [&[0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 6][..], &[0xFF; 4]].concat();
    let cases: Vec<Vec<u8>> = vec![
        vec![0],
        vec![0xFF],
        vec![0, 0, 0],
        vec![0, 200, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0xFF, 3, 1, 2, 3],
        vec![0xFF, 3, 10, 0, 0, 0, 1, 2, 3, 4, 5],
        packed(40 << 20),
        packed(u32::MAX),
        packed(100),
        deep(9),
        deep(12_000),
        many,
        huge,
        SettingsMessage { request: 9, registry: 0, body: SettingsBody::Pong(1) }.encode()[..9].to_vec(),
    ];
    for bytes in &cases {
        // A client of its own for some of them: the burst of requests is bounded for each.
        let mut client = server.ws("?rate=1");
        client.binary(bytes);
        assert_eq!(error_code(&next(&mut client)), "bad_message", "{:?}", &bytes[..bytes.len().min(16)]);
        assert_eq!(ask(&mut client, 5, 0, SettingsBody::Ping(5)).body, SettingsBody::Pong(5), "it goes on");
    }
    assert_eq!(current(&server), before);
    let grown = server.resident_kib().saturating_sub(resident);
    assert!(grown < 30 << 10, "{grown} KiB more");
    // Too many at once: told, not dropped.
    let mut client = server.ws("?rate=1");
    for request in 0..60 {
        client.binary(&SettingsMessage { request, registry: 0, body: SettingsBody::Ping(1) }.encode());
    }
    assert_eq!(client.text("error")["code"], "rate_limited");
}

#[test]
fn many_writers_lose_no_change() {
    let server = Server::start(&graph("karate.gexf"));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let path = ["sim.damping", "sim.theta", "sim.cooling", "budgets.step_ms"][writer % 4];
                for step in 0..10 {
                    let value = json!(0.01 * f64::from(step + 1) + 0.001 * writer as f64);
                    let answer = put(server, path, &value);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let found = answer.json()["value"].as_f64().unwrap();
                    assert!((found - value.as_f64().unwrap()).abs() < 1e-6, "{path}: {found} is not {value}");
                }
            });
        }
    });
    let version = current(&server)["version"].as_u64().unwrap();
    assert!((2..=81).contains(&version), "{version}");
}
