//! The table and the files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use swarmcast::wire::ws_header;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::report::{hardware, merged, ms, short};
use swarmcast_bench::round::{Round, median};

use crate::contest::{Cell, Row, Turn};
use crate::field::{FLOOR, FLOOR_WRITEV, Player, SWARMCAST};

/// The figures of a server in a row: medians over its rounds, percentiles of all their samples together.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Payload of a message.
    pub frame_bytes: usize,
    /// Connections.
    pub clients: usize,
    /// Messages a second to each.
    pub rate_hz: u32,
    /// The server; for the engine there is a second line with what its shards alone take.
    pub server: String,
    /// Why there are no figures.
    pub without: Option<String>,
    /// The figures.
    pub figures: Option<Figures>,
}

/// See [`Summary`].
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Messages a second that all clients together were meant to get.
    pub offered_per_s: f64,
    /// That they got.
    pub delivered_per_s: f64,
    /// Share that did not come: left out by the server, or late.
    pub missing_share: f64,
    /// Processor time per delivered message, us.
    pub cpu_us: f64,
    /// Median of the rounds' ratios to the floor; none without a floor.
    pub to_floor: Option<f64>,
    /// Publish to last byte: p50, p90, p99, p99.9, max, ns.
    pub latency_ns: Option<[u64; 5]>,
    /// In that.
    pub latency_samples: u64,
    /// Memory by connection, KiB.
    pub connection_kib: f64,
    /// How busy the server was, cores.
    pub server_cores: f64,
    /// How busy the clients' one thread was.
    pub client_cores: f64,
    /// The most that anything else used in one of the rounds.
    pub others_cores_max: f64,
    /// Rounds that count, and that failed.
    pub rounds: [usize; 2],
}

/// The lines of a row.
#[must_use]
pub fn summaries(row: &Row) -> Vec<Summary> {
    let mut lines = Vec::new();
    for cell in &row.cells {
        lines.push(summary(row, cell, cell.server.clone(), |round| round.server_us));
        if cell.server == SWARMCAST && !cell.turns.is_empty() {
            lines.push(summary(row, cell, format!("{SWARMCAST}, shards only"), |round| round.sender_us));
        }
    }
    lines
}

fn summary(row: &Row, cell: &Cell, server: String, cost: fn(&Round) -> f64) -> Summary {
    let without = match (&cell.not_installed, cell.failed.first()) {
        (Some(why), _) => Some(format!("not installed: {why}")),
        (None, Some((_, why))) if cell.turns.is_empty() => Some(format!("failed: {why}")),
        _ => None,
    };
    let figures = (!cell.turns.is_empty()).then(|| figures(row, cell, cost));
    Summary { frame_bytes: row.frame_bytes, clients: row.clients, rate_hz: row.rate_hz, server, without, figures }
}

fn figures(row: &Row, cell: &Cell, cost: fn(&Round) -> f64) -> Figures {
    let over = |value: &dyn Fn(&Turn) -> f64| median(cell.turns.iter().map(value));
    let (_, head_bytes) = ws_header(row.frame_bytes);
    let wire_bytes = (head_bytes + row.frame_bytes) as f64;
    let offered_per_s = (row.clients * row.rate_hz as usize) as f64;
    let delivered_per_s = over(&|turn| turn.measured.bytes_per_s / wire_bytes);
    let ratios: Vec<f64> =
        cell.turns.iter().filter_map(|turn| Some(cost(&turn.measured) / row.floor_us(turn.round)?)).collect();
    Figures {
        offered_per_s,
        delivered_per_s,
        missing_share: (1.0 - delivered_per_s / offered_per_s).max(0.0),
        cpu_us: over(&|turn| cost(&turn.measured)),
        to_floor: (!ratios.is_empty()).then(|| median(ratios)),
        latency_ns: merged(cell.turns.iter().map(|turn| &turn.measured.latency)),
        latency_samples: cell.turns.iter().map(|turn| turn.measured.latency_samples).sum(),
        connection_kib: over(&|turn| turn.connection_kib),
        server_cores: over(&|turn| cost(&turn.measured) * turn.measured.bytes_per_s / wire_bytes / 1e6),
        client_cores: over(&|turn| turn.measured.client_cores),
        others_cores_max: cell.turns.iter().map(|turn| turn.measured.others_cores).fold(0.0, f64::max),
        rounds: [cell.turns.len(), cell.failed.len()],
    }
}

