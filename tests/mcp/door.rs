//! Goal: every limit of the agents' door holds, costs the one who runs into it, is told in words where words can be told, and costs nobody
//! else anything (MCP limits, O14).
//! Method: the real server; sockets that say nothing, half a line, too much, or never read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Folder, within};
use crate::wire::{Agent, Doors, PATIENCE, modern};

const ADA: &str = "ada-0123456789abcdef";

fn tokens() -> String {
    format!("ada read,write {ADA}\n")
}

fn code(answer: Option<&Value>) -> i64 {
    answer.and_then(|answer| answer["error"]["code"].as_i64()).unwrap_or(0)
}

/// Waits until it is closed; what was said before, and how long that took.
fn closed(mut agent: Agent) -> (Option<Value>, Duration) {
    let begun = Instant::now();
    (agent.last_words(), begun.elapsed())
}

#[test]
fn the_limits_in_force_are_told() {
    let settings = [
        "mcp.connections_per_token=7",
        "mcp.calls_per_second=1234",
        "mcp.changes_per_second=99",
        "graph.nodes_max=5000",
    ];
    let doors = Doors::open("limits", "", &settings);
    let limits = doors.known(&doors.token).call("graph_overview", json!({}))["limits"].clone();
    for (limit, value) in [
        ("connections_per_name", 7),
        ("calls_per_second", 1_234),
        ("changes_per_second", 99),
        ("nodes", 5_000),
        ("connections", 1_024),
        ("strangers", 16),
        ("stranger_ms", 60_000),
        ("call_ms", 31_000),
        ("calls_in_flight", 128),
        ("sessions", 1_024),
        ("session_idle_ms", 1_800_000),
        ("session_streams", 4),
        ("output_bytes", 32 << 20),
        ("image_bytes", 1 << 20),
        ("subscriptions", 256),
        ("subscription_uris", 100),
        ("json_depth", 64),
        ("json_members", 4_096),
        ("long_reads_waiting", 256),
        ("cursor_s", 3_600),
        ("views", 32),
    ] {
        assert_eq!(limits[limit], json!(value), "{limit}: {limits}");
    }
}

#[test]
fn of_strangers_the_oldest_go_and_nobody_who_is_known() {
    let doors = Doors::open("strangers", &tokens(), &[]);
    // The oldest of all are known: by a first line, by a token with a request, by the socket.
    let mut known = [doors.known(ADA), doors.stranger(), Agent::unix(&doors.socket)];
    assert!(known[1].modern("tools/list", json!({}), Some(ADA)).unwrap()["error"].is_null());
    assert!(known[2].is_there());
    // They say hello, which they may, but not who they are; some say nothing.
    let mut strangers: Vec<Agent> = (0..20)
        .map(|place| {
            let mut agent = doors.stranger();
            assert!(place % 2 == 0 || agent.is_there());
            thread::sleep(Duration::from_millis(20));
            agent
        })
        .collect();
    let closed = || doors.server.metric("swarmcast_mcp_strangers_closed_total");
    assert!(within(PATIENCE, || closed() >= 4.0));
    let staying: Vec<Agent> = strangers.split_off(4);
    for mut agent in strangers {
        let words = agent.last_words().unwrap();
        assert!(code(Some(&words)) == 4_001 && words["error"]["message"].as_str().unwrap().contains("16"), "{words}");
    }
    for mut agent in staying {
        assert!(agent.is_there(), "sixteen may stay");
    }
    assert_eq!(closed(), 4.0);
    assert!(known.iter_mut().all(Agent::is_there));
}

