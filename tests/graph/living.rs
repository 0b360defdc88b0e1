//! Goal: what is acknowledged is there after a kill, a restart goes on where the engine was, a file has one engine, and a full disk
//! makes the graph read-only and loses nothing (O17, O23, O16).
//! Method: the real server on a real file, killed with SIGKILL; a small tmpfs for the full disk.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Client, Folder, Server, graph, repository, run, within};

const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    server.tell(method, path, &body.to_string())
}

fn add(server: &Server, key: &str) -> Answer {
    send(server, "POST", "/api/graph/nodes", &json!({ "nodes": [{ "key": key }], "idempotency_key": key }))
}

fn kept_in(path: &Path) -> [String; 2] {
    ["--store".to_owned(), path.display().to_string()]
}

/// Everything but the positions.
fn rows(server: &Server) -> Value {
    let mut data = server.get("/api/graph/data").json();
    for row in data["nodes"].as_array_mut().unwrap() {
        for axis in ["x", "y", "z"] {
            row.as_object_mut().unwrap().remove(axis);
        }
    }
    json!([data["nodes"], data["edges"], data["version"], data["name"]])
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = Folder::new("kill");
    let flags = kept_in(&folder.join("graph.db"));
    let mut server = Server::start(&flags);
    assert!(server.banner.contains("kept in"), "{}", server.banner);
    for n in 0..20 {
        assert_eq!(add(&server, &format!("kept {n}")).status, 201);
    }
    let edge = json!({ "edges": [{ "source": "kept 0", "target": "kept 1", "relation": "knows" }], "author": "me" });
    assert_eq!(send(&server, "POST", "/api/graph/edges", &edge).status, 201);
    let gone = send(&server, "POST", "/api/graph/batch", &json!({ "ops": [{ "op": "remove_node", "id": "kept 7" }] }));
    assert_eq!(gone.status, 200);
    let (before, epoch) = (rows(&server), server.state()["epoch"].as_u64().unwrap());
    server.signal(SIGKILL);
    server.wait(PATIENCE).unwrap();

    let server = Server::start(&flags);
    assert_eq!(rows(&server), before);
    assert!(server.state()["epoch"].as_u64().unwrap() > epoch, "clients see that it is another structure");
    // A retry over the restart is answered as it was the first time, and an id is not dealt again.
    let again = add(&server, "kept 3");
    assert_eq!((again.status, &again.json()["version"]), (201, &json!(4)));
    let (id7, new) = (before[0].as_array().unwrap().len() as u64, add(&server, "new").json());
    assert!(new["results"][0]["node"].as_u64().unwrap() > id7);

    // One file, one engine.
    let other = run(&["--mcp=", "--store", &flags[1], "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("graph.db") && said.contains(&server.pid().to_string()), "{said}");
    // Another graph is not put over it.
    let karate = repository("examples/graphs/karate.gexf").display().to_string();
    drop(server);
    let other =
        run(&["--mcp=", "--store", &flags[1], "--graph", &karate, "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("--store") && said.contains("karate.gexf"), "{said}");
}

#[test]
fn a_restart_goes_on_where_the_layout_was() {
    let folder = Folder::new("layout");
    let flags = kept_in(&folder.join("graph.db"));
    let place = |server: &Server| -> Vec<[f64; 3]> {
        let data = server.get("/api/graph/data").json();
        let at = |row: &Value| ["x", "y", "z"].map(|axis| row[axis].as_f64().unwrap());
        data["nodes"].as_array().unwrap().iter().map(at).collect()
    };
    let mut server = Server::start(&flags);
    server.settle();
    let before = place(&server);
    server.signal(SIGTERM);
    assert!(server.wait(PATIENCE).unwrap().success());
    let server = Server::start(&flags);
    let after = place(&server);
    let far = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let mut moves: Vec<f64> = before.iter().zip(&after).map(|(from, to)| far(from, to)).collect();
    moves.sort_by(f64::total_cmp);
    let side = before.iter().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
    assert!(moves[moves.len() / 2] < side / 50.0, "the median node moved {} of {side}", moves[moves.len() / 2]);
}

#[test]
fn a_full_disk_makes_it_read_only_and_room_makes_it_writable() {
    let folder = Folder::new("full");
    let disk = folder.join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: this user may not mount a tmpfs");
        return;
    }
    let server = Server::start(&kept_in(&disk.join("graph.db")));
    let mut watched = server.ws("");
    std::fs::write(disk.join("ballast"), vec![0; 4 << 20]).unwrap();
    let big = "x".repeat(4_000);
    let (mut done, mut refused) = (0, None);
    for n in 0..2_000 {
        let body = json!({ "nodes": [{ "key": format!("n{n}"), "label": big }] });
        let answer = send(&server, "POST", "/api/graph/nodes", &body);
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
        done += 1;
    }
    let refused = refused.unwrap();
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("read_only")), "{}", refused.text());
    assert_eq!(server.get("/readyz").json()["parts"]["store"]["writable"], false);
    assert_eq!(server.state()["version"], done, "nothing unacknowledged is shown");
    assert!(!Client::frame(&mut watched).is_empty(), "the stream goes on");
    std::fs::remove_file(disk.join("ballast")).unwrap();
    assert!(within(PATIENCE, || add(&server, "after all").status == 201), "room makes it writable again");
    assert!(server.state()["version"].as_u64().unwrap() > done);
    drop(server);
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
}

#[test]
fn a_snapshot_is_made_while_it_runs_and_restored() {
    let folder = Folder::new("snapshots");
    let flags = kept_in(&folder.join("graph.db"));
    let mut server = Server::start(&flags);
    assert_eq!(add(&server, "before").status, 201);
    let made = send(&server, "POST", "/api/snapshots", &json!({ "name": "first" }));
    assert_eq!((made.status, &made.json()["version"]), (201, &json!(1)), "{}", made.text());
    assert_eq!(add(&server, "after").status, 201);
    assert_eq!(server.tell("POST", "/api/snapshots", "").status, 201, "a name is made up");
    let again = send(&server, "POST", "/api/snapshots", &json!({ "name": "first" }));
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("exists")));
    for (body, field) in [(json!({ "name": "../out" }), "name"), (json!({ "named": "x" }), "named")] {
        let wrong = send(&server, "POST", "/api/snapshots", &body);
        assert_eq!((wrong.status, &wrong.json()["affectedPaths"]), (400, &json!([field])), "{}", wrong.text());
    }
    let listed = server.get("/api/snapshots").json();
    let names: Vec<&str> =
        listed["snapshots"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(names.len() == 2 && names[0] == "first" && names[1].starts_with("v2-"), "{listed}");
    let path = format!("/api/snapshots/{}", names[1]);
    assert_eq!(server.tell("DELETE", &path, "").status, 200);
    assert_eq!(server.tell("DELETE", &path, "").status, 404);
    server.signal(SIGTERM);
    server.wait(PATIENCE).unwrap();
    let copy = folder.join("graph.db.snapshots/first.db").display().to_string();
    let restored = run(&["restore", &copy, "--force", "--store", &flags[1]]);
    assert!(restored.status.success(), "{restored:?}");
    let server = Server::start(&flags);
    assert_eq!(server.state()["version"], 1);
    let none = Server::start(&graph("karate.gexf"));
    assert_eq!(none.get("/api/snapshots").json()["code"], "not_kept");
}

