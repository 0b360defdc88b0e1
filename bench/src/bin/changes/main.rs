//! Question: how fast is a graph that lives? How long does a change take until it is durable, on every stream and in the simulation, how
//! many are there a second, what do viewers notice of them, how long takes a file in, how long a start, and what does a row weigh?
//!
//! Budgets: 16 writers of single nodes, p99 at most 10 ms; batches of 64, at least 20,000 nodes a second; viewers' p99 at 1,000 changes a
//! second at most 1.10 of that without; a GraphML file of 100,000 nodes and 300,000 edges at most 1.5 times quick-xml alone; a start over
//! 100,000 nodes and 500,000 entries at most 2 s to the first frame; at most 400 bytes a node and 60 an edge.
//!
//! Method: the engine as a user starts it, over a store on the disk of `--folder`, and HTTP clients of this process. Each figure stands
//! beside a floor of the same run: a bare append and `fdatasync` for what is durable, the reader alone for the file. Rounds alternate, and
//! medians are told.

#![forbid(unsafe_code)]

mod file;
mod http;
mod weight;
mod writers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use swarmcast::graph::{Change, EdgeId, EdgeRow, Graph, Node, NodeId, NodeIndex};
use swarmcast::store::{About, Entry, SqliteStore, Store};
use swarmcast_bench::machine::{self, Machine};
use swarmcast_bench::peek::Peek;
use swarmcast_bench::report::hardware;
use swarmcast_bench::round::median;
use swarmcast_bench::server::Server;

/// What the changes of a live graph cost.
#[derive(Parser)]
pub struct Options {
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// Where the stores lie; its disk is part of what is measured.
    #[arg(long, default_value = "target/changes")]
    folder: PathBuf,
    /// Seconds of a round of writers.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rounds of everything.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Viewers beside the writers.
    #[arg(long, default_value_t = 200)]
    viewers: u32,
    /// Nodes of the large graph; it has three times as many edges.
    #[arg(long, default_value_t = 100_000)]
    nodes: u32,
    /// Entries of its log.
    #[arg(long, default_value_t = 500_000)]
    entries: u64,
    /// Only this part.
    #[arg(long)]
    only: Option<Part>,
    /// Hardly any of everything: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Writers that wait for their answers.
    Writers,
    /// Viewers beside writers.
    Viewers,
    /// A GraphML file.
    File,
    /// From the start to the first frame.
    Start,
    /// Bytes of nodes and edges.
    Weight,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.seconds, options.rounds, options.viewers) = (1, 1, 5);
        (options.nodes, options.entries) = (2_000, 1_000);
    }
    ensure!(options.rounds > 0 && options.seconds > 0 && options.nodes > 1, "rounds, seconds and nodes above 0");
    std::fs::create_dir_all(&options.folder)?;
    print!("{}", hardware(&Machine::here()));
    println!("\nLoad average before: {}\n", machine::load());
    let is_asked = |part| options.only.is_none_or(|only| only == part);
    if is_asked(Part::Writers) {
        writers::run(&options)?;
    }
    if is_asked(Part::Viewers) {
        writers::run_watched(&options)?;
    }
    if is_asked(Part::File) {
        file::run(&options)?;
    }
    if is_asked(Part::Start) {
        start(&options)?;
    }
    if is_asked(Part::Weight) {
        weight::run(options.nodes)?;
    }
    println!("\nLoad average after: {}", machine::load());
    Ok(())
}

/// Says a figure, its floor and its budget, and whether that is kept.
pub fn tell(what: &str, found: f64, unit: &str, floor: Option<f64>, budget: f64, at_most: bool) {
    let floor =
        floor.map_or_else(String::new, |floor| format!("; floor {floor:.3} {unit}, {:.2} times", found / floor));
    let kept = if (found <= budget) == at_most { "kept" } else { "missed" };
    let bound = if at_most { "at most" } else { "at least" };
    println!("- {what}: **{found:.3} {unit}**{floor}; {bound} {budget} {unit}: {kept}");
}

/// A graph of so many nodes and three times as many edges.
pub fn large(nodes: u32) -> Result<(Vec<Node>, Vec<EdgeRow>)> {
    let id = |index: u32| NodeId::new(index % nodes).context("an id");
    let rows: Result<Vec<Node>> =
        (0..nodes).map(|index| Ok(Node::new(id(index)?, format!("node {index}").into()))).collect();
    let edges: Result<Vec<EdgeRow>> = (0..3 * nodes)
        .map(|index| {
            let (source, step) = (index % nodes, 1 + (index / nodes) * 17);
            Ok(EdgeRow {
                id: EdgeId(index),
                source: id(source)?,
                target: id(source + step)?,
                weight: 1.0,
                directed: true,
                relation: None,
                label: None,
                attributes: Vec::new(),
            })
        })
        .collect();
    Ok((rows?, edges?))
}

/// From the start of the process to the first frame on a stream.
fn start(options: &Options) -> Result<()> {
    let path = options.folder.join("start.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let (nodes, edges) = large(options.nodes)?;
    let graph = Graph::from_rows(nodes, edges, (0, 0))?;
    let mut store = SqliteStore::open(&path)?;
    store.put_graph(&graph, &About { name: "large".into(), source: "".into(), version: 0, epoch: 1 })?;
    let mut version = 0;
    while version < options.entries {
        let entries = (0..1_000.min(options.entries - version)).filter_map(|_| {
            version += 1;
            let index = (version % u64::from(options.nodes)) as u32;
            let mut node = graph.node(NodeIndex(index))?.clone();
            node.label = format!("label {version}").into();
            Some(Entry {
                version,
                epoch: 1,
                at_unix_ms: version,
                author: "bench".into(),
                idempotency_key: None,
                changes: vec![Change::PutNode(node)].into(),
                settings: Vec::new(),
                answer: "".into(),
            })
        });
        store.append(&entries.collect::<Vec<_>>())?;
    }
    drop(store);
    let mut took = Vec::new();
    for _ in 0..options.rounds {
        let began = Instant::now();
        let server = Server::kept(&options.server, &path, &[])?;
        let mut peek = Peek::connect(server.address, "profile=swarmcast.v1&rate=60")?;
        peek.frame()?;
        took.push(began.elapsed().as_secs_f64());
        drop(server);
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("\n{} nodes, {} edges, {} entries in the log:\n", options.nodes, 3 * options.nodes, options.entries);
    tell("start to the first frame", median(took), "s", None, 2.0, true);
    Ok(())
}
