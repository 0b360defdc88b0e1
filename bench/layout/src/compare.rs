//! The engine and others on the same graphs, in turn, in one run.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::round::median;

use crate::change::{self, Change};
use crate::graph::Network;
use crate::ours::{self, Settings, Taken};
use crate::peers::{PEERS, Peer};
use crate::score::{Score, score};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Graphs to be laid out by everybody.
    pub graphs: Vec<String>,
    /// Graphs on which a hundredth of the nodes is changed.
    pub changed: Vec<String>,
    /// Graphs of one kind, laid out by the engine alone, to see how a tick grows.
    pub growing: Vec<String>,
    /// 2, 3 or both.
    pub dimensions: Vec<u8>,
    /// Peers by name; all when empty.
    pub only: Vec<String>,
    /// Times that everybody runs, with another seed each.
    pub rounds: usize,
    /// Processor time that a peer may take for one layout, seconds.
    pub seconds: u64,
    /// Steps of ours.
    pub ticks: usize,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Results {
    /// On what.
    pub machine: Machine,
    /// Steps of ours.
    pub ticks: usize,
    /// Graphs and dimensions.
    pub rows: Vec<Row>,
    /// Graphs with a change.
    pub changes: Vec<Change>,
    /// Graphs of growing size.
    pub growth: Vec<Growth>,
}

/// One graph in one number of dimensions.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The graph.
    pub graph: String,
    /// Its nodes.
    pub nodes: usize,
    /// Its edges.
    pub edges: usize,
    /// 2 or 3.
    pub dimensions: u8,
    /// Of the engine, every time it ran.
    pub ours: Vec<Entry>,
    /// Of the others.
    pub peers: Vec<PeerRow>,
}

/// One peer on one graph.
#[derive(Debug, Serialize)]
pub struct PeerRow {
    /// Its name.
    pub name: String,
    /// Of its package.
    pub version: Option<String>,
    /// Whether it can be stepped.
    pub live: bool,
    /// Whether it is a crate.
    pub rust: bool,
    /// Why there are no rounds, or fewer.
    pub not_measured: Option<String>,
    /// Every time it ran.
    pub rounds: Vec<Entry>,
    /// Of a live one: its tick over that of the engine's run just before, by round.
    pub ratios: Vec<f64>,
    /// Of d3-force in the plane: the engine's runs just before it at the accuracy of d3-force, and its tick over theirs, by round.
    pub even: Vec<(Taken, f64)>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Times.
    pub taken: Taken,
    /// Quality; only of the first run where a graph is large, because scoring takes seconds.
    pub score: Option<Score>,
}

/// The engine on one of the growing graphs.
#[derive(Debug, Serialize)]
pub struct Growth {
    /// The graph.
    pub graph: String,
    /// Its nodes.
    pub nodes: usize,
    /// Mean tick in space, ms of processor time.
    pub tick_ms: f64,
    /// Start, ms of processor time.
    pub start_ms: f64,
    /// Mean tick of two threads, ms of processor time of both; none where there is one core.
    pub two_threads_ms: Option<f64>,
    /// Mean tick of two threads, ms on the clock; none where there is one core.
    pub two_threads_wall_ms: Option<f64>,
}

/// Accuracy at which the engine's repulsion in the plane is no worse than that of d3-force, whose error is 1.05 %, on a graph of
/// so many nodes: 0.605 gives 0.8 % on `comm10k`, and 1.06 % on `comm50k`.
fn d3_theta(nodes: usize) -> f32 {
    if nodes > 20_000 { 0.59 } else { 0.605 }
}

/// Nodes up to which every round is scored.
const SCORED_NODES_MAX: usize = 5_000;

/// Steps on a growing graph: the first ones, where the layout moves most.
const GROWTH_TICKS: usize = 20;

impl Plan {
    /// Measures everything; progress goes to standard error.
    ///
    /// # Errors
    /// When a graph cannot be opened or the engine refuses it. A peer that fails is a line of the report.
    pub fn run(&self) -> Result<Results> {
        let machine = Machine::here();
        let mut rows = Vec::new();
        for graph in &self.graphs {
            let network = Network::open(graph)?;
            for dimensions in &self.dimensions {
                rows.push(self.row(&network, *dimensions)?);
            }
        }
        let mut changes = Vec::new();
        for graph in &self.changed {
            let network = Network::open(graph)?;
            for dimensions in &self.dimensions {
                for draw in 0..CHANGE_DRAWS {
                    eprintln!("{graph} {dimensions}D: changed, draw {}", draw + 1);
                    changes.push(change::measure(&network, &self.settings(*dimensions, draw), CHANGE_TICKS)?);
                }
            }
        }
        let growth = self.growing.iter().map(|graph| grown(graph, self.rounds)).collect::<Result<_>>()?;
        Ok(Results { machine, ticks: self.ticks, rows, changes, growth })
    }

