//! Goal: the tools beside the core do what they say, are there when their set is switched on, and are named where it is not.
//! Method: calls over an in-memory engine that offers every set. That any arguments are answered as the schemas say is
//! `tools.rs`; that a memory is what the reference server is, `clients.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use swarmcast::config::Toolset;
use swarmcast::mcp::{Agents, Catalogue, Principal, Scopes, Server, Session};

use crate::engine::{Engine, me, modern};

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
    assert!(said.contains("\"memry\"") && said.contains("core, memory, sim, admin, io, agents"), "{said}");
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
    let made = engine.done(
        it,
        "create_entities",
        json!({ "entities": [entity("Ada", "person", &["writes"]), entity("n1", "x", &[])] }),
    );
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
    assert_eq!(
        (all["entities"].as_array().unwrap().len(), all["entities"][0]["entityType"].clone()),
        (5, json!("even"))
    );
    // Numbers of observations that went are not dealt again while later ones are there, so that order is the order of coming.
    engine.done(it, "add_observations", json!({ "observations": [{ "entityName": "Ada", "contents": ["b", "c"] }] }));
    engine.done(it, "delete_observations", json!({ "deletions": [{ "entityName": "Ada", "observations": ["b"] }] }));
    engine.done(it, "add_observations", json!({ "observations": [{ "entityName": "Ada", "contents": ["a"] }] }));
    let opened = engine.done(it, "open_nodes", json!({ "names": ["Ada"] }));
    assert_eq!(opened["entities"][0]["observations"], json!(["writes", "c", "a"]));
    let before = engine.revision;
    for (tool, arguments, words) in [
        (
            "create_relations",
            json!({ "relations": [{ "from": "Ada", "to": "Bob", "relationType": "x" }] }),
            "relations[0].to",
        ),
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

#[test]
fn a_snapshot_is_compared_brought_back_and_what_goes_is_confirmed() {
    let mut engine = Engine::complete(5);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    engine.done(it, "snapshot_graph", json!({ "name": "before" }));
    engine.done(
        it,
        "upsert_nodes",
        json!({ "nodes": [{ "id": "new" }, { "id": "n1", "group": "other", "props": { "rank": 9 } }] }),
    );
    engine.done(it, "upsert_edges", json!({ "edges": [{ "from": "new", "to": "n2", "type": "to" }, { "from": "n0", "to": "n1", "type": "next", "weight": 7 }] }));
    engine.done(it, "delete_items", json!({ "nodes": ["n4"] }));
    let diff = engine.done(it, "diff_graph", json!({ "from": "before" }));
    assert_eq!(
        (diff["from"].clone(), diff["to"].clone(), diff["truncated"].clone()),
        (json!("before"), json!("now"), json!(false))
    );
    assert_eq!(diff["added"], json!({ "nodes": ["new"], "edges": [{ "from": "new", "to": "n2", "type": "to" }] }));
    assert_eq!(diff["changed"]["nodes"], json!([{ "id": "n1", "fields": ["group", "props.rank"] }]));
    assert_eq!(diff["changed"]["edges"], json!([{ "from": "n0", "to": "n1", "type": "next", "fields": ["weight"] }]));
    assert_eq!(
        (diff["removed"]["nodes"].clone(), diff["counts"]["removed"].clone()),
        (json!(["n4"]), json!({ "nodes": 1, "edges": 2 }))
    );
    let short = engine.done(it, "diff_graph", json!({ "from": "before", "limit": 1 }));
    assert_eq!((short["truncated"].clone(), short["counts"].clone()), (json!(true), diff["counts"].clone()));

    for (tool, arguments, words) in [
        ("restore_snapshot", json!({ "snapshot": "before" }), "confirm is missing"),
        ("restore_snapshot", json!({ "snapshot": "before", "confirm": "mian" }), "name of the graph: main"),
        ("restore_snapshot", json!({ "confirm": "main" }), "snapshot is missing"),
        ("restore_snapshot", json!({ "snapshot": "before", "confirm": "main", "if_revision": 0 }), "if_revision is 0"),
        ("clear_graph", json!({}), "confirm is missing"),
        ("clear_graph", json!({ "confirm": "main", "if_revision": 0 }), "if_revision is 0"),
        ("diff_graph", json!({}), "from is missing"),
        ("diff_graph", json!({ "from": "before", "limit": 501 }), "0 to 500"),
    ] {
        assert!(engine.refused(it, tool, arguments).contains(words), "{tool}: {words}");
    }
    let before = engine.revision;
    let dry = engine.done(it, "restore_snapshot", json!({ "snapshot": "before", "dry_run": true }));
    assert_eq!((dry["removed"]["nodes"].clone(), engine.revision), (json!(1), before));
    // An agent of now stays, and an agent of then does not come back.
    engine.done(it, "register_agent", json!({ "name": "ada" }));
    let batch = engine.agents.take_batch(&engine.graph, engine.now_ns).unwrap();
    engine.commit(&batch).unwrap();
    let done = engine.done(it, "restore_snapshot", json!({ "snapshot": "before", "confirm": "main" }));
    assert_eq!(
        (done["added"].clone(), done["removed"]["nodes"].clone()),
        (json!({ "nodes": 1, "edges": 2 }), json!(1))
    );
    let again = engine.done(it, "diff_graph", json!({ "from": "before" }));
    assert_eq!(again["counts"]["added"], json!({ "nodes": 1, "edges": 0 }), "{again}");
    assert_eq!(
        (again["added"]["nodes"].clone(), again["counts"]["changed"]["nodes"].clone()),
        (json!(["agent:ada"]), json!(0))
    );
    let would = engine.done(it, "clear_graph", json!({ "dry_run": true }));
    assert_eq!((would["deleted"]["nodes"].clone(), engine.graph.nodes().len()), (json!(5), 6));
    let cleared = engine.done(it, "clear_graph", json!({ "confirm": "main" }));
    assert_eq!((cleared["deleted"]["nodes"].clone(), engine.graph.nodes().len()), (json!(5), 1));
    engine.snapshot = Engine::sample(5).graph;
    engine.done(it, "restore_snapshot", json!({ "snapshot": "before", "confirm": "main" }));
    assert!(engine.graph.by_key("n4").is_some());
}

#[test]
fn a_file_goes_out_and_comes_back_as_it_was() {
    let mut engine = Engine::complete(8);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    for format in ["json", "graphml", "gexf", "gml", "dot"] {
        let made = engine.done(it, "export_graph", json!({ "format": format }));
        let uri = made["parts"][0].clone();
        let asked = modern(2, "resources/read", json!({ "uri": uri }));
        let read = engine.say(it, &asked).unwrap()[0]["result"]["contents"][0].clone();
        // The sample has characters that nobody sees: where the format keeps them they come as they are, and never as text.
        let text = match read["blob"].as_str() {
            Some(blob) => String::from_utf8(BASE64.decode(blob).unwrap()).unwrap(),
            None => read["text"].as_str().unwrap().to_owned(),
        };
        assert_eq!((read["uri"].clone(), read["blob"].is_string()), (uri, text.contains('\u{202e}')));
        assert!(format != "graphml" || read["blob"].is_string());
        assert!(format == "json" || made["bytes"] == json!(text.len()));
        // Nobody else reads it, under its own name.
        let mut other = Session::new(Some(Principal { name: "other".into(), scopes: Scopes::ALL }));
        assert_eq!(engine.say(&mut other, &asked).unwrap()[0]["error"]["code"], json!(-32602));
        let same = engine.done(
            it,
            "import_graph",
            json!({ "format": format, "data": text, "mode": "replace", "dry_run": true }),
        );
        assert_eq!(
            (same["removed"].clone(), same["added"].clone()),
            (json!({ "nodes": 0, "edges": 0 }), json!({ "nodes": 0, "edges": 0 })),
            "{format}"
        );
        let before = engine.graph.nodes().len();
        engine.done(it, "delete_items", json!({ "nodes": ["n3"] }));
        let back = engine.done(it, "import_graph", json!({ "data": text, "format": format }));
        assert_eq!((back["added"]["nodes"].clone(), back["format"].clone()), (json!(1), json!(format)));
        assert_eq!(engine.graph.nodes().len(), before);
    }
    for (arguments, words) in [
        (json!({}), "data is missing"),
        (json!({ "data": "{", "format": "json" }), "line 1"),
        (json!({ "data": "x", "format": "jsn" }), "format: "),
        (json!({ "data": "x", "mode": "add" }), "merge, replace"),
    ] {
        let said = engine.refused(it, "import_graph", arguments);
        assert!(said.contains(words), "{said}");
    }
    assert!(engine.refused(it, "export_graph", json!({ "format": "pdf" })).contains("mermaid"));
    engine.now_ns += 601_000_000_000;
    let gone =
        engine.say(it, &modern(3, "resources/read", json!({ "uri": format!("graph://export/{}/0", "0".repeat(32)) })));
    assert!(gone.unwrap()[0]["error"]["data"]["uri"].is_string());
}

/// Makes an agent; its id and handle.
fn agent(engine: &mut Engine, session: &mut Session, name: &str, role: &str) -> (String, String) {
    let made = engine.done(session, "register_agent", json!({ "name": name, "role": role, "capabilities": ["rust"] }));
    if let Some(batch) = engine.agents.take_batch(&engine.graph, engine.now_ns) {
        engine.commit(&batch).unwrap();
    }
    engine.agents.refresh();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("agent_id"), text("handle"))
}

