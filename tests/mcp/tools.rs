//! Goal: every tool of MCP does what it says, says it as its schema says, and refuses in words that lead on.
//! Method: calls over an in-memory engine; each structured result is held to the tool's own `outputSchema`, and calls with arguments
//! that are random, broken or hostile are held to the same. What a key keeps is asked of the real server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use swarmcast::mcp::{Agents, Scopes, Session, Version};

use crate::engine::{Engine, me};
use crate::schema;
use crate::talk::Home;

/// The tools as they are listed.
fn listed(engine: &Engine) -> Vec<Value> {
    let list = engine.server.catalogue.tool_list(Version::V2025_11_25, Scopes::ALL);
    let whole: Value = serde_json::from_str(&format!("{{{}}}", String::from_utf8_lossy(list))).unwrap();
    whole["tools"].as_array().unwrap().clone()
}

/// Holds a result to the tool's schema, and to what every result is.
fn hold(tools: &[Value], name: &str, result: &Value) {
    let tool = tools.iter().find(|tool| tool["name"] == json!(name)).unwrap();
    assert!(result.to_string().len() < 3 << 20);
    if result.get("isError") == Some(&json!(true)) {
        let said = result["content"][0]["text"].as_str().unwrap();
        assert!(!said.is_empty() && said.len() < 4_096, "{name}: {said}");
        return;
    }
    let structured = &result["structuredContent"];
    let errors = schema::errors(&tool["outputSchema"], &tool["outputSchema"], structured, "");
    assert!(errors.is_empty(), "{name}: {}\n{structured}", errors.join("\n"));
    assert!(structured.to_string().len() <= 64 << 10, "{name}");
    assert!(structured["revision"].is_u64());
}

#[test]
fn the_tools_are_described_as_hosts_need_it() {
    assert_eq!(listed(&Engine::sample(3)).len(), 21);
    let tools = listed(&Engine::complete(3));
    for tool in &tools {
        let name = tool["name"].as_str().unwrap();
        assert!(name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let description = tool["description"].as_str().unwrap();
        assert!((80..=600).contains(&description.len()), "{name}: {}", description.len());
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{name}.{hint}");
        }
        assert_eq!(tool["annotations"]["openWorldHint"], json!(false));
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], json!("object"), "{name}.{schema}");
            for root in ["oneOf", "anyOf", "allOf", "not", "if", "$schema"] {
                assert!(tool[schema].get(root).is_none(), "{name}.{schema}.{root}");
            }
        }
        assert_eq!(tool["inputSchema"]["additionalProperties"], json!(false), "{name}");
    }
}

