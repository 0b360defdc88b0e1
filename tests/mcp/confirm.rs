//! Goal: before everything is deleted a person is asked where the client can ask one, in the way of each era, and only their yes counts;
//! a client that cannot has to confirm in words, as ever.
//! Method: the real server with its own small graph, lines of JSON over a socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Folder, Server};

const PATIENCE: Duration = Duration::from_secs(60);

struct Client {
    from: BufReader<TcpStream>,
    to: TcpStream,
    token: String,
}

fn start(name: &str) -> (Folder, Server, String) {
    let folder = Folder::new(name);
    let token = folder.join("mcp.token");
    let token_file = format!("mcp.token_file={}", token.display());
    let server = Server::start(&["--mcp", "127.0.0.1:0", "--set", &token_file, "--toolsets", "core,admin"]);
    let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
    (folder, server, token)
}

impl Client {
    fn connect(server: &Server, token: &str) -> Self {
        let after = server.banner.split("mcp at ").nth(1).unwrap();
        let to = TcpStream::connect(after.split([',', ' ', '\n']).next().unwrap()).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { from: BufReader::new(to.try_clone().unwrap()), to, token: token.to_owned() };
        client.ask(0, "swarmcast/authenticate", json!({ "token": client.token.clone() }));
        client
    }

    /// A client of 2025-11-25 or another revision with these capabilities.
    fn legacy(server: &Server, token: &str, version: &str, capabilities: Value) -> Self {
        let mut client = Self::connect(server, token);
        let info = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": version, "capabilities": capabilities, "clientInfo": info });
        let answer = client.ask(1, "initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
        client
    }

    fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).unwrap() > 0, "it was closed");
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.line()
    }

    fn clear(&mut self, id: u32, arguments: Value) -> Value {
        self.ask(id, "tools/call", json!({ "name": "clear_graph", "arguments": arguments }))
    }

    /// In the stateless era, with what `more` adds to the parameters.
    fn clear_modern(&mut self, arguments: Value, capabilities: Value, more: Value) -> Value {
        let mut params = json!({ "name": "clear_graph", "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        } });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask(9, "tools/call", params)
    }
}

fn nodes(server: &Server) -> u64 {
    server.get("/api/graph/state").json()["node_count"].as_u64().unwrap()
}

fn words(answer: &Value) -> String {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn over_a_connection_a_person_is_asked_and_only_their_yes_counts() {
    let (_folder, server, token) = start("confirm-legacy");
    let all = nodes(&server);
    assert!(all > 0);
    // Who cannot ask anybody confirms in words.
    for (version, capabilities) in [
        ("2025-11-25", json!({})),
        ("2025-11-25", json!({ "elicitation": { "url": {} } })),
        ("2025-03-26", json!({ "elicitation": {} })),
    ] {
        let mut client = Client::legacy(&server, &token, version, capabilities);
        assert!(words(&client.clear(2, json!({}))).contains("confirm is missing"), "{version}");
    }
    let mut client = Client::legacy(&server, &token, "2025-11-25", json!({ "elicitation": {} }));
    let mut other = Client::legacy(&server, &token, "2025-06-18", json!({ "elicitation": { "form": {} } }));
    assert!(words(&client.clear(2, json!({ "if_revision": "x" }))).contains("if_revision"));
    assert_eq!(client.clear(2, json!({ "dry_run": true }))["result"]["structuredContent"]["deleted"]["nodes"], all);

    // A model cannot confirm in the place of a person.
    let question = client.clear(3, json!({ "confirm": "main" }));
    assert_eq!((&question["method"], &question["params"]["mode"]), (&json!("elicitation/create"), &json!("form")));
    assert!(question["params"]["message"].as_str().unwrap().contains(&format!("{all} nodes")), "{question}");
    assert_eq!(question["params"]["requestedSchema"]["required"], json!(["confirm"]));
    let id = question["id"].clone();
    let yes = json!({ "jsonrpc": "2.0", "id": id, "result": { "action": "accept", "content": { "confirm": true } } });
    // Not one that somebody else was asked.
    other.say(&yes);
    assert!(other.ask(4, "tools/list", json!({}))["result"]["tools"].is_array());
    assert_eq!(nodes(&server), all);
    for (result, said) in [
        (json!({ "action": "accept", "content": { "confirm": false } }), "did not confirm"),
        (json!({ "action": "accept" }), "did not confirm"),
        (json!({ "action": "decline" }), "said no"),
        (json!({ "action": "cancel" }), "did not decide"),
        (json!("yes"), "said no"),
    ] {
        let question = other.clear(5, json!({}));
        assert!(question["params"]["mode"].is_null(), "2025-06-18 has no modes");
        other.say(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }));
        assert!(words(&other.line()).contains(said), "{said}");
    }
    let question = other.clear(6, json!({}));
    let error = json!({ "code": -32601, "message": "no" });
    other.say(&json!({ "jsonrpc": "2.0", "id": question["id"], "error": error }));
    assert!(words(&other.line()).contains("could not ask"));
    // A call that is cancelled is not run by a late answer.
    let question = other.clear(7, json!({}));
    other.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } }));
    other.say(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": yes["result"] }));
    assert!(other.ask(8, "ping", json!({}))["result"].is_object());
    assert_eq!(nodes(&server), all);

    client.say(&yes);
    let done = client.line();
    assert_eq!((&done["id"], &done["result"]["structuredContent"]["deleted"]["nodes"]), (&json!(3), &json!(all)));
    // The second answer is to nothing, and where nothing is left nobody is asked.
    client.say(&yes);
    assert_eq!(client.clear(4, json!({}))["result"]["structuredContent"]["deleted"]["nodes"], 0);
    assert_eq!(nodes(&server), 0);
}

