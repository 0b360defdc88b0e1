//! Goal: a viewer that asks for it hears of the agents' lives on its stream: who there is, what changes, who comes, goes, speaks, acts;
//! it can tell that it missed something; and one that reads another version is closed with 4001.
//! Method: the real server; agents by MCP over HTTP, viewers on WebSocket and raw TCP.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Event, Folder, PATIENCE, Server, graph, within};

/// A server whose agents need no token.
fn open(name: &str) -> (Folder, Server) {
    let folder = Folder::new(name);
    let token = format!("mcp.token_file={}", folder.join("mcp.token").display());
    let flags = ["--mcp", "127.0.0.1:0", "--set", &token, "--set", "mcp.anonymous=write", "--toolsets", "core,agents"];
    let flags: Vec<String> = flags.map(str::to_owned).into_iter().chain(graph("karate.gexf")).collect();
    let server = Server::start(&flags);
    (folder, server)
}

fn register(server: &Server, name: &str, ttl_s: u64) -> Value {
    server.tool("register_agent", json!({ "name": name, "role": "coder", "swarm_id": "s1", "ttl_s": ttl_s }))
}

fn report(server: &Server, agent: &Value, event: Value) {
    server.tool("report_agent", json!({ "handle": agent["handle"], "events": [event] }));
}

/// The next event about agents.
fn event(client: &mut impl Client) -> Value {
    client.text("agents")
}

/// The next one of this kind; those before it are returned as well, in order.
fn until(client: &mut impl Client, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        events.push(event(client));
        if events.last().unwrap()["event"] == kind {
            return events;
        }
    }
}

fn subscribe(client: &mut impl Client) -> Value {
    client.send(&json!({ "type": "agents_subscribe", "schema_version": 1 }));
    let first = event(client);
    assert_eq!((&first["event"], &first["schema_version"]), (&json!("snapshot"), &json!(1)));
    first
}

#[test]
fn a_viewer_follows_the_lives_of_agents() {
    let (_folder, server) = open("lives");
    let ada = register(&server, "Ada", 60);
    let mut ws = server.ws("");
    let first = subscribe(&mut ws);
    let row = &first["agents"][0];
    assert_eq!((&row["name"], &row["swarm_id"], &row["role"]), (&json!("Ada"), &json!("s1"), &json!("coder")));
    assert_eq!((&row["health"], &row["metrics"]["workload"], &row["task"]), (&Value::Null, &Value::Null, &Value::Null));
    assert!(first["timestamp_ms"].as_u64().unwrap() > 1_700_000_000_000);

    // What it reports comes as what is otherwise, and adds up to what the tool says.
    let bob = register(&server, "Bob", 5);
    let metrics =
        json!({ "workload": 0.25, "tokens_per_s": 12, "tasks_active": 1, "tasks_completed": 3, "tasks_failed": 0 });
    let told = json!({ "kind": "action", "target": "1", "health": "degraded", "metrics": metrics });
    report(&server, &ada, told);
    let mut tcp = server.tcp("{\"profile\":\"v1\"}");
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut take = |told: &Value| match told["event"].as_str().unwrap() {
        "snapshot" => {
            for row in told["agents"].as_array().unwrap() {
                known.insert(row["agent_id"].as_str().unwrap().to_owned(), row.clone());
            }
        }
        "agent_added" => {
            let row = &told["agent"];
            known.insert(row["agent_id"].as_str().unwrap().to_owned(), row.clone());
        }
        "agent_removed" => drop(known.remove(told["agent_id"].as_str().unwrap())),
        "delta" => {
            for row in told["agents"].as_array().unwrap() {
                let is = known.get_mut(row["agent_id"].as_str().unwrap()).unwrap();
                is.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
            }
        }
        "heartbeat" | "communication" => {}
        other => panic!("{other}"),
    };
    let mut frames = vec![first["frame_id"].as_u64().unwrap()];
    take(&first);
    // Bob says nothing: after five seconds he is gone.
    for told in until(&mut ws, "agent_removed") {
        assert_eq!(told["session_id"], first["session_id"]);
        frames.push(told["frame_id"].as_u64().unwrap());
        take(&told);
    }
    assert!(frames.is_sorted_by(|before, after| before + 1 == *after), "{frames:?}");
    let listed = server.tool("list_agents", json!({}));
    let listed = listed["agents"].as_array().unwrap().iter().find(|row| row["name"] == "Ada").unwrap();
    assert_eq!(known["agent:Ada"], *listed);
    assert_eq!((&listed["health"], &listed["metrics"]["tasks_completed"]), (&json!("degraded"), &json!(3.0)));
    assert!(listed["last_activity_ms"].as_u64().is_some() && listed["node_id"] == ada["node_id"], "{listed}");
    assert!(!known.contains_key("agent:Bob") && !bob["node_id"].is_null());

    // Over TCP and in a profile of others it is the same; the engine lives; whoever has enough hears no more.
    let later = subscribe(&mut tcp);
    assert_eq!((&later["session_id"], later["agents"].as_array().unwrap().len()), (&first["session_id"], 1));
    assert_eq!(until(&mut tcp, "heartbeat").last().unwrap()["live"], 1);
    tcp.send(&json!({ "type": "agents_unsubscribe" }));
    assert_eq!(tcp.text("agents_unsubscribed"), json!({ "type": "agents_unsubscribed" }));
    report(&server, &ada, json!({ "kind": "status", "status": "idle" }));
    until(&mut ws, "delta");
    assert_eq!(tcp.text_within("agents", Duration::from_millis(500)), None);
}

