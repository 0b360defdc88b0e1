//! Scores, runs, compares and draws layouts.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::json;
use swarmcast_layout::gallery;
use swarmcast_layout::graph::Network;
use swarmcast_layout::ours::{self, Settings};
use swarmcast_layout::points::Points;
use swarmcast_layout::score::score;

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
        /// Its layout: CSV with id,x,y[,z]; ids count from 0 in the order of the graph's nodes.
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
    /// Draws graphs as the engine and others lay them out, side by side.
    Gallery {
        /// The graphs.
        #[arg(required = true)]
        graphs: Vec<String>,
        /// Where the pictures go.
        #[arg(long, default_value = "bench/layout/gallery")]
        out: PathBuf,
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
        Command::Gallery { graphs, out, ticks, seconds } => gallery::make(&graphs, &out, ticks, seconds)?,
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
