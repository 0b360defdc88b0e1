//! Goal: the page that the server ships works in a browser as it is served: it draws the graph, frames arrive, nodes
//! move, a dragged node follows the mouse through the server, and neither console nor policy complains.
//! Method: headless Chromium by `clients/viewer/test/page.mjs` on the real server; pictures go to `target/viewer/`.
//! `tests/setup.sh` installs what it takes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Folder, Server, graph, repository, within};

/// Stands for where the picture goes.
const PICTURE: &str = "{picture}";

/// One browser at a time: each draws with the processor.
static BROWSER: Mutex<()> = Mutex::new(());

/// Runs a script of `clients/viewer/test` that takes a picture of this name, and is told `told`.
fn node(script: &str, name: &str, arguments: &[&str], told: &str) -> (Output, PathBuf) {
    let set_up = Command::new("sh").arg(repository("tests/setup.sh")).output().unwrap();
    assert!(set_up.status.success(), "{}", String::from_utf8_lossy(&set_up.stderr));
    let folder = repository("target/viewer");
    std::fs::create_dir_all(&folder).unwrap();
    let picture = folder.join(format!("{name}.png"));
    let _ = std::fs::remove_file(&picture);
    let mut node = Command::new("timeout")
        .args(["100", "node", script])
        .args(arguments.iter().map(|argument| if *argument == PICTURE { picture.to_str().unwrap() } else { argument }))
        .current_dir(repository("clients/viewer"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    (node.wait_with_output().unwrap(), picture)
}

fn look(server: &Server, name: &str, options: &[&str]) -> Value {
    let _one = BROWSER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let page = format!("http://{}/", server.http);
    let (done, picture) = node("test/page.mjs", name, &[&[&*page, PICTURE], options].concat(), "");
    let (out, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}: {out}\n{said}", done.status);
    let report: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((report["ok"].as_bool(), report["stats"]["state"].as_str()), (Some(true), Some("live")), "{report}");
    let how = (report["stats"]["profile"].as_str(), report["stats"]["decoder"].as_str());
    assert_eq!(how, (Some("swarmcast.compact"), Some("WebAssembly")), "{report}");
    assert_eq!(report["stats"]["connects"], 1, "it lost its connection and came back: {report}");
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"), "{}", picture.display());
    report
}

#[test]
fn the_embedded_graph_is_drawn_and_dragged() {
    let server = Server::start(&["--rate", "30"]);
    let report = look(&server, "embedded", &[]);
    assert_eq!(report["stats"]["nodeCount"], 1998, "{report}");
    assert!(report["drag"]["movedBy"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn what_analytics_find_is_computed_when_asked_for_and_coloured() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let communities = look(&server, "communities", &["--colour", "community", "--no-drag"]);
    let legend = communities["legend"].as_array().unwrap();
    assert!(legend.len() >= 3 && legend[0].as_str().unwrap().starts_with("community "), "{communities}");
    // Who comes later finds it there; distances are from the node that is selected.
    let distances = look(&server, "distances", &["--select", "1", "--colour", "distance", "--no-drag"]);
    let legend = distances["legend"].as_array().unwrap();
    assert!(legend[0].as_str().unwrap().starts_with("Distances: "), "{distances}");
}

#[test]
fn an_agent_points_and_colours_and_the_page_obeys() {
    let folder = Folder::new("pointed");
    let token = format!("mcp.token_file={}", folder.join("mcp.token").display());
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[
        &flag,
        &path,
        "--mcp",
        "127.0.0.1:0",
        "--set",
        &token,
        "--set",
        "mcp.anonymous=write",
        "--toolsets",
        "core,view",
    ]);
    server.tool("set_view", json!({ "focus": ["33", "32"], "selected": "33", "note": "two leaders" }));
    server.tool("set_encoding", json!({ "channel": "color", "by": "degree" }));
    server.tool("set_encoding", json!({ "channel": "size", "by": "equal" }));
    let stats = look(&server, "pointed", &["--no-drag"])["stats"].clone();
    assert_eq!((stats["selected"].as_u64(), stats["colours"].as_str()), (Some(33), Some("degree")), "{stats}");
    assert_eq!(stats["size"], "equal");

    let filter = json!({ "where": [{ "key": "degree", "op": "ge", "value": 5 }] });
    server.tool("set_encoding", json!({ "channel": "color", "by": "auto" }));
    server.tool("set_view", json!({ "filter": filter, "group_by": "class" }));
    let report = look(&server, "filtered", &["--no-drag"]);
    let found = server.tool("find_nodes", json!({ "where": filter["where"], "limit": 1 }))["total"].as_u64().unwrap();
    assert_eq!((report["stats"]["hidden"].as_u64(), found > 0), (Some(34 - found), true), "{report}");
    assert_eq!(report["stats"]["colours"], "rule", "{report}");
    let legend = report["legend"].to_string();
    assert!(legend.contains(&format!("filtered: {found} of 34")) && legend.contains("knowledge"), "{legend}");
    server.tool("set_view", json!({ "focus": [] }));

    // The other channels, as they go to the graphics card; shaders that it does not take would be words on the console.
    for rule in [
        json!({ "channel": "color", "by": "constant", "value": "#102030" }),
        json!({ "channel": "size", "by": "constant", "value": 2 }),
        json!({ "channel": "icon", "by": "class", "mapping": { "knowledge": "star" } }),
        json!({ "channel": "badge", "by": "constant", "value": "#ff0000" }),
        json!({ "channel": "label", "by": "id" }),
        json!({ "channel": "opacity", "by": "constant", "value": 0.6 }),
        json!({ "channel": "edge_color", "by": "constant", "value": "#00ff00" }),
        json!({ "channel": "edge_width", "by": "constant", "value": 3 }),
    ] {
        server.tool("set_encoding", rule);
    }
    let report = look(&server, "encoded", &["--no-drag"]);
    let look = &report["look"];
    assert_eq!(look["paint"], json!([0x10, 0x20, 0x30, 5]), "{report}");
    assert_eq!((&look["opacity"], &look["badge"]), (&json!(153), &json!([255, 0, 0, 255])), "{report}");
    assert_eq!((&look["edge"], &look["width"]), (&json!([0, 255, 0, 153, 0, 255, 0, 153]), &json!(3)), "{report}");
    assert!((look["radius"].as_f64().unwrap() - 2.49).abs() < 1e-3, "{report}");
    assert_ne!(look["label"], Value::Null, "{report}");
    let legend = report["legend"].to_string();
    assert!(
        ["icon: class", "dot: #ff0000", "opacity: 0.6", "edges: #00ff00", "width: 3"]
            .iter()
            .all(|it| legend.contains(it)),
        "{legend}"
    );
}

/// Sends a call over raw TCP, in the stateless way, and returns what it comes to.
fn call(agent: &mut TcpStream, tool: &str, arguments: &Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
    let line = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    agent.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(agent.try_clone().unwrap()).read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["result"]["isError"].is_null() && answer["error"].is_null(), "{tool}: {answer}");
    answer["result"]["structuredContent"].clone()
}

#[test]
fn the_page_says_who_changed_the_graph_and_why() {
    let folder = Folder::new("signed");
    let token = format!("mcp.token_file={}", folder.join("mcp.token").display());
    let [flag, path] = graph("karate.gexf");
    let server =
        Server::start(&[&flag, &path, "--mcp", "127.0.0.1:0", "--set", &token, "--set", "mcp.anonymous=write"]);
    let line = server.banner.lines().find(|line| line.contains("mcp at")).unwrap();
    let address = line.split("mcp at ").nth(1).unwrap().split([',', ' ']).next().unwrap();
    let mut agent = TcpStream::connect(address).unwrap();
    call(&mut agent, "register_agent", &json!({ "name": "Ada" }));
    std::thread::scope(|scope| {
        // When the page's stream is there, an agent adds fifty nodes.
        let agent = scope.spawn(|| {
            assert!(within(Duration::from_secs(60), || server.metric("swarmcast_connections") >= 1.0));
            let nodes: Vec<Value> = (0..50).map(|n| json!({ "id": format!("idea {n}"), "label": "idea" })).collect();
            call(&mut agent, "upsert_nodes", &json!({ "nodes": nodes, "why": "ideas <b>from</b> the talk" }));
        });
        let said = "Ada added 50 nodes: ideas <b>from</b> the talk";
        let report = look(&server, "signed", &["--news", said, "--no-drag"]);
        agent.join().unwrap();
        let lines = report["news"].as_array().unwrap();
        assert!(lines.iter().any(|line| line == said), "text, never markup: {report}");
        assert_eq!(report["stats"]["nodeCount"], 34 + 1 + 50, "{report}");
    });
}

#[test]
fn the_simulation_is_steered_from_the_page() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let tuned = look(&server, "tuned", &["--tune", "--no-drag"])["tuned"].clone();
    let (before, after) = (&tuned["before"], &tuned["after"]);
    assert_eq!((before["Edge length"].as_str(), before["Dimensions"].as_str()), (Some("80"), Some("3")), "{tuned}");
    assert_eq!((after["Edge length"].as_str(), after["Dimensions"].as_str()), (Some("312"), Some("2")), "{tuned}");
    let in_force = |path: &str| server.get(&format!("/api/settings/path?path={path}")).json()["value"].as_f64();
    assert_eq!((in_force("sim.rest_length"), in_force("sim.dimensions")), (Some(312.0), Some(2.0)));
}

#[test]
fn a_small_graph_is_drawn_and_dragged() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let report = look(&server, "karate", &["--select", "1"]);
    assert_eq!(report["stats"]["nodeCount"], 34, "{report}");
}

