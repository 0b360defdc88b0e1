//! Rows, their medians, and how they are printed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::machine::Machine;
use crate::round::{Round, median, percentiles};
use crate::scrape::Bucket;

/// One graph and one number of clients.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The graph's file.
    pub graph: String,
    /// Clients.
    pub clients: usize,
    /// Why there are no rounds.
    pub not_measured: Option<String>,
    /// Rounds that were thrown away because the machine had other things to do.
    pub repeated: usize,
    /// Engine and floor in turn.
    pub rounds: Vec<Pair>,
}

/// A round of the engine and the rounds of the floor that followed it.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// The engine.
    pub engine: Round,
    /// The bare sender with as many bytes, clients and frames a second, while the engine's simulation runs on.
    pub beside: Round,
    /// The same with nothing beside it.
    pub floor: Round,
}

/// The medians of a row, for people.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The graph's file.
    pub graph: String,
    /// Clients.
    pub clients: usize,
    /// Payload of one frame.
    pub frame_bytes: usize,
    /// Of the engine.
    pub published_hz: f64,
    /// Worst of all rounds, median, best.
    pub delivered_hz: [f64; 3],
    /// Of the floor: median client.
    pub floor_delivered_hz: f64,
    /// Of all rounds together; none without sequences.
    pub conflated_share: Option<f64>,
    /// Read by all clients.
    pub bytes_per_s: f64,
    /// p50, p90, p99, p99.9 and max of all rounds together, ns.
    pub latency_ns: Option<[u64; 5]>,
    /// Of the floor likewise.
    pub floor_latency_ns: Option<[u64; 5]>,
    /// Seconds.
    pub step_mean_s: f64,
    /// Widest of the rounds' buckets.
    pub step_p50: Option<Bucket>,
    /// Likewise.
    pub step_p99: Option<Bucket>,
    /// Seconds.
    pub encode_mean_s: f64,
    /// Processor time per delivered frame: server, shards, sim, us.
    pub cpu_us: [f64; 3],
    /// Of the floor: beside the simulation, alone.
    pub floor_us: [f64; 2],
    /// Kernel's share of the shards' time.
    pub shard_system_share: f64,
    /// Median of the rounds' ratios: shards to floor beside the simulation, shards and server to floor alone.
    pub ratio: [f64; 3],
    /// Cores in use: sim, shards, the server's other threads, clients.
    pub cores: [f64; 4],
    /// `writev` calls per frame.
    pub writes_per_frame: f64,
    /// Resident memory of the server.
    pub rss_mib: f64,
}

impl Pair {
    /// The most that others used in any of its windows.
    #[must_use]
    pub fn others_cores(&self) -> f64 {
        [&self.engine, &self.beside, &self.floor].iter().map(|round| round.others_cores).fold(0.0, f64::max)
    }
}

impl Row {
    /// The medians; none for a row without rounds.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let first = &self.rounds.first()?.engine;
        let over = |value: &dyn Fn(&Pair) -> f64| median(self.rounds.iter().map(value));
        let own = |value: fn(&crate::round::Engine) -> f64| {
            median(self.rounds.iter().filter_map(|pair| pair.engine.engine.as_ref().map(value)))
        };
        let engines = || self.rounds.iter().filter_map(|pair| pair.engine.engine.as_ref());
        let hz = |place: usize| self.rounds.iter().filter_map(move |pair| pair.engine.delivered_hz.get(place).copied());
        let shares: Vec<f64> = self.rounds.iter().filter_map(|pair| pair.engine.conflated_share).collect();
        Some(Summary {
            graph: self.graph.clone(),
            clients: self.clients,
            frame_bytes: first.frame_bytes,
            published_hz: own(|engine| engine.published_hz),
            delivered_hz: [hz(0).fold(f64::INFINITY, f64::min), median(hz(1)), hz(2).fold(0.0, f64::max)],
            floor_delivered_hz: over(&|pair| pair.floor.delivered_hz[1]),
            conflated_share: (!shares.is_empty()).then(|| median(shares)),
            bytes_per_s: over(&|pair| pair.engine.bytes_per_s),
            latency_ns: merged(self.rounds.iter().map(|pair| &pair.engine.latency)),
            floor_latency_ns: merged(self.rounds.iter().map(|pair| &pair.floor.latency)),
            step_mean_s: own(|engine| engine.step_mean_s),
            step_p50: widest(engines().filter_map(|engine| engine.step_p50)),
            step_p99: widest(engines().filter_map(|engine| engine.step_p99)),
            encode_mean_s: own(|engine| engine.encode_mean_s),
            cpu_us: [
                over(&|pair| pair.engine.server_us),
                over(&|pair| pair.engine.sender_us),
                own(|engine| engine.sim_us),
            ],
            floor_us: [over(&|pair| pair.beside.server_us), over(&|pair| pair.floor.server_us)],
            shard_system_share: median(self.rounds.iter().filter_map(|pair| pair.engine.sender_system_share)),
            ratio: [
                over(&|pair| pair.engine.sender_us / pair.beside.server_us),
                over(&|pair| pair.engine.sender_us / pair.floor.server_us),
                over(&|pair| pair.engine.server_us / pair.floor.server_us),
            ],
            cores: [
                own(|engine| engine.sim_cores),
                over(&|pair| pair.engine.sender_cores),
                own(|engine| engine.rest_cores),
                over(&|pair| pair.engine.client_cores),
            ],
            writes_per_frame: own(|engine| engine.writes_per_frame),
            rss_mib: over(&|pair| pair.engine.rss_mib),
        })
    }
}

