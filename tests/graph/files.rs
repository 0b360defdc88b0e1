//! Goal: the running engine takes files in and gives the graph out in every format, and follows the file or folder that the graph came
//! from without losing what people added (K23, K24).
//! Method: the real server; files as other tools write them; a retry, a conflict and broken files.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Folder, Server, graph, repository, run, within};

const PATIENCE: Duration = Duration::from_secs(60);

fn keys(server: &Server) -> BTreeSet<String> {
    let data = server.get("/api/graph/data").json();
    data["nodes"].as_array().unwrap().iter().map(|node| node["key"].as_str().unwrap().to_owned()).collect()
}

fn import(server: &Server, query: &str, body: &str) -> (u16, Value) {
    let answer = server.tell("POST", &format!("/api/graph/import{query}"), body);
    (answer.status, answer.json())
}

/// Everything but ids, order, positions and version.
fn facts(server: &Server) -> (BTreeSet<String>, BTreeSet<String>) {
    let data = server.get("/api/graph/data").json();
    let nodes = data["nodes"].as_array().unwrap();
    let key = |id: &Value| nodes.iter().find(|node| node["id"] == *id).unwrap()["key"].clone();
    let row = |node: &Value| {
        let mut row = node.clone();
        for name in ["id", "x", "y", "z"] {
            row.as_object_mut().unwrap().remove(name);
        }
        row.to_string()
    };
    let edge = |edge: &Value| {
        let mut row = edge.clone();
        (row["source"], row["target"]) = (key(&edge["source"]), key(&edge["target"]));
        row.as_object_mut().unwrap().remove("id");
        row.to_string()
    };
    (nodes.iter().map(row).collect(), data["edges"].as_array().unwrap().iter().map(edge).collect())
}

#[test]
fn what_is_exported_is_imported_by_another_engine_as_it_was() {
    let from = Server::start(&graph("karate.gexf"));
    for format in ["json", "graphml", "gexf", "gml"] {
        let file = from.get(&format!("/api/graph/export?format={format}&positions=false"));
        assert_eq!(file.status, 200, "{format}");
        assert!(file.head.contains(&format!("filename=\"graph.{format}\"")), "{}", file.head);
        let to = Server::start(&graph("default.json"));
        let (status, done) = import(&to, "?mode=replace&author=other", &file.text());
        assert_eq!((status, &done["format"], &done["version"]), (200, &json!(format), &json!(1)), "{done}");
        assert_eq!(facts(&to), facts(&from), "{format}");
        let changes = to.get("/api/graph/changes?since=0").json();
        assert_eq!(changes["batches"][0]["author"], "other");
    }
    // What a format cannot hold is said.
    let mermaid = from.get("/api/graph/export?format=mermaid");
    assert!(mermaid.head.contains("swarmcast-losses: "), "{}", mermaid.head);
    let placed = from.get("/api/graph/export?format=json").json();
    assert!(placed["nodes"][0]["x"].is_number() || placed["nodes"][0]["position"].is_array(), "{}", placed["nodes"][0]);
}

#[test]
fn an_import_adds_to_what_is_there_and_a_retry_does_nothing() {
    let server = Server::start(&graph("karate.gexf"));
    let before = keys(&server);
    let file = "source,target,weight\n0,new one,2\n0,1,4\nnew one,another,1\n";
    let query = "?format=csv&idempotency_key=once";
    let (status, first) = import(&server, query, file);
    assert_eq!((status, &first["skipped_count"]), (200, &json!(0)), "{first}");
    let after = keys(&server);
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), ["another", "new one"]);
    assert_eq!(server.state()["edge_count"], 80, "the edge from 0 to 1 was there");
    assert_eq!(import(&server, query, file), (200, first));
    let (status, other) = import(&server, query, "source,target\n0,third\n");
    assert_eq!((status, &other["code"]), (422, &json!("key_reused")), "{other}");
    assert_eq!(server.state()["version"], 1);
}

