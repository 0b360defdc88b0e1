//! Goal: a process that dies at any instant loses nothing that it acknowledged, and leaves nothing half done.
//! Method: this program runs itself as a writer on the real thread and file, kills it with SIGKILL after a random time, and
//! compares the file with a model that makes the same changes: by rows, by log, by what the writer said was committed. The
//! next writer goes on with the same file. 20 rounds; `SWARMCAST_CRASH_ROUNDS` asks for another number. `power_cut.sh` runs the other
//! form: the disk under a writer is copied at random instants, and each copy is what a power cut would have left.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use swarmcast::graph::{Change, EdgeId, EdgeRow, Node, NodeClass, NodeId, Value};
use swarmcast::handoff::{Doorbell, Overflow, lane};
use swarmcast::limits::STORE_RETRIES_MAX;
use swarmcast::metrics::Metrics;
use swarmcast::store::{
    Entry, Layout, Loaded, SqliteStore, Store, StoreLanes, StoreOrder, StoreReport, StoreThread, check,
};

use crate::folder::Folder;
use crate::random::Random;

const WRITER: &str = "SWARMCAST_CRASH_WRITER";

/// How long it rests at most, us.
const PAUSE: &str = "SWARMCAST_CRASH_PAUSE_US";

/// The graph as it must be. Each version's changes follow from the version and the graph before it.
#[derive(Default)]
struct Model {
    version: u64,
    nodes: BTreeMap<u32, Node>,
    edges: BTreeMap<u32, EdgeRow>,
    settings: BTreeMap<Box<str>, serde_json::Value>,
    next: (u32, u32),
}

impl Model {
    fn of(loaded: Loaded) -> Self {
        Self {
            version: loaded.version,
            nodes: loaded.nodes.into_iter().map(|node| (node.id.get(), node)).collect(),
            edges: loaded.edges.into_iter().map(|edge| (edge.id.0, edge)).collect(),
            settings: loaded.settings.into_iter().collect(),
            next: (loaded.next_node_id, loaded.next_edge_id),
        }
    }

