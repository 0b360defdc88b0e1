//! Goal: what does not fit into one answer comes whole in several, each only for whoever began; a list of changes of which some cannot be
//! done says which, and does what it said it would.
//! Method: calls over an in-memory engine for every case; the real server for what has to last.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use swarmcast::mcp::{Principal, Scopes, Session};

use crate::engine::{Engine, me};
use crate::support::Folder;
use crate::talk::Home;

const SIGKILL: i32 = 9;

fn other() -> Session {
    Session::new(Some(Principal { name: "other".into(), scopes: Scopes::ALL }))
}

#[test]
fn rows_of_a_query_come_in_pages_of_one_revision() {
    let mut engine = Engine::sample(60);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let whole = |engine: &mut Engine, it: &mut Session, query: &str| {
        engine.done(it, "query_graph", json!({ "query": query, "limit": 500 }))["rows"].clone()
    };
    for query in [
        "MATCH (n) RETURN n.id",
        "MATCH (n) RETURN n.id ORDER BY n.rank DESC",
        "MATCH (n) RETURN n.id ORDER BY n.rank SKIP 7 LIMIT 31",
        "MATCH (n) RETURN n.id LIMIT 50",
        "MATCH (n) RETURN DISTINCT n.rank % 40 AS rest ORDER BY rest",
        "MATCH (n) RETURN n.rank % 30 AS rest, count(*) ORDER BY rest",
    ] {
        let all = whole(&mut engine, it, query);
        let (mut rows, mut cursor, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let page = engine.done(it, "query_graph", json!({ "query": query, "limit": 9, "cursor": cursor }));
            rows.extend(page["rows"].as_array().unwrap().clone());
            pages += 1;
            assert_eq!(page["truncated"] == json!(true), page.get("next_cursor").is_some(), "{query}: {page}");
            let Some(next) = page.get("next_cursor") else { break };
            cursor = next.clone();
        }
        assert_eq!(json!(rows), all, "{query}");
        assert_eq!(pages, rows.len().div_ceil(9), "{query}");
    }
    let query = json!({ "query": "MATCH (n) WHERE n.rank > $n RETURN n.id", "params": { "n": 3 }, "limit": 5 });
    let with = |name: &str, value: Value| {
        let mut asked = query.clone();
        asked[name] = value;
        asked
    };
    let first = engine.done(it, "query_graph", query.clone());
    assert!(first["stats"]["expanded"].as_u64().unwrap() >= 5 && first["stats"]["us"].is_u64(), "{first}");
    let cursor = first["next_cursor"].clone();
    assert!(engine.done(it, "query_graph", with("cursor", cursor.clone()))["rows"][0] != first["rows"][0]);
    // Another query, other parameters, somebody else, and made up ones.
    let mut asked = with("cursor", cursor.clone());
    asked["params"] = json!({ "n": 4 });
    assert!(engine.refused(it, "query_graph", asked).contains("for these arguments"));
    let asked = json!({ "query": "MATCH (n) RETURN n.id", "cursor": cursor });
    assert!(engine.refused(it, "query_graph", asked).contains("for these arguments"));
    assert!(engine.refused(&mut other(), "query_graph", with("cursor", cursor.clone())).contains("cursor is not one"));
    let text = cursor.as_str().unwrap();
    let elsewhere = format!("9{text}");
    for forged in ["", ".", "0", "0.", &text.replace('0', "1"), &elsewhere, text.split_once('.').unwrap().1] {
        let said = engine.refused(it, "query_graph", with("cursor", json!(forged)));
        assert!(said.contains("cursor is not one"), "{forged}: {said}");
    }
    // A plan costs nothing and says so.
    let plan = engine.done(it, "query_graph", with("explain", json!(true)));
    assert!(plan.get("stats").is_none() && plan["plan"].as_array().is_some_and(|plan| !plan.is_empty()), "{plan}");
    // The graph goes on; the pages of before do not.
    engine.done(it, "upsert_nodes", json!({ "nodes": [{ "id": "new" }] }));
    let said = engine.refused(it, "query_graph", with("cursor", cursor));
    assert!(said.contains("of revision 0") && said.contains("is at 1"), "{said}");
}