#[test]
fn what_takes_too_long_is_closed() {
    let doors = Doors::open("late", &tokens(), &[]);
    let begun = Instant::now();
    let mut waiting = Vec::new();
    let mut wait = |least: u64, most: u64, words: Option<&'static str>, agent: Agent| {
        waiting.push(thread::spawn(move || {
            let (said, took) = closed(agent);
            let said = said.map(|said| said.to_string());
            assert_eq!(said.is_some(), words.is_some(), "{said:?} after {took:?}");
            assert!(said.as_deref().unwrap_or("").contains(words.unwrap_or("")), "{said:?}");
            let (least, most) = (Duration::from_millis(least * 1_000 - 200), Duration::from_secs(most));
            assert!((least..most).contains(&took), "{said:?} after {took:?}");
        }));
    };
    // Ten seconds to the first line, whoever it is, and whether one has begun or not.
    wait(10, 14, None, doors.stranger());
    wait(10, 14, None, Agent::unix(&doors.socket));
    let mut half = doors.stranger();
    half.to.write_all(b"{\"jsonrpc\":").unwrap();
    wait(10, 14, None, half);
    // Thirty to the end of a later one, also where a byte comes now and then.
    let mut half = doors.known(ADA);
    half.to.write_all(b"{\"jsonrpc\":").unwrap();
    wait(30, 35, None, half);
    let drip = TcpStream::connect(doors.tcp).unwrap();
    drip.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut to = drip.try_clone().unwrap();
    let auth = json!({ "jsonrpc": "2.0", "id": 1, "method": "swarmcast/authenticate", "params": { "token": ADA } });
    to.write_all(format!("{auth}\n").as_bytes()).unwrap();
    let mut dripping = Agent::over(Box::new(drip.try_clone().unwrap()), Box::new(drip));
    assert!(dripping.answer(1).unwrap()["error"].is_null());
    thread::spawn(move || {
        while to.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(500));
        }
    });
    wait(30, 35, None, dripping);
    // A minute for whoever speaks but does not say who it is.
    let mut chatty = doors.stranger();
    assert!(chatty.is_there());
    wait(60, 64, Some("60 s"), chatty);
    // Whoever is known may be silent for as long as they like.
    let mut quiet = [doors.known(ADA), Agent::unix(&doors.socket)];
    assert!(quiet[1].is_there());
    for waits in waiting {
        waits.join().unwrap();
    }
    thread::sleep(Duration::from_secs(62).saturating_sub(begun.elapsed()));
    assert!(quiet.iter_mut().all(Agent::is_there));
}

#[test]
fn a_token_has_so_many_connections_over_every_door() {
    let doors = Doors::open("many", &tokens(), &[]);
    let mut all: Vec<Agent> = (0..64).map(|_| doors.known(ADA)).collect();
    let mut more = doors.stranger();
    let refused = more.ask("swarmcast/authenticate", json!({ "token": ADA }));
    assert_eq!(code(refused.as_ref()), 4_503, "{refused:?}");
    assert!(refused.unwrap()["error"]["message"].as_str().unwrap().contains("64 connections"));
    assert!(more.line().is_none(), "it is closed");
    // By a token with a request as well, and nothing of that is done.
    let mut more = doors.stranger();
    let node = json!({ "name": "upsert_nodes", "arguments": { "nodes": [{ "id": "too many" }] } });
    let refused = more.modern("tools/call", node, Some(ADA));
    assert!(code(refused.as_ref()) == 4_503 && more.line().is_none());
    let refused = doors.post(Some(ADA), "tools/list", json!({}));
    assert_eq!((refused.status, code(Some(&refused.json()))), (503, 4_503));
    assert!(refused.head.contains("retry-after"), "{}", refused.head);
    assert!(all.iter_mut().all(Agent::is_there));
    // Others have their own, and who goes makes room.
    let mut own: Vec<Agent> = (0..64).map(|_| Agent::unix(&doors.socket)).collect();
    assert!(own.iter_mut().all(Agent::is_there));
    assert_eq!(code(Agent::unix(&doors.socket).line().as_ref()), 4_503);
    assert_eq!(code(doors.stranger().ask("swarmcast/authenticate", json!({ "token": doors.token })).as_ref()), 4_503);
    let nodes = all[0].call("find_nodes", json!({ "text": "too many" }));
    assert_eq!(nodes["nodes"], json!([]));
    all.truncate(10);
    assert!(within(PATIENCE, || doors.post(Some(ADA), "tools/list", json!({})).status == 200));
    assert!(doors.known(ADA).is_there());
}