#[test]
fn reading_tools_find_what_is_there() {
    let mut engine = Engine::sample(30);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let overview = engine.done(it, "graph_overview", json!({}));
    assert_eq!((overview["nodes"].clone(), overview["components"].clone()), (json!(30), json!(1)));
    assert_eq!(overview["groups"], json!([{ "group": "even", "count": 15 }, { "group": "odd", "count": 15 }]));
    let schema = engine.done(it, "get_schema", json!({}));
    assert_eq!(schema["kinds"][0]["keys"][1]["key"], json!("rank"));
    let found = engine.done(it, "find_nodes", json!({ "text": "node 7" }));
    assert_eq!((found["total"].clone(), found["nodes"][0]["id"].clone()), (json!(1), json!("n7")));
    let found = engine.done(it, "find_nodes", json!({ "where": [{ "key": "rank", "op": "ge", "value": 20 }, { "key": "group", "op": "eq", "value": "even" }] }));
    assert_eq!(found["total"], json!(5));
    let found = engine.done(it, "find_nodes", json!({ "near": { "id": "n5", "hops": 2 } }));
    assert_eq!(found["total"], json!(6), "n3 to n7, and the hub behind n6");
    let found =
        engine.done(it, "find_nodes", json!({ "near": { "pos": [5.0, 8.0, 1.0], "radius": 0.5 }, "fields": ["pos"] }));
    assert_eq!(found["nodes"], json!([{ "id": "n5", "node_id": 5, "pos": [5.0, 8.0, 1.0] }]));
    let got = engine.done(it, "get_nodes", json!({ "ids": ["n1", 2, "Node 3", "nowhere"], "edges": true }));
    let ids: Vec<&Value> = got["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    assert_eq!((ids, got["missing"].clone()), (vec![&json!("n1"), &json!("n2"), &json!("n3")], json!(["nowhere"])));
    let around = engine.done(it, "get_neighborhood", json!({ "id": "n10", "direction": "out", "hops": 2 }));
    assert_eq!(
        around["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["n10", "n11", "n12"]
    );
    assert_eq!(around["edges"].as_array().unwrap().len(), 2);
    let limited = engine.done(it, "get_neighborhood", json!({ "id": "n0", "limit": 3 }));
    assert_eq!((limited["truncated"].clone(), limited["frontier"].clone()), (json!(true), json!(9)));
    let edges = engine.done(it, "find_edges", json!({ "type": "spoke", "from": "n0" }));
    assert_eq!(edges["total"], json!(9));
    let paths = engine.done(it, "find_paths", json!({ "from": "n1", "to": "n9", "k": 2 }));
    assert_eq!(paths["paths"][0], json!({ "nodes": ["n1", "n0", "n9"], "edges": [0, 12], "cost": 2.0 }), "{paths}");
    assert_eq!(paths["exhausted"], json!(false));
    let directed = engine.done(
        it,
        "find_paths",
        json!({ "from": "n1", "to": "n3", "directed": true, "edge_types": ["next"], "k": 5 }),
    );
    assert_eq!((directed["paths"].as_array().unwrap().len(), directed["exhausted"].clone()), (1, json!(true)));
    for metric in ["degree", "pagerank", "betweenness", "core", "triangles", "communities", "components", "anomalies"] {
        let result = engine.done(it, "analyze_graph", json!({ "metric": metric }));
        assert_eq!(result["metric"], json!(metric));
    }
    assert_eq!(engine.done(it, "analyze_graph", json!({ "metric": "betweenness" }))["top"][0]["id"], json!("n0"));
    let layout = engine.done(it, "get_layout", json!({ "limit": 2, "encoding": "f32_base64" }));
    assert_eq!((layout["ids"].clone(), layout["total"].clone()), (json!(["n0", "n1"]), json!(30)));
    assert_eq!(layout["data"].as_str().unwrap().len(), 32);
}

#[test]
fn pages_lead_to_the_end_and_nobody_else_can_turn_them() {
    let mut engine = Engine::sample(60);
    let mut session = Session::new(Some(me()));
    let (mut ids, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = engine.done(&mut session, "find_nodes", json!({ "limit": 25, "cursor": cursor, "fields": [] }));
        ids.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("next_cursor") else { break };
        cursor = Some(next.as_str().unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
    let cursor = cursor.unwrap();
    assert!(engine.refused(&mut session, "find_edges", json!({ "cursor": cursor })).contains("cursor"));
    let mut other = Session::new(Some(swarmcast::mcp::Principal { name: "other".into(), scopes: Scopes::ALL }));
    assert!(engine.refused(&mut other, "find_nodes", json!({ "cursor": cursor })).contains("cursor"));
    for forged in ["", "0", "ffffffffffffffff", &cursor.replace('a', "b").replace('0', "1")] {
        assert!(engine.refused(&mut session, "find_nodes", json!({ "cursor": forged })).contains("cursor"));
    }
}

#[test]
fn writing_tools_change_the_graph_all_or_nothing() {
    let mut engine = Engine::sample(6);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let nodes = json!([{ "id": "x", "label": "X", "pos": [1, 2, 3], "props": { "a": 1, "b": "t", "c": true } }, { "id": "n1", "group": null }]);
    let dry = engine.done(it, "upsert_nodes", json!({ "nodes": nodes, "dry_run": true }));
    assert_eq!((dry["created"].clone(), engine.revision), (json!(["x"]), 0));
    let made = engine.done(it, "upsert_nodes", json!({ "nodes": nodes }));
    assert_eq!(
        (made["created"].clone(), made["updated"].clone(), made["revision"].clone()),
        (json!(["x"]), json!(["n1"]), json!(1))
    );
    let stale = engine.refused(it, "upsert_nodes", json!({ "nodes": nodes, "if_revision": 0 }));
    assert!(stale.contains("if_revision is 0") && stale.contains("get_changes"), "{stale}");
    let edges = engine.done(it, "upsert_edges", json!({ "edges": [{ "from": "x", "to": "Node 2", "type": "knows" }] }));
    assert_eq!(edges["created"].as_array().unwrap().len(), 1);
    let again = engine.done(it, "upsert_edges", json!({ "edges": [{ "from": "x", "to": "n2", "type": "knows" }] }));
    assert_eq!((again["created"].clone(), again["unchanged"].clone()), (json!([]), json!(1)));
    let refused = engine.refused(
        it,
        "upsert_edges",
        json!({ "edges": [{ "from": "n2", "to": "x" }, { "from": "x", "to": "n22" }] }),
    );
    assert!(
        refused.contains("edges[1]") && refused.contains("\"n2\"") && refused.contains("Nothing was changed"),
        "{refused}"
    );
    let refused = engine.refused(
        it,
        "apply_mutations",
        json!({ "ops": [{ "op": "add_node", "id": "y" }, { "op": "remove_edge", "id": 9_999 }] }),
    );
    assert!(refused.starts_with("ops[1]"), "{refused}");
    assert!(engine.graph.by_key("y").is_none());
    let done = engine.done(it, "apply_mutations", json!({ "ops": [
        { "op": "add_node", "id": "y" }, { "op": "add_edge", "from": "y", "to": "x", "weight": 3 }, { "op": "update_node", "id": "y", "label": "Y" },
    ] }));
    assert_eq!((done["applied"].clone(), done["created"][0].clone()), (json!(3), json!("y")));
    let pinned = engine.done(it, "pin_nodes", json!({ "ids": ["x", "y"] }));
    assert_eq!(pinned["pinned"], json!(["x", "y"]));
    assert_eq!(engine.done(it, "pin_nodes", json!({ "ids": ["x"], "pinned": false }))["released"], json!(["x"]));
    let kept = engine.refused(it, "delete_items", json!({ "nodes": ["x"], "cascade": false }));
    assert!(kept.contains("2 edges"), "{kept}");
    let gone = engine.done(it, "delete_items", json!({ "nodes": ["x", "nowhere"], "edges": [77] }));
    assert_eq!(
        (gone["deleted"].clone(), gone["missing"].clone()),
        (json!({ "nodes": 1, "edges": 2 }), json!([77, "nowhere"]))
    );
    let changes = engine.done(it, "get_changes", json!({ "since": 1 }));
    assert_eq!((changes["from"].clone(), changes["complete"].clone()), (json!(1), json!(true)));
    assert!(changes["changes"].as_array().unwrap().iter().all(|change| change["by"] == json!("tester")));
    assert_eq!(changes["to"], json!(engine.revision));
    let steered = engine.done(it, "set_simulation", json!({ "running": false, "layout": "radial" }));
    assert_eq!((steered["running"].clone(), engine.steered.len()), (json!(false), 1));
}

#[test]
fn what_is_asked_again_with_its_key_is_answered_as_it_was() {
    let home = Home::start("mcp-again", &[]);
    let mut agent = home.agent();
    agent.fill(6, 0);
    let edges = json!([{ "from": "r0", "to": "r1" }, { "from": "r0", "to": "r2" }, { "from": "r3", "to": "r4" }]);
    let edge = agent.call("upsert_edges", json!({ "edges": edges }))["created"][2].clone();
    agent.call("upsert_nodes", json!({ "nodes": [{ "id": "r5", "label": "Five" }] }));
    // Names lead elsewhere once it is done: what they named is gone, or something else has the label.
    let asked = [
        ("delete_items", json!({ "nodes": ["r0", "nowhere"], "edges": [edge, 999_999], "key": "gone" })),
        ("apply_mutations", json!({ "ops": [{ "op": "remove_node", "id": "Five" }], "key": "label" })),
    ];
    let first = asked.clone().map(|(tool, arguments)| agent.call(tool, arguments));
    assert_eq!(
        (&first[0]["deleted"], &first[0]["missing"]),
        (&json!({ "nodes": 1, "edges": 3 }), &json!([999_999, "nowhere"]))
    );
    agent.call("upsert_nodes", json!({ "nodes": [{ "id": "another", "label": "Five" }] }));
    let revision = agent.call("graph_overview", json!({}))["revision"].clone();
    for ((tool, arguments), first) in asked.into_iter().zip(first) {
        assert_eq!(agent.call(tool, arguments), first, "{tool}");
    }
    let said = agent.refused("delete_items", json!({ "nodes": ["nowhere"], "key": "gone" }));
    assert!(said.contains("belongs to another request"), "{said}");
    assert_eq!(agent.call("graph_overview", json!({}))["revision"], revision, "nothing was done again");
    assert_eq!(agent.call("get_nodes", json!({ "ids": ["another"] }))["missing"], json!([]));
}

#[test]
fn refusals_name_what_was_wrong_what_may_be_and_what_is_near() {
    let mut engine = Engine::sample(6);
    let mut session = Session::new(Some(me()));
    for (name, arguments, words) in [
        ("find_nodes", json!({ "lable": "x" }), vec!["find_nodes has no argument \"lable\"", "It takes:", "near"]),
        ("find_nodes", json!({ "limit": 501 }), vec!["limit is 501", "1 to 500"]),
        ("find_nodes", json!({ "limit": "ten" }), vec!["limit of find_nodes", "string \"ten\""]),
        (
            "find_nodes",
            json!({ "where": [{ "key": "a", "op": "like", "value": 1 }] }),
            vec!["where[0].op is \"like\"", "contains"],
        ),
        ("find_nodes", json!({ "where": [{ "key": "a", "op": "eq" }] }), vec!["exists takes no value"]),
        ("find_nodes", json!({ "kind": "knowlege" }), vec!["kind is \"knowlege\"", "did you mean knowledge?"]),
        (
            "get_neighborhood",
            json!({ "id": "n11" }),
            vec!["there is no node \"n11\"", "Did you mean \"n1\"?", "find_nodes"],
        ),
        ("get_neighborhood", json!({}), vec!["id is missing"]),
        ("get_nodes", json!({ "ids": [] }), vec!["ids is a list of 0", "1 to 200"]),
        ("get_nodes", json!({ "ids": ["n1"], "graph": "other" }), vec!["graph is \"other\"", "main"]),
        ("find_paths", json!({ "from": "n1" }), vec!["to is missing"]),
        ("analyze_graph", json!({ "metric": "pagrank" }), vec!["did you mean pagerank?"]),
        ("upsert_nodes", json!({ "nodes": [{ "id": "a", "colour": "red" }] }), vec!["nodes[0].colour", "#rrggbb"]),
        ("upsert_nodes", json!({ "nodes": [{ "id": "a", "from": "b" }] }), vec!["nodes[0].from has no meaning"]),
        ("upsert_nodes", json!({ "nodes": [{ "id": "a", "weight": -1 }] }), vec!["nodes[0]", "weight", "-1"]),
        ("upsert_nodes", json!({ "nodes": [{ "id": "a", "props": { "x": [1] } }] }), vec!["nodes[0].props"]),
        ("set_simulation", json!({}), vec!["nothing to do"]),
        ("set_simulation", json!({ "steps": 5 }), vec!["paused"]),
        ("get_changes", json!({}), vec!["since is missing"]),
        ("report_agent", json!({ "handle": "x" }), vec!["register_agent"]),
        ("render_view", json!({ "width": 4_000 }), vec!["width is 4000", "64 to 1024"]),
    ] {
        let said = engine.refused(&mut session, name, arguments.clone());
        for word in words {
            assert!(said.contains(word), "{name} {arguments}: {said:?} lacks {word:?}");
        }
    }
}

#[test]
fn a_picture_is_a_picture() {
    use base64::Engine as _;
    let mut engine = Engine::sample(40);
    let mut session = Session::new(Some(me()));
    let result = engine.call(&mut session, "render_view", json!({ "focus": ["n0"], "width": 300, "height": 200 }));
    let image = &result["content"][0];
    assert_eq!((image["type"].clone(), image["mimeType"].clone()), (json!("image"), json!("image/png")));
    let png = base64::engine::general_purpose::STANDARD.decode(image["data"].as_str().unwrap()).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 1_000);
    if let Ok(folder) = std::env::var("SWARMCAST_TEST_PICTURES") {
        std::fs::write(format!("{folder}/view.png"), &png).unwrap();
    }
    assert_eq!(result["structuredContent"]["nodes"], json!(15), "the hub, 13 spokes, and its neighbours in the ring");
    let svg = engine.call(&mut session, "render_view", json!({ "format": "svg" }));
    let text = base64::engine::general_purpose::STANDARD.decode(svg["content"][0]["data"].as_str().unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("<svg") && text.ends_with("</svg>") && text.matches("<circle").count() == 40);
}

#[test]
fn agents_are_nodes_while_they_report() {
    const SECOND: u64 = 1_000_000_000;
    let mut engine = Engine::sample(6);
    let mut session = Session::new(Some(me()));
    let made = engine.done(&mut session, "register_agent", json!({ "name": "ada", "role": "coder", "ttl_s": 60 }));
    let handle = made["handle"].as_str().unwrap().to_owned();
    assert_eq!((made["agent_id"].clone(), handle.len()), (json!("agent:ada"), 32));
    let show = |engine: &mut Engine| {
        engine.agents.expire(engine.now_ns);
        let batch = engine.agents.take_batch(&engine.graph, engine.now_ns);
        let changed = batch.is_some();
        if let Some(batch) = batch {
            assert_eq!(&*batch.author.principal, "agents");
            engine.commit(&batch).unwrap();
        }
        engine.agents.refresh();
        changed
    };
    assert!(show(&mut engine) && !show(&mut engine), "shown once");
    assert!(engine.graph.by_key("agent:ada").is_some());
    let events = json!([{ "kind": "status", "status": "running" }, { "kind": "action", "target": "n3" }, { "kind": "task", "task_id": "t1" }, { "kind": "metric", "metrics": { "tokens_in": 10 } }, { "kind": "metric", "metrics": { "tokens_in": 5 } }]);
    let taken = engine.done(&mut session, "report_agent", json!({ "handle": handle, "events": events }));
    assert_eq!((taken["accepted"].clone(), taken["dropped"].clone()), (json!(5), json!(0)));
    assert!(show(&mut engine));
    let row = &engine.done(&mut session, "list_agents", json!({}))["agents"][0];
    assert_eq!(
        (row["status"].clone(), row["task"].clone(), row["metrics"]["tokens_total"].clone()),
        (json!("running"), json!("t1"), json!(15.0))
    );
    assert_eq!(
        (row["metrics"]["cpu"].clone(), row["health"].clone()),
        (Value::Null, Value::Null),
        "unknown stays unknown"
    );
    let links = |engine: &Engine| engine.graph.incident(engine.graph.by_key("agent:ada").unwrap()).len();
    assert_eq!(links(&engine), 1);
    engine.now_ns += 6 * SECOND;
    assert!(show(&mut engine));
    assert_eq!(links(&engine), 0, "five seconds after the last touch");
    // A burst beyond 500 a second is counted and dropped.
    let burst = json!(vec![json!({ "kind": "metric", "metrics": { "queue": 1 } }); 400]);
    let mut counted = (0, 0);
    for _ in 0..2 {
        let taken = engine.done(&mut session, "report_agent", json!({ "handle": handle, "events": burst }));
        counted = (counted.0 + taken["accepted"].as_u64().unwrap(), counted.1 + taken["dropped"].as_u64().unwrap());
    }
    assert_eq!(counted, (500, 300));
    // Another principal cannot report with it, nor take the name.
    let mut other = Session::new(Some(swarmcast::mcp::Principal { name: "other".into(), scopes: Scopes::ALL }));
    assert!(
        engine
            .refused(&mut other, "report_agent", json!({ "handle": handle, "events": [] }))
            .contains("no live agent of yours")
    );
    assert!(engine.refused(&mut other, "register_agent", json!({ "name": "ada" })).contains("somebody else"));
    let wrong = engine.refused(
        &mut session,
        "report_agent",
        json!({ "handle": handle, "events": [{ "kind": "action", "target": "n33" }] }),
    );
    assert!(wrong.contains("events[0].target"), "{wrong}");
    engine.now_ns += 61 * SECOND;
    assert!(show(&mut engine));
    assert!(engine.graph.by_key("agent:ada").is_none(), "silent for longer than its time to live");
    assert_eq!(engine.done(&mut session, "list_agents", json!({}))["agents"][0]["live"], json!(false));
    assert!(
        engine
            .refused(&mut session, "report_agent", json!({ "handle": handle, "events": [] }))
            .contains("register_agent")
    );
    assert!(Agents::left_over(&engine.graph).is_none());
}

#[test]
fn a_result_is_never_larger_than_it_may_be() {
    let mut engine = Engine::sample(3);
    let mut session = Session::new(Some(me()));
    let nodes: Vec<Value> = (0..200)
        .map(|node| {
            let props: serde_json::Map<String, Value> =
                (0..20).map(|prop| (format!("p{prop}"), json!("\u{1}y".repeat(1_000)))).collect();
            json!({ "id": format!("big{node}"), "label": "é".repeat(200), "props": props })
        })
        .collect();
    for part in nodes.chunks(10) {
        engine.done(&mut session, "upsert_nodes", json!({ "nodes": part }));
    }
    let tools = listed(&engine);
    let ids: Vec<String> = (0..200).map(|node| format!("big{node}")).collect();
    for (name, arguments) in [
        ("find_nodes", json!({ "limit": 500 })),
        ("get_nodes", json!({ "ids": ids, "edges": true })),
        ("get_changes", json!({ "since": 0, "limit": 500 })),
        ("get_layout", json!({ "limit": 2_000 })),
        ("get_schema", json!({})),
        ("graph_overview", json!({})),
        ("analyze_graph", json!({ "metric": "degree", "top": 200 })),
    ] {
        let result = engine.call(&mut session, name, arguments);
        assert!(result.get("isError").is_none() || name == "get_changes", "{name}: {}", &result.to_string()[..300]);
        hold(&tools, name, &result);
    }
    let all = engine.done(&mut session, "find_nodes", json!({ "limit": 500, "text": "big" }));
    assert!(all["truncated"] == json!(true) && all["nodes"].as_array().unwrap().len() > 1);
}

/// Arguments that look like what a tool takes, and some that do not.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..30).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "n[0-9]{1,2}".prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![
            "eq",
            "both",
            "degree",
            "status",
            "running",
            "add_node",
            "remove_node",
            "rank",
            "png",
            "merge",
            "spoke"
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let names = prop_oneof![
            "id",
            "key",
            "op",
            "value",
            "from",
            "to",
            "hops",
            "pos",
            "radius",
            "kind",
            "label",
            "props",
            "target",
            "min",
            "max",
            "weight",
            "name",
            "entityType",
            "observations",
            "entityName",
            "contents",
            "relationType"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_arguments_do_more_than_be_refused(values in proptest::collection::vec(value(), 24), picks in proptest::collection::vec(any::<u64>(), 64)) {
        let mut engine = Engine::complete(12);
        let mut session = Session::new(Some(me()));
        let tools = listed(&engine);
        prop_assert!(tools.len() <= picks.len());
        for (tool, pick) in tools.iter().zip(picks) {
            let name = tool["name"].as_str().unwrap();
            let properties = tool["inputSchema"]["properties"].as_object().unwrap();
            let mut arguments = json!({});
            for (index, property) in properties.keys().enumerate().filter(|(index, _)| pick >> index & 1 == 1) {
                arguments[property] = values[(index + pick as usize % 24) % 24].clone();
            }
            let before = engine.revision;
            let result = engine.call(&mut session, name, arguments);
            hold(&tools, name, &result);
            prop_assert!(result.get("isError").is_none() || engine.revision == before, "{} was refused, and changed the graph", name);
        }
    }
}
