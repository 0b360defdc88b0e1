//! Goal: a token has a name, scopes and an end, and these hold at every door: raw TCP, one request, the Unix socket, HTTP (K25).
//! Method: the real server with a file of tokens; agents over real sockets, one of them another user of this machine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Folder, PROGRAM, within};
use crate::wire::{Agent, Doors, PATIENCE, modern, private, tools};

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

fn node(key: &str) -> Value {
    json!({ "name": "upsert_nodes", "arguments": { "nodes": [{ "id": key, "label": key }] } })
}

#[test]
fn a_token_does_what_its_scopes_allow_at_every_door() {
    let lines = format!(
        "# the team\nada read {ADA}\nbob read,write,agent {BOB} 2999-01-01T00:00:00Z # builds\neve admin {EVE}\n"
    );
    let doors = Doors::open("scopes", &lines, &["mcp.toolsets=core,admin"]);
    let mut ada = doors.stranger();
    let answer = ada.ask("swarmcast/authenticate", json!({ "token": ADA })).unwrap();
    assert_eq!((&answer["result"]["principal"], &answer["result"]["scopes"]), (&json!("ada"), &json!(["graph:read"])));
    let mut bob = doors.known(BOB);
    let shown = |answer: &Value| {
        let names = tools(answer);
        ["find_nodes", "upsert_nodes", "report_agent", "clear_graph"].map(|name| names.iter().any(|tool| tool == name))
    };
    let list = |agent: &mut Agent| shown(&agent.modern("tools/list", json!({}), None).unwrap());
    assert_eq!(list(&mut ada), [true, false, false, false]);
    assert_eq!(list(&mut bob), [true, true, true, false]);
    assert_eq!(list(&mut doors.known(&doors.token)), [true; 4]);
    let refused = ada.modern("tools/call", node("by ada"), None).unwrap();
    assert_eq!((&refused["error"]["code"], &refused["error"]["data"]["scope"]), (&json!(4_001), &json!("graph:write")));
    bob.modern("tools/call", node("by lines"), None).unwrap();

    // With one request, on a connection of nobody: it is that request's alone.
    let mut nobody = doors.stranger();
    let answer = nobody.modern("tools/call", node("by request"), Some(BOB)).unwrap();
    assert!(answer["result"]["structuredContent"]["created"].is_array(), "{answer}");
    assert_eq!(nobody.modern("tools/list", json!({}), None).unwrap()["error"]["code"], json!(4_001));
    assert_eq!(shown(&nobody.modern("tools/list", json!({}), Some(ADA)).unwrap()), [true, false, false, false]);
    // It is not the connection's either: what bob may do with a request, ada's connection may with that request.
    assert_eq!(shown(&ada.modern("tools/list", json!({}), Some(BOB)).unwrap()), [true, true, true, false]);

    // The socket of one's own knows who one is; a token makes somebody else of the connection.
    let mut own = Agent::unix(&doors.socket);
    assert_eq!(list(&mut own), [true; 4]);
    own.modern("tools/call", node("by socket"), None).unwrap();
    own.ask("swarmcast/authenticate", json!({ "token": BOB })).unwrap();
    own.modern("tools/call", node("by bob's socket"), None).unwrap();
    own.ask("swarmcast/authenticate", json!({ "token": EVE })).unwrap();
    assert_eq!(list(&mut own), [false, false, false, true]);

    // HTTP.
    assert_eq!(shown(&doors.post(Some(ADA), "tools/list", json!({})).json()), [true, false, false, false]);
    let refused = doors.post(Some(ADA), "tools/call", node("by ada")).json();
    assert_eq!(refused["error"]["code"], json!(4_001), "{refused}");
    let done = doors.post(Some(BOB), "tools/call", node("by http")).json();
    assert!(done["result"]["structuredContent"]["created"].is_array(), "{done}");
    let wrong = doors.post(Some("ada-0123456789abcdee"), "tools/list", json!({}));
    assert_eq!(wrong.status, 401);
    assert!(wrong.head.contains("www-authenticate") && wrong.text().contains("not known"), "{}", wrong.text());
    assert_eq!(doors.post(None, "tools/list", json!({})).status, 401);

    // The name is the author.
    let changes = ada.call("get_changes", json!({ "since": 0, "limit": 100 }));
    let rows = changes["changes"].as_array().unwrap();
    let authors: Vec<&str> = rows.iter().map(|row| row["by"].as_str().unwrap()).collect();
    let count = |name: &str| authors.iter().filter(|author| **author == name).count();
    assert_eq!((count("bob"), count("agent"), count("ada"), authors.len()), (4, 1, 0, 5), "{changes}");
}