#[test]
fn another_version_is_closed_with_4001() {
    let (_folder, server) = open("skew");
    for version in [0, 2, 4_000_000_000_u32] {
        let ask = json!({ "type": "agents_subscribe", "schema_version": version });
        let (mut ws, mut tcp) = (server.ws(""), server.tcp("{}"));
        ws.send(&ask);
        tcp.send(&ask);
        assert_eq!(ws.goodbye(PATIENCE), Some(4001), "{version}");
        assert_eq!(tcp.goodbye(PATIENCE), Some(4001), "{version}");
    }
    // What is no version is an error, and the connection stays.
    let mut ws = server.ws("");
    for (field, value) in [("schema_version", json!("1")), ("schema_version", json!(-1)), ("actions", json!("loud"))] {
        let mut ask = json!({ "type": "agents_subscribe" });
        ask[field] = value;
        ws.send(&ask);
        assert_eq!(ws.text("error")["category"], if field == "actions" { "validation" } else { "protocol" });
    }
    subscribe(&mut ws);
    let mut tcp = server.tcp("{}");
    tcp.send(&json!({ "type": "agents_subscribe", "actions": "binary" }));
    assert_eq!(tcp.text("error")["affectedPaths"], json!(["actions"]));
}

#[test]
fn a_message_links_two_agents_for_five_seconds_and_is_told_without_its_words() {
    let (_folder, server) = open("spoken");
    let (ada, bob) = (register(&server, "Ada", 600), register(&server, "Bob", 600));
    let mut ws = server.ws("");
    subscribe(&mut ws);
    let sent = server
        .tool("send_agent_message", json!({ "handle": ada["handle"], "to": "agent:Bob", "text": "a secret of ours" }));
    let told = until(&mut ws, "communication").pop().unwrap();
    assert_eq!((&told["from"], &told["to"]), (&json!("agent:Ada"), &json!(["agent:Bob"])));
    assert_eq!((&told["message_id"], &told["decay_ms"]), (&sent["id"], &json!(5_000)));
    assert!(!told.to_string().contains("secret"), "{told}");
    report(&server, &ada, json!({ "kind": "handoff", "target": "agent:Bob", "text": "a secret of ours" }));
    let told = until(&mut ws, "communication").pop().unwrap();
    assert_eq!((&told["to"], &told["message_id"]), (&json!(["agent:Bob"]), &Value::Null));
    let links = || {
        let found = server.tool("find_edges", json!({ "from": "agent:Ada", "to": "agent:Bob", "type": "messages" }));
        found["edges"].as_array().unwrap().len()
    };
    assert!(within(PATIENCE, || links() == 1), "the graph shows it");
    assert!(within(PATIENCE, || links() == 0), "until five seconds after the last one");
    drop(bob);
}