    fn row(&self, network: &Network, dimensions: u8) -> Result<Row> {
        let wanted = |peer: &&Peer| self.only.is_empty() || self.only.iter().any(|name| name == peer.name);
        let peers = PEERS.iter().filter(|peer| peer.dimensions.contains(&dimensions)).filter(wanted);
        let mut peers: Vec<(&Peer, PeerRow)> = peers.map(|peer| (peer, PeerRow::of(peer))).collect();
        let mut row = Row {
            graph: network.name.clone(),
            nodes: network.node_count,
            edges: network.edges.len(),
            dimensions,
            ours: Vec::new(),
            peers: Vec::new(),
        };
        for round in 0..self.rounds {
            let scored = round == 0 || network.node_count <= SCORED_NODES_MAX;
            row.ours.push(self.ours(network, dimensions, round, scored)?);
            for (peer, entry) in &mut peers {
                if entry.not_measured.is_some() {
                    continue;
                }
                eprintln!("{} {dimensions}D, round {}: {}", network.name, round + 1, peer.name);
                // Just before each, so that what else the machine does weighs on both alike.
                let before = if peer.live { Some(self.ours(network, dimensions, round, false)?) } else { None };
                let even = self.even(network, dimensions, round, peer)?;
                self.peer(network, dimensions, round, peer, before, scored, entry);
                let tick = entry.rounds.get(round).and_then(|made| made.taken.tick_ms);
                let both = even.and_then(|even| Some((tick? / even.tick_ms?, even)));
                entry.even.extend(both.map(|(ratio, even)| (even, ratio)));
            }
        }
        row.peers = peers.into_iter().map(|(_, entry)| entry).collect();
        Ok(row)
    }

    fn settings(&self, dimensions: u8, round: usize) -> Settings {
        Settings { dimensions, ticks: self.ticks, seed: 1 + round as u64, ..Settings::default() }
    }

    /// The engine as accurate as d3-force in the plane, before that.
    fn even(&self, network: &Network, dimensions: u8, round: usize, peer: &Peer) -> Result<Option<Taken>> {
        if peer.name != "d3" || dimensions != 2 {
            return Ok(None);
        }
        let settings = Settings { theta: Some(d3_theta(network.node_count)), ..self.settings(dimensions, round) };
        Ok(Some(ours::lay_out(network, &settings)?.taken))
    }

    fn ours(&self, network: &Network, dimensions: u8, round: usize, scored: bool) -> Result<Entry> {
        let run = ours::lay_out(network, &self.settings(dimensions, round))?;
        Ok(Entry { taken: run.taken, score: scored.then(|| score(network, &run.points)) })
    }

    #[allow(clippy::too_many_arguments, reason = "one line of a loop, taken out of it")]
    fn peer(
        &self,
        network: &Network,
        dimensions: u8,
        round: usize,
        peer: &Peer,
        before: Option<Entry>,
        scored: bool,
        entry: &mut PeerRow,
    ) {
        let wall_limit = Duration::from_secs(3 * self.seconds + 10);
        match peer.lay_out(network, dimensions, 1 + round as u64, self.seconds, wall_limit) {
            Ok(made) => {
                entry.version = Some(made.version);
                let ours = before.and_then(|before| before.taken.tick_ms);
                entry.ratios.extend(made.taken.tick_ms.zip(ours).map(|(theirs, ours)| theirs / ours));
                let score = scored.then(|| score(network, &made.points));
                entry.rounds.push(Entry { taken: made.taken, score });
            }
            // What failed or was late once is not tried again.
            Err(error) => entry.not_measured = Some(format!("{error:#}")),
        }
    }
}

/// Times that a graph is changed: other nodes, and another layout. Layouts from nothing differ by some percent themselves.
const CHANGE_DRAWS: usize = 7;

/// Steps after a change.
const CHANGE_TICKS: usize = 30;

/// One thread and two in turn, so that what else the machine does weighs on both alike.
fn grown(graph: &str, rounds: usize) -> Result<Growth> {
    let network = Network::open(graph)?;
    let settings = Settings { ticks: GROWTH_TICKS, ..Settings::default() };
    let can_two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for round in 0..rounds.max(1) {
        eprintln!("{graph}: grown, round {}", round + 1);
        one.push(ours::lay_out(&network, &settings)?.taken);
        if can_two {
            two.push(ours::lay_out(&network, &Settings { threads: 2, ..settings })?.taken);
        }
    }
    let middle_of = |runs: &[Taken], value: fn(&Taken) -> Option<f64>| {
        let values: Vec<f64> = runs.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| median(values))
    };
    Ok(Growth {
        graph: network.name,
        nodes: network.node_count,
        tick_ms: middle_of(&one, |taken| taken.tick_ms).unwrap_or(f64::NAN),
        start_ms: middle_of(&one, |taken| Some(taken.start_ms)).unwrap_or(f64::NAN),
        two_threads_ms: middle_of(&two, |taken| taken.tick_ms),
        two_threads_wall_ms: middle_of(&two, |taken| taken.tick_wall_ms),
    })
}

impl PeerRow {
    fn of(peer: &Peer) -> Self {
        Self {
            name: peer.name.to_owned(),
            version: None,
            live: peer.live,
            rust: peer.rust,
            not_measured: peer.missing().map(str::to_owned),
            rounds: Vec::new(),
            ratios: Vec::new(),
            even: Vec::new(),
        }
    }

    /// Median of the ratios to the engine at the accuracy of d3-force, and of its error there; none without one.
    #[must_use]
    pub fn even(&self) -> Option<(f64, f64)> {
        let errors: Vec<f64> = self.even.iter().filter_map(|(taken, _)| taken.repulsion_error).collect();
        let ratios = self.even.iter().map(|(_, ratio)| *ratio);
        (!errors.is_empty()).then(|| (median(ratios), median(errors)))
    }

    /// Median of the rounds' ratios; none without one.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (!self.ratios.is_empty()).then(|| median(self.ratios.iter().copied()))
    }
}

/// The median of what `value` says of the entries that say it; none without one.
#[must_use]
pub fn middle(entries: &[Entry], value: impl Fn(&Entry) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = entries.iter().filter_map(value).filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| median(values))
}