#[test]
fn in_the_stateless_era_the_answer_asks_for_more() {
    let (_folder, server, token) = start("confirm-modern");
    let all = nodes(&server);
    let mut client = Client::connect(&server, &token);
    let can = || json!({ "elicitation": { "form": {} } });
    let none = || json!({});
    assert!(words(&client.clear_modern(json!({}), json!({}), none())).contains("confirm is missing"));
    let asked = client.clear_modern(json!({ "confirm": "main" }), can(), none());
    let result = &asked["result"];
    assert_eq!((&result["resultType"], &result["content"]), (&json!("input_required"), &Value::Null));
    let request = &result["inputRequests"]["confirm"];
    assert_eq!((&request["method"], &request["params"]["mode"]), (&json!("elicitation/create"), &json!("form")));
    let state = result["requestState"].clone();
    let yes = json!({ "action": "accept", "content": { "confirm": true } });
    let no = json!({ "action": "decline" });
    let with = |answer: &Value, state: Value| json!({ "inputResponses": { "confirm": answer }, "requestState": state });
    let said = client.clear_modern(json!({ "confirm": "main" }), can(), with(&no, state.clone()));
    assert!(words(&said).contains("said no"));
    let mut forged = state.as_str().unwrap().to_owned();
    forged.replace_range(..2, "ff");
    for (arguments, state) in [
        (json!({}), json!(forged)),
        (json!({}), Value::Null),
        (json!({}), json!("")),
        (json!({ "if_revision": 0 }), state.clone()),
    ] {
        let said = client.clear_modern(arguments, can(), with(&yes, state.clone()));
        assert_eq!(said["error"]["code"], json!(-32602), "{state}: {said}");
    }
    assert_eq!(nodes(&server), all);
    let done = client.clear_modern(json!({}), can(), with(&yes, state));
    assert_eq!(done["result"]["resultType"], "complete");
    assert_eq!(done["result"]["structuredContent"]["deleted"]["nodes"], json!(all));
    assert_eq!(nodes(&server), 0);
}
