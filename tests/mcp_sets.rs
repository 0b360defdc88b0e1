//! Goal: the tools beside the core do what they say, are there when their set is switched on, and are named where it is not.
//! Method: calls over an in-memory engine that offers every set. That any arguments are answered as the schemas say is
//! `tests/mcp_tools.rs`; that a memory is what the reference server is, `tests/mcp_clients.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/mcp.rs"]
mod support;

use serde_json::{Value, json};
use support::{Engine, me, modern};
use swarmcast::config::Toolset;
use swarmcast::mcp::{Catalogue, Principal, Scopes, Server, Session};

/// What a call of a tool that is not offered comes to.
fn error(engine: &mut Engine, session: &mut Session, name: &str) -> Value {
    let said = engine.say(session, &modern(1, "tools/call", json!({ "name": name }))).unwrap();
    said[0]["error"].clone()
}

fn names(engine: &mut Engine, session: &mut Session) -> Vec<String> {
    let said = engine.say(session, &modern(1, "tools/list", json!({}))).unwrap();
    let tools = said[0]["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_set_is_there_when_it_is_switched_on() {
    let mut session = Session::new(Some(me()));
    let mut core = Engine::sample(3);
    assert_eq!(names(&mut core, &mut session).len(), 21);
    let said = error(&mut core, &mut session, "read_graph");
    assert_eq!((said["code"].clone(), said["data"]["toolset"].clone()), (json!(-32602), json!("memory")));
    assert!(said["message"].as_str().unwrap().contains("--toolsets core,memory"), "{said}");
    let said = error(&mut core, &mut session, "reed_graph");
    assert!(said["data"].is_null() && !said["message"].as_str().unwrap().contains("read_graph"), "{said}");

    let mut memory = Engine::with_sets(Engine::sample(3).graph, &["memory"]);
    assert_eq!(names(&mut memory, &mut session).len(), 9);
    assert!(error(&mut memory, &mut session, "graph_overview")["message"].as_str().unwrap().contains("memory,core"));
    let discovered = memory.say(&mut session, &modern(1, "server/discover", json!({}))).unwrap();
    let said = discovered[0]["result"]["instructions"].as_str().unwrap();
    assert!(said.contains("create_entities") && !said.contains("graph_overview"), "{said}");
    // What a resource shows does not hang on which tools are offered.
    let read = memory.say(&mut session, &modern(1, "resources/read", json!({ "uri": "graph://overview" }))).unwrap();
    assert!(read[0]["result"]["contents"][0]["text"].as_str().unwrap().contains("\"nodes\":3"), "{read:?}");

    let mut reader = Session::new(Some(Principal { name: "reader".into(), scopes: Scopes::READ }));
    assert_eq!(names(&mut memory, &mut reader), ["read_graph", "search_nodes", "open_nodes"]);
    assert_eq!(error(&mut memory, &mut reader, "delete_entities")["data"]["scope"], json!("graph:write"));
}

#[test]
fn sets_have_one_name_everywhere_and_unknown_ones_are_refused() {
    assert_eq!(Catalogue::set_names().collect::<Vec<_>>(), Toolset::NAMES);
    let said = Server::new("1", [0; 32], &["core", "memry"]).unwrap_err().to_string();
    assert!(said.contains("\"memry\"") && said.contains("core, memory"), "{said}");
    let all: Vec<&str> = Catalogue::set_names().collect();
    let server = Server::new("1", [0; 32], &all).unwrap();
    assert!(server.catalogue.instructions().len() <= 2_048, "{}", server.catalogue.instructions().len());
}

fn entity(name: &str, kind: &str, observations: &[&str]) -> Value {
    json!({ "name": name, "entityType": kind, "observations": observations })
}

#[test]
fn a_memory_is_part_of_the_graph() {
    let mut engine = Engine::complete(4);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let made = engine.done(it, "create_entities", json!({ "entities": [entity("Ada", "person", &["writes"]), entity("n1", "x", &[])] }));
    assert_eq!(made["entities"], json!([entity("Ada", "person", &["writes"])]), "n1 is there already");
    // What one tool wrote the others read, and the other way round.
    let got = engine.done(it, "get_nodes", json!({ "ids": ["Ada"] }))["nodes"][0].clone();
    assert_eq!((got["label"].clone(), got["group"].clone()), (json!("Ada"), json!("person")));
    assert_eq!(got["props"], json!({ "observation.1": "writes" }));
    engine.done(it, "upsert_edges", json!({ "edges": [{ "from": "Ada", "to": "n2", "type": "knows" }] }));
    let opened = engine.done(it, "open_nodes", json!({ "names": ["Ada", "nowhere"] }));
    assert_eq!(opened["relations"], json!([{ "from": "Ada", "to": "n2", "relationType": "knows" }]));
    assert_eq!(opened["truncated"], json!(false));
    let all = engine.done(it, "read_graph", json!({}));
    assert_eq!((all["entities"].as_array().unwrap().len(), all["entities"][0]["entityType"].clone()), (5, json!("even")));
    // Numbers of observations that went are not dealt again while later ones are there, so that order is the order of coming.
    engine.done(it, "add_observations", json!({ "observations": [{ "entityName": "Ada", "contents": ["b", "c"] }] }));
    engine.done(it, "delete_observations", json!({ "deletions": [{ "entityName": "Ada", "observations": ["b"] }] }));
    engine.done(it, "add_observations", json!({ "observations": [{ "entityName": "Ada", "contents": ["a"] }] }));
    let opened = engine.done(it, "open_nodes", json!({ "names": ["Ada"] }));
    assert_eq!(opened["entities"][0]["observations"], json!(["writes", "c", "a"]));
    let before = engine.revision;
    for (tool, arguments, words) in [
        ("create_relations", json!({ "relations": [{ "from": "Ada", "to": "Bob", "relationType": "x" }] }), "relations[0].to"),
        ("add_observations", json!({ "observations": [{ "entityName": "Bob", "contents": [] }] }), "create_entities"),
        ("create_entities", json!({ "entities": [entity("", "x", &[])] }), "entities[0].name is empty"),
        ("create_entities", json!({ "entities": [entity(&"n".repeat(257), "x", &[])] }), "256"),
        ("create_entities", json!({ "entities": [entity("big", "x", &["o"; 257])] }), "256 in all"),
        ("create_entities", json!({ "entities": [entity("big", "x", &[&"o".repeat(4_097)])] }), "observations[0]"),
        ("create_entities", json!({ "entities": [{ "name": "x" }] }), "entityType"),
        ("create_entities", json!({}), "entities is missing"),
        ("search_nodes", json!({}), "query is missing"),
    ] {
        let said = engine.refused(it, tool, arguments);
        assert!(said.contains(words), "{tool}: {said}");
    }
    let full: Vec<String> = (0..254).map(|number| format!("o{number}")).collect();
    let add = |contents: &[String]| json!({ "observations": [{ "entityName": "Ada", "contents": contents }] });
    let said = engine.refused(it, "add_observations", add(&full));
    assert!(said.contains("254 more beside 3"), "{said}");
    // An answer that would not fit is refused before anything is done.
    let long = "o".repeat(4_000);
    let many: Vec<Value> = (0..20).map(|number| entity(&format!("e{number}"), "x", &[&long])).collect();
    assert!(engine.refused(it, "create_entities", json!({ "entities": many })).contains("Nothing was changed"));
    assert_eq!(engine.revision, before);
    for half in many.chunks(10) {
        engine.done(it, "create_entities", json!({ "entities": half }));
    }
    let all = engine.done(it, "read_graph", json!({}));
    assert!(all["truncated"] == json!(true) && all["entities"].as_array().unwrap().len() > 10);
    engine.done(it, "delete_entities", json!({ "entityNames": ["Ada", "Ada", "nowhere"] }));
    assert!(engine.graph.by_key("Ada").is_none());
}
