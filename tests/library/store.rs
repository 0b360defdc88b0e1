//! Goal: what is put into the store comes out again, a person can read it with any SQLite tool, and a file that is not this
//! version's store, whole and unused, is refused by a reason and a way out, untouched.
//! Method: stores in a folder of their own, opened, written, damaged byte by byte, looked at through a second connection.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use swarmcast::graph::{Author, Change, EdgeId, EdgeRow, Graph, Node, NodeClass, NodeId, NodeKind, Value};
use swarmcast::limits::{STORE_LAYOUT_PART_NODES, STORE_LOG_BYTES_MAX};
use swarmcast::store::{About, Entry, Layout, Loaded, SqliteStore, Store, StoreError, backup, check, compact, restore};

use crate::folder::Folder;
use crate::random::Random;

fn id(id: u32) -> NodeId {
    NodeId::new(id).unwrap()
}

fn node(number: u32) -> Node {
    Node {
        id: id(number),
        key: format!("key {number}").into(),
        label: format!("Größe {number} '\"\0\u{1f600}").into(),
        class: NodeClass { kind: NodeKind::Agent, private: number.is_multiple_of(2) },
        group: number.is_multiple_of(3).then(|| "a group".into()),
        weight: 0.1 + number as f32,
        colour: number.is_multiple_of(5).then_some(0x00_80_ff),
        position: number.is_multiple_of(7).then_some([0.1, -2.5e-7, 3e7]),
        pinned: number.is_multiple_of(4),
        attributes: vec![
            ("z".into(), Value::Int(i64::MIN)),
            ("a".into(), Value::Float(1.0)),
            ("t".into(), Value::Text("\"quoted\"\n".into())),
            ("b".into(), Value::Bool(true)),
        ],
    }
}

fn edge(number: u32, source: u32, target: u32) -> EdgeRow {
    EdgeRow {
        id: EdgeId(number),
        source: id(source),
        target: id(target),
        weight: 0.3,
        directed: number.is_multiple_of(2),
        relation: Some("knows".into()),
        label: None,
        attributes: Vec::new(),
    }
}

fn entry(version: u64, changes: Vec<Change>) -> Entry {
    Entry {
        version,
        epoch: 3,
        at_unix_ms: 1_790_000_000_123,
        author: "a test".into(),
        idempotency_key: None,
        changes: changes.into(),
        settings: Vec::new(),
        answer: "".into(),
    }
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).unwrap()
}

/// What keeps `path` from being opened; the file is left as it is.
fn refusal(path: &Path) -> StoreError {
    let before = fs::read(path).ok();
    let error = SqliteStore::open(path).unwrap_err();
    assert_eq!(fs::read(path).ok(), before, "a refused file is not written to: {error}");
    assert_eq!(error.exit_code(), 2, "{error}");
    error
}

/// The store of `folder` with three nodes, two edges and a log of two, closed.
fn small(folder: &Folder) -> PathBuf {
    let path = folder.join("graph.db");
    let mut store = open(&path);
    let nodes = [1, 2, 15].map(|number| Change::PutNode(node(number)));
    store.append(&[entry(1, nodes.to_vec())]).unwrap();
    let edges = [edge(0, 1, 2), edge(1, 2, 15)].map(Change::PutEdge);
    store.append(&[entry(2, edges.to_vec())]).unwrap();
    path
}

/// A second program with the file.
fn sql(path: &Path, text: &str) {
    let connection = Connection::open(path).unwrap();
    // As in the sqlite3 program, where nobody asked for them.
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(text).unwrap();
}

/// The one number that a question comes to.
fn number(path: &Path, question: &str) -> u64 {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row(question, [], |row| row.get::<_, rusqlite::types::Value>(0))
        .map(|value| match value {
            rusqlite::types::Value::Integer(number) => number as u64,
            rusqlite::types::Value::Text(text) => text.parse().unwrap(),
            other => panic!("{other:?} is no number"),
        })
        .unwrap()
}