#[test]
fn when_all_places_are_taken_one_more_is_told_so_and_a_stranger_gives_up_its_own() {
    let doors = Doors::open("full", &tokens(), &["mcp.connections_per_token=1024"]);
    let mut all: Vec<Agent> = (0..1_024).map(|_| doors.known(ADA)).collect();
    for mut more in [doors.stranger(), Agent::unix(&doors.socket)] {
        // As a client does it: it speaks first, and hears why it cannot stay all the same.
        more.say(&modern(1, "server/discover", json!({}), None));
        let words = more.line().unwrap();
        assert_eq!(code(Some(&words)), 4_503, "{words}");
        assert!(words["error"]["message"].as_str().unwrap().contains("1024") && more.line().is_none(), "{words}");
    }
    assert_eq!(doors.post(Some(ADA), "tools/list", json!({})).status, 503);
    assert!(doors.server.metric("swarmcast_mcp_refused_total") >= 3.0);
    assert!(all.iter_mut().all(Agent::is_there), "nobody who is known goes");
    // Strangers in the places of some: whoever comes has one, the oldest stranger goes.
    all.truncate(1_014);
    let places = |count: f64| doors.server.metric("swarmcast_mcp_connections") == count;
    assert!(within(PATIENCE, || places(1_014.0)));
    let mut strangers: Vec<Agent> = (0..10).map(|_| doors.stranger()).collect();
    assert!(strangers.iter_mut().all(Agent::is_there));
    let mut ada = doors.known(ADA);
    let gone: Vec<&Agent> = strangers.iter_mut().filter_map(|agent| (!agent.is_there()).then_some(&*agent)).collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(code(gone[0].notices.last()), 4_001);
    assert!(ada.is_there() && all.iter_mut().all(Agent::is_there));
}

#[test]
fn with_so_many_calls_under_way_nothing_more_is_read() {
    let doors = Doors::open("in-flight", &tokens(), &[]);
    let mut ada = doors.known(ADA);
    let revision = ada.call("graph_overview", json!({}))["revision"].as_u64().unwrap();
    let wait = |id: u64, ms: u64| {
        let params = json!({ "name": "get_changes", "arguments": { "since": revision, "wait_ms": ms } });
        format!("{}\n", modern(id, "tools/call", params, None))
    };
    // One ends soon; a ping behind 127 of them is answered at once, behind 128 when that one is.
    let calls: String = (1_001..1_127).map(|id| wait(id, 8_000)).chain([wait(1_000, 1_500)]).collect();
    let begun = Instant::now();
    ada.to.write_all(calls.as_bytes()).unwrap();
    assert!(ada.is_there());
    assert!(ada.notices.is_empty() && begun.elapsed() < Duration::from_millis(1_400), "{:?}", begun.elapsed());
    ada.to.write_all(wait(1_127, 8_000).as_bytes()).unwrap();
    assert!(ada.is_there());
    assert!(begun.elapsed() >= Duration::from_millis(1_400), "{:?}", begun.elapsed());
    let first: Vec<u64> = ada.notices.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    assert_eq!(first, [1_000]);
    // Nothing is lost for it.
    let mut others: Vec<u64> = (0..127).map(|_| ada.line().unwrap()["id"].as_u64().unwrap()).collect();
    others.sort_unstable();
    assert!(others.into_iter().eq(1_001..=1_127));
}

