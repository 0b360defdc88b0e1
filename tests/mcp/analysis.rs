//! Goal: a measure is of what was asked, of a part as of a graph that is only that part; scores that are written are properties like any
//! other, and only of whoever may write.
//! Method: calls over an in-memory engine; the real server for what is durable, told and stopped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use swarmcast::mcp::{Principal, Scopes, Session};

use crate::engine::{Engine, me, modern};
use crate::support::Client;
use crate::talk::Home;

const METRICS: [&str; 9] =
    ["degree", "pagerank", "betweenness", "core", "triangles", "communities", "components", "cycles", "anomalies"];

fn reader() -> Session {
    Session::new(Some(Principal { name: "reader".into(), scopes: Scopes::READ }))
}

#[test]
fn a_part_is_measured_as_a_graph_of_its_own() {
    let mut engine = Engine::sample(30);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let ids: Vec<String> = (0..12).map(|node| format!("n{node}")).collect();
    // The same nodes and the edges between them, alone.
    let mut alone = Engine::sample(30);
    let others: Vec<String> = (12..30).map(|node| format!("n{node}")).collect();
    alone.done(it, "delete_items", json!({ "nodes": others }));
    for metric in METRICS {
        let part = engine.done(it, "analyze_graph", json!({ "metric": metric, "scope": { "ids": ids } }));
        let whole = alone.done(it, "analyze_graph", json!({ "metric": metric }));
        assert_eq!((&part["top"], &part["summary"]), (&whole["top"], &whole["summary"]), "{metric}");
    }
    let even = engine.done(it, "analyze_graph", json!({ "metric": "degree", "scope": { "group": "even" } }));
    assert_eq!(even["summary"]["nodes"], json!(15));
    for (scope, words) in [
        (json!({}), "one of ids, kind, group"),
        (json!({ "ids": ["n1"], "group": "even" }), "one of ids, kind, group"),
        (json!({ "ids": [] }), "1 to 5000"),
        (json!({ "ids": ["n1", "nowhere"] }), "scope.ids: there is no node \"nowhere\""),
        (json!({ "group": "evn" }), "no node is in it"),
        (json!({ "kind": "knowlege" }), "did you mean knowledge?"),
    ] {
        let said = engine.refused(it, "analyze_graph", json!({ "metric": "core", "scope": scope }));
        assert!(said.contains(words), "{scope}: {said}");
    }
}

#[test]
fn cycles_are_found_and_shown() {
    let mut engine = Engine::sample(3);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    // The sample is a ring of directed edges with undirected spokes: the ring is one cycle.
    let found = engine.done(it, "analyze_graph", json!({ "metric": "cycles" }));
    assert_eq!(found["summary"]["directed"], json!({ "groups": 1, "nodes": 3 }));
    assert_eq!(found["top"][0], json!({ "size": 3, "directed": true, "length": 3, "cycle": ["n0", "n1", "n2"] }));
    engine.done(
        it,
        "upsert_edges",
        json!({ "create_missing": true, "edges": [
        { "from": "p", "to": "q", "directed": false }, { "from": "q", "to": "r", "directed": false },
        { "from": "r", "to": "p", "directed": false }, { "from": "r", "to": "s", "directed": false },
        { "from": "s", "to": "s" }, { "from": "p", "to": "n1" },
    ] }),
    );
    let found = engine.done(it, "analyze_graph", json!({ "metric": "cycles", "write_to": "ring" }));
    assert_eq!(found["summary"]["undirected"], json!({ "groups": 1, "nodes": 3 }));
    assert_eq!((&found["summary"]["nodes_on_cycles"], &found["written"]), (&json!(7), &json!(7)));
    let rings = engine.done(it, "query_graph", json!({ "query": "MATCH (n) RETURN n.id, n.ring ORDER BY n.id" }));
    let expected = [("n0", 3.0), ("n1", 3.0), ("n2", 3.0), ("p", 3.0), ("q", 3.0), ("r", 3.0), ("s", 1.0)];
    let expected: Vec<Value> = expected.iter().map(|(id, size)| json!([id, size])).collect();
    assert_eq!(rings["rows"], json!(expected));
}

#[test]
fn scores_are_written_by_whoever_may_write() {
    let mut engine = Engine::sample(20);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let asked = json!({ "metric": "communities", "write_to": "community", "scope": { "group": "odd" } });
    let done = engine.done(it, "analyze_graph", asked.clone());
    assert_eq!((&done["written"], &done["write_to"], &done["revision"]), (&json!(10), &json!("community"), &json!(1)));
    assert!(engine.done(it, "analyze_graph", asked)["revision"].as_u64().unwrap() >= 1, "again is the same");
    let rows = engine.done(
        it,
        "query_graph",
        json!({ "query": "MATCH (n) WHERE n.community IS NOT NULL RETURN n.group, count(*)" }),
    );
    assert_eq!(rows["rows"], json!([["odd", 10]]));
    let top = engine.done(it, "analyze_graph", json!({ "metric": "pagerank", "top": 1, "write_to": "rank" }));
    let best = engine.done(it, "find_nodes", json!({ "where": [{ "key": "rank", "op": "exists" }], "limit": 500 }));
    let highest = best["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .max_by(|a, b| a["props"]["rank"].as_f64().unwrap().total_cmp(&b["props"]["rank"].as_f64().unwrap()));
    assert_eq!(highest.unwrap()["id"], top["top"][0]["id"]);

    // Who may only read is not shown the argument, sees a tool that only looks, and is refused.
    let before = engine.revision;
    let said = engine.refused(&mut reader(), "analyze_graph", json!({ "metric": "core", "write_to": "core" }));
    assert!(said.contains("graph:write"), "{said}");
    assert_eq!(engine.revision, before);
    for (session, may) in [(&mut reader(), false), (it, true)] {
        let said = engine.say(session, &modern(1, "tools/list", json!({}))).unwrap();
        let tools = said[0]["result"]["tools"].as_array().unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == "analyze_graph").unwrap();
        let shown = tool["inputSchema"]["properties"].get("write_to").is_some();
        assert_eq!((shown, tool["annotations"]["readOnlyHint"] == json!(true), tool.get("writing")), (may, !may, None));
    }
    let it = &mut Session::new(Some(me()));
    for (name, words) in [
        ("", "1 to 64 bytes"),
        ("a\u{202e}", "1 to 64 bytes"),
        ("label", "another name"),
        (&"x".repeat(65), "64 bytes"),
    ] {
        let said = engine.refused(it, "analyze_graph", json!({ "metric": "core", "write_to": name }));
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[test]
fn what_is_written_is_told_to_everybody_in_one_change() {
    let home = Home::start("mcp-analysis", &[]);
    let mut agent = home.agent();
    let mut viewer = home.server.ws("");
    viewer.frame();
    let before = agent.call("graph_overview", json!({}));
    let done = agent.call("analyze_graph", json!({ "metric": "betweenness", "write_to": "between", "top": 3 }));
    assert_eq!((&done["written"], done["top"].as_array().unwrap().len()), (&before["nodes"], 3));
    assert_eq!(done["revision"].as_u64(), before["revision"].as_u64().map(|revision| revision + 1));
    let told = viewer.text("graph_changed");
    assert_eq!(told["version"], done["revision"], "{told}");
    let count = agent.call("query_graph", json!({ "query": "MATCH (n) WHERE n.between >= 0 RETURN count(*)" }));
    assert_eq!(count["rows"][0][0], before["nodes"]);
    let changes = agent.call("get_changes", json!({ "since": before["revision"], "limit": 1 }));
    assert_eq!(changes["changes"][0]["by"], json!("agent"));
}