#[test]
fn a_store_gives_back_what_was_put_into_it() {
    let folder = Folder::new("store");
    let path = folder.join("graph.db");
    assert_eq!(open(&path).load().unwrap(), Loaded::default());
    let nodes: Vec<Node> = [0, 210, 12, 67_108_863].map(node).into();
    let edges = vec![edge(4, 0, 12), edge(7, 12, 12), edge(9, 67_108_863, 0)];
    let graph = Graph::from_rows(nodes.clone(), edges.clone(), (67_108_864, 10)).unwrap();
    let about = About { name: "a graph".into(), source: "/a/file.csv".into(), version: 1, epoch: 1 };
    let mut store = open(&path);
    store.put_graph(&graph, &about).unwrap();
    assert!(matches!(store.put_graph(&graph, &about), Err(StoreError::NotEmpty { .. })));
    drop(store);

    let mut store = open(&path);
    let mut sorted = nodes;
    sorted.sort_by_key(|node| node.id);
    let mut wanted = Loaded {
        about: Some(("a graph".into(), "/a/file.csv".into())),
        version: 1,
        epoch: 1,
        next_node_id: 67_108_864,
        next_edge_id: 10,
        nodes: sorted,
        edges,
        ..Loaded::default()
    };
    assert_eq!(store.load().unwrap(), wanted);
    // A change of each kind, settings, a key, and the counters follow, also of what is made and removed in one batch.
    let mut changed = node(12);
    changed.label = "other".into();
    let mut second = entry(2, vec![Change::RemoveEdge(EdgeId(9)), Change::PutNode(changed.clone())]);
    second.settings = vec![("sim.rate".into(), Some(json!(30))), ("sim.gone".into(), Some(json!({"a": [1, 2.5]})))];
    let mut third = entry(3, vec![Change::PutEdge(edge(12, 0, 0)), Change::RemoveEdge(EdgeId(12))]);
    third.settings = vec![("sim.gone".into(), None)];
    third.idempotency_key = Some("again".into());
    third.answer = r#"{"version":3}"#.into();
    store.append(&[second.clone(), third.clone()]).unwrap();
    drop(store);
    let mut store = open(&path);
    let loaded = store.load().unwrap();
    (wanted.version, wanted.epoch, wanted.next_edge_id, wanted.log_first) = (3, 3, 13, Some(2));
    wanted.edges.retain(|edge| edge.id != EdgeId(9));
    wanted.nodes[1] = changed;
    wanted.settings = vec![("sim.rate".into(), json!(30))];
    wanted.retries = loaded.retries.clone();
    assert_eq!(loaded, wanted);
    let [retry] = &loaded.retries[..] else { panic!("one key was used") };
    assert_eq!((&*retry.key, retry.version, &*retry.answer), ("again", 3, r#"{"version":3}"#));

    // The log, as it was given; settings as an object come back by name.
    second.settings.sort_by(|left, right| left.0.cmp(&right.0));
    let page = store.read_log(2, 10).unwrap();
    assert_eq!((page.entries, page.version), (vec![second.clone(), third], 3));
    assert_eq!(store.read_log(2, 1).unwrap().entries, [second]);
    assert_eq!(store.read_log(4, 10).unwrap().entries, []);
    assert!(matches!(store.read_log(1, 10), Err(StoreError::Trimmed { from: 1, first: 2 })));
    assert!(matches!(store.append(&[entry(5, vec![])]), Err(StoreError::Order { expected: 4, found: 5 })));
    assert_eq!(check(&path).unwrap().problems, [""; 0]);
    assert_eq!(check(&path).unwrap().notes, [""; 0]);
}

#[test]
fn any_sqlite_tool_shows_the_graph_beside_the_engine() {
    let folder = Folder::new("store");
    let path = small(&folder);
    let store = open(&path);
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let text = |query: &str| reader.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT group_concat(key, ', ') FROM nodes"), "key 1, key 2, key 15");
    assert_eq!(
        text("SELECT weight || ' ' || colour || ' ' || \"group\" FROM nodes WHERE id = 15"),
        "15.1 #0080ff a group"
    );
    assert_eq!(text("SELECT source || ' > ' || target || ' ' || weight FROM edges WHERE id = 1"), "key 2 > key 15 0.3");
    assert_eq!(text("SELECT attributes ->> '$.t' FROM node WHERE id = 1"), "\"quoted\"\n");
    assert_eq!(text("SELECT group_concat(name) FROM node_attributes WHERE key = 'key 1'"), "z,a,t,b");
    assert_eq!(
        text("SELECT at || ' ' || author || ' ' || changes FROM history WHERE version = 1"),
        "2026-09-21 14:13:20.123 a test 3"
    );
    // What he changes by hand is the graph of the next start; ids above all others are taken in.
    reader.execute_batch("UPDATE node SET label = 'by hand' WHERE id = 1; UPDATE node SET id = 500 WHERE id = 15; DELETE FROM edge WHERE id = 1").unwrap();
    drop((reader, store));
    let loaded = open(&path).load().unwrap();
    assert_eq!((&*loaded.nodes[0].label, loaded.next_node_id), ("by hand", 501));
    let report = check(&path).unwrap();
    assert_eq!((report.problems.len(), report.notes.len()), (0, 4), "{:?}", report.notes);
}

#[test]
fn a_store_of_the_first_format_is_read_as_it_is_and_brought_up_to_date_when_it_is_opened() {
    let folder = Folder::new("store");
    let path = small(&folder);
    sql(
        &path,
        "DROP VIEW history; ALTER TABLE log DROP COLUMN why; ALTER TABLE log DROP COLUMN name;
         CREATE VIEW history AS SELECT version, author FROM log; PRAGMA user_version = 1",
    );
    let old = Connection::open(&path).unwrap();
    let made: String = old.query_row("SELECT sql FROM sqlite_schema WHERE name = 'log'", [], |row| row.get(0)).unwrap();
    assert!(made.ends_with("answer TEXT) STRICT"), "as the first format had it: {made}");
    drop(old);
    // What only reads leaves it as it is.
    let report = check(&path).unwrap();
    assert_eq!((report.problems.len(), report.version), (0, 2), "{:?}", report.problems);
    let copy = folder.join("copy.db");
    assert_eq!(backup(&path, &copy).unwrap().version, 2);
    for file in [&path, &copy] {
        let mut store = open(file);
        assert_eq!(store.read_log(1, 9).unwrap().entries[0].author, "a test".into());
        let author = Author { name: Some("Ada".into()), why: Some("because".into()), ..Author::from("agent") };
        store.append(&[Entry { author: author.clone(), ..entry(3, vec![Change::RemoveEdge(EdgeId(0))]) }]).unwrap();
        assert_eq!(store.read_log(3, 9).unwrap().entries[0].author, author);
        drop(store);
        assert_eq!(open(file).read_log(2, 9).unwrap().entries[1].author, author, "it is a store like any other now");
        let reader = Connection::open(file).unwrap();
        let text = |query: &str| reader.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(text("SELECT author || name || why || changes FROM history WHERE version = 3"), "agentAdabecause1");
        assert_eq!(text("SELECT author FROM history WHERE name IS NULL AND version = 1"), "a test");
    }
}

#[test]
fn rows_that_no_graph_has_are_named() {
    let cases = [
        ("UPDATE node SET weight = 0 WHERE id = 2", "node 2: weight must be above 0, found 0"),
        ("UPDATE node SET weight = 9e999 WHERE id = 2", "node 2: weight must be a finite number"),
        ("UPDATE node SET class = 'page' WHERE id = 2", "node 2: class is \"page\", which is none"),
        ("UPDATE node SET colour = 'red' WHERE id = 2", "node 2: colour must be #rrggbb, found \"red\""),
        ("UPDATE node SET x = 1 WHERE id = 2", "node 2: x, y and z must be numbers, or NULL all three"),
        ("UPDATE node SET pinned = 2 WHERE id = 2", "node 2: pinned must be 0 or 1, found 2"),
        ("UPDATE node SET attributes = '{\"a\":1,\"a\":2}' WHERE id = 2", "node 2: attributes: \"a\" is there twice"),
        ("UPDATE node SET attributes = '[]' WHERE id = 2", "node 2: attributes: "),
        ("UPDATE node SET attributes = '{\"a\":[]}' WHERE id = 2", "node 2: attributes: "),
        ("UPDATE node SET key = printf('%05000d', 1) WHERE id = 2", "node 2: key may have 4096 bytes, found 5000"),
        (
            "UPDATE node SET id = 67108864 WHERE id = 2; DELETE FROM edge",
            "node 67108864: id must be from 0 to 67108863",
        ),
        ("UPDATE edge SET id = -1 WHERE id = 0", "edge -1: id must be from 0 to 4294967295"),
        ("UPDATE edge SET weight = -1 WHERE id = 0", "edge 0: weight must be a finite number from 0 on"),
        ("INSERT INTO setting VALUES ('sim.rate', '{')", "setting \"sim.rate\": value: "),
        ("UPDATE meta SET value = 'x' WHERE key = 'version'", "meta version: "),
        ("DELETE FROM meta WHERE key = 'epoch'", "meta epoch: "),
    ];
    for (change, reason) in cases {
        let folder = Folder::new("store");
        let path = small(&folder);
        sql(&path, change);
        let error = SqliteStore::open(&path).and_then(|mut store| store.load()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(reason) && said.contains("sqlite3"), "{change}: {said}");
        let found = check(&path).unwrap().problems;
        assert!(found[0].contains(reason), "{change}: {found:?}");
    }
    // What only the whole graph shows.
    let folder = Folder::new("store");
    let path = small(&folder);
    sql(
        &path,
        "UPDATE edge SET target = 77 WHERE id = 0; UPDATE node SET key = 'key 1' WHERE id = 2; DELETE FROM log WHERE version = 1",
    );
    sql(&path, "INSERT INTO log SELECT 4, 1, 1, 'x', NULL, '[', NULL, NULL, NULL, NULL");
    let found = check(&path).unwrap().problems.join("\n");
    for part in [
        "edge 0: its target, node 77",
        "another one has its key \"key 1\"",
        "log from version 2 to 4",
        "log 4: changes: ",
    ] {
        assert!(found.replace("the log goes", "log").contains(part), "{part}: {found}");
    }
}

#[test]
fn files_that_are_no_store_of_ours_are_refused_untouched() {
    let folder = Folder::new("store");
    let path = small(&folder);
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], part: &str| {
        let file = folder.join("case.db");
        fs::write(&file, bytes).unwrap();
        let said = refusal(&file).to_string();
        assert!(said.contains(part) && said.contains("case.db"), "{said}");
        // A way out is a command or a flag.
        assert!(said.contains("swarmcast restore") || said.contains("--store"), "{said}");
    };
    refused(b"id,source,target\n1,2,3\n", "it is no SQLite database");
    refused(&[0; 8_192], "it is no SQLite database");
    refused(&whole[..50], "was cut off");
    refused(&whole[..5], "was cut off");
    for bytes in [4_096, 5_000, whole.len() - 1] {
        refused(&whole[..bytes], &format!("was cut off: it has {bytes} bytes of {}", whole.len()));
    }
    let mut other = whole.clone();
    other[63] = 9;
    refused(&other, "has format 9, and this version reads format 2");
    other[68..72].copy_from_slice(&[1, 2, 3, 4]);
    refused(&other, "is a database of another program (application id 0x01020304)");
    let foreign = folder.join("foreign.db");
    sql(&foreign, "CREATE TABLE t (a)");
    assert!(matches!(refusal(&foreign), StoreError::Foreign { application_id: 0, .. }));
    // A table that is not ours under our name, and a trigger that would run with every change.
    for (change, part) in [
        ("DROP TABLE edge; CREATE TABLE edge (id)", "its table edge is not as it was made"),
        ("CREATE TRIGGER t AFTER INSERT ON node BEGIN DELETE FROM log; END", "it has a trigger, t"),
    ] {
        let file = folder.join("changed.db");
        fs::write(&file, &whole).unwrap();
        sql(&file, change);
        assert!(refusal(&file).to_string().contains(part));
    }
    // A second name, a folder, a folder that is missing, a log without its file.
    let second = folder.join("second.db");
    fs::hard_link(&path, &second).unwrap();
    assert!(matches!(refusal(&second), StoreError::Linked { names: 2, .. }));
    fs::remove_file(&second).unwrap();
    let inner = folder.join("folder");
    fs::create_dir(&inner).unwrap();
    assert!(matches!(SqliteStore::open(&inner), Err(StoreError::NoFile { .. })));
    assert!(matches!(SqliteStore::open(&folder.join("no/graph.db")), Err(StoreError::NoFolder { .. })));
    fs::write(folder.join("gone.db-wal"), "x").unwrap();
    assert!(matches!(refusal(&folder.join("gone.db")), StoreError::Orphan { .. }));
    fs::write(folder.join("gone.db"), "").unwrap();
    assert!(matches!(refusal(&folder.join("gone.db")), StoreError::Truncated { .. }));
    // An empty file is an empty store.
    fs::write(folder.join("empty.db"), "").unwrap();
    assert_eq!(open(&folder.join("empty.db")).version(), 0);
    assert_eq!(open(&path).version(), 2, "and the store itself is as it was");
}

#[test]
fn any_byte_of_a_store_may_be_wrong_without_a_panic() {
    let folder = Folder::new("store");
    let path = small(&folder);
    let whole = fs::read(&path).unwrap();
    let good = open(&path).load().unwrap();
    let file = folder.join("case.db");
    const STORES: usize = 400;
    let (mut refused, mut same, mut other) = (0, 0, 0);
    let mut random = Random(7);
    for _ in 0..STORES {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(folder.join(format!("case.db{suffix}")));
        }
        fs::write(&file, &bytes).unwrap();
        let checked = check(&file);
        match SqliteStore::open(&file).and_then(|mut store| store.load()) {
            Err(_) => refused += 1,
            Ok(loaded) if loaded == good => same += 1,
            Ok(_) => other += 1,
        }
        drop(checked);
    }
    println!("of {STORES} stores with a wrong bit {refused} were refused, {same} read the same, {other} otherwise");
    assert!(refused > 0 && same > 0);
}