#[test]
fn two_snapshots_at_once_are_two_files_or_one_is_refused() {
    let folder = Folder::new("snapshots-at-once");
    let server = Server::start(&kept_in(&folder.join("graph.db")));
    let nodes: Vec<Value> = (0..5_000).map(|n| json!({ "key": format!("n{n}"), "label": "x".repeat(400) })).collect();
    assert_eq!(send(&server, "POST", "/api/graph/nodes", &json!({ "nodes": nodes })).status, 201);
    let together = Barrier::new(2);
    let ask = |body: &str| {
        together.wait();
        server.tell("POST", "/api/snapshots", body)
    };
    let both = |body: &str| -> [Answer; 2] {
        thread::scope(|scope| [scope.spawn(|| ask(body)), scope.spawn(|| ask(body))].map(|one| one.join().unwrap()))
    };
    let whole = |made: &Answer| {
        let made = made.json();
        let path = folder.join("graph.db.snapshots").join(format!("{}.db", made["name"].as_str().unwrap()));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), made["bytes"], "{made}");
        let checked = run(&["check-store", "--store", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success() && said.contains("version 1"), "{said} {checked:?}");
    };
    for round in 0..4 {
        let name = format!("same-{round}");
        let mut answers = both(&json!({ "name": name }).to_string());
        answers.sort_by_key(|answer| answer.status);
        let [made, refused] = &answers;
        assert_eq!((made.status, refused.status), (201, 409), "{} {}", made.text(), refused.text());
        let said = refused.json();
        assert!(said["code"] == "in_progress" || said["code"] == "exists", "{said}");
        assert!(said["detail"].as_str().unwrap().contains(&name), "{said}");
        whole(made);
        let unnamed = both("");
        assert_eq!(unnamed.each_ref().map(|answer| answer.status), [201, 201], "{unnamed:?}");
        assert_ne!(unnamed[0].json()["name"], unnamed[1].json()["name"]);
        unnamed.iter().for_each(whole);
    }
    assert_eq!(server.get("/api/snapshots").json()["snapshots"].as_array().unwrap().len(), 12);
}
