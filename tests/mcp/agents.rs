//! Goal: an agent over raw TCP reads the graph, changes it, sees a picture of it and lives in it, while a viewer watches; what it did is
//! durable and says who did it; and the door keeps out whoever should stay out (K12-K14, K16, K25, B5, MCP limits).
//! Method: the real server, lines of JSON over real sockets, a viewer on the stream.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Folder, Server, Ws, decode, graph, within};

const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// Flags of an engine with a door for agents, and where its token is.
fn door(folder: &std::path::Path) -> (Vec<String>, PathBuf) {
    let token = folder.join("mcp.token");
    let flags = ["--mcp", "127.0.0.1:0", "--set", &format!("mcp.token_file={}", token.display())];
    (flags.map(str::to_owned).to_vec(), token)
}

fn address(server: &Server) -> SocketAddr {
    let line = server.banner.lines().find(|line| line.contains("mcp at")).unwrap();
    let after = line.split("mcp at ").nth(1).unwrap();
    after.split([',', ' ']).next().unwrap().parse().unwrap()
}

struct Agent {
    from: BufReader<TcpStream>,
    to: TcpStream,
    last: u64,
    /// What came beside the answers.
    notices: Vec<Value>,
}

impl Agent {
    fn connect(server: &Server) -> Self {
        let to = TcpStream::connect(address(server)).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        to.set_nodelay(true).unwrap();
        Self { from: BufReader::new(to.try_clone().unwrap()), to, last: 0, notices: Vec::new() }
    }

    fn known(server: &Server, token: &std::path::Path) -> Self {
        let mut agent = Self::connect(server);
        let text = std::fs::read_to_string(token).unwrap();
        let answer = agent.ask("swarmcast/authenticate", json!({ "token": text.trim() }));
        assert!(answer["error"].is_null(), "{answer}");
        let answer = agent.ask(
            "initialize",
            json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } }),
        );
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
        agent.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        agent
    }

    fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let line = self.line().unwrap();
            if line["id"] == id {
                return line;
            }
            self.notices.push(line);
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
        let result = &answer["result"];
        assert!(result["isError"] != true && !result.is_null(), "{tool}: {answer}");
        if result["structuredContent"].is_null() { result.clone() } else { result["structuredContent"].clone() }
    }
}