/// A moment as the file has it.
fn rfc3339(seconds: u64) -> String {
    let text = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(text.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_ends_and_what_goes_on_with_it_ends_too() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (until, before) = (rfc3339(now + 12), rfc3339(now - 1));
    let lines = format!("ada read {ADA} {until}\nbob read {BOB}\neve read {EVE} {before}\n");
    let doors = Doors::open("ends", &lines, &[]);
    assert!(within(PATIENCE, || doors.server.errors().contains("line 3: the token of eve has expired")));
    assert!(!doors.server.errors().contains(EVE));
    let mut late = doors.stranger();
    let answer = late.ask("swarmcast/authenticate", json!({ "token": EVE })).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("expired"), "{answer}");

    // While it is good: a connection, a subscription with a token of its own request, a session of HTTP with its stream.
    let (mut ada, mut bob, mut own) = (doors.known(ADA), doors.known(BOB), Agent::unix(&doors.socket));
    for agent in [&mut ada, &mut bob, &mut own] {
        assert!(agent.modern("tools/list", json!({}), None).unwrap()["error"].is_null());
    }
    let mut listener = doors.stranger();
    let filter = json!({ "notifications": { "resourceSubscriptions": ["graph://overview"] } });
    listener.say(&modern(1, "subscriptions/listen", filter, Some(ADA)));
    assert_eq!(listener.line().unwrap()["method"], json!("notifications/subscriptions/acknowledged"));
    let mut stream = std::net::TcpStream::connect(doors.server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let filter = json!({ "notifications": { "resourceSubscriptions": ["graph://overview"] } });
    let body = modern(1, "subscriptions/listen", filter, None).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADA}\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: {}\r\n\r\n{body}",
        doors.server.http,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() < now + 12,
        "the machine is too slow for this"
    );

    // Then everything of hers ends, in words, and nobody else's does.
    for agent in [&mut ada, &mut listener] {
        let words = agent.last_words().unwrap();
        assert_eq!(words["error"]["code"], json!(4_001), "{words}");
        assert!(words["error"]["message"].as_str().unwrap().contains("expired"), "{words}");
    }
    let mut rest = Vec::new();
    // The end of its chunks; the connection itself may go on.
    while !rest.ends_with(b"0\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap_or_else(|error| panic!("{error}: {rest:?}")), 1);
        rest.push(byte[0]);
    }
    assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() >= now + 12);
    let answer = doors.stranger().ask("swarmcast/authenticate", json!({ "token": ADA })).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("expired"), "{answer}");
    let answer = bob.modern("tools/list", json!({}), Some(ADA)).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("expired"), "{answer}");
    let refused = doors.post(Some(ADA), "tools/list", json!({}));
    assert!(refused.status == 401 && refused.text().contains("expired"), "{}", refused.text());
    for agent in [&mut bob, &mut own] {
        assert!(agent.modern("tools/list", json!({}), None).unwrap()["error"].is_null());
    }
}

#[test]
fn a_file_that_changes_is_read_again_and_whoever_lost_a_token_goes() {
    let first = format!("ada read,write {ADA}\nbob read {BOB}\neve read {EVE}\n");
    let doors = Doors::open("renewed", &first, &[]);
    let file = doors.folder.join("tokens");
    let said = |words: &str| within(PATIENCE, || doors.server.errors().contains(words));
    let lists = |agent: &mut Agent| agent.modern("tools/list", json!({}), None).unwrap()["error"].is_null();
    let (mut ada, mut bob, mut eve) = (doors.known(ADA), doors.known(BOB), doors.known(EVE));
    let (mut owner, mut own) = (doors.known(&doors.token), Agent::unix(&doors.socket));
    let mut listener = doors.stranger();
    let filter = json!({ "notifications": { "resourceSubscriptions": ["graph://overview"] } });
    listener.say(&modern(1, "subscriptions/listen", filter, Some(EVE)));
    assert_eq!(listener.line().unwrap()["method"], json!("notifications/subscriptions/acknowledged"));

    // A file with a fault changes nothing, and the log names line and field, never a token.
    private(&file, &format!("bob read {BOB}\nzoe everything zoe-0123456789abcdef\n"));
    assert!(said("the tokens of before stay in force: line 2: SCOPES must be"), "{}", doors.server.errors());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said("mode 0644"), "{}", doors.server.errors());
    std::fs::remove_file(&file).unwrap();
    assert!(said("No such file"), "{}", doors.server.errors());
    for agent in [&mut ada, &mut bob, &mut eve, &mut owner, &mut own] {
        assert!(lists(agent));
    }

    // Ada may do less, bob stays, eve is gone, zoe is new; another file in the place of the first.
    let next = doors.folder.join("tokens.next");
    private(&next, &format!("ada read {ADA}\nbob read {BOB}\nzoe read zoe-0123456789abcdef\n"));
    std::fs::rename(&next, &file).unwrap();
    for agent in [&mut ada, &mut eve, &mut listener] {
        let words = agent.last_words().unwrap();
        assert!(words["error"]["message"].as_str().unwrap().contains("taken back"), "{words}");
    }
    for agent in [&mut bob, &mut owner, &mut own] {
        assert!(lists(agent));
    }
    let mut ada = doors.known(ADA);
    let refused = ada.modern("tools/call", node("by ada"), None).unwrap();
    assert_eq!(refused["error"]["data"]["scope"], json!("graph:write"), "{refused}");
    assert!(lists(&mut doors.known("zoe-0123456789abcdef")));
    let answer = doors.stranger().ask("swarmcast/authenticate", json!({ "token": EVE })).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("not known"), "{answer}");
    assert_eq!(doors.post(Some(EVE), "tools/list", json!({})).status, 401);
    let errors = doors.server.errors();
    assert!(![ADA, BOB, EVE, "zoe-0123456789abcdef"].iter().any(|secret| errors.contains(secret)), "{errors}");
}