#[test]
fn an_import_that_is_sent_again_before_it_is_done_is_done_once() {
    const SENDERS: usize = 4;
    let server = Server::start(&graph("karate.gexf"));
    let before = server.state();
    // 20,000 edges, no two between the same ends.
    let pairs = (0..200).flat_map(|from| (0..100).map(move |to| format!("from {from},to {to}\n")));
    let file: String = std::iter::once("source,target\n".to_owned()).chain(pairs).collect();
    let together = Barrier::new(SENDERS);
    let send = || {
        together.wait();
        import(&server, "?format=csv&idempotency_key=once", &file)
    };
    let answers: Vec<(u16, Value)> = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let (status, first) = &answers[0];
    assert_eq!((*status, &first["created"]), (200, &json!(20_300)), "{first}");
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    let after = server.state();
    let grown = |what: &str| after[what].as_u64().unwrap() - before[what].as_u64().unwrap();
    assert_eq!((grown("node_count"), grown("edge_count"), grown("version")), (300, 20_000, 1));
    let (status, other) = import(&server, "?format=csv&idempotency_key=once", "source,target\n0,third\n");
    assert_eq!((status, &other["code"]), (422, &json!("key_reused")), "{other}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_and_nothing_is_done() {
    let server = Server::start(&graph("karate.gexf"));
    let wrong = |query: &str, body: &str, status: u16, says: &str| {
        let (found, json) = import(&server, query, body);
        assert_eq!(found, status, "{query} {body}: {json}");
        assert!(json["detail"].as_str().unwrap().contains(says), "{json}");
    };
    wrong("?format=graphml", "<graphml><graph><node", 422, "the body");
    wrong("?format=csv", "source,target\na\n", 422, "2");
    wrong("", "\u{0}\u{1}", 422, "text");
    wrong("?format=xls", "a,b\n", 400, "format");
    wrong("?mode=maybe", "a,b\n", 400, "mode");
    wrong("?skip_bad=perhaps", "a,b\n", 400, "skip_bad");
    wrong("?mode=replace&if_version=7", "source,target\na,b\n", 409, "version 0");
    let (_, skipped) = import(&server, "?format=csv&skip_bad=true", "source,target\na\na,b\n");
    assert_eq!((&skipped["skipped_count"], &skipped["created"]), (&json!(1), &json!(3)), "{skipped}");
    assert_eq!(server.get("/api/graph/export?format=xls").status, 400);
    assert_eq!(server.get("/api/graph/export?positions=some").status, 400);
    let alone = server.tell("POST", "/api/graph/refresh", "");
    assert_eq!((alone.status, &alone.json()["code"]), (409, &json!("not_followed")));
    assert_eq!(server.state()["version"], 1);
}

#[test]
fn the_graph_follows_its_folder_and_keeps_what_people_added() {
    let vault = Folder::new("followed-vault");
    fs::create_dir_all(vault.join(".obsidian")).unwrap();
    fs::write(vault.join("first.md"), "to [[second]]").unwrap();
    fs::write(vault.join("second.md"), "to [[third]]").unwrap();
    let folder = Folder::new("followed-store");
    let store = folder.join("graph.db");
    let flags = ["--graph", vault.to_str().unwrap(), "--watch", "--set", "graph.watch_ms=100", "--store"];
    let mut flags: Vec<String> = flags.map(str::to_owned).to_vec();
    flags.push(store.display().to_string());
    flags.push("--vault-all-pages".to_owned());
    let mut server = Server::start(&flags);
    let mut watching = server.ws("");
    let added = server.tell("POST", "/api/graph/nodes", &json!({ "nodes": [{ "key": "by hand" }] }).to_string());
    assert_eq!(added.status, 201);
    fs::write(vault.join("second.md"), "to [[fourth]]").unwrap();
    assert!(within(PATIENCE, || keys(&server).contains("fourth")), "{:?}", keys(&server));
    assert!(within(PATIENCE, || watching.text("graph_changed")["version"] == 2), "viewers are told");
    let expected: BTreeSet<String> = ["by hand", "first", "fourth", "second"].map(str::to_owned).into();
    assert_eq!(keys(&server), expected, "and what only the folder had is gone");
    let changes = server.get("/api/graph/changes?since=1").json();
    assert_eq!(changes["batches"][0]["author"], "source");
    let idle = server.tell("POST", "/api/graph/refresh", "");
    assert_eq!((idle.status, &idle.json()["changed"]), (200, &json!(false)), "{}", idle.text());

    // What changed while nobody looked is found at the next start.
    server.signal(15);
    server.wait(PATIENCE).unwrap();
    fs::write(vault.join("first.md"), "to [[second]] and [[fifth]]").unwrap();
    let server = Server::start(&flags);
    assert!(within(PATIENCE, || keys(&server).contains("fifth")), "{:?}", keys(&server));
    assert!(keys(&server).contains("by hand"));
    let edges = server.state()["edge_count"].clone();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((&edges, &server.state()["edge_count"]), (&json!(3), &json!(3)), "no edge came twice");
}

#[test]
fn the_graph_follows_its_file() {
    let folder = Folder::new("followed-file");
    let file = folder.join("graph.json");
    let text = fs::read_to_string(repository("examples/graphs/default.json")).unwrap();
    fs::write(&file, &text).unwrap();
    let flags = ["--graph", file.to_str().unwrap(), "--watch", "--set", "graph.watch_ms=100"].map(str::to_owned);
    let server = Server::start(&flags);
    let before = server.state()["node_count"].as_u64().unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    json["nodes"].as_array_mut().unwrap().push(json!({ "id": "one more", "label": "One more" }));
    fs::write(&file, "{ half of it").unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(server.state()["node_count"], before, "a broken file changes nothing");
    for _ in 0..2 {
        let refused = server.tell("POST", "/api/graph/refresh", "");
        assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("import")), "{}", refused.text());
    }
    fs::write(&file, json.to_string()).unwrap();
    let taken = server.tell("POST", "/api/graph/refresh", "");
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert!(within(PATIENCE, || server.state()["node_count"] == before + 1), "{}", server.state());
}