#[test]
fn an_agent_works_while_somebody_watches_and_a_kill_loses_nothing() {
    let folder = Folder::new("story");
    let (mut flags, token) = door(&folder);
    flags.extend(["--store".to_owned(), folder.join("graph.db").display().to_string()]);
    let mut server = Server::start(&flags);
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let mut viewer = server.ws("");
    let mut agent = Agent::known(&server, &token);
    let tools = agent.ask("tools/list", json!({}));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 21);
    let overview = agent.call("graph_overview", json!({}));
    let before = overview["nodes"].as_u64().unwrap();
    let found = agent.call("find_nodes", json!({ "text": "a", "limit": 3 }));
    let anchor = found["nodes"][0]["id"].as_str().unwrap().to_owned();

    // It becomes a node itself: what it does from now on has its name.
    let me = agent.call("register_agent", json!({ "name": "Ada", "role": "researcher" }));
    let handle = me["handle"].as_str().unwrap().to_owned();
    let (told, _) = shown(&mut viewer, "agents");
    assert_eq!(told["batches"][0]["changes"][0]["put_node"]["id"], me["node_id"], "{me}");

    // Fifty nodes, linked: on the viewer's screen, with a name and a reason.
    let nodes: Vec<Value> =
        (0..50).map(|n| json!({ "id": format!("idea {n}"), "label": format!("Idea {n}") })).collect();
    let added = agent.call("upsert_nodes", json!({ "nodes": nodes, "why": "ideas from the\u{200b} talk" }));
    assert_eq!(added["created"].as_array().unwrap().len(), 50, "{added}");
    let (told, first) = shown(&mut viewer, "agent");
    let batch = &told["batches"][0];
    assert_eq!((&batch["name"], &batch["why"]), (&json!("Ada"), &json!("ideas from the talk")), "{batch}");
    assert_eq!((&told["node_count"], &batch["version"]), (&json!(before + 51), &added["revision"]));
    let news = json!([{
        "version": added["revision"], "author": "agent", "name": "Ada", "why": "ideas from the talk",
        "nodes": { "added": 50, "changed": 0, "removed": 0 }, "edges": { "added": 0, "changed": 0, "removed": 0 },
    }]);
    assert_eq!(told["news"], news);
    let edges: Vec<Value> =
        (0..50).map(|n| json!({ "from": format!("idea {n}"), "to": anchor, "type": "about" })).collect();
    let linked = agent.call("upsert_edges", json!({ "edges": edges }));
    assert_eq!(linked["created"].as_array().unwrap().len(), 50, "{linked}");
    let (told, second) = shown(&mut viewer, "agent");
    assert_eq!((&told["news"][0]["edges"]["added"], &told["news"][0]["why"]), (&json!(50), &Value::Null));
    // A thread of the engine may have to wait for a processor now and then, so it is the middle one of several that counts.
    let mut ticks = vec![first, second];
    for n in 0..7 {
        agent.call("upsert_edges", json!({ "edges": [{ "from": "idea 0", "to": format!("idea {}", n + 1) }] }));
        ticks.push(shown(&mut viewer, "agent").1);
    }
    ticks.sort_unstable();
    assert!(ticks[4] <= 2, "from the change to the first frame with it: {ticks:?} ticks");
    let changes = agent.call("get_changes", json!({ "since": added["revision"].as_u64().unwrap() - 1 }));
    let first = &changes["changes"][0];
    assert_eq!((&first["by"], &first["name"], &first["why"]), (&json!("agent"), &json!("Ada"), &batch["why"]));

    // What it reads is what it wrote.
    let near = agent.call("get_neighborhood", json!({ "id": anchor, "limit": 100 }));
    assert!(near["nodes"].as_array().unwrap().len() >= 51, "{near}");
    let rows = agent.call("query_graph", json!({ "query": "MATCH (a)-[:about]->(b) RETURN count(a) AS n" }));
    assert_eq!(rows["rows"][0][0], 50, "{rows}");
    let picture = agent.call("render_view", json!({ "width": 320, "height": 240 }));
    let image = &picture["content"].as_array().map_or_else(|| picture.clone(), |content| content[0].clone());
    assert!(image["mimeType"] == "image/png" || picture.to_string().contains("png"), "{picture}");
    let refused = agent.ask("tools/call", json!({ "name": "get_nodes", "arguments": { "ids": [] } }));
    assert_eq!(refused["result"]["isError"], true, "{refused}");

    // Others see what it does.
    let report = json!({ "handle": handle, "events": [{ "kind": "status", "status": "running" }, { "kind": "action", "target": "idea 1" }] });
    assert_eq!(agent.call("report_agent", report)["accepted"], 2);
    assert!(within(PATIENCE, || server.state()["agent_count"] == 1));
    let agents = agent.call("list_agents", json!({}));
    assert_eq!((&agents["agents"][0]["name"], &agents["agents"][0]["metrics"]["cpu"]), (&json!("Ada"), &Value::Null));
    let state = (server.state()["version"].clone(), server.state()["edge_count"].clone());
    assert!(state.0.as_u64().unwrap() >= 3);

    server.signal(SIGKILL);
    server.wait(PATIENCE).unwrap();
    let server = Server::start(&flags);
    let mut agent = Agent::known(&server, &token);
    let rows = agent.call("query_graph", json!({ "query": "MATCH (a)-[:about]->(b) RETURN count(a) AS n" }));
    assert_eq!(rows["rows"][0][0], 50, "{rows}");
    let nodes: Vec<String> = (0..50).map(|n| format!("idea {n}")).collect();
    let kept = agent.call("get_nodes", json!({ "ids": nodes }));
    assert_eq!((kept["nodes"].as_array().unwrap().len(), &kept["missing"]), (50, &json!([])));
    assert!(within(PATIENCE, || server.state()["agent_count"] == 0), "nobody reports for the agent any more");
    drop(server);
    // Who and why are in the log.
    let log = rusqlite::Connection::open(folder.join("graph.db")).unwrap();
    let row = "SELECT author || ' ' || name || ' ' || why FROM history WHERE version = ?1";
    let signed: String = log.query_row(row, [added["revision"].as_u64().unwrap() as i64], |row| row.get(0)).unwrap();
    assert_eq!(signed, "agent Ada ideas from the talk");
}

