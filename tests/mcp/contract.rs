//! Goal: what the MCP room says is MCP, in every revision, and each tool says what its schema says.
//! Method: lines in and lines out of sessions over an in-memory engine; every line held to the official schema of its revision.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use swarmcast::mcp::{CallKey, Principal, Reply, Scopes, Session, Step, ToolResult, Touched, Version};

use crate::engine::{Engine, TOKEN, initialized, lines, me, modern, request};
use crate::schema;

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The official schema of a revision.
struct Official {
    schema: Value,
}

impl Official {
    fn new(version: &str) -> Self {
        let path = format!("{}/tests/data/mcp/schema-{version}.json", env!("CARGO_MANIFEST_DIR"));
        Self { schema: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() }
    }

    fn definition(&self, name: &str) -> Option<&Value> {
        self.schema.get("$defs").or_else(|| self.schema.get("definitions")).and_then(|all| all.get(name))
    }

    fn hold(&self, name: &str, value: &Value) {
        let definition = self.definition(name).unwrap_or_else(|| panic!("{name} is not in the schema"));
        let errors = schema::errors(&self.schema, definition, value, "");
        assert!(errors.is_empty(), "{name}: {}\n{value}", errors.join("\n"));
    }

    fn hold_error(&self, value: &Value) {
        match self.definition("JSONRPCErrorResponse") {
            Some(_) => self.hold("JSONRPCErrorResponse", value),
            // Up to 2025-06-18 an error must have an id; where none could be read it is left out all the same.
            None if value.get("id").is_some() => self.hold("JSONRPCError", value),
            None => {}
        }
    }
}

#[test]
fn an_initialized_connection_of_every_revision_speaks_it() {
    for version in LEGACY {
        let official = Official::new(version);
        let mut engine = Engine::sample(12);
        let mut session = Session::new(Some(me()));
        let params =
            json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let said = engine.say(&mut session, &request("i", "initialize", params.clone())).unwrap();
        assert_eq!(said[0]["id"], json!("i"));
        assert_eq!(said[0]["result"]["protocolVersion"], json!(version));
        official.hold("InitializeResult", &said[0]["result"]);
        assert_eq!(
            engine.say(&mut session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap(),
            Vec::<Value>::new()
        );
        let again = engine.say(&mut session, &request(2, "initialize", params)).unwrap();
        assert_eq!(again[0]["error"]["code"], json!(-32600));
        for (method, params, definition) in [
            ("ping", json!({}), "EmptyResult"),
            ("tools/list", json!({}), "ListToolsResult"),
            ("tools/list", json!({ "cursor": null }), "ListToolsResult"),
            ("resources/list", json!({}), "ListResourcesResult"),
            ("resources/templates/list", json!({}), "ListResourceTemplatesResult"),
            ("prompts/list", json!({}), "ListPromptsResult"),
            ("logging/setLevel", json!({ "level": "warning" }), "EmptyResult"),
            ("resources/subscribe", json!({ "uri": "graph://overview" }), "EmptyResult"),
            ("resources/unsubscribe", json!({ "uri": "graph://overview" }), "EmptyResult"),
            ("resources/read", json!({ "uri": "graph://node/n1" }), "ReadResourceResult"),
            ("resources/read", json!({ "uri": "graph://view/main.png" }), "ReadResourceResult"),
            ("prompts/get", json!({ "name": "explain_node", "arguments": { "id": "n1" } }), "GetPromptResult"),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "explain_node" }, "argument": { "name": "id", "value": "n1" } }),
                "CompleteResult",
            ),
            ("tools/call", json!({ "name": "graph_overview" }), "CallToolResult"),
            ("tools/call", json!({ "name": "get_nodes", "arguments": { "ids": ["nowhere"] } }), "CallToolResult"),
            ("tools/call", json!({ "name": "get_nodes", "arguments": { "ids": 7 } }), "CallToolResult"),
            ("tools/call", json!({ "name": "render_view" }), "CallToolResult"),
        ] {
            let said = engine.say(&mut session, &request(3, method, params)).unwrap();
            assert_eq!(said.len(), 1);
            assert_eq!(said[0]["id"], json!(3), "{method}: {}", said[0]);
            assert!(said[0].get("result").is_some(), "{version} {method}: {}", said[0]);
            official.hold(definition, &said[0]["result"]);
            assert!(said[0]["result"].get("resultType").is_none(), "that is of 2026-07-28");
        }
        for (method, params, code) in [
            ("server/discover", json!({}), -32601),
            ("subscriptions/listen", json!({ "notifications": {} }), -32601),
            ("nothing", json!({}), -32601),
            ("tools/call", json!({ "name": "graph_overvew" }), -32602),
            ("tools/call", json!({ "name": "graph_overview", "arguments": [] }), -32602),
            ("tools/call", json!({}), -32602),
            ("tools/list", json!({ "cursor": "x" }), -32602),
            ("tools/list", json!({ "cursor": "" }), -32602),
            ("resources/read", json!({ "uri": "graph://node/nowhere" }), -32002),
            ("resources/subscribe", json!({ "uri": "graph://help/tools" }), -32002),
            ("prompts/get", json!({ "name": "explain_node" }), -32602),
            ("prompts/get", json!({ "name": "explain_node", "arguments": { "id": "n1", "x": "y" } }), -32602),
            ("logging/setLevel", json!({ "level": "loud" }), -32602),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/x" }, "argument": { "name": "id", "value": "" } }),
                -32602,
            ),
        ] {
            let said = engine.say(&mut session, &request(4, method, params)).unwrap();
            assert_eq!(said[0]["error"]["code"], json!(code), "{version} {method}: {}", said[0]);
            official.hold_error(&said[0]);
        }
        // The words of an unknown name lead to the right one.
        let said = engine.say(&mut session, &request(5, "tools/call", json!({ "name": "graph_overvew" }))).unwrap();
        assert!(said[0]["error"]["message"].as_str().unwrap().contains("graph_overview"), "{}", said[0]);
        // A stateless request is answered on the same connection, in its own shape.
        let said = engine.say(&mut session, &modern(6, "server/discover", json!({}))).unwrap();
        Official::new("2026-07-28").hold("DiscoverResult", &said[0]["result"]);
    }
}