#[test]
fn how_much_a_token_may_do_changes_while_it_is_used() {
    let doors = Doors::open("live", &tokens(), &[]);
    let set = |path: &str, value: u64| {
        let body = json!({ "path": path, "value": value }).to_string();
        let head = format!("PUT /api/settings/path HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        let answer = doors.server.send(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        assert_eq!((answer.status, &answer.json()["value"]), (200, &json!(value)), "{}", answer.text());
    };
    let mut all: Vec<Agent> = (0..3).map(|_| doors.known(ADA)).collect();
    set("mcp.connections_per_token", 2);
    let refused = doors.stranger().ask("swarmcast/authenticate", json!({ "token": ADA }));
    assert_eq!(code(refused.as_ref()), 4_503, "{refused:?}");
    assert!(refused.unwrap()["error"]["message"].as_str().unwrap().contains("2 connections"));
    assert!(all.iter_mut().all(Agent::is_there), "who is there stays");
    set("mcp.connections_per_token", 4);
    all.push(doors.known(ADA));
    let mut ten = || {
        let (ada, begun) = (&mut all[0], Instant::now());
        for id in 7_000..7_010 {
            let params = json!({ "name": "find_nodes", "arguments": { "text": "x" } });
            ada.say(&modern(id, "tools/call", params, None));
        }
        let answers: Vec<u64> = (0..10).map(|_| ada.line().unwrap()["id"].as_u64().unwrap()).collect();
        assert!(answers.iter().copied().eq(7_000..7_010), "{answers:?}");
        begun.elapsed()
    };
    let took = ten();
    assert!(took < Duration::from_secs(1), "{took:?}");
    // Four at once, then one each half second.
    set("mcp.calls_per_second", 2);
    let took = ten();
    assert!((Duration::from_millis(2_700)..Duration::from_secs(6)).contains(&took), "{took:?}");
    set("mcp.calls_per_second", 5_000);
    let took = ten();
    assert!(took < Duration::from_secs(1), "{took:?}");
    // One that has to wait for its time can be cancelled until then, and what comes behind it does not wait any longer.
    set("mcp.calls_per_second", 1);
    let ada = &mut all[0];
    for id in 8_000..8_003 {
        let params = json!({ "name": "find_nodes", "arguments": { "text": "x" } });
        ada.say(&modern(id, "tools/call", params, None));
    }
    let begun = Instant::now();
    ada.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 8_002 } }));
    assert!(ada.is_there() && begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    thread::sleep(Duration::from_millis(1_500));
    assert!(ada.is_there());
    let answered: Vec<u64> = ada.notices.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    assert_eq!(answered, [8_000, 8_001]);
    set("mcp.calls_per_second", 5_000);
}

const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;

fn initialized(doors: &Doors) -> Agent {
    let mut agent = doors.known(ADA);
    let hello =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    agent.ask("initialize", hello).unwrap();
    agent
}

#[test]
fn whoever_asks_for_a_lot_before_reading_gets_all_of_it_a_part_at_a_time() {
    let doors = Doors::open("ahead", &tokens(), &[]);
    let before_kib = doors.server.resident_kib();
    let mut eager = initialized(&doors);
    let list = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {} });
    let asked: String = (10_000..12_000).map(|id| format!("{}\n", list(id))).collect();
    // All of it is there before the door reads.
    doors.server.signal(SIGSTOP);
    eager.to.write_all(asked.as_bytes()).unwrap();
    doors.server.signal(SIGCONT);
    // Others do not notice, however long nothing of it is read.
    let mut bob = doors.known(&doors.token);
    let begun = Instant::now();
    let mut most_kib = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert!(bob.is_there() && asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        most_kib = most_kib.max(doors.server.resident_kib());
    }
    let mut bytes = 0;
    for id in 10_000..12_000 {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut eager.from, &mut line).unwrap();
        assert!(line.contains(&format!("\"id\":{id},")), "{id}: {}", line.get(..80).unwrap_or(&line));
        bytes += line.len();
        if id % 100 == 0 {
            most_kib = most_kib.max(doors.server.resident_kib());
        }
    }
    assert!(bytes > 48 << 20, "{bytes} bytes are too few to find out");
    assert!(most_kib < before_kib + (32 << 10), "{before_kib} and {most_kib} KiB");
    assert!(eager.is_there());
}