#[test]
fn one_process_has_a_store_and_the_other_is_told_who() {
    let folder = Folder::new("store");
    let path = small(&folder);
    let store = open(&path);
    let link = folder.join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for way in [&path, &link] {
        let said = SqliteStore::open(way).unwrap_err().to_string();
        let holder = format!("in use by process {}: its lock {}.lock", std::process::id(), path.display());
        assert!(said.contains(&holder), "{said}");
    }
    let compacted = compact(&path).unwrap_err();
    assert!(matches!(compacted, StoreError::Locked { .. }) && compacted.exit_code() == 2);
    drop(store);
    open(&link);
}

#[test]
fn a_backup_is_made_beside_a_writer_and_comes_back() {
    let folder = Folder::new("store");
    let path = small(&folder);
    let mut store = open(&path);
    let good = store.load().unwrap();
    let copy = folder.join("copy.db");
    // A transaction of somebody else does not keep it from being made.
    store.append(&[entry(3, vec![])]).unwrap();
    let size = backup(&path, &copy).unwrap();
    assert_eq!((size.version, size.bytes), (3, fs::metadata(&copy).unwrap().len()));
    store.append(&[entry(4, vec![Change::RemoveEdge(EdgeId(0))])]).unwrap();
    assert!(matches!(backup(&path, &copy), Err(StoreError::Exists { .. })));
    assert!(matches!(backup(&folder.join("no.db"), &folder.join("x.db")), Err(StoreError::Absent { .. })));
    assert!(matches!(backup(&path, &folder.join("no/x.db")), Err(StoreError::NoFolder { .. })));
    // It is one file, also where nothing can be written beside it.
    assert!(!folder.join("copy.db-wal").exists());
    assert_eq!(check(&copy).unwrap().problems, [""; 0]);

    assert!(matches!(restore(&copy, &path, true), Err(StoreError::Locked { .. })));
    drop(store);
    let error = restore(&copy, &path, false).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    let (size, kept) = restore(&copy, &path, true).unwrap();
    assert_eq!(size.version, 3);
    let restored = open(&path).load().unwrap();
    assert_eq!((restored.nodes, restored.edges, restored.version), (good.nodes, good.edges, 3));
    assert_eq!(open(&kept.unwrap()).version(), 4, "the store that was there is kept");
    let elsewhere = folder.join("elsewhere.db");
    restore(&copy, &elsewhere, false).unwrap();
    assert_eq!(open(&elsewhere).version(), 3);
    // A backup that is damaged is not put in the place of anything.
    let mut file = fs::OpenOptions::new().write(true).open(&copy).unwrap();
    file.seek(SeekFrom::Start(4_096)).unwrap();
    file.write_all(&[0xA5; 4_096]).unwrap();
    assert!(restore(&copy, &path, true).is_err());
    assert_eq!(open(&path).version(), 3);
}

