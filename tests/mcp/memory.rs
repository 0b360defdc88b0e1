//! Goal: the graph as a memory is a resource as well, where the set is switched on, and whoever listens hears of every change.
//! Method: lines to an in-memory engine, in both eras.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use swarmcast::mcp::{Session, Touched};

use crate::engine::{Engine, lines, me, modern};

const URI: &str = "memory://knowledge-graph";

fn uris(engine: &mut Engine, session: &mut Session) -> Vec<Value> {
    let said = engine.say(session, &modern(1, "resources/list", json!({}))).unwrap();
    said[0]["result"]["resources"].as_array().unwrap().iter().map(|resource| resource["uri"].clone()).collect()
}

#[test]
fn the_memory_is_a_resource_of_its_set() {
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let read = modern(1, "resources/read", json!({ "uri": URI }));
    let listen = modern(7, "subscriptions/listen", json!({ "notifications": { "resourceSubscriptions": [URI] } }));
    let mut core = Engine::sample(4);
    assert!(!uris(&mut core, it).contains(&json!(URI)));
    assert_eq!(core.say(it, &read).unwrap()[0]["error"]["code"], json!(-32602));
    let said = core.say(it, &listen).unwrap();
    assert_eq!(said[0]["params"]["notifications"], json!({}), "nothing of it is honoured");

    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let mut memory = Engine::with_sets(Engine::sample(4).graph, &["memory"]);
    assert!(uris(&mut memory, it).contains(&json!(URI)));
    let said = memory.say(it, &listen).unwrap();
    assert_eq!(said[0]["params"]["notifications"]["resourceSubscriptions"], json!([URI]));
    let entity = json!({ "name": "Ada", "entityType": "person", "observations": ["writes"] });
    memory.done(it, "create_entities", json!({ "entities": [entity] }));
    it.touch(&Touched { structure: true, ..Touched::default() });
    let mut out = Vec::new();
    assert_eq!(it.notices(1, &mut out), 1);
    let notice = &lines(&out)[0];
    assert_eq!((&notice["method"], &notice["params"]["uri"]), (&json!("notifications/resources/updated"), &json!(URI)));
    assert_eq!(notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], json!(7));
    let said = memory.say(it, &read).unwrap();
    let contents = &said[0]["result"]["contents"][0];
    assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(URI), &json!("application/json")));
    let shown: Value = serde_json::from_str(contents["text"].as_str().unwrap()).unwrap();
    assert_eq!(shown["entities"].as_array().unwrap().len(), 5);
    assert!(shown["entities"].as_array().unwrap().contains(&entity), "{shown}");

    // The older way.
    let mut session = Session::new(Some(me()));
    let params =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let line = |id: u32, method: &str, params: &Value| {
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    };
    memory.say(&mut session, &line(1, "initialize", &params)).unwrap();
    let said = memory.say(&mut session, &line(2, "resources/subscribe", &json!({ "uri": URI }))).unwrap();
    assert_eq!(said[0]["result"], json!({}));
    session.touch(&Touched { structure: true, ..Touched::default() });
    let mut out = Vec::new();
    assert_eq!(session.notices(1, &mut out), 1);
    assert_eq!(lines(&out)[0]["params"], json!({ "uri": URI }));
}