/// The next change of this author that a viewer is told of, and how many ticks after it the first frame with it is of.
fn shown(viewer: &mut Ws, author: &str) -> (Value, u64) {
    loop {
        let told = viewer.text("graph_changed");
        if told["batches"][0]["author"] != author {
            continue;
        }
        let epoch = told["epoch"].as_u64().unwrap();
        let frame = viewer.frame_where("is of that epoch", |header, _| u64::from(header.epoch.get()) >= epoch);
        let ticks = decode(&frame).0.tick.get() - told["tick"].as_u64().unwrap();
        return (told, ticks);
    }
}

#[test]
fn who_watches_a_node_hears_of_its_edges_and_of_its_end() {
    let folder = Folder::new("node-edges");
    let (flags, token) = door(&folder);
    let server = Server::start(&[flags, graph("karate.gexf").to_vec()].concat());
    let mut writer = Agent::known(&server, &token);
    let nodes = ["x", "y", "z"].map(|id| json!({ "id": id, "label": id }));
    writer.call("upsert_nodes", json!({ "nodes": nodes }));
    let mut listener = Agent::known(&server, &token);
    for node in ["x", "y", "z"] {
        let answer = listener.ask("resources/subscribe", json!({ "uri": format!("graph://node/{node}") }));
        assert!(answer["error"].is_null(), "{answer}");
    }
    let mut heard = || {
        listener.to.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
        let mut uris: Vec<String> = Vec::new();
        while let Some(line) = listener.line() {
            uris.push(line["params"]["uri"].as_str().unwrap().to_owned());
        }
        uris.sort();
        uris
    };
    let both = ["graph://node/x", "graph://node/y"];
    let made = writer.call("upsert_edges", json!({ "edges": [{ "from": "x", "to": "y", "type": "knows" }] }));
    assert_eq!(heard(), both);
    writer.call("upsert_edges", json!({ "edges": [{ "from": "x", "to": "y", "type": "knows", "weight": 3 }] }));
    assert_eq!(heard(), both);
    let edge = &made["created"][0];
    writer.call("delete_items", json!({ "edges": [edge] }));
    assert_eq!(heard(), both);
    // An end is news of the node, and of what it was linked to.
    writer.call("upsert_edges", json!({ "edges": [{ "from": "y", "to": "x" }] }));
    assert_eq!(heard(), both);
    writer.call("delete_items", json!({ "nodes": ["x"] }));
    assert_eq!(heard(), both);
    // A hundred changes are a few notices, and only of what is watched.
    for n in 0..100 {
        let edges = [json!({ "from": "y", "to": "1", "type": format!("t{n}") })];
        writer.call("upsert_edges", json!({ "edges": edges }));
    }
    let many = heard();
    assert!((1..50).contains(&many.len()) && many.iter().all(|uri| uri == "graph://node/y"), "{many:?}");
}