#[test]
fn a_call_is_cancelled_behind_as_many_as_may_be_under_way_and_what_waits_too() {
    let doors = Doors::open("cancel-full", &tokens(), &[]);
    let mut ada = doors.known(ADA);
    let revision = ada.call("graph_overview", json!({}))["revision"].as_u64().unwrap();
    let wait = |id: u64| {
        let params = json!({ "name": "get_changes", "arguments": { "since": revision, "wait_ms": 10_000 } });
        modern(id, "tools/call", params, None)
    };
    let ping = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "ping", "params": {} });
    let cancel = |id: u64| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id, "reason": "late" } });
    // A hundred and twenty-eight under way; behind them one that waits and a ping, and some more of both.
    let calls: Vec<Value> =
        (1_000..1_128).map(wait).chain([wait(2_000), ping(2_001)]).chain((3_000..4_000).map(ping)).collect();
    let text: String = calls.iter().map(|call| format!("{call}\n")).collect();
    ada.to.write_all(text.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    // One of those that wait is let go, then one of those under way: its place is free for the ping.
    let begun = Instant::now();
    for id in [2_000, 1_005] {
        ada.say(&cancel(id));
    }
    assert_eq!(ada.line().unwrap()["id"], json!(2_001));
    let mut least = begun.elapsed();
    for id in 3_000..4_000 {
        assert_eq!(ada.line().unwrap()["id"], json!(id));
    }
    // Again and again, for the sake of machines that have other things to do.
    for round in 0..5 {
        ada.say(&wait(4_000 + round));
        ada.say(&ping(5_000 + round));
        thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        ada.say(&cancel(1_010 + round));
        assert_eq!(ada.line().unwrap()["id"], json!(5_000 + round));
        least = least.min(begun.elapsed());
    }
    assert!(least < Duration::from_millis(50), "{least:?}");
    // The rest ends with a change; of what was cancelled nothing is said.
    doors.known(&doors.token).call("upsert_nodes", json!({ "nodes": [{ "id": "one" }] }));
    let mut others: Vec<u64> = (0..127).map(|_| ada.line().unwrap()["id"].as_u64().unwrap()).collect();
    others.sort_unstable();
    let stay = (1_000..1_128).filter(|id| *id != 1_005 && !(1_010..1_015).contains(id));
    assert!(others.into_iter().eq(stay.chain(4_000..4_005)));
    assert!(ada.is_there() && ada.notices.is_empty());
}

#[test]
fn what_is_sent_ahead_and_cannot_be_begun_is_bounded() {
    let doors = Doors::open("ahead-bound", &tokens(), &[]);
    let mut ada = doors.known(ADA);
    let before_kib = doors.server.resident_kib();
    let revision = ada.call("graph_overview", json!({}))["revision"].as_u64().unwrap();
    for id in 1_000..1_128 {
        let params = json!({ "name": "get_changes", "arguments": { "since": revision, "wait_ms": 10_000 } });
        ada.say(&modern(id, "tools/call", params, None));
    }
    let Agent { mut from, mut to, .. } = ada;
    // Eighty times what may wait: it stays in the sockets, and the one who sends it waits.
    let padding = "x".repeat(500);
    let sender = thread::spawn(move || {
        let ping =
            |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "ping", "params": { "_meta": { "x": &padding } } });
        let pings: String = (10_000..50_000).map(|id| format!("{}\n", ping(id))).collect();
        to.write_all(pings.as_bytes()).unwrap();
        to
    });
    thread::sleep(Duration::from_secs(2));
    assert!(!sender.is_finished(), "nothing holds it up");
    let now_kib = doors.server.resident_kib();
    assert!(now_kib < before_kib + (6 << 10), "{before_kib} and {now_kib} KiB");
    doors.known(&doors.token).call("upsert_nodes", json!({ "nodes": [{ "id": "one" }] }));
    let mut line = String::new();
    let mut answers = 0;
    while answers < 128 + 40_000 {
        line.clear();
        std::io::BufRead::read_line(&mut from, &mut line).unwrap();
        answers += 1;
    }
    assert!(line.contains("49999"), "{line}");
    sender.join().unwrap();
}