#[test]
fn messages_wait_for_who_they_are_for() {
    let mut engine = Engine::complete(3);
    engine.agents = Agents::default();
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    // Handles come from random bytes that are the same here, so each agent has a principal of its own.
    let other = |name: &str| Session::new(Some(Principal { name: name.into(), scopes: Scopes::ALL }));
    let (ada, ada_handle) = agent(&mut engine, it, "ada", "coder");
    let mut bobs = other("bob");
    let (bob, bob_handle) = agent(&mut engine, &mut bobs, "bob", "tester");
    let sent = engine.done(
        it,
        "send_agent_message",
        json!({ "handle": ada_handle, "to": bob, "text": "hello", "data": { "n": [1] } }),
    );
    assert_eq!((sent["delivered"].clone(), sent["id"].clone()), (json!(1), json!(1)));
    let all = engine.done(it, "send_agent_message", json!({ "handle": ada_handle, "topic": "rust", "text": "all" }));
    assert_eq!(all["delivered"], json!(1), "not to who says it");
    assert_eq!(
        engine.done(it, "send_agent_message", json!({ "handle": ada_handle, "topic": "nobody", "text": "x" }))["delivered"],
        json!(0)
    );
    let read = engine.done(&mut bobs, "read_inbox", json!({ "handle": bob_handle, "limit": 1 }));
    let first = &read["messages"][0];
    assert_eq!(
        (first["from"].clone(), first["text"].clone(), first["data"].clone()),
        (json!(ada), json!("hello"), json!({ "n": [1] }))
    );
    assert_eq!((read["unread"].clone(), read["next_since"].clone()), (json!(1), json!(1)));
    let read = engine.done(&mut bobs, "read_inbox", json!({ "handle": bob_handle, "since": 1 }));
    assert_eq!(
        (read["messages"][0]["topic"].clone(), read["messages"][0]["data"].clone()),
        (json!("rust"), Value::Null)
    );
    let read = engine.done(&mut bobs, "read_inbox", json!({ "handle": bob_handle, "since": read["next_since"] }));
    assert_eq!(read["messages"], json!([]));
    for (tool, arguments, words) in [
        ("send_agent_message", json!({ "handle": ada_handle, "text": "x" }), "either to"),
        ("send_agent_message", json!({ "handle": ada_handle, "to": "agent:eve", "text": "x" }), "no live agent"),
        ("send_agent_message", json!({ "handle": ada_handle, "to": bob, "text": "x".repeat(4_097) }), "4096"),
        ("send_agent_message", json!({ "handle": ada_handle, "to": bob, "text": "x", "data": 7 }), "an object"),
        ("send_agent_message", json!({ "handle": "00", "to": bob, "text": "x" }), "register_agent"),
        ("read_inbox", json!({ "handle": ada_handle, "since": 99 }), "at most 3"),
        ("get_agent", json!({ "agent_id": "agent:adda" }), "agent:ada"),
    ] {
        let said = engine.refused(it, tool, arguments);
        assert!(said.contains(words), "{tool}: {said}");
    }
    let eve = &mut other("eve");
    assert!(engine.refused(eve, "read_inbox", json!({ "handle": bob_handle })).contains("no live agent of yours"));
    // Bounded: whoever does not read gets no more, and nobody gets a part.
    for _ in 0..100 {
        engine.done(it, "send_agent_message", json!({ "handle": ada_handle, "to": bob, "text": "x" }));
    }
    for receiver in [json!({ "to": bob }), json!({ "topic": "rust" })] {
        let mut arguments = json!({ "handle": ada_handle, "text": "one more" });
        arguments.as_object_mut().unwrap().extend(receiver.as_object().unwrap().clone());
        assert!(engine.refused(it, "send_agent_message", arguments).contains("100 unread"));
    }
    let report = json!({ "handle": ada_handle, "events": [{ "kind": "action", "target": "n1", "text": "looks" }, { "kind": "metric", "metrics": { "cpu": 1 } }] });
    engine.done(it, "report_agent", report);
    let shown = engine.done(it, "get_agent", json!({ "agent_id": ada }));
    assert_eq!((shown["agent"]["role"].clone(), shown["events"].as_array().unwrap().len()), (json!("coder"), 1));
    assert_eq!(
        (shown["events"][0]["kind"].clone(), shown["events"][0]["target"].clone()),
        (json!("action"), json!("n1"))
    );
    let asked = modern(2, "resources/read", json!({ "uri": "graph://agent/agent%3Aada/events" }));
    assert!(engine.say(it, &asked).unwrap()[0]["result"]["contents"][0]["text"].as_str().unwrap().contains("looks"));
}