#[test]
fn whoever_shows_no_token_and_whoever_speaks_http_stays_out() {
    let folder = Folder::new("out");
    let (flags, _) = door(&folder);
    let server = Server::start(&[flags, graph("karate.gexf").to_vec()].concat());
    let mut stranger = Agent::connect(&server);
    let hello =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    assert!(stranger.ask("initialize", hello)["error"].is_null(), "everybody may say hello");
    let answer = stranger.ask("tools/call", json!({ "name": "graph_overview" }));
    assert!(answer["error"]["code"].as_i64().is_some_and(|code| !(-32_768..=-32_000).contains(&code)), "{answer}");
    let answer = stranger.ask("swarmcast/authenticate", json!({ "token": "wrong" }));
    assert!(!answer["error"].is_null() && !answer.to_string().contains("wrong\""), "{answer}");
    // A web page that posts to the port is not listened to, whatever is in the body.
    for first in
        ["POST / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "nonsense\n"]
    {
        let mut page = TcpStream::connect(address(&server)).unwrap();
        page.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
        let _ = page.write_all(format!("{first}{body}").as_bytes());
        let mut said = Vec::new();
        let _ = page.read_to_end(&mut said);
        assert_eq!(said, b"", "{first:?}");
    }
}

#[test]
fn abuse_costs_the_one_who_does_it() {
    let folder = Folder::new("abuse");
    let (flags, token) = door(&folder);
    let server = Server::start(&[flags, graph("karate.gexf").to_vec()].concat());
    let mut agent = Agent::known(&server, &token);
    // Too long, not JSON, a batch: each has its error, and the connection stays.
    let long = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}\n", "x".repeat(2 << 20));
    agent.to.write_all(long.as_bytes()).unwrap();
    assert_eq!(agent.line().unwrap()["error"]["code"], -32_600);
    agent.to.write_all(b"{nonsense\n[]\n").unwrap();
    assert_eq!(agent.line().unwrap()["error"]["code"], -32_700);
    assert_eq!(agent.line().unwrap()["error"]["code"], -32_600);
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\",\"params\":{}{}}}\n",
        "[".repeat(500),
        "]".repeat(500)
    );
    agent.to.write_all(deep.as_bytes()).unwrap();
    assert_eq!(agent.line().unwrap()["error"]["code"], -32_700);
    assert_eq!(agent.ask("ping", json!({}))["result"], json!({}));
    // A thousand requests at once, read late: all are answered, and the viewer's frames go on.
    let mut viewer = server.ws("");
    let many: String = (0..1_000)
        .map(|n| format!("{}\n", json!({ "jsonrpc": "2.0", "id": format!("m{n}"), "method": "tools/call", "params": { "name": "graph_overview" } })))
        .collect();
    let mut to = agent.to.try_clone().unwrap();
    let writer = std::thread::spawn(move || to.write_all(many.as_bytes()).unwrap());
    assert!(!viewer.frame().is_empty());
    let started = Instant::now();
    for _ in 0..1_000 {
        let line = agent.line().unwrap();
        assert!(line["id"].as_str().unwrap().starts_with('m') && line["error"].is_null(), "{line}");
    }
    writer.join().unwrap();
    assert!(started.elapsed() < PATIENCE);
    // Three lines in a row that are too long: it is of no use.
    for _ in 0..3 {
        let _ = agent.to.write_all(long.as_bytes());
    }
    assert!(within(PATIENCE, || agent.line().is_none()));
}

#[test]
fn subscribers_hear_of_changes_once_and_waiters_wake() {
    let folder = Folder::new("listen");
    let (flags, token) = door(&folder);
    let server = Server::start(&[flags, graph("karate.gexf").to_vec()].concat());
    let mut listener = Agent::known(&server, &token);
    let answer = listener.ask("resources/subscribe", json!({ "uri": "graph://overview" }));
    assert!(answer["error"].is_null(), "{answer}");
    let mut writer = Agent::known(&server, &token);
    for n in 0..100 {
        writer.call("upsert_nodes", json!({ "nodes": [{ "id": format!("n{n}"), "label": "x" }] }));
    }
    let mut heard = 0;
    listener.to.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while let Some(line) = listener.line() {
        assert_eq!(
            (&line["method"], &line["params"]["uri"]),
            (&json!("notifications/resources/updated"), &json!("graph://overview"))
        );
        heard += 1;
    }
    assert!((1..100).contains(&heard), "{heard} notices of 100 changes");
    // A long poll ends with the change that it waits for.
    let revision = writer.call("graph_overview", json!({}))["revision"].as_u64().unwrap();
    writer.last += 1;
    let id = writer.last;
    let wait = json!({ "name": "get_changes", "arguments": { "since": revision, "wait_ms": 10_000 } });
    writer.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": wait }));
    let mut other = Agent::known(&server, &token);
    other.call("upsert_nodes", json!({ "nodes": [{ "id": "at last", "label": "x" }] }));
    let line = writer.line().unwrap();
    assert_eq!(line["id"], id);
    assert!(line.to_string().contains("at last"), "{line}");
}