#[test]
fn a_cursor_is_of_its_arguments_and_changes_are_told_to_the_last() {
    let mut engine = Engine::sample(60);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let page = engine.done(it, "find_nodes", json!({ "group": "even", "limit": 5 }));
    let cursor = &page["next_cursor"];
    let asked = json!({ "group": "odd", "limit": 5, "cursor": cursor });
    assert!(engine.refused(it, "find_nodes", asked).contains("for these arguments"));
    let next = engine.done(it, "find_nodes", json!({ "cursor": cursor, "limit": 25, "group": "even", "text": null }));
    assert_eq!(next["nodes"].as_array().unwrap().len(), 25);

    // One revision with more changes than a page: all of them, each once.
    let nodes: Vec<Value> =
        (0..700).map(|node| json!({ "id": format!("x{node}"), "label": "é".repeat(100) })).collect();
    engine.done(it, "upsert_nodes", json!({ "nodes": nodes }));
    engine.done(it, "upsert_nodes", json!({ "nodes": [{ "id": "last" }] }));
    let (mut keys, mut asked) = (Vec::new(), json!({ "since": 0, "limit": 100 }));
    loop {
        let page = engine.done(it, "get_changes", asked.clone());
        assert_eq!(page["complete"], json!(true));
        let changes = page["changes"].as_array().unwrap();
        keys.extend(changes.iter().map(|change| change["change"]["put_node"]["key"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("next_cursor") else { break };
        asked["cursor"] = next.clone();
    }
    let expected: Vec<String> = (0..700).map(|node| format!("x{node}")).chain(["last".to_owned()]).collect();
    assert_eq!(keys, expected);
    assert!(engine.refused(&mut other(), "get_changes", asked.clone()).contains("cursor is not one"));
    // What is not kept any more is not passed over in silence.
    for turn in 0..16 {
        let nodes: Vec<Value> =
            (0..1_000).map(|node| json!({ "id": format!("x{node}"), "weight": turn + 2 })).collect();
        engine.done(it, "upsert_nodes", json!({ "nodes": nodes }));
    }
    let late = engine.done(it, "get_changes", asked);
    assert_eq!((&late["complete"], &late["changes"]), (&json!(false), &json!([])));
}

#[test]
fn what_is_refused_of_a_list_is_named_item_by_item() {
    let mut engine = Engine::sample(6);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let nodes = json!([
        { "id": "a" }, { "id": "b", "weight": -1 }, { "id": "c", "colour": "red" }, { "id": "d" }, { "id": 77 },
    ]);
    // All or nothing: what cannot be read goes first, since nothing is tried then.
    let result = engine.call(it, "upsert_nodes", json!({ "nodes": nodes }));
    assert_eq!(result["isError"], json!(true));
    let said = result["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("nodes[2].colour") && said.contains("Nothing was changed"), "{said}");
    let rows = &result["structuredContent"];
    assert_eq!((&rows["errors"][0]["index"], &rows["errors"][0]["code"]), (&json!(2), &json!("invalid_item")));
    assert_eq!((&rows["created"], &rows["refused"], &rows["revision"]), (&json!([]), &json!(1), &json!(0)));
    let readable = json!([{ "id": "a" }, { "id": "b", "weight": -1 }, { "id": 77 }]);
    let result = engine.call(it, "upsert_nodes", json!({ "nodes": readable }));
    let codes = |rows: &Value| -> Vec<(u64, String)> {
        let row = |row: &Value| (row["index"].as_u64().unwrap(), row["code"].as_str().unwrap().to_owned());
        rows["errors"].as_array().unwrap().iter().map(row).collect()
    };
    let expected = vec![(1, "out_of_range".to_owned()), (2, "unknown_node".to_owned())];
    assert_eq!(codes(&result["structuredContent"]), expected);
    assert!(result["content"][0]["text"].as_str().unwrap().starts_with("nodes[1]: "), "{result}");
    assert_eq!((engine.revision, engine.graph.nodes().len()), (0, 6));

    // Each alone: first as if, then really, in one change.
    let each = |dry_run: bool| json!({ "nodes": nodes, "atomic": false, "dry_run": dry_run });
    let dry = engine.done(it, "upsert_nodes", each(true));
    assert_eq!((&dry["created"], &dry["refused"], engine.revision), (&json!(["a", "d"]), &json!(3), 0));
    let done = engine.done(it, "upsert_nodes", each(false));
    assert_eq!((&done["created"], &done["revision"], &done["dry_run"]), (&json!(["a", "d"]), &json!(1), &json!(false)));
    let expected = [(1, "out_of_range"), (2, "invalid_item"), (4, "unknown_node")];
    assert_eq!(codes(&done), expected.map(|(index, code)| (index, code.to_owned())));
    assert_eq!(codes(&dry), codes(&done));

    // A later one sees what an earlier one made, and misses what one that failed did not.
    let ops = json!({ "atomic": false, "ops": [
        { "op": "add_node", "id": "a" }, { "op": "add_node", "id": "e" }, { "op": "add_edge", "from": "e", "to": "a" },
        { "op": "add_edge", "from": "e", "to": "nobody" }, { "op": "remove_node", "id": "d" },
        { "op": "update_node", "id": "d", "label": "gone" }, { "op": "fly" }, { "op": "update_node", "id": "n1", "label": "N" },
    ] });
    let done = engine.done(it, "apply_mutations", ops);
    assert_eq!((&done["applied"], &done["created"][0], &done["revision"]), (&json!(4), &json!("e"), &json!(2)));
    let expected = [(0, "key_taken"), (3, "unknown_node"), (5, "unknown_node"), (6, "invalid_item")]
        .map(|(i, c)| (i, c.to_owned()));
    assert_eq!(codes(&done), expected);
    // An edge that fails does not leave the ends that it would have made.
    let edges = json!([{ "from": "p", "to": "q", "weight": -1 }, { "from": "p", "to": "n1" }]);
    let done = engine.done(it, "upsert_edges", json!({ "edges": edges, "create_missing": true, "atomic": false }));
    assert_eq!((done["created"].as_array().unwrap().len(), &done["refused"]), (1, &json!(1)));
    assert!(engine.graph.by_key("p").is_some() && engine.graph.by_key("q").is_none());

    // Of nothing that can be done, nothing is done, and it is said.
    let before = engine.revision;
    let asked = json!({ "ops": [{ "op": "remove_node", "id": "zzz" }], "atomic": false });
    let result = engine.call(it, "apply_mutations", asked);
    assert_eq!((&result["isError"], &result["structuredContent"]["applied"]), (&json!(true), &json!(0)));
    assert_eq!(engine.revision, before);
    // A list of refusals is cut before the answer is too long; the count is not.
    let ops: Vec<Value> =
        (0..5_000).map(|n| json!({ "op": "remove_node", "id": format!("{n}{}", "z".repeat(200)) })).collect();
    let result = engine.call(it, "apply_mutations", json!({ "ops": ops, "atomic": false }));
    let rows = &result["structuredContent"];
    assert_eq!((&rows["refused"], &rows["truncated"]), (&json!(5_000), &json!(true)));
    let made: Vec<Value> = (0..1_000).map(|n| json!({ "id": format!("{n}{}", "y".repeat(200)) })).collect();
    let result = engine.done(it, "upsert_nodes", json!({ "nodes": made }));
    assert!(result["truncated"] == json!(true) && !result["created"].as_array().unwrap().is_empty());
    assert!(engine.graph.by_key(&format!("999{}", "y".repeat(200))).is_some());
}

#[test]
fn a_list_done_in_part_lasts_and_is_answered_again_as_it_was() {
    let folder = Folder::new("mcp-lists");
    let store = folder.join("graph.db").display().to_string();
    let home = Home::of(folder, &["--store", &store]);
    let mut agent = home.agent();
    let ops = json!({ "key": "once", "atomic": false, "ops": [
        { "op": "add_node", "id": "first" }, { "op": "add_node", "id": "first" }, { "op": "add_node", "id": "second" },
    ] });
    let done = agent.call("apply_mutations", ops.clone());
    assert_eq!((&done["applied"], &done["errors"][0]["index"]), (&json!(2), &json!(1)), "{done}");
    let again = agent.call("apply_mutations", ops.clone());
    assert_eq!(again, done, "the same key is done once");
    let said = agent.refused("apply_mutations", json!({ "key": "once", "ops": [{ "op": "add_node", "id": "third" }] }));
    assert!(said.contains("belongs to another request"), "{said}");
    let page = agent.call("query_graph", json!({ "query": "MATCH (n) RETURN n.id", "limit": 2 }));
    assert!(page["stats"]["us"].is_u64() && page["next_cursor"].is_string(), "{page}");
    drop(agent);
    let Home { mut server, folder, .. } = home;
    server.signal(SIGKILL);
    server.wait(std::time::Duration::from_secs(20)).unwrap();
    let home = Home::of(folder, &["--store", &store]);
    let mut agent = home.agent();
    let again = agent.call("apply_mutations", ops);
    assert_eq!(again, done);
    let got = agent.call("get_nodes", json!({ "ids": ["first", "second", "third"] }));
    assert_eq!((got["nodes"].as_array().unwrap().len(), &got["missing"]), (2, &json!(["third"])));
}