/// How a row stands against what it should keep.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Payload of a message.
    pub frame_bytes: usize,
    /// Connections.
    pub clients: usize,
    /// Messages a second to each.
    pub rate_hz: u32,
    /// Processor time per delivered message against the bare loop: all of the engine, and its shards alone.
    pub to_floor: [Option<f64>; 2],
    /// The peer that takes least, and ours against it: all of the engine.
    pub to_best_peer: Option<(String, f64)>,
    /// The peer whose p99 is least, that p99 and ours, ns, and ours against it.
    pub p99: Option<(String, u64, u64, f64)>,
}

/// Most that ours may take against the floor, against the best peer, and of its p99.
const BUDGET: [f64; 3] = [1.15, 1.0, 1.0];

impl Standing {
    /// Of a row in which the engine took part.
    #[must_use]
    pub fn of(row: &Row) -> Option<Self> {
        let ours = row.cells.iter().find(|cell| cell.server == SWARMCAST && !cell.turns.is_empty())?;
        let bare = |cell: &&Cell| cell.server == FLOOR || cell.server == FLOOR_WRITEV;
        let peers =
            || row.cells.iter().filter(|cell| cell.server != SWARMCAST && !bare(cell) && !cell.turns.is_empty());
        let whole = figures(row, ours, |round| round.server_us);
        let shards = figures(row, ours, |round| round.sender_us);
        let cost = |cell: &Cell| figures(row, cell, |round| round.server_us).cpu_us;
        let cheapest = peers().min_by(|one, two| cost(one).total_cmp(&cost(two)));
        let p99 = |cell: &Cell| figures(row, cell, |round| round.server_us).latency_ns.map(|[_, _, p99, ..]| p99);
        let quickest = peers().filter_map(|cell| Some((p99(cell)?, cell))).min_by_key(|(p99, _)| *p99);
        Some(Self {
            frame_bytes: row.frame_bytes,
            clients: row.clients,
            rate_hz: row.rate_hz,
            to_floor: [whole.to_floor, shards.to_floor],
            to_best_peer: cheapest.map(|peer| (peer.server.clone(), against(ours, peer))),
            p99: quickest
                .zip(p99(ours))
                .map(|((theirs, peer), ours)| (peer.server.clone(), theirs, ours, ours as f64 / theirs.max(1) as f64)),
        })
    }
}

/// The median of the rounds' ratios, of rounds in which both had their turn.
fn against(ours: &Cell, peer: &Cell) -> f64 {
    let in_round = |round: usize| peer.turns.iter().find(|turn| turn.round == round);
    let ratios =
        ours.turns.iter().filter_map(|turn| Some(turn.measured.server_us / in_round(turn.round)?.measured.server_us));
    median(ratios)
}

/// One line a row: what the engine should keep against the floor and against the best peer of the row.
#[must_use]
pub fn standings(rows: &[Row]) -> String {
    let [floor, peer, p99] = BUDGET;
    let mut out = format!(
        "### Against the budget\n\n\
         | frame bytes | clients | Hz | CPU per frame to the floor (at most {floor}) | shards alone | to the best peer (at most {peer}) | p99, ms: ours, best peer's | ratio (at most {p99}) |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    let judged = |ratio: Option<f64>, most: f64| match ratio {
        Some(ratio) if ratio <= most => format!("**{}**", short(ratio)),
        Some(ratio) => format!("{} missed", short(ratio)),
        None => "-".to_owned(),
    };
    for row in rows.iter().filter_map(Standing::of) {
        let [whole, shards] = row.to_floor;
        let best = row.to_best_peer.as_ref();
        let late = row.p99.as_ref();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} ({}) | {} | {} |",
            row.frame_bytes,
            row.clients,
            row.rate_hz,
            judged(whole, floor),
            shards.map_or_else(|| "-".to_owned(), short),
            judged(best.map(|(_, ratio)| *ratio), peer),
            best.map_or("-", |(name, _)| name.as_str()),
            late.map_or_else(
                || "-".to_owned(),
                |(name, theirs, ours, _)| format!("{}, {} ({name})", ms(*ours as f64 / 1e9), ms(*theirs as f64 / 1e9))
            ),
            judged(late.map(|(.., ratio)| *ratio), p99),
        );
    }
    out.push('\n');
    out
}