/// An engine that offers every set, keeps its graph, and has an agent who is known.
fn complete(name: &str) -> (Folder, Server, Agent) {
    let folder = Folder::new(name);
    let (mut flags, token) = door(&folder);
    let sets = swarmcast::config::Toolset::NAMES.join(",");
    flags.extend(["--toolsets".to_owned(), sets, "--store".to_owned(), folder.join("graph.db").display().to_string()]);
    let server = Server::start(&flags);
    let agent = Agent::known(&server, &token);
    (folder, server, agent)
}

#[test]
fn steps_are_counted_told_and_cancelled() {
    let (_folder, _server, mut agent) = complete("steps");
    agent.call("set_simulation", json!({ "running": false, "reheat": true }));
    let stepped = agent.call("step_simulation", json!({ "ticks": 20, "timeout_ms": 30_000 }));
    assert_eq!(
        (stepped["ticks"].clone(), stepped["timed_out"].clone(), stepped["running"].clone()),
        (json!(20), json!(false), json!(false))
    );
    let tick = stepped["tick"].as_u64().unwrap();
    let late = agent.call("step_simulation", json!({ "ticks": 10_000, "timeout_ms": 50 }));
    assert_eq!((late["timed_out"].clone(), late["converged"].clone()), (json!(true), json!(false)));
    assert!(late["ticks"].as_u64().unwrap() < 100, "{late}");
    // One at a time; progress grows; after it is cancelled nothing more is said of it, and the simulation stands still soon.
    let params = json!({ "name": "step_simulation", "arguments": { "ticks": 10_000, "timeout_ms": 30_000 }, "_meta": { "progressToken": "p" } });
    agent.say(&json!({ "jsonrpc": "2.0", "id": "long", "method": "tools/call", "params": params }));
    let busy = agent.ask("tools/call", json!({ "name": "step_simulation", "arguments": { "ticks": 1 } }));
    assert_eq!(busy["result"]["isError"], json!(true));
    let mut told: Vec<f64> = Vec::new();
    assert!(within(PATIENCE, || {
        agent.ask("ping", json!({}));
        told = agent.notices.iter().filter_map(|line| line["params"]["progress"].as_f64()).collect();
        told.len() >= 3
    }));
    assert!(told.is_sorted_by(|before, after| before < after), "{told:?}");
    assert!(agent.notices.iter().all(|line| line["params"]["total"].as_f64() == Some(10_000.0)));
    agent.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "long" } }));
    let now = |agent: &mut Agent| agent.call("get_layout", json!({ "limit": 1 }))["tick"].as_u64().unwrap();
    // A few steps were ordered ahead; they are made yet.
    assert!(within(PATIENCE, || {
        let before = now(&mut agent);
        std::thread::sleep(Duration::from_millis(500));
        now(&mut agent) == before
    }));
    assert!((tick + 1..tick + 5_000).contains(&now(&mut agent)));
    assert!(agent.notices.iter().all(|line| line["id"] != json!("long")));
    let converged = agent.call("step_simulation", json!({ "until": "converged", "timeout_ms": 30_000 }));
    assert!(converged["converged"] == json!(true) || converged["timed_out"] == json!(true), "{converged}");
}

