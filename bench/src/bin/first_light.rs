//! Question: what does a frame cost when the engine simulates, encodes and delivers it to N clients, how late does it
//! come, and how far is that from a bare loop that sends the same bytes?
//!
//! Budget, for 200 clients and more: the shards take at most 1.25 times the processor time per delivered frame of the
//! floor beside the simulation;
//! and with `swarmcast.v1` every client of the graph with about 1,000 nodes gets 60 frames a second, p99 within one
//! tick (16.7 ms). The report says which of it is kept. With few clients a frame carries a whole tick's share of waking
//! up and scraping, and its ratio says little.
//!
//! Method: for each graph and number of clients, rounds of engine, floor beside the engine's simulation (which has lost
//! its clients and runs on), and floor alone, each in a fresh process, with the same bytes, clients and rate. The first
//! floor says what the shards could save, the second what the machine asks for. The figures are medians over rounds,
//! the ratios medians of the rounds' ratios, the percentiles those of all rounds' samples. The simulation never comes to rest. Every frame is checked by every client
//! before it counts.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use swarmcast::wire::Profile;
use swarmcast_bench::client::Ask;
use swarmcast_bench::machine::{self, Machine};
use swarmcast_bench::process::machine_busy_seconds;
use swarmcast_bench::report::{Pair, Row, hardware, short, tables, write};
use swarmcast_bench::round::{Span, measure};
use swarmcast_bench::sender::Load;
use swarmcast_bench::server::Server;

const RATIO_MAX: f64 = 1.25;
const BUDGET_CLIENTS: usize = 200;
const DELIVERED_HZ_MIN: f64 = 59.0;
const LATENCY_NS_MAX: u64 = 16_666_667;

/// Times that a round is measured until the machine is quiet.
const TRIES_MAX: usize = 8;

/// Larger ids do not fit into a record of profile v1.
const V1_NODES_MAX: usize = 16_384;

/// Every graph, and about how many nodes it has.
const GRAPHS: [(&str, usize); 3] = [
    ("examples/graphs/desktops.csv", 1_054),
    ("examples/graphs/wordnet_artifacts.txt", 10_699),
    ("examples/graphs/out/debian.json", 99_686),
];

/// What the engine delivers, how late, and at what cost above a bare loop.
#[derive(Parser)]
struct Options {
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// The bare sender; by default the one beside this program.
    #[arg(long)]
    floor: Option<PathBuf>,
    /// swarmcast.v1, v1, v2 or v3. Only the first carries sequence and time.
    #[arg(long, default_value = "swarmcast.v1", value_parser = |name: &str| Profile::from_name(name).ok_or("no such profile"))]
    profile: Profile,
    /// Graphs instead of the three examples.
    #[arg(long)]
    graph: Vec<PathBuf>,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 20, 200])]
    clients: Vec<usize>,
    /// Ticks and frames a second.
    #[arg(long, default_value_t = 60)]
    rate: u32,
    /// Windows of each row, each of engine and floor.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a window.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Left out before it, once every client has had a frame.
    #[arg(long, default_value_t = 2.0)]
    warm: f64,
    /// Cores that others may use during a window; a round that saw more is measured again, a few times.
    #[arg(long, default_value_t = 0.1)]
    quiet: f64,
    /// More for the engine, as in --set threads.pin=false; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the report goes, without extension.
    #[arg(long, default_value = "bench/results/first-light")]
    out: PathBuf,
    /// One short round of three clients on a small graph: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.clients, options.rounds, options.seconds, options.warm) = (vec![1, 3], 1, 0.4, 0.1);
        if options.graph.is_empty() {
            options.graph = vec![PathBuf::from("examples/graphs/les_miserables.graphml")];
        }
    }
    ensure!(options.rounds > 0 && options.seconds > 0.0 && options.warm >= 0.0, "rounds and seconds above 0");
    let floor = match &options.floor {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("floor"),
    };
    let machine = Machine::here();
    let graphs = if options.graph.is_empty() {
        GRAPHS.iter().map(|(path, _)| PathBuf::from(path)).collect()
    } else {
        options.graph.clone()
    };
    let mut rows = Vec::new();
    for graph in &graphs {
        for clients in options.clients.iter().copied() {
            let name =
                graph.file_name().map_or_else(|| graph.display().to_string(), |name| name.to_string_lossy().into());
            let mut row =
                Row { graph: name, clients, not_measured: obstacle(graph, &options), repeated: 0, rounds: Vec::new() };
            if row.not_measured.is_none() {
                for round in 0..options.rounds {
                    eprintln!("{} with {clients} clients, round {} of {}", row.graph, round + 1, options.rounds);
                    let pair = quiet_pair(&options, &floor, graph, clients);
                    let pair = pair.with_context(|| format!("{} with {clients} clients", row.graph))?;
                    row.repeated += pair.1;
                    row.rounds.push(pair.0);
                }
            }
            rows.push(row);
            // After every row: a run that is stopped keeps what it has.
            write(&options.out, "First light", &machine, &notes(&options, &rows), &rows)?;
        }
    }
    println!("{}{}\n{}", hardware(&machine), notes(&options, &rows), tables(&rows));
    Ok(())
}