#[test]
fn a_task_is_claimed_once_and_ends_once() {
    let mut engine = Engine::complete(3);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let mut bobs = Session::new(Some(Principal { name: "bob".into(), scopes: Scopes::ALL }));
    let (ada, ada_handle) = agent(&mut engine, it, "ada", "coder");
    let (_, bob_handle) = agent(&mut engine, &mut bobs, "bob", "coder");
    let first = engine.done(it, "create_task", json!({ "title": "first" }))["task_id"].clone();
    let second = engine.done(
        it,
        "create_task",
        json!({ "title": "second", "text": "more", "depends_on": [first], "assignee": ada }),
    )["task_id"]
        .clone();
    let open = engine.done(it, "list_tasks", json!({ "status": "open" }));
    assert_eq!((open["total"].clone(), open["tasks"][1]["waits_for"].clone()), (json!(2), json!([first])));
    let claim = |task: &Value, handle: &str| json!({ "task_id": task, "status": "running", "handle": handle });
    assert!(engine.refused(it, "update_task", claim(&second, &ada_handle)).contains("waits for"));
    let claimed = engine.done(&mut bobs, "update_task", claim(&first, &bob_handle));
    let token = claimed["claim"].as_str().unwrap().to_owned();
    assert_eq!((token.len(), claimed["assignee"].clone()), (32, json!("agent:bob")));
    // What the graph shows of a claim does not lead to it, and nobody claims it again.
    let shown = engine.done(it, "get_nodes", json!({ "ids": [first], "edges": true }));
    assert!(!shown.to_string().contains(&token) && shown.to_string().contains("works_on"), "{shown}");
    let said = engine.refused(it, "update_task", claim(&first, &ada_handle));
    assert!(said.contains("claimed by agent:bob"), "{said}");
    for (arguments, words) in [
        (json!({ "task_id": first, "status": "done", "claim": "00" }), "not the one of this task"),
        (json!({ "task_id": first, "status": "done" }), "only who claimed it"),
        (json!({ "task_id": first, "status": "finished", "claim": token }), "one of open"),
        (json!({ "task_id": "task:0", "status": "done" }), "no task"),
        (json!({ "task_id": first }), "status is missing"),
    ] {
        let said = engine.refused(it, "update_task", arguments);
        assert!(said.contains(words), "{said}");
    }
    // Given back, it is free for another at once.
    engine.done(&mut bobs, "update_task", json!({ "task_id": first, "status": "open", "claim": token }));
    assert!(
        engine
            .refused(&mut bobs, "update_task", json!({ "task_id": first, "status": "done", "claim": token }))
            .contains("claim")
    );
    engine.done(&mut bobs, "update_task", claim(&first, &bob_handle));
    assert!(engine.refused(it, "update_task", claim(&first, &ada_handle)).contains("claimed by agent:bob"));
    engine.now_ns += 11_000_000_000;
    assert!(engine.refused(it, "update_task", claim(&first, &ada_handle)).contains("claimed by agent:bob"));
    let cancelled = engine.done(it, "update_task", json!({ "task_id": first, "status": "cancelled" }));
    assert_eq!(cancelled["claim"], Value::Null, "who made it may");
    assert!(engine.refused(it, "update_task", json!({ "task_id": first, "status": "open" })).contains("stays so"));
    engine.done(it, "delete_items", json!({ "nodes": [first] }));
    assert!(engine.refused(&mut bobs, "update_task", claim(&second, &bob_handle)).contains("meant for agent:ada"));
    let claimed = engine.done(it, "update_task", claim(&second, &ada_handle));
    let done = engine.done(
        it,
        "update_task",
        json!({ "task_id": second, "status": "done", "claim": claimed["claim"], "result": "good" }),
    );
    assert_eq!((done["status"].clone(), done["assignee"].clone()), (json!("done"), json!(ada)));
    let listed = engine.done(it, "list_tasks", json!({ "assignee": ada }));
    assert_eq!(
        (listed["tasks"][0]["result"].clone(), listed["tasks"][0]["status"].clone()),
        (json!("good"), json!("done"))
    );
    let uri = format!("graph://task/{}", second.as_str().unwrap().replace(':', "%3A"));
    let read = engine.say(it, &modern(2, "resources/read", json!({ "uri": uri }))).unwrap();
    assert!(read[0]["result"]["contents"][0]["text"].as_str().unwrap().contains("\"result\":\"good\""), "{read:?}");
}