#[test]
fn snapshots_files_and_figures_of_a_running_engine() {
    let (_folder, _server, mut agent) = complete("snapshots");
    let before = agent.call("graph_overview", json!({}))["nodes"].as_u64().unwrap();
    let made = agent.call("snapshot_graph", json!({ "name": "one" }));
    assert_eq!((made["name"].clone(), made["bytes"].as_u64() > Some(0)), (json!("one"), true));
    let refused = |agent: &mut Agent, name: &str, arguments: Value| {
        let answer = agent.ask("tools/call", json!({ "name": name, "arguments": arguments }));
        assert_eq!(answer["result"]["isError"], json!(true), "{answer}");
        answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    };
    assert!(refused(&mut agent, "snapshot_graph", json!({ "name": "one" })).contains("already"));
    assert!(refused(&mut agent, "snapshot_graph", json!({ "name": "../one" })).contains("letters"));
    assert!(refused(&mut agent, "diff_graph", json!({ "from": "two" })).contains("there are one"));
    assert!(
        refused(&mut agent, "restore_snapshot", json!({ "snapshot": "../graph", "confirm": "main" }))
            .contains("letters")
    );
    let nodes: Vec<Value> = (0..30).map(|n| json!({ "id": format!("extra {n}") })).collect();
    agent.call("upsert_nodes", json!({ "nodes": nodes }));
    let diff = agent.call("diff_graph", json!({ "from": "one" }));
    assert_eq!((diff["counts"]["added"]["nodes"].clone(), diff["truncated"].clone()), (json!(30), json!(true)));
    let file = agent.call("export_graph", json!({ "format": "graphml" }));
    let mut text = String::new();
    for uri in file["parts"].as_array().unwrap() {
        let read = agent.ask("resources/read", json!({ "uri": uri }));
        text.push_str(read["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{read}")));
    }
    assert_eq!(text.len() as u64, file["bytes"].as_u64().unwrap());
    let back = agent.call("restore_snapshot", json!({ "snapshot": "one", "confirm": "main" }));
    assert_eq!(back["removed"]["nodes"], json!(30));
    assert_eq!(agent.call("graph_overview", json!({}))["nodes"], json!(before));
    let again = agent.call("import_graph", json!({ "data": text, "format": "graphml" }));
    assert_eq!(again["added"]["nodes"], json!(30));
    let changes = agent.call("get_changes", json!({ "since": again["revision"].as_u64().unwrap() - 1 }));
    assert_eq!(changes["changes"][0]["by"], json!("agent"));
    agent.call("clear_graph", json!({ "confirm": "main" }));
    assert_eq!(agent.call("graph_overview", json!({}))["nodes"], json!(0));
    agent.call("restore_snapshot", json!({ "snapshot": "one", "confirm": "main" }));
    let stats = agent.call("engine_stats", json!({}));
    let row =
        |name: &str| stats["tools"].as_array().unwrap().iter().find(|row| row["name"] == json!(name)).unwrap().clone();
    assert_eq!((row("snapshot_graph")["calls"].clone(), row("snapshot_graph")["errors"].clone()), (json!(3), json!(2)));
    let overview = row("graph_overview");
    assert!(overview["p50_us"].as_u64().unwrap() > 0 && overview["p99_us"].as_u64() >= overview["p50_us"].as_u64());
    assert_eq!((stats["connections"]["mcp"].clone(), stats["connections"]["viewers"].clone()), (json!(1), json!(0)));
    assert!(
        stats["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20
            && stats["tick"]["p99_ms"].as_f64().unwrap() > 0.0
    );
}