#[test]
fn answers_that_nobody_reads_take_so_much_memory_and_in_time_the_connection() {
    let doors = Doors::open("unread", &tokens(), &["mcp.calls_per_second=1000000"]);
    let before_kib = doors.server.resident_kib();
    // Each asks for some 40 KB in a hundred bytes: one read of the door is far more than 32 MiB of answers.
    let line = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    let mut greedy = initialized(&doors);
    let size = {
        greedy.say(&line);
        greedy.line().unwrap().to_string().len()
    };
    let count = (48 << 20) / size;
    let asked = format!("{line}\n").repeat(count);
    assert!(asked.len() < 256 << 10, "{count} questions are few bytes: {}", asked.len());
    let Agent { mut from, mut to, .. } = greedy;
    // All of it is there before the door reads.
    doors.server.signal(SIGSTOP);
    to.write_all(asked.as_bytes()).unwrap();
    doors.server.signal(SIGCONT);
    // It is closed when nobody has read a byte of it for half a minute, whatever else it says, and the others do not notice.
    let connections = || doors.server.metric("swarmcast_mcp_connections");
    let mut bob = doors.known(&doors.token);
    let begun = Instant::now();
    let (mut slowest, mut most_kib) = (Duration::ZERO, 0);
    while connections() > 1.0 && begun.elapsed() < Duration::from_secs(40) {
        let asked = Instant::now();
        assert!(bob.is_there());
        slowest = slowest.max(asked.elapsed());
        most_kib = most_kib.max(doors.server.resident_kib());
        let _ = to.write_all(format!("{line}\n").as_bytes());
        thread::sleep(Duration::from_millis(100));
    }
    let took = begun.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_secs(35)).contains(&took), "{took:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(most_kib < before_kib + (32 << 10), "{before_kib} and {most_kib} KiB");
    drop(to);
    let mut said = Vec::new();
    let _ = from.read_to_end(&mut said);
    assert!(said.len() < 8 << 20, "{} bytes of {}", said.len(), count * size);
}

