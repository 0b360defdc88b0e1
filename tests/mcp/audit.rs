//! Goal: who called for a change, through whatever door, is to be found out later; what was said is not.
//! Method: the real server with a store and named tokens; its log is read by `swarmcast audit` while it runs and after it was killed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PROGRAM, within};
use crate::wire::{Agent, Doors};

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const SECRET: &str = "a word that nobody is to read in a log";

/// Records, as the command prints them.
fn audit(store: &str, flags: &[&str]) -> Vec<Value> {
    let out = Command::new(PROGRAM).args(["audit", "--store", store]).args(flags).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_call_for_a_change_leaves_one_record_by_whatever_door() {
    let folder = crate::support::Folder::new("audit-store");
    let store = folder.join("graph.db").display().to_string();
    let lines = format!("ada read,write,agent,admin {ADA}\nbob read {BOB}\n");
    let sets = ["mcp.toolsets=core,view,admin,agents"];
    let mut doors = Doors::open_with("audit", &lines, &sets, &["--store", &store]);
    let node = |key: &str, more: Value| {
        let nodes = json!([{ "id": key, "label": SECRET, "props": { "word": SECRET } }]);
        let mut arguments = json!({ "nodes": nodes, "why": SECRET });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    // TCP, with a program's name; the socket; HTTP; a request with a token of its own.
    let mut ada = doors.stranger();
    let client = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "a\u{202e}tool", "version": "1" } });
    ada.ask("swarmcast/authenticate", json!({ "token": ADA })).unwrap();
    ada.ask("initialize", client).unwrap();
    let call = |agent: &mut Agent, tool: &str, arguments: Value| {
        agent.ask("tools/call", json!({ "name": tool, "arguments": arguments })).unwrap()["result"].clone()
    };
    assert!(call(&mut ada, "upsert_nodes", node("one", json!({})))["isError"] != true);
    call(&mut ada, "upsert_nodes", node("one", json!({})));
    call(&mut ada, "upsert_nodes", node("two", json!({ "dry_run": true })));
    assert_eq!(call(&mut ada, "set_encoding", json!({ "channel": SECRET, "by": "class" }))["isError"], json!(true));
    call(&mut ada, "set_encoding", json!({ "channel": "color", "by": "class" }));
    // What only looks leaves none, and neither does a report.
    for (tool, arguments) in [
        ("find_nodes", json!({ "text": SECRET })),
        ("get_changes", json!({ "since": 0 })),
        ("graph_overview", json!({})),
        ("analyze_graph", json!({ "metric": "degree" })),
        ("engine_stats", json!({})),
        ("open_view", json!({})),
    ] {
        call(&mut ada, tool, arguments);
    }
    call(&mut ada, "analyze_graph", json!({ "metric": "degree", "write_to": "score" }));
    let registered = call(&mut ada, "register_agent", json!({ "name": "scout", "role": "coder" }));
    let handle = registered["structuredContent"]["handle"].as_str().unwrap().to_owned();
    call(&mut ada, "report_agent", json!({ "handle": handle, "events": [] }));
    Agent::unix(&doors.socket).call("pin_nodes", json!({ "ids": ["one"], "pinned": true }));
    let done =
        doors.post(Some(ADA), "tools/call", json!({ "name": "upsert_nodes", "arguments": node("three", json!({})) }));
    assert_eq!(done.status, 200);
    // Who may not is told so before anything is called.
    doors.post(Some(BOB), "tools/call", json!({ "name": "upsert_nodes", "arguments": node("four", json!({})) }));

    let records = || audit(&store, &[]);
    assert!(within(Duration::from_secs(20), || records().len() >= 9), "{:?}", records());
    let all = records();
    let shown = |record: &Value| -> (String, String, String) {
        let text = |field: &str| record[field].as_str().unwrap().to_owned();
        (text("principal"), text("tool"), text("outcome"))
    };
    let wanted = [
        ("ada", "upsert_nodes", "done"),
        ("ada", "upsert_nodes", "done"),
        ("ada", "upsert_nodes", "dry_run"),
        ("ada", "set_encoding", "refused"),
        ("ada", "set_encoding", "done"),
        ("ada", "analyze_graph", "done"),
        ("ada", "register_agent", "done"),
        ("agent", "pin_nodes", "done"),
        ("ada", "upsert_nodes", "done"),
    ];
    let found: Vec<_> = all.iter().map(shown).collect();
    let wanted: Vec<_> = wanted.map(|(who, tool, how)| (who.to_owned(), tool.to_owned(), how.to_owned())).into();
    assert_eq!(found, wanted);
    assert_eq!((&all[0]["name"], &all[8]["name"]), (&json!("atool"), &Value::Null));
    let of = |at: usize, field: &str| all[at][field].clone();
    assert_eq!((of(0, "digest"), of(0, "digest").as_str().unwrap().len()), (of(1, "digest"), 32));
    assert_ne!(of(0, "digest"), of(2, "digest"));
    let revisions: Vec<u64> = all.iter().map(|record| record["revision"].as_u64().unwrap()).collect();
    assert!(revisions.is_sorted() && revisions[0] == 1 && revisions[8] > revisions[4], "{revisions:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(all.iter().all(|record| now - record["time"].as_u64().unwrap() < 600_000));

    // By name, by tool, the newest.
    assert_eq!(audit(&store, &["--principal", "agent"]).len(), 1);
    assert_eq!(audit(&store, &["--tool", "upsert_nodes", "--last", "2"]), [all[2].clone(), all[8].clone()]);

    // Neither what was said nor any secret is in the file, which is its user's alone; and it outlives the engine.
    let file = folder.join("graph.db.audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(![SECRET, ADA, BOB, &handle, &doors.token].iter().any(|secret| text.contains(*secret)), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    doors.server.signal(9);
    doors.server.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(records(), all);
}

#[test]
fn what_is_not_kept_is_not_recorded() {
    let folder = crate::support::Folder::new("audit-none");
    let store = folder.join("graph.db").display().to_string();
    let doors = Doors::open_with("audit-off", "", &["mcp.audit_mib=0"], &["--store", &store]);
    doors.known(&doors.token).call("upsert_nodes", json!({ "nodes": [{ "id": "a" }] }));
    assert_eq!(audit(&store, &[]), Vec::<Value>::new());
    assert!(!folder.join("graph.db.audit.jsonl").exists());
    let out = Command::new(PROGRAM).args(["audit", "--ephemeral"]).output().unwrap();
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("there is no store"));
}