#[test]
fn agents_write_to_each_other_and_share_tasks() {
    let (folder, server, mut ada) = complete("society");
    let mut bob = Agent::known(&server, &folder.join("mcp.token"));
    let handle = |agent: &mut Agent, name: &str| {
        agent.call("register_agent", json!({ "name": name }))["handle"].as_str().unwrap().to_owned()
    };
    let (ada_handle, bob_handle) = (handle(&mut ada, "ada"), handle(&mut bob, "bob"));
    // Whoever waits for a message has it when it is sent.
    let asked = json!({ "name": "read_inbox", "arguments": { "handle": bob_handle, "wait_ms": 10_000 } });
    bob.say(&json!({ "jsonrpc": "2.0", "id": "inbox", "method": "tools/call", "params": asked }));
    bob.ask("ping", json!({}));
    let sent = Instant::now();
    ada.call("send_agent_message", json!({ "handle": ada_handle, "to": "agent:bob", "text": "hello" }));
    let got = match bob.notices.pop() {
        Some(line) => line,
        None => bob.line().unwrap(),
    };
    assert_eq!(got["result"]["structuredContent"]["messages"][0]["text"], json!("hello"), "{got}");
    assert!(sent.elapsed() < Duration::from_secs(8));
    let waited = Instant::now();
    assert_eq!(
        bob.call("read_inbox", json!({ "handle": bob_handle, "since": 1, "wait_ms": 200 }))["messages"],
        json!([])
    );
    assert!(waited.elapsed() >= Duration::from_millis(200));

    let task = ada.call("create_task", json!({ "title": "together" }))["task_id"].as_str().unwrap().to_owned();
    let uris = [format!("graph://task/{}", task.replace(':', "%3A")), "graph://agent/agent%3Abob/events".to_owned()];
    for uri in &uris {
        let answer = ada.ask("resources/subscribe", json!({ "uri": uri }));
        assert!(answer["error"].is_null(), "{answer}");
    }
    let claim = bob.call("update_task", json!({ "task_id": task, "status": "running", "handle": bob_handle }));
    bob.call("report_agent", json!({ "handle": bob_handle, "events": [{ "kind": "task", "task_id": task }] }));
    assert!(within(PATIENCE, || {
        ada.ask("ping", json!({}));
        uris.iter().all(|uri| ada.notices.iter().any(|line| line["params"]["uri"] == json!(uri)))
    }));
    // Two that claim at the same time: one has it.
    let other = ada.call("create_task", json!({ "title": "contended" }))["task_id"].clone();
    let asks = [(&mut ada, &ada_handle), (&mut bob, &bob_handle)].map(|(agent, handle)| {
        let arguments = json!({ "task_id": other, "status": "running", "handle": handle });
        agent.say(&json!({ "jsonrpc": "2.0", "id": "claim", "method": "tools/call", "params": { "name": "update_task", "arguments": arguments } }));
        agent
    });
    let claims: Vec<Value> = asks
        .into_iter()
        .map(|agent| {
            loop {
                let line = agent.line().unwrap();
                if line["id"] == json!("claim") {
                    break line["result"]["structuredContent"]["claim"].clone();
                }
            }
        })
        .collect();
    assert_eq!(claims.iter().filter(|claim| claim.is_string()).count(), 1, "{claims:?}");
    bob.call("update_task", json!({ "task_id": task, "status": "done", "claim": claim["claim"], "result": "ok" }));
    assert_eq!(ada.call("list_tasks", json!({ "status": "done" }))["tasks"][0]["result"], json!("ok"));
}

#[test]
fn a_full_graph_shows_what_becomes_of_its_agents_and_who_falls_silent_makes_room() {
    let folder = Folder::new("full");
    let (mut flags, token) = door(&folder);
    flags.extend(["--set".to_owned(), "graph.nodes_max=35".to_owned()]);
    let server = Server::start(&[flags, graph("karate.gexf").to_vec()].concat());
    let status = |id: &str| {
        let page = server.get("/api/graph/nodes?limit=1000&class=agent").json();
        let row = page["rows"].as_array().unwrap().iter().find(|node| node["key"] == id);
        row.map(|node| node["attributes"]["status"].clone())
    };
    let (mut bob, mut ada) = (Agent::known(&server, &token), Agent::known(&server, &token));
    let first = bob.call("register_agent", json!({ "name": "bob", "ttl_s": 8 }));
    assert!(first["node_id"].is_u64(), "{first}");
    let second = ada.call("register_agent", json!({ "name": "ada", "ttl_s": 600 }));
    assert!(second["node_id"].is_null(), "{second}");
    // What there is no room for comes before the other one, and keeps nothing of it back.
    let events = json!([{ "kind": "status", "status": "running" }]);
    bob.call("report_agent", json!({ "handle": first["handle"], "events": events }));
    assert!(within(Duration::from_secs(6), || status("agent:bob") == Some(json!("running"))));
    assert_eq!(status("agent:ada"), None);
    assert!(within(PATIENCE, || status("agent:ada") == Some(json!("spawning"))));
    assert_eq!(status("agent:bob"), None);
}