#[test]
fn links_between_agents_fade_together_and_a_new_message_brings_one_back() {
    let (_folder, server) = open("fading");
    let agents: Vec<Value> = (0..20).map(|n| register(&server, &format!("a{n}"), 600)).collect();
    let version = || server.state()["version"].as_u64().unwrap();
    let say = |from: usize, to: usize| {
        let words = json!({ "handle": agents[from]["handle"], "to": format!("agent:a{to}"), "text": "x" });
        server.tool("send_agent_message", words);
        Instant::now()
    };
    // The weight of the first link, `None` where there is none; it is watched from here on.
    let weight = || {
        let found = server.tool("find_edges", json!({ "from": "agent:a0", "to": "agent:a1", "type": "messages" }));
        found["edges"][0]["weight"].as_f64()
    };
    report(&server, &agents[0], json!({ "kind": "action", "target": "1" }));
    for from in 1..10 {
        say(from, from + 10);
    }
    let begun = say(0, 1);
    assert!(within(PATIENCE, || weight() == Some(1.0)));
    let before = version();
    let mut seen = vec![(1.0, begun.elapsed())];
    while let Some(now) = weight() {
        assert!(begun.elapsed() < PATIENCE);
        if now != seen.last().unwrap().0 {
            seen.push((now, begun.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let weights: Vec<f64> = seen.iter().map(|(weight, _)| *weight).collect();
    assert!(weights.is_sorted_by(|more, less| more > less) && weights.len() <= 4, "{seen:?}");
    assert!(weights.len() >= 3 && weights.iter().all(|weight| (weight * 4.0).fract() == 0.0), "{seen:?}");
    for (weight, at) in &seen {
        // Never fainter than what is left of its time, and a step and a look behind it at most.
        let left = 1.0 - at.as_secs_f64() / 5.0;
        assert!((left - 0.3..left + 0.65).contains(weight), "{weight} after {at:?}");
    }
    let batches = version() - before;
    assert!(batches <= 9, "{batches} batches for ten links");
    // Faint, then strong again; one to a node that is no agent does not fade.
    let begun = say(0, 1);
    report(&server, &agents[0], json!({ "kind": "action", "target": "1" }));
    assert!(within(PATIENCE, || weight().is_some_and(|weight| weight <= 0.5)), "{:?}", begun.elapsed());
    let touched = server.tool("find_edges", json!({ "from": "agent:a0", "type": "touches" }));
    assert_eq!(touched["edges"][0]["weight"], json!(1.0), "{touched}");
    say(0, 1);
    assert!(within(Duration::from_secs(1), || weight() == Some(1.0)));
}

/// An action as section 4.1 of the protocol has it.
fn action(source: u64, target: u64, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((source as u32).to_le_bytes());
    bytes.extend((target as u32).to_le_bytes());
    bytes.push(kind);
    bytes.extend(77_u32.to_le_bytes());
    bytes.extend(250_u16.to_le_bytes());
    bytes.extend(payload);
    bytes
}

fn batch(actions: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0x23];
    bytes.extend((actions.len() as u16).to_le_bytes());
    for action in actions {
        bytes.extend((action.len() as u16).to_le_bytes());
        bytes.extend(action);
    }
    bytes
}

/// The next binary message that is no frame of ours.
fn relayed(client: &mut impl Client) -> Vec<u8> {
    loop {
        match client.next(PATIENCE) {
            Some(Event::Frame(bytes)) if bytes[0] == 0x23 => return bytes,
            Some(Event::Frame(_) | Event::Text(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn actions_are_checked_and_relayed_to_viewers() {
    let (_folder, server) = open("actions");
    let ada = register(&server, "Ada", 600)["node_id"].as_u64().unwrap();
    let mut agent = server.ws("");
    let (mut text, mut tcp, mut binary, mut old) =
        (server.ws(""), server.tcp("{}"), server.ws(""), server.ws("?profile=v2"));
    let mut deaf = server.ws("?profile=v1");
    subscribe(&mut text);
    subscribe(&mut tcp);
    binary.send(&json!({ "type": "agents_subscribe", "actions": "binary" }));
    event(&mut binary);

    let single = [vec![0x23], action(ada | 1 << 31, 1, 5, b"why")].concat();
    let many = batch(&[action(ada, 1, 0, b""), action(ada, 2, 4, &[7; 300])]);
    agent.binary(&single);
    for viewer in [&mut text as &mut dyn Client, &mut tcp] {
        let mut told = viewer.text("agents");
        while told["event"] != "actions" {
            told = viewer.text("agents");
        }
        let row = json!({
            "source": ada, "target": 1, "action": "transform", "time": 77, "duration": 250, "payload": "d2h5",
        });
        assert_eq!((&told["actions"], &told["session"]), (&json!([row]), &agent.hello()["session"]));
    }
    agent.binary(&many);
    let told = until(&mut text, "actions").pop().unwrap();
    assert_eq!((&told["actions"][0]["action"], &told["actions"][1]["action"]), (&json!("query"), &json!("link")));
    // Bit for bit for those who read that: who asked for it, and clients of older systems.
    for viewer in [&mut binary, &mut old] {
        assert_eq!(relayed(viewer), single);
        assert_eq!(relayed(viewer), many);
    }

    // What names nobody, or somebody who is no agent, goes nowhere; nor does half of a batch.
    let refused = |agent: &mut crate::support::Ws, bytes: &[u8]| {
        agent.binary(bytes);
        let error = agent.text("error");
        (error["code"].as_str().unwrap().to_owned(), error["affectedPaths"][0].as_str().unwrap_or("").to_owned())
    };
    let with = |actions: &[Vec<u8>]| batch(actions);
    let single = |action: Vec<u8>| [vec![0x23], action].concat();
    let of = |code: &str, path: &str| (code.to_owned(), path.to_owned());
    let unknown = |path: &str| of("unknown_node", path);
    assert_eq!(refused(&mut agent, &single(action(ada, 60_000_000, 0, b""))), unknown("actions[0].target"));
    assert_eq!(refused(&mut agent, &single(action(60_000_000, 1, 0, b""))), unknown("actions[0].source"));
    assert_eq!(refused(&mut agent, &single(action(1, 2, 0, b""))), of("not_an_agent", "actions[0].source"));
    let half = with(&[action(ada, 1, 1, b""), action(ada, 60_000_000, 1, b"")]);
    assert_eq!(refused(&mut agent, &half), unknown("actions[1].target"));
    assert_eq!(refused(&mut agent, &single(action(ada, 1, 6, b""))), of("out_of_range", "action"));
    assert_eq!(refused(&mut agent, &single(action(ada, 1, 1, &[0; 4_097]))), of("unsupported", "payload"));
    assert_eq!(refused(&mut agent, &[0x23]), of("unsupported", "0x23"));
    assert_eq!(refused(&mut agent, &single(action(ada, 1, 1, b""))[..14]), of("unsupported", "0x23"));
    assert_eq!(refused(&mut agent, &with(&vec![action(ada, 1, 1, b""); 101])), of("out_of_range", "count"));
    let heavy = vec![action(ada, 1, 1, &[0; 3_000]); 5];
    assert_eq!(refused(&mut agent, &with(&heavy)), of("unsupported", "0x23"));
    // Five hundred at once are taken, and reach everybody who reads; more a second are not.
    let most = with(&vec![action(ada, 1, 1, b""); 100]);
    std::thread::sleep(Duration::from_millis(1_100));
    for _ in 0..5 {
        agent.binary(&most);
    }
    assert_eq!(refused(&mut agent, &most).0, "rate_limited");
    let mut count = 0;
    while count < 500 {
        let told = until(&mut text, "actions").pop().unwrap();
        assert!(told["actions"].as_array().unwrap().iter().all(|row| row["target"] == 1 && row["action"] == "update"));
        count += told["actions"].as_array().unwrap().len();
    }
    assert_eq!(count, 500);
    // Frames of this profile may begin with any byte: nothing else is ever among them.
    for bytes in deaf.collect(Duration::from_millis(300)).into_iter().filter_map(Event::frame) {
        assert_eq!(bytes.len() % 34, 0);
    }
}

#[test]
fn one_that_does_not_read_begins_anew_and_holds_up_nobody() {
    let (_folder, server) = open("behind");
    let agents: Vec<Value> = (0..40).map(|n| register(&server, &format!("agent {n}"), 600)).collect();
    let (mut quick, mut slow) = (server.ws(""), crate::support::Ws::connect(server.http, "", Some(4_096)));
    let first = subscribe(&mut slow)["frame_id"].as_u64().unwrap();
    subscribe(&mut quick);
    // Long words of forty agents, again and again: far more than waits for anybody.
    let words = "x".repeat(4_000);
    let mut last = 0;
    for round in 0..15 {
        for agent in &agents {
            let text = format!("{round} {words}");
            report(&server, agent, json!({ "kind": "error", "text": text }));
        }
        // Meanwhile the other one is told everything, without a gap.
        for heard in quick.collect(Duration::from_millis(200)) {
            let Event::Text(told) = heard else { continue };
            let frame = told["frame_id"].as_u64().unwrap();
            assert!(last == 0 || frame == last + 1, "{last} {frame}: {}", told["event"]);
            last = frame;
        }
    }
    // It missed some; then a snapshot came, and from there it hears everything again.
    let mut frames = vec![first];
    let snapshot = loop {
        let told = event(&mut slow);
        if told["event"] == "snapshot" {
            break told;
        }
        frames.push(told["frame_id"].as_u64().unwrap());
    };
    assert!(frames.is_sorted_by(|before, after| before + 1 == *after), "no gap before it was left out: {frames:?}");
    assert!(snapshot["frame_id"].as_u64().unwrap() > frames.last().unwrap() + 1, "it did miss something");
    let next = event(&mut slow)["frame_id"].as_u64().unwrap();
    assert_eq!(next, snapshot["frame_id"].as_u64().unwrap() + 1);
}