/// Every row as a table of its own.
#[must_use]
pub fn tables(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let (bytes, clients) = (row.frame_bytes, row.clients);
        if let Some(why) = &row.left_out {
            let _ = writeln!(out, "### {bytes} bytes, {clients} clients\n\nLeft out: {why}.\n");
            continue;
        }
        let mb = (bytes * clients) as f64 * f64::from(row.rate_hz) / 1e6;
        let (hz, seconds) = (row.rate_hz, row.seconds);
        let _ = writeln!(out, "### {bytes} bytes, {clients} clients, {hz} Hz: {mb:.0} MB/s, windows of {seconds} s\n");
        out.push_str("| server | delivered frames/s | missing % | CPU us per delivered frame | to the floor | publish to last byte, ms: p50 / p99 / p99.9 | KiB per connection | cores: server / clients / others, at most |\n");
        out.push_str("|---|---|---|---|---|---|---|---|\n");
        for line in summaries(row) {
            let name = &line.server;
            let Some(figures) = &line.figures else {
                let why = line.without.as_deref().unwrap_or("no rounds");
                let _ = writeln!(out, "| {name} | {} | | | | | | |", why.replace('|', "/").replace('\n', " "));
                continue;
            };
            let failed = match figures.rounds {
                [_, 0] => String::new(),
                [well, failed] => format!(" ({failed} of {} rounds failed)", well + failed),
            };
            let latency = figures.latency_ns.map_or_else(
                || "-".to_owned(),
                |[p50, _, p99, p999, _]| [p50, p99, p999].map(|ns| ms(ns as f64 / 1e9)).join(" / "),
            );
            let _ = writeln!(
                out,
                "| {name}{failed} | {:.0} | {:.1} | {} | {} | {latency} | {:.1} | {:.2} / {:.2} / {:.2} |",
                figures.delivered_per_s,
                figures.missing_share * 100.0,
                short(figures.cpu_us),
                figures.to_floor.map_or_else(|| "-".to_owned(), |ratio| format!("**{}**", short(ratio))),
                figures.connection_kib,
                figures.server_cores,
                figures.client_cores,
                figures.others_cores_max,
            );
        }
        out.push('\n');
    }
    out
}

/// The lines about who took part.
#[must_use]
pub fn servers(players: &[Player]) -> String {
    let line = |player: &Player| match &player.absent {
        Some(why) => format!("- {}: not installed: {why}\n", player.name),
        None => format!("- {}: {}\n", player.name, player.version),
    };
    players.iter().map(line).collect()
}

/// Writes `STEM.md` and `STEM.json`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(stem: &Path, machine: &Machine, notes: &str, players: &[Player], rows: &[Row]) -> Result<()> {
    #[derive(Serialize)]
    struct Server<'player> {
        name: &'player str,
        version: &'player str,
        not_installed: Option<&'player str>,
    }
    #[derive(Serialize)]
    struct Document<'rows> {
        machine: &'rows Machine,
        servers: Vec<Server<'rows>>,
        standings: Vec<Standing>,
        summary: Vec<Summary>,
        rows: &'rows [Row],
    }
    if let Some(folder) = stem.parent() {
        fs::create_dir_all(folder)?;
    }
    let server = |player: &'_ Player| (player.name, player.version.clone(), player.absent.clone());
    let known: Vec<_> = players.iter().map(server).collect();
    let servers_json = known
        .iter()
        .map(|(name, version, absent)| Server { name, version, not_installed: absent.as_deref() })
        .collect();
    let summary = rows.iter().flat_map(summaries).collect();
    let standing = rows.iter().filter_map(Standing::of).collect();
    let document = Document { machine, servers: servers_json, standings: standing, summary, rows };
    let json = serde_json::to_string_pretty(&document)?;
    let (who, all) = (servers(players), standings(rows) + &tables(rows));
    let text = format!("# Peers\n\n{}\n{notes}{who}\n{all}", hardware(machine));
    for (extension, text) in [(".json", json + "\n"), (".md", text)] {
        let mut path = stem.as_os_str().to_owned();
        path.push(extension);
        fs::write(&path, text).with_context(|| format!("writing {}", Path::new(&path).display()))?;
    }
    Ok(())
}