/// An engine with these rates for a token.
fn rated(name: &str, calls: u32, changes: u32) -> (Folder, Server, PathBuf) {
    let folder = Folder::new(name);
    let (mut flags, token) = door(&folder);
    for (key, value) in [("calls", calls), ("changes", changes)] {
        flags.extend(["--set".to_owned(), format!("mcp.{key}_per_second={value}")]);
    }
    let server = Server::start(&flags);
    (folder, server, token)
}

fn call(id: u64, name: &str, arguments: &Value) -> String {
    let params = json!({ "name": name, "arguments": arguments });
    format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }))
}

fn is_done(answer: &Value) -> bool {
    answer["result"].is_object() && answer["result"]["isError"] != true
}

#[test]
fn one_who_asks_too_fast_is_read_more_slowly_and_loses_nothing() {
    let (_folder, server, token) = rated("rated-slow", 100, 100);
    let mut agent = Agent::known(&server, &token);
    let begun = Instant::now();
    let many: String = (1_000..1_400).map(|id| call(id, "list_agents", &json!({}))).collect();
    agent.to.write_all(many.as_bytes()).unwrap();
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 400 {
        let answer = agent.line().unwrap();
        assert!(is_done(&answer), "{answer}");
        assert!(answered.insert(answer["id"].as_u64().unwrap()));
    }
    // Two hundred at once, the other two hundred at a hundred a second.
    assert!(begun.elapsed() > Duration::from_millis(1_900), "{:?}", begun.elapsed());
    assert!(server.metric("swarmcast_mcp_calls_held_total") >= 1.0);
    assert_eq!(server.metric("swarmcast_mcp_calls_refused_total"), 0.0);
}

#[test]
fn many_connections_with_one_token_share_its_rate_over_every_door() {
    let (_folder, server, token) = rated("rated-many", 1_000, 5);
    let mut agents: Vec<Agent> = (0..40).map(|_| Agent::known(&server, &token)).collect();
    for (index, agent) in agents.iter_mut().enumerate() {
        let nodes = json!({ "nodes": [{ "id": format!("rated-{index}") }] });
        agent.to.write_all(call(7_000, "upsert_nodes", &nodes).as_bytes()).unwrap();
    }
    // Ten at once, five within the second that may be owed; whoever comes later is told when to come again.
    let bearer = std::fs::read_to_string(&token).unwrap();
    let body = call(1, "upsert_nodes", &json!({ "nodes": [{ "id": "by-http" }] }));
    let body = body.replace("\"params\":{", "\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{}},");
    let (mut done, mut refused, mut longest_ms) = (0, 0, 0);
    for agent in &mut agents {
        let answer = loop {
            let answer = agent.line().unwrap();
            if answer["id"] == json!(7_000) {
                break answer;
            }
        };
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        match is_done(&answer) {
            true => done += 1,
            false => {
                assert!(text.contains("rate_limited"), "{answer}");
                longest_ms = longest_ms.max(text.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
                refused += 1;
            }
        }
    }
    assert!(done >= 15 && refused >= 10 && done + refused == 40, "{done} done, {refused} refused");
    assert!((1..=10_000).contains(&longest_ms), "{longest_ms}");
    let there = server.get("/api/graph/nodes?limit=1000&q=rated-").json();
    let there = there["rows"].as_array().unwrap().iter();
    let there = there.filter(|node| node["key"].as_str().is_some_and(|key| key.starts_with("rated-"))).count();
    assert_eq!(there, done, "what was refused was not done, and nothing else was lost");
    let post = || {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: upsert_nodes\r\nContent-Length: {}\r\n\r\n{body}",
            server.http,
            bearer.trim(),
            body.len()
        );
        server.send(head.as_bytes()).json()
    };
    // Looking has a rate of its own, and goes on.
    agents[0].call("list_agents", json!({}));
    // The rate is the token's: by HTTP it is the same one, and it comes back.
    let soon: Vec<Value> = (0..2).map(|_| post()).collect();
    assert!(soon.iter().all(|answer| answer["result"].is_object()), "{soon:?}");
    std::thread::sleep(Duration::from_millis(longest_ms));
    let answer = post();
    assert!(is_done(&answer), "after the time that was named: {answer}");
}
