//! Scores, runs, compares and draws layouts.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::json;
use swarmcast_layout::compare::Plan;
use swarmcast_layout::graph::Network;
use swarmcast_layout::ours::{self, Settings};
use swarmcast_layout::peers::PEERS;
use swarmcast_layout::points::Points;
use swarmcast_layout::score::score;
use swarmcast_layout::{change, gallery, report};

/// Of `compare`, when none are named: meshes, communities, hubs, trees, many components, and real graphs.
const GRAPHS: [&str; 10] = [
    "grid1k",
    "cube3k",
    "comm1k",
    "comm10k",
    "scale10k",
    "tree",
    "islands",
    "examples/graphs/les_miserables.graphml",
    "examples/graphs/desktops.csv",
    "examples/graphs/default.json",
];

/// Of `compare`, for a change.
const CHANGED: [&str; 4] = ["grid1k", "comm1k", "tree", "examples/graphs/default.json"];

/// Of `compare`, for growth.
const GROWING: [&str; 3] = ["comm10k", "comm100k", "comm1m"];

/// How good and how fast layouts are, ours and others'. A GRAPH is the name of one that is made by rule (`graphs`), or
/// a file in any format that the server imports.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Scores a layout: stress, neighbourhoods kept, spread of the edge lengths.
    Score {
        /// The graph.
        graph: String,
        /// Its layout: CSV with `id,x,y[,z]`; ids count from 0 in the order of the graph's nodes.
        layout: PathBuf,
    },
    /// Lays graphs out with the engine, and scores and times that.
    Ours {
        /// The graphs.
        #[arg(required = true)]
        graphs: Vec<String>,
        /// How.
        #[command(flatten)]
        settings: Settings,
        /// Writes the layout of the last graph as CSV.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Lays graphs out by the engine and by others in turn, and writes what was found.
    Compare {
        /// Laid out by everybody.
        #[arg(long, value_delimiter = ',', default_values_t = GRAPHS.map(str::to_owned))]
        graphs: Vec<String>,
        /// One node in a hundred is taken out and put back.
        #[arg(long, value_delimiter = ',', default_values_t = CHANGED.map(str::to_owned))]
        changed: Vec<String>,
        /// Laid out by the engine alone, to see how a step grows; "" for none.
        #[arg(long, value_delimiter = ',', default_values_t = GROWING.map(str::to_owned))]
        growing: Vec<String>,
        /// Axes.
        #[arg(long, value_delimiter = ',', default_values_t = [2, 3])]
        dimensions: Vec<u8>,
        /// Peers; all when left out.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Times that everybody runs, with another seed each.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Processor time that a peer may take for a layout, seconds.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Steps of ours.
        #[arg(long, default_value_t = 300)]
        ticks: usize,
        /// Where the results go, without .md and .json.
        #[arg(long, default_value = "bench/results/layout")]
        out: PathBuf,
    },
    /// Takes one node in a hundred out of settled layouts and puts it back.
    Change {
        /// The graphs.
        #[arg(required = true)]
        graphs: Vec<String>,
        /// How the layouts are made.
        #[command(flatten)]
        settings: Settings,
        /// Steps after the change.
        #[arg(long, default_value_t = 30)]
        after: usize,
    },
    /// Says which of the others are installed.
    Peers,
    /// Starts a layout, steps it, and says nothing: for `instructions.sh`.
    Step {
        /// The graph.
        graph: String,
        /// How.
        #[command(flatten)]
        settings: Settings,
    },
    /// Draws graphs as the engine and others lay them out, side by side.
    Gallery {
        /// The graphs.
        #[arg(required = true)]
        graphs: Vec<String>,
        /// Where the pictures go.
        #[arg(long, default_value = "bench/layout/gallery")]
        out: PathBuf,
        /// Keeps what the others draw here, and takes it from here the next time.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Steps of ours.
        #[arg(long, default_value_t = 300)]
        ticks: usize,
        /// Processor time that a peer may take for a graph, seconds.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Lists the graphs that are made by rule; with a graph and a file, writes its edges for other programs.
    Graphs {
        /// The graph.
        graph: Option<String>,
        /// The file: counts of nodes and edges, then an edge a line.
        out: Option<PathBuf>,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Score { graph, layout } => {
            let network = Network::open(&graph)?;
            let points = Points::read(&layout, network.node_count)?;
            println!("{}", serde_json::to_string(&score(&network, &points))?);
        }
        Command::Ours { graphs, settings, out } => {
            for graph in &graphs {
                let network = Network::open(graph)?;
                let run = ours::lay_out(&network, &settings)?;
                if let Some(out) = &out {
                    run.points.write(out)?;
                }
                let score = score(&network, &run.points);
                println!("{}", json!({ "graph": network.name, "score": score, "taken": run.taken }));
            }
        }
        Command::Compare { graphs, changed, growing, dimensions, only, rounds, seconds, ticks, out } => {
            let named = |names: Vec<String>| names.into_iter().filter(|name| !name.is_empty()).collect();
            let (graphs, changed, growing) = (named(graphs), named(changed), named(growing));
            let plan = Plan { graphs, changed, growing, dimensions, only, rounds, seconds, ticks };
            report::write(&out, &plan.run()?)?;
        }
        Command::Change { graphs, settings, after } => {
            for graph in &graphs {
                println!("{}", serde_json::to_string(&change::measure(&Network::open(graph)?, &settings, after)?)?);
            }
        }
        Command::Peers => {
            for peer in &PEERS {
                println!("{}: {}", peer.name, peer.missing().unwrap_or("installed"));
            }
        }
        Command::Step { graph, settings } => drop(ours::walk(&Network::open(&graph)?, &settings)?),
        Command::Gallery { graphs, out, keep, ticks, seconds } => {
            gallery::make(&graphs, &out, keep.as_deref(), ticks, seconds)?;
        }
        Command::Graphs { graph: Some(graph), out: Some(out) } => Network::open(&graph)?.write(&out)?,
        Command::Graphs { graph, .. } => {
            let names =
                graph.map_or_else(|| swarmcast_layout::generate::NAMES.map(str::to_owned).to_vec(), |one| vec![one]);
            for name in names {
                let network = Network::open(&name)?;
                println!("{name}: {} nodes, {} edges", network.node_count, network.edges.len());
            }
        }
    }
    Ok(())
}