/// Why this graph cannot be measured.
fn obstacle(graph: &Path, options: &Options) -> Option<String> {
    if !graph.exists() {
        let how =
            if graph.ends_with("debian.json") { "; `python3 examples/graphs/make_debian.py` makes it" } else { "" };
        return Some(format!("no {}{how}", graph.display()));
    }
    let nodes = GRAPHS.iter().find(|(path, _)| graph == Path::new(path)).map_or(0, |(_, nodes)| *nodes);
    (options.profile == Profile::V1 && nodes > V1_NODES_MAX).then(|| "its ids do not fit into profile v1".to_owned())
}

/// The first round in which the machine had little else to do, and how many were thrown away for it; the last one when
/// there was none. What decides is only what others did, never what was measured.
fn quiet_pair(options: &Options, floor: &Path, graph: &Path, clients: usize) -> Result<(Pair, usize)> {
    let tries = if options.small { 1 } else { TRIES_MAX };
    let mut repeated = 0;
    loop {
        if !options.small {
            wait_for_quiet(options.quiet)?;
        }
        let pair = pair(options, floor, graph, clients)?;
        if pair.others_cores() <= options.quiet || repeated + 1 >= tries {
            return Ok((pair, repeated));
        }
        repeated += 1;
        eprintln!("others used {:.2} cores: once more", pair.others_cores());
    }
}

/// Returns when the machine has had little to do for two seconds, or after two minutes.
fn wait_for_quiet(cores: f64) -> Result<()> {
    const LOOK: Duration = Duration::from_secs(2);
    for _ in 0..60 {
        let before = machine_busy_seconds()?;
        sleep(LOOK);
        if machine_busy_seconds()? - before <= cores * LOOK.as_secs_f64() {
            break;
        }
    }
    Ok(())
}

/// The engine, then the floor at the rate that the engine published: beside the simulation, and alone.
fn pair(options: &Options, floor: &Path, graph: &Path, clients: usize) -> Result<Pair> {
    let span = Span { warm: Duration::from_secs_f64(options.warm), measured: Duration::from_secs_f64(options.seconds) };
    let more: Vec<String> = options.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]).collect();
    let more = [vec!["--rate".to_owned(), options.rate.to_string()], more].concat();
    let server = Server::engine(&options.server, graph, &more)?;
    let core = server.shard_core;
    let ask = Ask { address: server.address, profile: options.profile, rate_hz: options.rate, clients };
    let engine = measure(&server, ask, span, Some(server.address))?;
    let published_hz = engine.engine.as_ref().map_or(0.0, |engine| engine.published_hz);
    ensure!(published_hz > 0.0, "the engine published nothing");
    let bare = || {
        let load = Load { frame_bytes: engine.frame_bytes, clients, rate_hz: published_hz, one_piece: false };
        let sender = Server::floor(floor, load, core)?;
        measure(&sender, Ask { address: sender.address, profile: Profile::Own, ..ask }, span, None)
    };
    // Its clients have left, its simulation runs on: the sender finds the caches and cores that the shards found.
    let beside = bare()?;
    drop(server);
    let floor = bare()?;
    Ok(Pair { engine, beside, floor })
}

fn notes(options: &Options, rows: &[Row]) -> String {
    let mut out = format!(
        "- profile {}, {} Hz, {} rounds of {} s after {} s of warm-up, engine, floor beside its simulation and floor alone in turn; load average after: {}\n\
         - the clients are one thread on the same cores as the server: where the cores are used up, clients and server \
         slow each other down\n",
        options.profile.name(),
        options.rate,
        options.rounds,
        options.seconds,
        options.warm,
        machine::load(),
    );
    let repeated: usize = rows.iter().map(|row| row.repeated).sum();
    let loud = rows.iter().flat_map(|row| &row.rounds).map(Pair::others_cores).fold(0.0, f64::max);
    out += &format!(
        "- {repeated} rounds were measured again because others used more than {} cores; in those kept it was at most {loud:.2}\n",
        options.quiet
    );
    let mut verdict = |kept: bool, what: String| {
        out += &format!("- budget {}: {what}\n", if kept { "kept" } else { "missed" });
    };
    for sum in rows.iter().filter_map(Row::summary).filter(|sum| sum.clients >= BUDGET_CLIENTS) {
        let (graph, clients, ratio) = (&sum.graph, sum.clients, sum.ratio[0]);
        let what = format!(
            "shards at most {RATIO_MAX} times the floor beside the simulation; {} with {clients} clients: {}",
            graph,
            short(ratio)
        );
        verdict(ratio <= RATIO_MAX, what);
        if graph == "desktops.csv" && options.profile == Profile::Own {
            let in_time = sum.latency_ns.is_some_and(|[_, _, p99, _, _]| p99 <= LATENCY_NS_MAX);
            let kept = sum.delivered_hz[0] >= DELIVERED_HZ_MIN && in_time;
            verdict(kept, format!("60 Hz to each of {clients} clients of {graph}, p99 within a tick"));
        }
    }
    out
}