#[test]
fn a_settled_graph_is_drawn_and_wakes_for_a_drag() {
    let [flag, path] = graph("desktops.csv");
    let server = Server::start(&[flag.as_str(), &path, "--dimensions", "2", "--rate", "30"]);
    server.settle();
    let report = look(&server, "desktops", &[]);
    assert!(report["drag"]["movedBy"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn a_host_of_mcp_apps_frames_the_live_graph() {
    let folder = Folder::new("framed");
    let token = format!("mcp.token_file={}", folder.join("mcp.token").display());
    let [flag, path] = graph("karate.gexf");
    let agents = ["--mcp", "127.0.0.1:0", "--set", &token, "--set", "mcp.anonymous=write", "--toolsets", "core,view"];
    let server = Server::start(&[&[&*flag, &*path], &agents[..]].concat());
    server.tool("set_view", json!({ "focus": ["33"], "note": "the leader" }));
    let opened = server.tool("open_view", json!({}));
    let url = opened["url"].clone();
    let result = json!({ "content": [], "structuredContent": opened });

    let tools = server.mcp("tools/list", "", json!({}))["tools"].clone();
    let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "open_view").unwrap();
    let uri = &tool["_meta"]["ui"]["resourceUri"];
    let read = server.mcp("resources/read", uri.as_str().unwrap(), json!({ "uri": uri }))["contents"][0].clone();
    assert_eq!((&read["uri"], read["mimeType"].as_str()), (uri, Some("text/html;profile=mcp-app")));
    let ui = &read["_meta"]["ui"];
    assert_eq!(ui["csp"], json!({ "frameDomains": [format!("http://{}", server.http)] }));

    let _one = BROWSER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let told = json!({ "html": read["text"], "ui": ui, "result": result });
    let (done, _) = node("test/app.mjs", "framed", &[PICTURE], &told.to_string());
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{out}");
    let report: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(report["nodes"], 34, "{report}");
    let heard = &report["heard"];
    assert_eq!((&heard["link"]["url"], heard["app"]["name"].as_str()), (&url, Some("swarmcast")), "{report}");
    assert_eq!(heard["app"]["availableDisplayModes"], json!(["inline", "fullscreen"]), "{report}");
}