#[test]
fn old_revisions_are_not_shown_what_they_do_not_know() {
    let mut engine = Engine::sample(4);
    for (version, annotations, output) in
        [("2024-11-05", false, false), ("2025-03-26", true, false), ("2025-06-18", true, true)]
    {
        let mut session = initialized(&mut engine, version);
        let said = engine.say(&mut session, &request(1, "tools/list", json!({}))).unwrap();
        let tool = &said[0]["result"]["tools"][0];
        assert_eq!(
            (tool.get("annotations").is_some(), tool.get("outputSchema").is_some()),
            (annotations, output),
            "{version}"
        );
        let said = engine.say(&mut session, &request(1, "tools/call", json!({ "name": "graph_overview" }))).unwrap();
        assert_eq!(said[0]["result"].get("structuredContent").is_some(), output, "{version}");
    }
    // An unknown version is answered with the newest of its era.
    let mut session = Session::new(Some(me()));
    let params =
        json!({ "protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let said = engine.say(&mut session, &request(1, "initialize", params)).unwrap();
    assert_eq!(said[0]["result"]["protocolVersion"], json!(Version::LAST_LEGACY.name()));
}

#[test]
fn stateless_requests_stand_for_themselves() {
    let official = Official::new("2026-07-28");
    let mut engine = Engine::sample(12);
    let mut session = Session::new(Some(me()));
    for (method, params, definition) in [
        ("server/discover", json!({}), "DiscoverResult"),
        ("tools/list", json!({}), "ListToolsResult"),
        ("resources/list", json!({}), "ListResourcesResult"),
        ("resources/templates/list", json!({}), "ListResourceTemplatesResult"),
        ("prompts/list", json!({}), "ListPromptsResult"),
        ("resources/read", json!({ "uri": "graph://overview" }), "ReadResourceResult"),
        ("resources/read", json!({ "uri": "graph://view/main.svg" }), "ReadResourceResult"),
        ("prompts/get", json!({ "name": "find_bottlenecks" }), "GetPromptResult"),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/resource", "uri": "graph://node/{id}" }, "argument": { "name": "id", "value": "" } }),
            "CompleteResult",
        ),
        ("tools/call", json!({ "name": "graph_overview" }), "CallToolResult"),
        ("tools/call", json!({ "name": "find_nodes", "arguments": { "limit": 0 } }), "CallToolResult"),
    ] {
        let said = engine.say(&mut session, &modern("x", method, params)).unwrap();
        assert_eq!(said.len(), 1);
        let result = &said[0]["result"];
        official.hold(definition, result);
        assert_eq!(result["resultType"], json!("complete"), "{method}");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], json!("swarmcast"));
    }
    for (method, params, code) in [
        ("ping", json!({}), -32601),
        ("initialize", json!({ "protocolVersion": "2025-11-25" }), -32601),
        ("logging/setLevel", json!({ "level": "info" }), -32601),
        ("resources/subscribe", json!({ "uri": "graph://overview" }), -32601),
        ("resources/read", json!({ "uri": "graph://node/nowhere" }), -32602),
        ("subscriptions/listen", json!({}), -32602),
    ] {
        let said = engine.say(&mut session, &modern(4, method, params)).unwrap();
        assert_eq!(said[0]["error"]["code"], json!(code), "{method}: {}", said[0]);
        official.hold_error(&said[0]);
    }
    let said =
        engine.say(&mut session, &modern(4, "resources/read", json!({ "uri": "graph://node/nowhere" }))).unwrap();
    assert_eq!(said[0]["error"]["data"]["uri"], json!("graph://node/nowhere"));
    // Versions and capabilities.
    let meta = |version: &str| json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {} } });
    for version in ["2025-11-25", "2027-01-01"] {
        let said = engine.say(&mut session, &request(1, "server/discover", meta(version))).unwrap();
        official.hold("UnsupportedProtocolVersionError", &said[0]);
        assert_eq!(said[0]["error"]["data"]["requested"], json!(version));
    }
    let bare = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } });
    assert_eq!(engine.say(&mut session, &request(1, "tools/list", bare)).unwrap()[0]["error"]["code"], json!(-32602));
    for method in ["tools/list", "server/discover"] {
        let said = engine.say(&mut session, &request(1, method, json!({}))).unwrap();
        assert_eq!(said[0]["error"]["code"], json!(-32602), "neither way in");
    }
}