    /// The next batch; the model makes it as well.
    fn step(&mut self) -> Entry {
        self.version += 1;
        let mut random = Random(self.version.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut changes = Vec::new();
        for _ in 0..=random.below(12) {
            match random.below(10) {
                0..5 => {
                    let id = if random.below(3) == 0 && !self.nodes.is_empty() {
                        self.any(&mut random)
                    } else {
                        self.next.0
                    };
                    self.next.0 = self.next.0.max(id + 1);
                    let size = random.below(300) as usize;
                    let node = Node {
                        id: NodeId::new(id).unwrap(),
                        key: format!("{id}").into(),
                        label: format!("{} {}", self.version, "l".repeat(size)).into(),
                        class: NodeClass::default(),
                        group: None,
                        weight: 1.0 + random.below(100) as f32 / 7.0,
                        colour: None,
                        position: None,
                        pinned: false,
                        attributes: vec![("version".into(), Value::Int(self.version as i64))],
                    };
                    self.nodes.insert(id, node.clone());
                    changes.push(Change::PutNode(node));
                }
                5..8 if !self.nodes.is_empty() => {
                    let ends = (self.any(&mut random), self.any(&mut random));
                    let edge = EdgeRow {
                        id: EdgeId(self.next.1),
                        source: NodeId::new(ends.0).unwrap(),
                        target: NodeId::new(ends.1).unwrap(),
                        weight: 0.5,
                        directed: true,
                        relation: Some(format!("r{}", random.below(4)).into()),
                        label: None,
                        attributes: Vec::new(),
                    };
                    self.next.1 += 1;
                    self.edges.insert(edge.id.0, edge.clone());
                    changes.push(Change::PutEdge(edge));
                }
                8 if !self.nodes.is_empty() => {
                    let id = NodeId::new(self.any(&mut random)).unwrap();
                    let cut: Vec<u32> = self
                        .edges
                        .values()
                        .filter(|edge| edge.source == id || edge.target == id)
                        .map(|edge| edge.id.0)
                        .collect();
                    for edge in cut {
                        self.edges.remove(&edge);
                        changes.push(Change::RemoveEdge(EdgeId(edge)));
                    }
                    self.nodes.remove(&id.get());
                    changes.push(Change::RemoveNode(id));
                }
                _ => {}
            }
        }
        let settings = match random.below(4) {
            0 => vec![("sim.a".into(), Some(serde_json::json!(self.version)))],
            1 => vec![("sim.a".into(), None)],
            _ => Vec::new(),
        };
        for (path, value) in &settings {
            match value {
                Some(value) => self.settings.insert(Box::clone(path), value.clone()),
                None => self.settings.remove(path),
            };
        }
        let key = random.below(3) == 0;
        Entry {
            version: self.version,
            epoch: self.version as u32,
            at_unix_ms: self.version * 10,
            author: "crash".into(),
            idempotency_key: key.then(|| format!("key {}", self.version).into()),
            changes: changes.into(),
            settings,
            answer: if key { format!("{}", self.version).into() } else { "".into() },
        }
    }

    fn any(&self, random: &mut Random) -> u32 {
        let place = random.below(self.nodes.len() as u64) as usize;
        *self.nodes.keys().nth(place).unwrap()
    }

    fn layout(version: u64) -> Layout {
        // More than one part, so that it can be cut in the middle.
        let positions = (0..70_000).map(|id| (NodeId::new(id).unwrap(), [version as f32, id as f32, 0.0])).collect();
        Layout { epoch: 1, tick: version, at_unix_ms: version, positions }
    }
}

/// Writes to the store until it is killed, and says what was committed as soon as it hears it.
fn write(path: &Path) {
    let mut store = SqliteStore::open(path).unwrap();
    let mut model = Model::of(store.load().unwrap());
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    let bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
    let (mut orders, orders_in) = lane("control->store.order", 64, Overflow::Refuse, Arc::clone(&bell));
    let (reports, mut reports_in) = lane("store->control.report", 256, Overflow::Refuse, Arc::new(Doorbell::silent()));
    let metrics = Arc::new(Metrics::new(0));
    let lanes = StoreLanes { orders: orders_in, reports };
    let thread = StoreThread::new(Box::new(store), lanes, bell, metrics);
    std::thread::spawn(move || thread.run(&parker, &AtomicBool::new(false)));
    let mut out = std::io::stdout();
    let mut random = Random(u64::from(std::process::id()));
    let pause_us = std::env::var(PAUSE).unwrap().parse().unwrap();
    loop {
        for _ in 0..random.below(6) {
            let entries = (0..=random.below(3)).map(|_| model.step()).collect();
            let mut order = StoreOrder::Append { term: 0, entries };
            while let Err(back) = orders.push(order) {
                order = back;
                std::thread::yield_now();
            }
        }
        if random.below(20) == 0 {
            let _ = orders.push(StoreOrder::Layout(Box::new(Model::layout(model.version))));
        }
        while let Some(report) = reports_in.pop() {
            match report {
                StoreReport::Committed { version, .. } => writeln!(out, "committed {version}").unwrap(),
                StoreReport::LayoutKept { tick } => writeln!(out, "kept {tick}").unwrap(),
                other => panic!("{other:?}"),
            }
            out.flush().unwrap();
        }
        std::thread::sleep(Duration::from_micros(random.below(pause_us)));
    }
}

/// What a writer has said so far.
#[derive(Default)]
struct Heard {
    /// Version that is committed.
    committed: AtomicU64,
    /// Tick of the layout that is kept.
    kept: AtomicU64,
}

impl Heard {
    /// To the end of the writer.
    fn listen(&self, said: ChildStdout) {
        for line in BufReader::new(said).lines() {
            let line = line.unwrap();
            // The test harness of the writer says something as well; a last line may be cut off.
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            if let Some(version) = line.strip_prefix("committed ") {
                self.committed.fetch_max(number(version), Ordering::SeqCst);
            } else if let Some(tick) = line.strip_prefix("kept ") {
                self.kept.fetch_max(number(tick), Ordering::SeqCst);
            }
        }
    }
}

/// This program as a writer of the store at `path`.
fn writer(path: &Path, pause_us: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::a_killed_writer_loses_nothing_that_it_acknowledged", "--nocapture"])
        .env(WRITER, path)
        .env(PAUSE, pause_us.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What must be in the file.
#[derive(Default)]
struct Written {
    model: Model,
    /// Versions of batches that had an idempotency key.
    keys: Vec<u64>,
}

impl Written {
    /// Compares a store with the model, which goes on to the store's version: at least `committed`.
    fn compare(&mut self, path: &Path, committed: u64, kept: u64, when: &str) {
        let Self { model, keys } = self;
        let report = check(path).unwrap();
        assert_eq!(report.problems, [""; 0], "{when}");
        let mut store = SqliteStore::open(path).unwrap();
        let loaded = store.load().unwrap();
        let found = loaded.version;
        assert!(found >= committed.max(model.version), "{when}: {found} is in the file, {committed} was acknowledged");
        while model.version < found {
            let wanted = model.step();
            let page = store.read_log(wanted.version, 1).unwrap();
            keys.extend(wanted.idempotency_key.is_some().then_some(wanted.version));
            assert_eq!(page.entries, [wanted], "{when}");
        }
        let layout = loaded.layout.as_ref().map_or(0, |layout| layout.tick);
        assert!(layout >= kept, "{when}: the layout of {layout} is there, {kept} was kept");
        assert!(loaded.layout.as_ref().is_none_or(|layout| *layout == Model::layout(layout.tick)), "{when}");
        assert_eq!((loaded.next_node_id, loaded.next_edge_id), model.next, "{when}");
        assert_eq!(loaded.nodes, model.nodes.values().cloned().collect::<Vec<_>>(), "{when}");
        assert_eq!(loaded.edges, model.edges.values().cloned().collect::<Vec<_>>(), "{when}");
        assert_eq!(loaded.settings, model.settings.clone().into_iter().collect::<Vec<_>>(), "{when}");
        let retries: Vec<u64> = loaded.retries.iter().map(|retry| retry.version).collect();
        assert!(keys.iter().rev().take(STORE_RETRIES_MAX as usize).eq(&retries), "{when}");
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    if let Some(path) = std::env::var_os(WRITER) {
        return write(&PathBuf::from(path));
    }
    let rounds = std::env::var("SWARMCAST_CRASH_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let folder = Folder::new("crash");
    let path = folder.join("graph.db");
    let mut written = Written::default();
    let mut random = Random(u64::from(std::process::id()));
    let (mut kept, mut unclean) = (0, 0);
    let began = Instant::now();
    for round in 0..rounds {
        let mut writer = writer(&path, 2_000);
        let said = writer.stdout.take().unwrap();
        let heard = Arc::new(Heard::default());
        let listener = std::thread::spawn({
            let heard = Arc::clone(&heard);
            move || heard.listen(said)
        });
        std::thread::sleep(Duration::from_millis(40 + random.below(400)));
        writer.kill().unwrap();
        writer.wait().unwrap();
        listener.join().unwrap();
        let committed = heard.committed.load(Ordering::SeqCst);
        kept = heard.kept.load(Ordering::SeqCst).max(kept);
        unclean += u32::from(std::fs::metadata(folder.join("graph.db-wal")).is_ok_and(|facts| facts.len() > 0));

        if !path.exists() {
            assert_eq!((committed, written.model.version), (0, 0), "it was killed before there was a store");
            continue;
        }
        written.compare(&path, committed, kept, &format!("round {round}"));
    }
    println!(
        "{rounds} rounds in {:?}: {unclean} ended with an unfinished log, {} batches, {} nodes, layout of {kept}",
        began.elapsed(),
        written.model.version,
        written.model.nodes.len()
    );
    assert!(written.model.version > 100 && unclean > 0, "the writers wrote");
}

/// Runs a command that must succeed.
fn must(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().unwrap();
    assert!(status.success(), "{program} {words:?}: {status}");
}

#[test]
#[ignore = "needs a disk that can be copied at an instant: tests/power_cut.sh makes one"]
fn a_disk_that_is_cut_off_has_what_was_acknowledged() {
    let place = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let (disk, mounted, copies) =
        (place("SWARMCAST_DISK"), place("SWARMCAST_DISK_MOUNTED"), place("SWARMCAST_DISK_COPIES"));
    let rounds = std::env::var("SWARMCAST_CRASH_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let (copy, at) = (copies.join("copy.img"), copies.join("mounted"));
    std::fs::create_dir_all(&at).unwrap();
    let [disk, copy_name, at_name] = [&disk, &copy, &at].map(|path| path.to_str().unwrap());
    // Slow enough that the comparisons keep up with a file that only grows.
    let mut writing = writer(&mounted.join("graph.db"), 40_000);
    let (said, heard) = (writing.stdout.take().unwrap(), Arc::new(Heard::default()));
    let listener = std::thread::spawn({
        let heard = Arc::clone(&heard);
        move || heard.listen(said)
    });
    let (mut written, mut random, mut unclean) = (Written::default(), Random(u64::from(std::process::id())), 0);
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(20 + random.below(300)));
        let (committed, kept) = (heard.committed.load(Ordering::SeqCst), heard.kept.load(Ordering::SeqCst));
        must("cp", &["--reflink=always", disk, copy_name]);
        must("mount", &["-o", "loop", copy_name, at_name]);
        let path = at.join("graph.db");
        unclean += u32::from(std::fs::metadata(at.join("graph.db-wal")).is_ok_and(|facts| facts.len() > 0));
        if committed > 0 || path.exists() {
            written.compare(&path, committed, kept, &format!("cut {round}"));
        }
        must("umount", &[at_name]);
        std::fs::remove_file(&copy).unwrap();
    }
    writing.kill().unwrap();
    writing.wait().unwrap();
    listener.join().unwrap();
    println!("{rounds} cuts: {unclean} with an unfinished log, {} batches", written.model.version);
    assert!(written.model.version > 100 && unclean > 0, "the writer wrote");
}