#[test]
fn snapshots_that_are_no_files_are_refused_by_name_and_hold_nobody_up() {
    let folder = Folder::new("no-files");
    let store = folder.join("graph.db").display().to_string();
    let doors = Doors::open_with("no-files", "", &["mcp.toolsets=core,admin"], &["--store", &store]);
    let mut eve = doors.known(&doors.token);
    eve.call("snapshot_graph", json!({ "name": "one" }));
    let snapshots = std::fs::read_dir(&*folder).unwrap().flatten().map(|entry| entry.path());
    let snapshots = snapshots.filter(|path| path.is_dir()).find(|path| path.join("one.db").exists()).unwrap();
    // Whoever opens the pipe would wait for its writer, whoever reads the device for its end.
    assert!(Command::new("mkfifo").arg(snapshots.join("pipe.db")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", snapshots.join("device.db")).unwrap();
    std::fs::create_dir(snapshots.join("folder.db")).unwrap();
    for (name, what) in [("pipe", "a pipe"), ("device", "a device"), ("folder", "a folder")] {
        for tool in ["diff_graph", "restore_snapshot"] {
            let begun = Instant::now();
            let arguments = match tool {
                "diff_graph" => json!({ "from": name }),
                _ => json!({ "snapshot": name, "dry_run": true }),
            };
            let params = json!({ "name": tool, "arguments": arguments });
            let result = eve.modern("tools/call", params, None).unwrap()["result"].clone();
            let words = result["content"][0]["text"].as_str().unwrap().to_owned();
            assert_eq!(result["isError"], json!(true), "{result}");
            assert!(words.contains(name) && words.contains(&format!(" is {what}, not a file")), "{words}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{words} after {:?}", begun.elapsed());
        }
    }
    assert_eq!(eve.call("diff_graph", json!({ "from": "one" }))["counts"]["added"]["nodes"], json!(0));
}

#[test]
#[cfg(feature = "faults")]
fn a_call_ends_after_thirty_seconds_whatever_it_waits_for() {
    let folder = Folder::new("cap-store");
    let store = folder.join("graph.db").display().to_string();
    let doors = Doors::open_with("cap", "", &["mcp.toolsets=core,admin"], &["--store", &store]);
    let mut eve = doors.known(&doors.token);
    let begun = Instant::now();
    let params = json!({ "name": "diff_graph", "arguments": { "from": "fault-stall" } });
    eve.say(&modern(900, "tools/call", params, None));
    assert!(eve.is_there(), "others of its connection go on");
    let answer = eve.answer(900).unwrap();
    let took = begun.elapsed();
    let words = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(answer["result"]["isError"] == json!(true) && words.contains("timeout"), "{words} after {took:?}");
    assert!((Duration::from_secs(30)..Duration::from_secs(34)).contains(&took), "{took:?}");
    assert_eq!(eve.call("graph_overview", json!({}))["revision"], json!(0));
}

#[test]
fn a_web_page_that_posts_to_the_port_has_nothing_done() {
    // Even where nobody has to say who they are.
    let doors = Doors::open("page", "", &["mcp.anonymous=write"]);
    let before = doors.server.state()["version"].clone();
    let node = json!({ "name": "upsert_nodes", "arguments": { "nodes": [{ "id": "from a web page" }] } });
    let body = modern(1, "tools/call", node, None);
    for head in [
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n",
        "POST / HTTP/1.1\r\n",
        "\r\nGET / HTTP/1.0\r\n",
        "Host: x\r\n",
    ] {
        let mut page = TcpStream::connect(doors.tcp).unwrap();
        page.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = page.write_all(format!("{head}{body}\n").as_bytes());
        let mut said = Vec::new();
        let _ = page.read_to_end(&mut said);
        assert_eq!(String::from_utf8_lossy(&said), "", "{head:?}");
    }
    assert_eq!(doors.server.state()["version"], before, "nothing was run");
    // The same line alone is what it takes.
    let mut nobody = doors.stranger();
    nobody.say(&body);
    assert!(nobody.line().unwrap()["result"].is_object());
}

#[test]
fn lines_that_are_too_long_too_deep_or_too_broad_are_refused_by_name() {
    let doors = Doors::open("lines", &tokens(), &[]);
    let mut ada = doors.known(ADA);
    let framed = |inner: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{{\"_meta\":{{\"x\":{inner}}}}}}}\n")
    };
    let nested = |depth: usize| framed(&format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    let broad = |members: usize| {
        let members: Vec<String> = (0..members).map(|n| format!("\"{n}\":1")).collect();
        framed(&format!("{{{}}}", members.join(",")))
    };
    let long = |bytes: usize| {
        let empty = framed("\"\"").len() - 1;
        framed(&format!("\"{}\"", "x".repeat(bytes - empty)))
    };
    for (line, expected) in [
        (nested(61), 0),
        (nested(62), -32_700),
        (broad(4_096), 0),
        (broad(4_097), -32_700),
        (long(1 << 20), 0),
        (long((1 << 20) + 1), -32_600),
    ] {
        ada.to.write_all(line.as_bytes()).unwrap();
        let answer = ada.line().unwrap();
        assert_eq!(code(Some(&answer)), expected, "{answer} to {}..", &line[..80]);
        let words = answer["error"]["message"].as_str().unwrap_or("64 4096 1048576");
        assert!(["64", "4096", "1048576"].iter().any(|limit| words.contains(limit)), "{answer}");
    }
}

#[test]
fn whoever_sends_too_many_lines_that_are_too_long_reads_what_was_said_to_them_and_the_end() {
    let doors = Doors::open("hopeless", &tokens(), &[]);
    let mut ada = doors.known(ADA);
    let revision = ada.call("graph_overview", json!({}))["revision"].as_u64().unwrap();
    let params = json!({ "name": "get_changes", "arguments": { "since": revision, "wait_ms": 10_000 } });
    ada.say(&modern(900, "tools/call", params, None));
    // The third goes on behind the byte that is one too many.
    let long = "x".repeat((1 << 20) + 1);
    let rest = "x".repeat(128 << 10);
    ada.to.write_all(format!("{long}\n{long}\n{long}{rest}").as_bytes()).unwrap();
    for _ in 0..3 {
        let answer = ada.line();
        assert_eq!(code(answer.as_ref()), -32_600, "{answer:?}");
    }
    let end = ada.from.read(&mut [0]);
    assert!(matches!(end, Ok(0)), "{end:?}");
}

#[test]
fn whoever_sends_what_nothing_comes_of_holds_nobody_up() {
    let doors = Doors::open("floods", &tokens(), &[]);
    let mut bob = doors.known(&doors.token);
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "swarmcast/authenticate", "params": { "token": ADA } });
    let (hello, http) = (format!("{hello}\n"), doors.server.http);
    let refused = format!("POST /mcp HTTP/1.1\r\nHost: {http}\r\nContent-Length: 1048577\r\n\r\n");
    for (to, first, rest) in [
        // A line without an end, of a stranger and of somebody known; blank lines; a body that was refused.
        (doors.tcp, "", "x"),
        (doors.tcp, hello.as_str(), "x"),
        (doors.tcp, hello.as_str(), "\n"),
        (http, refused.as_str(), "x"),
    ] {
        let mut flood = TcpStream::connect(to).unwrap();
        flood.write_all(first.as_bytes()).unwrap();
        let rest = rest.repeat(1 << 20);
        let sender = thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(1) && flood.write_all(rest.as_bytes()).is_ok() {}
        });
        while !sender.is_finished() {
            let asked = Instant::now();
            assert!(bob.is_there() && asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
            thread::sleep(Duration::from_millis(5));
        }
        sender.join().unwrap();
    }
}

