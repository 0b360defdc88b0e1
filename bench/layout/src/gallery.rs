//! The gallery: the same graphs laid out by the engine and by others, side by side.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::draw;
use crate::graph::Network;
use crate::ours::{self, Settings};
use crate::peers::Peer;
use crate::points::Points;
use crate::score::{Score, score};

/// One square of a sheet.
#[derive(Clone, Copy, Debug)]
enum Column {
    Ours(u8),
    Peer(&'static str, u8),
}

/// Row by row: what the engine draws, in both dimensions, then the best batch layouts, then live ones.
const COLUMNS: [Column; 8] = [
    Column::Ours(2),
    Column::Ours(3),
    Column::Peer("sfdp", 2),
    Column::Peer("sfdp", 3),
    Column::Peer("fm3", 2),
    Column::Peer("s_gd2", 2),
    Column::Peer("d3", 2),
    Column::Peer("forceatlas2-rs", 2),
];

/// Draws a sheet of each graph into `folder`, and `index.md` beside them. Peers have `seconds` of processor time each. What they
/// draw is kept in `kept`, where one is named, and taken from there the next time: only ours changes from day to day.
///
/// # Errors
/// When the engine refuses a graph, or a file cannot be written. A peer that fails leaves a grey square.
pub fn make(graphs: &[String], folder: &Path, kept: Option<&Path>, ticks: usize, seconds: u64) -> Result<()> {
    kept.map(fs::create_dir_all).transpose()?;
    fs::create_dir_all(folder)?;
    let mut index = String::from(
        "# Gallery\n\nMade by `layout gallery`. Each sheet has, row by row, the layouts of the table under it; a grey \
         square is a layout that was not made. Colours are the groups of the graph where it has some, else the hops from one \
         end, blue to red: a fold shows as two colours over each other. Layouts in space are seen along their shortest axis. \
         Stress: 0 is perfect; np1 and np2: 1 is perfect; see `../README.md`.\n",
    );
    for graph in graphs {
        let network = Network::open(graph)?;
        let made: Vec<Option<Points>> =
            COLUMNS.iter().map(|column| column.points(&network, kept, ticks, seconds)).collect::<Result<_>>()?;
        let picture = draw::sheet(&network, &made.iter().map(Option::as_ref).collect::<Vec<_>>())?;
        draw::write(&picture, &folder.join(format!("{}.png", network.name)))?;
        let (nodes, edges, name) = (network.node_count, network.edges.len(), &network.name);
        writeln!(index, "\n## {name}: {nodes} nodes, {edges} edges\n\n![{name}]({name}.png)\n")?;
        index.push_str("| layout | stress | np1 | np2 | edge spread |\n|---|---|---|---|---|\n");
        for (column, points) in COLUMNS.iter().zip(&made) {
            let scored = points.as_ref().map(|points| score(&network, points));
            writeln!(index, "{}", row(column, scored.as_ref()))?;
        }
        eprintln!("{name}: drawn");
    }
    fs::write(folder.join("index.md"), index)?;
    Ok(())
}

impl Column {
    fn points(self, network: &Network, kept: Option<&Path>, ticks: usize, seconds: u64) -> Result<Option<Points>> {
        match self {
            Self::Ours(dimensions) => {
                let settings = Settings { dimensions, ticks, ..Settings::default() };
                Ok(Some(ours::lay_out(network, &settings)?.points))
            }
            Self::Peer(name, dimensions) => {
                let kept = kept.map(|kept| kept.join(format!("{}-{name}-{dimensions}d.csv", network.name)));
                if let Some(points) = kept.as_ref().and_then(|kept| Points::read(kept, network.node_count).ok()) {
                    return Ok(Some(points));
                }
                let Some(peer) = Peer::named(name).filter(|peer| peer.missing().is_none()) else { return Ok(None) };
                let wall_limit = Duration::from_secs(4 * seconds + 10);
                match peer.lay_out(network, dimensions, 1, seconds, wall_limit) {
                    Ok(made) => {
                        kept.map(|kept| made.points.write(&kept)).transpose()?;
                        Ok(Some(made.points))
                    }
                    Err(error) => {
                        eprintln!("{name} on {}: {error:#}", network.name);
                        Ok(None)
                    }
                }
            }
        }
    }
}

fn row(column: &Column, score: Option<&Score>) -> String {
    let name = match column {
        Column::Ours(dimensions) => format!("**Swarmcast {dimensions}D**"),
        Column::Peer(name, dimensions) => format!("{name} {dimensions}D"),
    };
    match score {
        Some(score) => {
            let Score { stress, np1, np2, edge_spread, .. } = score;
            format!("| {name} | {stress:.4} | {np1:.3} | {np2:.3} | {edge_spread:.2} |")
        }
        None => format!("| {name} | not made | | | |"),
    }
}