#[test]
fn compacting_gives_room_back_and_changes_nothing() {
    let folder = Folder::new("store");
    let path = folder.join("graph.db");
    let mut store = open(&path);
    let nodes: Vec<Change> = (0..5_000).map(|number| Change::PutNode(node(number))).collect();
    store.append(&[entry(1, nodes)]).unwrap();
    let gone: Vec<Change> = (100..5_000).map(|number| Change::RemoveNode(id(number))).collect();
    store.append(&[entry(2, gone)]).unwrap();
    let before = store.load().unwrap();
    drop(store);
    let size = compact(&path).unwrap();
    assert!(size.after < size.before && size.after == fs::metadata(&path).unwrap().len(), "{size:?}");
    assert_eq!(open(&path).load().unwrap(), before);
}

#[test]
fn the_log_is_bounded_and_says_where_it_begins() {
    let folder = Folder::new("store");
    let path = folder.join("graph.db");
    let mut store = open(&path);
    // 1 MiB a batch: 300 of them are more than the log may have.
    let mut large = node(1);
    large.attributes =
        (0..256).map(|number| (format!("{number}").into(), Value::Text("x".repeat(4_090).into()))).collect();
    let change: Arc<[Change]> = vec![Change::PutNode(large)].into();
    for version in 1..=300 {
        let mut entry = entry(version, Vec::new());
        entry.changes = Arc::clone(&change);
        store.append(&[entry]).unwrap();
        store.checkpoint(false).unwrap();
    }
    let first = store.load().unwrap().log_first.unwrap();
    let bytes: u64 = number(&path, "SELECT sum(octet_length(changes)) FROM log");
    let whole = "SELECT sum(octet_length(changes) + octet_length(author) + 64) FROM log";
    assert_eq!(
        number(&path, "SELECT value FROM meta WHERE key = 'log_bytes'"),
        number(&path, whole),
        "counted both ways"
    );
    assert!(first > 1 && bytes <= STORE_LOG_BYTES_MAX && bytes > STORE_LOG_BYTES_MAX - (4 << 20), "{first} {bytes}");
    assert!(matches!(store.read_log(first - 1, 1), Err(StoreError::Trimmed { .. })));
    let page = store.read_log(first, 1_000).unwrap();
    assert!(page.entries[0].version == first && page.entries.len() < 8, "a page has about 4 MiB");
    assert!(fs::metadata(folder.join("graph.db-wal")).unwrap().len() < 40 << 20, "the write-ahead log is emptied");
    drop(store);
    let report = check(&path).unwrap();
    assert_eq!((report.problems.len(), report.log), (0, Some((first, 300))));
}