#[test]
fn who_does_not_read_is_told_once_of_what_has_changed_meanwhile() {
    let doors = Doors::open("stuck", &tokens(), &[]);
    // Little room on its side, 256 subscriptions of three resources: a hundred and fifty kilobytes of notices every 100 ms.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&doors.tcp.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut silent = Agent::over(Box::new(stream.try_clone().unwrap()), Box::new(stream));
    silent.ask("swarmcast/authenticate", json!({ "token": ADA })).unwrap();
    let uris = ["graph://overview", "graph://schema", "graph://changes"];
    for id in 0..256 {
        let filter = json!({ "notifications": { "resourceSubscriptions": uris } });
        silent.say(&modern(5_000 + id, "subscriptions/listen", filter, None));
        assert_eq!(silent.line().unwrap()["method"], json!("notifications/subscriptions/acknowledged"));
    }
    let mut writer = doors.known(&doors.token);
    let begun = Instant::now();
    let mut changes = 0;
    while begun.elapsed() < Duration::from_secs(12) {
        changes += 1;
        writer.call("upsert_nodes", json!({ "nodes": [{ "id": format!("n{changes}") }] }));
        thread::sleep(Duration::from_millis(40));
    }
    // What was on its way when it stopped reading, and one of each for all that came after.
    let mut bytes = 0;
    let mut last = std::collections::BTreeMap::new();
    let mut line = String::new();
    while std::io::BufRead::read_line(&mut silent.from, &mut line).is_ok_and(|taken| taken > 0) {
        bytes += line.len();
        let notice: Value = serde_json::from_str(&line).unwrap();
        let listen = notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].as_u64().unwrap();
        *last.entry((listen, notice["params"]["uri"].to_string())).or_insert(0u32) += 1;
        line.clear();
    }
    assert_eq!(last.len(), 256 * 3, "each was told");
    assert!(bytes < 8 << 20, "{bytes} bytes of {changes} changes");
    let most = last.values().max().unwrap();
    assert!(*most < 60, "{most} notices of {changes} changes");
    // It hears of what comes now.
    writer.call("upsert_nodes", json!({ "nodes": [{ "id": "at last" }] }));
    assert_eq!(silent.line().unwrap()["method"], json!("notifications/resources/updated"));
}