/// Percentiles are never averaged: those of the merged histogram.
#[must_use]
pub fn merged<'rounds>(rounds: impl Iterator<Item = &'rounds Histogram<u64>>) -> Option<[u64; 5]> {
    let mut all: Option<Histogram<u64>> = None;
    for latency in rounds {
        match &mut all {
            Some(all) => all.add(latency).ok()?,
            None => all = Some(latency.clone()),
        }
    }
    percentiles(&all?)
}

fn widest(buckets: impl Iterator<Item = Bucket>) -> Option<Bucket> {
    buckets.reduce(|left, right| Bucket {
        above: left.above.min(right.above),
        up_to: left.up_to.zip(right.up_to).map(|(left, right)| left.max(right)),
    })
}

/// Milliseconds with a sensible number of digits.
#[must_use]
pub fn ms(seconds: f64) -> String {
    let ms = seconds * 1e3;
    match ms {
        _ if !ms.is_finite() => "-".to_owned(),
        _ if ms < 10.0 => format!("{ms:.2}"),
        _ if ms < 100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// A number below ten with two digits, another with fewer.
#[must_use]
pub fn short(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "-".to_owned(),
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Percentiles in ms, parted by bars of one cell.
#[must_use]
pub fn latency(latency_ns: Option<[u64; 5]>) -> String {
    latency_ns.map_or_else(
        || "-".to_owned(),
        |[p50, _, p99, _, max]| [p50, p99, max].map(|ns| ms(ns as f64 / 1e9)).join(" / "),
    )
}

fn bucket(bucket: Option<Bucket>) -> String {
    match bucket {
        Some(Bucket { above, up_to: Some(up_to) }) => format!("{}-{}", above * 1e3, up_to * 1e3),
        Some(Bucket { above, up_to: None }) => format!("over {}", above * 1e3),
        None => "-".to_owned(),
    }
}

/// Both tables of all rows.
#[must_use]
pub fn tables(rows: &[Row]) -> String {
    let mut out = String::from("What clients get:\n\n");
    out.push_str("| graph | clients | frame bytes | published Hz | delivered Hz per client: min / median / max | conflated % | MB/s | publish to last byte, ms: p50 / p99 / max | the same from the floor |\n");
    out.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        let Some(sum) = row.summary() else {
            let why = row.not_measured.as_deref().unwrap_or("no rounds");
            let _ = writeln!(out, "| {} | {} | not measured: {why} | | | | | | |", row.graph, row.clients);
            continue;
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            sum.graph,
            sum.clients,
            sum.frame_bytes,
            short(sum.published_hz),
            sum.delivered_hz.map(short).join(" / "),
            sum.conflated_share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}", share * 100.0)),
            short(sum.bytes_per_s / 1e6),
            latency(sum.latency_ns),
            latency(sum.floor_latency_ns),
        );
    }
    out.push_str("\nWhat it costs the server:\n\n");
    out.push_str("| graph | clients | step, ms: mean (p50 in, p99 in) | encode, ms | CPU us per delivered frame: server / shards / sim | floor: beside the simulation / alone | shards to floor beside | shards, server to floor alone | kernel % of shards | cores: sim / shards / other / clients | writev per frame | RSS MiB |\n");
    out.push_str("|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for sum in rows.iter().filter_map(Row::summary) {
        let [server, shards, sim] = sum.cpu_us.map(short);
        let ([beside, alone], ratio) = (sum.floor_us.map(short), sum.ratio.map(short));
        let _ = writeln!(
            out,
            "| {} | {} | {} ({}, {}) | {} | {server} / {shards} / {sim} | {beside} / {alone} | **{}** | {}, {} | {} | {} | {} | {:.0} |",
            sum.graph,
            sum.clients,
            ms(sum.step_mean_s),
            bucket(sum.step_p50),
            bucket(sum.step_p99),
            ms(sum.encode_mean_s),
            ratio[0],
            ratio[1],
            ratio[2],
            short(sum.shard_system_share * 100.0),
            sum.cores.map(|cores| format!("{cores:.2}")).join(" / "),
            short(sum.writes_per_frame),
            sum.rss_mib,
        );
    }
    out
}

/// Writes `STEM.md` and `STEM.json`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(stem: &Path, title: &str, machine: &Machine, notes: &str, rows: &[Row]) -> Result<()> {
    #[derive(Serialize)]
    struct Document<'rows> {
        machine: &'rows Machine,
        summary: Vec<Summary>,
        rows: &'rows [Row],
    }
    if let Some(folder) = stem.parent() {
        fs::create_dir_all(folder)?;
    }
    let summary = rows.iter().filter_map(Row::summary).collect();
    let json = serde_json::to_string_pretty(&Document { machine, summary, rows })?;
    let place = |extension: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(extension);
        std::path::PathBuf::from(name)
    };
    let text = format!("# {title}\n\n{}\n{notes}\n{}", hardware(machine), tables(rows));
    for (extension, text) in [(".json", json + "\n"), (".md", text)] {
        let path = place(extension);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The lines above the tables.
#[must_use]
pub fn hardware(machine: &Machine) -> String {
    format!(
        "- command: `{}`\n- commit: {}\n- machine: {} ({} cores), Linux {}; load average before: {}\n",
        machine.command, machine.commit, machine.processor, machine.cores, machine.kernel, machine.load_before
    )
}