#[test]
fn the_commands_bring_files_into_a_store_and_out_of_it() {
    let folder = Folder::new("file-commands");
    let store = folder.join("graph.db").display().to_string();
    let command = |words: &[&str]| {
        let output = run(&[words, &["--store", &store]].concat());
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.code().unwrap(), said)
    };
    let karate = repository("examples/graphs/karate.gexf").display().to_string();
    let (code, said) = command(&["import", &karate]);
    assert!(code == 0 && said.contains("begins with 34 nodes, 78 edges"), "{said}");
    assert!(command(&["import", &karate]).1.contains("has all of that already"));
    let edges = folder.join("more.csv");
    fs::write(&edges, "source,target\n0,guest\n").unwrap();
    let (code, said) = command(&["import", edges.to_str().unwrap()]);
    assert!(code == 0 && said.contains("version 1, 2 made, 0 changed, 0 removed"), "{said}");
    let out = folder.join("out.graphml").display().to_string();
    let (code, said) = command(&["export", &out]);
    assert!(code == 0 && said.contains("version 1: 35 nodes, 79 edges"), "{said}");
    let (code, said) = command(&["import", &karate, "--replace"]);
    assert!(code == 0 && said.contains("removed"), "{said}");

    let server = Server::start(&["--store", &store]);
    assert_eq!((&server.state()["node_count"], &server.state()["edge_count"]), (&json!(34), &json!(78)));
    assert_eq!(command(&["export", "-", "--to", "csv"]).0, 0, "beside a running engine");
    let (code, said) = command(&["import", &out]);
    assert!(code == 2 && said.contains(&server.pid().to_string()), "{code} {said}");
    let (code, said) = command(&["export", "graph.xls"]);
    assert!(code != 0 && said.contains("graph.xls"), "{said}");
}