#[test]
fn a_layout_counts_when_it_is_whole_and_the_one_before_it_until_then() {
    let folder = Folder::new("store");
    let path = folder.join("graph.db");
    let count = STORE_LAYOUT_PART_NODES as u32 * 2 + 1;
    let layout = |tick: u64| Layout {
        epoch: 1,
        tick,
        at_unix_ms: 5,
        positions: (0..count).map(|number| (id(number * 3), [number as f32, tick as f32, -0.5])).collect(),
    };
    let mut store = open(&path);
    let mut keep = |layout: &Layout, parts: usize| {
        (0..parts).map(|part| store.put_layout(layout, part).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(keep(&layout(1), 3), [true, true, false]);
    assert_eq!(keep(&layout(2), 3), [true, true, false]);
    assert_eq!(keep(&layout(3), 2), [true, true], "unfinished");
    drop(store);
    let kept = |path: &Path| open(path).load().unwrap().layout;
    assert_eq!(kept(&path), Some(layout(2)));
    assert_eq!(open(&path).load().unwrap().epoch, 1, "its epoch was used");
    // A byte of the newest one is wrong: the one before it is taken, and the check says so.
    sql(
        &path,
        "UPDATE layout_part SET positions = CAST(x'ff' || substr(positions, 2) AS BLOB) WHERE layout = 2 AND part = 1",
    );
    assert_eq!(kept(&path), Some(layout(1)));
    assert!(check(&path).unwrap().notes[0].contains("part 1 is damaged"));
    sql(&path, "DELETE FROM layout_part WHERE layout = 1 AND part = 2");
    assert_eq!(kept(&path), None);
    let mut store = open(&path);
    let empty = Layout::default();
    assert!(!store.put_layout(&empty, 0).unwrap());
    assert_eq!(store.load().unwrap().layout, Some(empty));
}