#[test]
fn a_subscription_is_acknowledged_first_and_every_notice_names_it() {
    let official = Official::new("2026-07-28");
    let mut engine = Engine::sample(12);
    let mut session = Session::new(Some(me()));
    let filter = json!({ "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["graph://overview", "graph://node/n1", "http://x"] } });
    let said = engine.say(&mut session, &modern("sub-1", "subscriptions/listen", filter)).unwrap();
    assert_eq!(said.len(), 1);
    official.hold("SubscriptionsAcknowledgedNotification", &said[0]);
    assert_eq!(
        said[0]["params"]["notifications"],
        json!({ "resourceSubscriptions": ["graph://overview", "graph://node/n1"] })
    );
    let mut out = Vec::new();
    session.touch(&Touched { structure: true, ..Touched::default() });
    session.notices(5, &mut out);
    let notices = lines(&out);
    assert_eq!(notices.len(), 1);
    official.hold("ResourceUpdatedNotification", &notices[0]);
    assert_eq!(notices[0]["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], json!("sub-1"));
    // Its id is taken while it lives.
    assert_eq!(
        engine.say(&mut session, &modern("sub-1", "tools/list", json!({}))).unwrap()[0]["error"]["code"],
        json!(-32600)
    );
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"sub-1"}}"#;
    assert!(engine.say(&mut session, cancel).unwrap().is_empty());
    session.touch(&Touched { structure: true, ..Touched::default() });
    out.clear();
    assert_eq!(session.notices(u64::MAX, &mut out), 0);
    // One that is open when the engine ends is answered.
    engine.say(&mut session, &modern(7, "subscriptions/listen", json!({ "notifications": {} }))).unwrap();
    session.goodbye(&engine.server, &mut out);
    let said = lines(&out);
    official.hold("SubscriptionsListenResult", &said[0]["result"]);
    assert_eq!(said[0]["id"], json!(7));
}

#[test]
fn calls_that_are_deferred_can_be_cancelled_and_tell_how_far_they_are() {
    let official = Official::new("2026-07-28");
    let engine = Engine::sample(12);
    let mut session = Session::new(Some(me()));
    let (mut out, mut keys) = (Vec::new(), Vec::<CallKey>::new());
    for id in ["\"a\"", "7"] {
        let line = modern(
            serde_json::from_str::<Value>(id).unwrap(),
            "tools/call",
            json!({ "name": "analyze_graph", "_meta": { "progressToken": "p" } }),
        );
        let Step::Call(call) = session.feed(&engine.server, line.as_bytes(), &mut out) else { panic!("{line}") };
        keys.push(session.defer(&call));
        let Step::Done = session.feed(&engine.server, line.as_bytes(), &mut out) else { panic!("an id in flight") };
    }
    assert_eq!(
        lines(&out).iter().map(|line| line["error"]["code"].clone()).collect::<Vec<_>>(),
        [json!(-32600), json!(-32600)]
    );
    out.clear();
    for part in [0.1, 0.1, 0.05, 0.7] {
        session.progress(keys[0], part, Some(1.0), &mut out);
    }
    let notices = lines(&out);
    assert_eq!(notices.iter().map(|it| it["params"]["progress"].as_f64().unwrap()).collect::<Vec<_>>(), [0.1, 0.7]);
    official.hold("ProgressNotification", &notices[0]);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#;
    let Step::Cancel(key) = session.feed(&engine.server, cancel.as_bytes(), &mut out) else {
        panic!("it is in flight")
    };
    assert_eq!(key, keys[0]);
    out.clear();
    let result = Ok(Reply::Tool(ToolResult { structured: Some("{}".to_owned()), ..ToolResult::default() }));
    assert!(!session.finish(&engine.server, keys[0], &result, &mut out) && out.is_empty(), "nothing after a cancel");
    assert!(session.finish(&engine.server, keys[1], &result, &mut out));
    assert_eq!(lines(&out)[0]["id"], json!(7));
    assert_eq!(session.in_flight(), 0);
}

#[test]
fn nobody_unknown_does_anything() {
    let mut engine = Engine::sample(12);
    let mut session = Session::new(None);
    let discover = engine.say(&mut session, &modern(1, "server/discover", json!({}))).unwrap();
    assert!(discover[0].get("result").is_some());
    for method in ["tools/list", "resources/list", "prompts/list", "subscriptions/listen"] {
        let said = engine.say(&mut session, &modern(1, method, json!({ "notifications": {} }))).unwrap();
        assert_eq!(said[0]["error"]["code"], json!(4_001), "{method}");
    }
    let wrong = engine.say(&mut session, &request("auth", "swarmcast/authenticate", json!({ "token": "x" }))).unwrap();
    assert_eq!(wrong[0]["error"]["code"], json!(4_001));
    // A token with one request is for that request.
    let one = json!({ "_meta": { "swarmcast/authorization": TOKEN } });
    assert!(engine.say(&mut session, &modern(1, "tools/list", one)).unwrap()[0].get("result").is_some());
    assert!(engine.say(&mut session, &modern(1, "tools/list", json!({}))).unwrap()[0].get("error").is_some());
    let right =
        engine.say(&mut session, &request("auth", "swarmcast/authenticate", json!({ "token": TOKEN }))).unwrap();
    assert_eq!(right[0]["id"], json!("auth"));
    assert!(engine.say(&mut session, &modern(1, "tools/list", json!({}))).unwrap()[0].get("result").is_some());
    let wrong = json!({ "_meta": { "swarmcast/authorization": "x" } });
    assert!(engine.say(&mut session, &modern(1, "tools/list", wrong)).unwrap()[0].get("error").is_some());
    // Who may only read is shown and given only that.
    let mut reader = Session::new(Some(Principal { name: "reader".into(), scopes: Scopes::READ }));
    let said = engine.say(&mut reader, &modern(1, "tools/list", json!({}))).unwrap();
    let names: Vec<&str> =
        said[0]["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"find_nodes") && !names.contains(&"upsert_nodes") && !names.contains(&"report_agent"),
        "{names:?}"
    );
    let write = json!({ "name": "upsert_nodes", "arguments": { "nodes": [{ "id": "x" }] } });
    assert_eq!(engine.say(&mut reader, &modern(1, "tools/call", write)).unwrap()[0]["error"]["code"], json!(4_001));
    assert_eq!(engine.revision, 0);
}

#[test]
fn http_at_the_door_is_closed_without_a_word() {
    let mut engine = Engine::sample(12);
    let body = modern(1, "tools/call", json!({ "name": "graph_overview" }));
    for first in
        ["POST / HTTP/1.1", "GET / HTTP/1.1", "PRI * HTTP/2.0", "OPTIONS *", "\u{16}\u{3}\u{1}", "nonsense", "[]", "{"]
    {
        let mut session = Session::new(Some(me()));
        assert_eq!(engine.say(&mut session, first), None, "{first}");
    }
    let mut session = Session::new(Some(me()));
    assert!(engine.say(&mut session, &body).is_some());
    assert!(engine.say(&mut session, "{").is_some(), "later it is an error, and the connection stays");
    assert_eq!(engine.say(&mut session, "Host: 127.0.0.1"), None);
    let mut out = Vec::new();
    assert!(!Session::new(None).too_long(&mut out), "a first line that is too long");
}