#[test]
fn a_file_that_is_not_as_it_should_be_is_refused_at_the_start() {
    let folder = Folder::new("refused");
    let file = folder.join("tokens");
    let start = |path: &std::path::Path| -> (i32, String) {
        let set = |key: &str, value: &std::path::Path| format!("mcp.{key}={}", value.display());
        let (tokens, token) = (set("tokens_file", path), set("token_file", &folder.join("mcp.token")));
        let Output { status, stderr, .. } = Command::new(PROGRAM)
            .args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--mcp", "127.0.0.1:0"])
            .args(["--set", &tokens, "--set", &token])
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    };
    private(
        &file,
        &format!("ada read {ADA}\nbob everything {BOB}\n\neve read short\neve read {EVE} tomorrow\nzoe read {ADA}\n"),
    );
    let (code, said) = start(&file);
    assert_eq!(code, 2, "{said}");
    let expected = [
        "line 2: SCOPES must be",
        "line 4: TOKEN must be 16",
        "line 5: UNTIL must be",
        "line 6: TOKEN is on an earlier",
    ];
    for words in expected.into_iter().chain(["mcp.tokens_file", &file.display().to_string()]) {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(![ADA, BOB, EVE, "line 1", "line 3"].iter().any(|secret| said.contains(secret)), "{said}");
    private(&file, &format!("ada read {ADA}\n"));
    for mode in [0o640, 0o604, 0o660, 0o777] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let (code, said) = start(&file);
        assert!(code == 2 && said.contains(&format!("{mode:04o}")) && said.contains("chmod 600"), "{code} {said}");
    }
    for path in [folder.join("nowhere"), folder.to_path_buf()] {
        let (code, said) = start(&path);
        assert!(code == 2 && said.contains(&path.display().to_string()), "{code} {said}");
    }
}

/// Who runs this test.
fn uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

#[test]
fn another_user_needs_a_token_on_the_socket() {
    if uid() != 0 {
        return eprintln!("skipped: only root can be two users");
    }
    let doors = Doors::open("other-user", &format!("ada read {ADA}\n"), &[]);
    // As whoever lets a group in does it.
    std::fs::set_permissions(&doors.socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ask = |user: u32, token: Option<&str>| {
        let mut command = Command::new(PROGRAM);
        command.args(["mcp", "--connect", &format!("unix:{}", doors.socket.display())]);
        command.env_remove("XDG_RUNTIME_DIR").env("XDG_DATA_HOME", "/nowhere").env_remove("SWARMCAST_MCP_TOKEN");
        command.envs(token.map(|token| ("SWARMCAST_MCP_TOKEN", token))).uid(user).gid(user).current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let list = modern(7, "tools/list", json!({}), None);
        child.stdin.take().unwrap().write_all(format!("{list}\n").as_bytes()).unwrap();
        let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
        serde_json::from_slice::<Value>(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stderr)))
    };
    assert!(tools(&ask(0, None)).iter().any(|tool| tool == "upsert_nodes"), "its own user needs none");
    let answer = ask(65_534, None);
    assert_eq!(answer["error"]["code"], json!(4_001), "{answer}");
    let shown = tools(&ask(65_534, Some(ADA)));
    assert!(
        shown.iter().any(|tool| tool == "find_nodes") && !shown.iter().any(|tool| tool == "upsert_nodes"),
        "{shown:?}"
    );
}
