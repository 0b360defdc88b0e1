//! Question: what does a node cost on the compact wire, in bytes and in time, while a real graph unfolds, settles and is
//! dragged about?
//!
//! Method: our own simulation of the named graphs on the CPU backend. Hot is ticks 10 to 130 from the start; settling
//! goes on until the backend says settled; local is a node dragged by 15 % of the layout's rms radius for a second, and let
//! go, two seconds in all. The quantum is the settled layout's longest side by 2^bits. Every frame is decoded and held
//! to the bound. Times are medians over the ticks of a phase, each tick timed beside the writing of its raw 34-byte records.
//! Budget: see `bench/results/`.
//!
//! `--train` prints `src/wire/compact/tables/trained.rs` from the named graphs. `--record` writes the stream of each, for the
//! decoders of other languages: messages of kind, flags (1 normalise), phase (0 hot, 1 settling, 2 local, 3 none), 0 and a `u32` length,
//! as in `tests/golden/compact.stream`.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use swarmcast::graph::formats::{Format, ImportOptions, import_path};
use swarmcast::graph::{Csr, NodeIndex};
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, SimParams, Topology};
use swarmcast::wire::compact::{
    Coding, CompactFrame, Decoder, Encoder, FLAG_CONTEXTS, FLAG_FREQUENCY_MIN, FREQUENCY_STEP, Info, QUIET_CONTEXTS,
    SYMBOLS_HOT, SYMBOLS_QUIET, Token,
};
use swarmcast::wire::{NodeRecord, Profile, encode_records};

const TICK_RATE: u16 = 60;
const HOT: Range<usize> = 10..130;
const SETTLE_MAX: usize = 1_200;
const DRAG_TICKS: usize = 60;
const LOCAL_TICKS: usize = 120;
const PHASES: [&str; 3] = ["hot", "settling", "local"];

/// Bytes and time of the compact wire on trajectories of real graphs.
#[derive(Parser)]
struct Options {
    /// Graphs, in any format that the server reads; `PATH:N` takes the N nodes nearest to the middle of it.
    #[arg(required = true)]
    graphs: Vec<String>,
    /// The quantum is the settled layout's longest side by two to this.
    #[arg(long, default_value_t = 14)]
    bits: u32,
    /// Ticks from one normalising tick, after which a snapshot can be taken, to the next; a server needs one when somebody
    /// joins.
    #[arg(long, default_value_t = 32)]
    normalise: usize,
    /// Print tables instead of measuring.
    #[arg(long)]
    train: bool,
    /// Write `NAME.stream` for each graph into this folder instead of measuring.
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Positions of every tick.
struct Trajectory {
    name: String,
    node_count: usize,
    ticks: Vec<Vec<[f32; 3]>>,
    settled: usize,
    quantum: f32,
}

impl Trajectory {
    fn phases(&self) -> [Range<usize>; 3] {
        [HOT, HOT.end..self.settled, self.settled..self.ticks.len()]
    }

    fn info(&self) -> Info {
        Info {
            node_count: self.node_count as u32,
            origin: [0.0; 3],
            quantum: self.quantum,
            tick_rate: TICK_RATE,
            order: 0,
        }
    }
}

fn load(graph: &str) -> Result<(String, Csr)> {
    let (path, take) = match graph.rsplit_once(':') {
        Some((path, take)) => (PathBuf::from(path), Some(take.parse::<usize>()?)),
        None => (PathBuf::from(graph), None),
    };
    let options = ImportOptions {
        format: Format::Auto,
        skip_bad: true,
        vault_all_pages: false,
        nodes_max: usize::MAX,
        edges_max: usize::MAX,
    };
    let csr = import_path(&path, &options, &mut ()).context(path.display().to_string())?.graph.csr();
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(match take {
        Some(take) => (format!("{name}:{take}"), nearest(&csr, take)),
        None => (name, csr),
    })
}

/// The part that a breadth-first walk from the node of most neighbours finds first, at most 40 from each.
fn nearest(csr: &Csr, take: usize) -> Csr {
    let start = (0..csr.node_count()).max_by_key(|node| csr.row(*node).count()).unwrap_or(0);
    let mut number = vec![None; csr.node_count()];
    let mut order = vec![start];
    let mut next = 0;
    if let Some(place) = number.get_mut(start) {
        *place = Some(0_u32);
    }
    while let Some(node) = order.get(next).copied() {
        for (found, _) in csr.row(node).take(40) {
            if let Some(place @ None) = number.get_mut(found as usize)
                && order.len() < take
            {
                *place = Some(order.len() as u32);
                order.push(found as usize);
            }
        }
        next += 1;
    }
    let numbered = |node: usize| number.get(node).copied().flatten();
    let mut edges = Vec::new();
    for node in &order {
        for (other, weight) in csr.row(*node).filter(|(other, _)| *node < *other as usize) {
            if let (Some(source), Some(target)) = (numbered(*node), numbered(other as usize)) {
                edges.push((NodeIndex(source), NodeIndex(target), weight));
            }
        }
    }
    Csr::new(order.len(), edges.iter().copied())
}

fn simulate(name: String, csr: Csr, bits: u32) -> Result<Trajectory> {
    let node_count = csr.node_count();
    let degree: Vec<usize> = (0..node_count).map(|node| csr.row(node).count()).collect();
    let mut backend = CpuBackend::new(SimParams::default());
    backend.upload(Topology { csr, start: vec![None; node_count], pinned: vec![false; node_count] })?;
    let points = |backend: &CpuBackend| -> Vec<[f32; 3]> {
        (0..node_count as u32).filter_map(|node| backend.position(NodeIndex(node))).collect()
    };
    let mut ticks = vec![points(&backend)];
    while ticks.len() < SETTLE_MAX {
        let report = backend.step();
        ticks.push(points(&backend));
        if report.settled && ticks.len() > HOT.end {
            break;
        }
    }
    let settled = ticks.len();
    let last = ticks.last().context("a tick")?.clone();
    let side = (0..3).map(|axis| {
        let of = |point: &[f32; 3]| point.get(axis).copied().unwrap_or_default();
        let (least, most) =
            last.iter().fold((f32::MAX, f32::MIN), |(l, m), point| (l.min(of(point)), m.max(of(point))));
        most - least
    });
    let quantum = side.fold(0.0, f32::max) / (1_u32 << bits) as f32;
    let square = |point: &[f32; 3]| point.iter().map(|axis| f64::from(*axis).powi(2)).sum::<f64>();
    let rms = (last.iter().map(square).sum::<f64>() / node_count as f64).sqrt() as f32;
    let middling = degree.iter().enumerate().skip(node_count / 3).find(|(_, degree)| (3..=8).contains(*degree));
    let node = middling.map_or(0, |(node, _)| node);
    let [x, y, z] = last.get(node).copied().unwrap_or_default();
    for tick in 0..LOCAL_TICKS {
        if tick < DRAG_TICKS {
            let turn = std::f32::consts::PI * tick as f32 / DRAG_TICKS as f32;
            let reach = 0.15 * rms * 0.5;
            let to = [x + reach * (1.0 - turn.cos()), y + reach * turn.sin(), z];
            backend.hold(NodeIndex(node as u32), to);
        } else if tick == DRAG_TICKS {
            backend.release(NodeIndex(node as u32));
        }
        backend.step();
        ticks.push(points(&backend));
    }
    Ok(Trajectory { name, node_count, ticks, settled, quantum })
}

/// What was counted of one phase.
struct Phase {
    bytes: usize,
    /// Of the entropy coder alone, and how often each of its symbols came.
    counts: Vec<u64>,
    raw_bits: u64,
    snapshot_bytes: Vec<usize>,
    raw_ns: Vec<u64>,
    encode_ns: Vec<u64>,
    decode_ns: Vec<u64>,
}

impl Phase {
    fn new() -> Self {
        Self {
            bytes: 0,
            counts: vec![0; Token::places()],
            raw_bits: 0,
            snapshot_bytes: Vec::new(),
            raw_ns: Vec::new(),
            encode_ns: Vec::new(),
            decode_ns: Vec::new(),
        }
    }

    /// Bits of the counted symbols, if every table were that of this very phase.
    fn two_pass_bits(&self) -> f64 {
        let entropy = |table: &[u64]| {
            let all = table.iter().sum::<u64>() as f64;
            table
                .iter()
                .filter(|count| **count > 0)
                .map(|count| *count as f64 * (all / *count as f64).log2())
                .sum::<f64>()
        };
        tables(&self.counts).map(entropy).sum::<f64>() + self.raw_bits as f64
    }
}

/// The counts, table by table.
fn tables(counts: &[u64]) -> impl Iterator<Item = &[u64]> {
    let (flags, rest) = counts.split_at(2 * FLAG_CONTEXTS);
    let (quiet, hot) = rest.split_at(QUIET_CONTEXTS * SYMBOLS_QUIET);
    flags.chunks(2).chain(quiet.chunks(SYMBOLS_QUIET)).chain(hot.chunks(SYMBOLS_HOT))
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn measure(trajectory: &Trajectory, normalise_every: usize) -> Result<[Phase; 3]> {
    let info = trajectory.info();
    let first = trajectory.ticks.first().context("a tick")?;
    let mut encoder = Encoder::new(info, Coding::Cheapest)?;
    let mut counting = Encoder::new(info, Coding::Entropy)?;
    let mut decoder = Decoder::new(info)?;
    let mut frame = CompactFrame::for_snapshots(trajectory.node_count);
    let mut other = CompactFrame::for_snapshots(trajectory.node_count);
    let mut records = vec![NodeRecord::default(); trajectory.node_count];
    let mut raw = vec![0_u8; Profile::V1.body_bytes(trajectory.node_count)];
    encoder.reset(first)?;
    counting.reset(first)?;
    encoder.snapshot(&mut frame)?;
    decoder.snapshot(0, frame.body())?;
    let mut phases = PHASES.map(|_| Phase::new());
    for (tick, points) in trajectory.ticks.iter().enumerate().skip(1) {
        records.iter_mut().zip(points).for_each(|(record, point)| record.set_motion(*point, [0.0; 3]));
        let normalise = tick.is_multiple_of(normalise_every);
        let start = Instant::now();
        encode_records(Profile::V1.records(), &records, &mut raw);
        let raw_ns = start.elapsed().as_nanos() as u64;
        let start = Instant::now();
        encoder.tick(&records, normalise, &mut frame)?;
        let encode_ns = start.elapsed().as_nanos() as u64;
        let start = Instant::now();
        decoder.delta(tick as u64 - 1, tick as u64, normalise, frame.body())?;
        let decode_ns = start.elapsed().as_nanos() as u64;
        let (mut counts, mut raw_bits) = (vec![0; Token::places()], 0);
        counting.tick_watched(points, normalise, &mut other, &mut |tokens, plain_bytes| {
            raw_bits += 8 * plain_bytes as u64;
            for token in tokens {
                if let Some(count) = counts.get_mut(token.place()) {
                    *count += 1;
                }
            }
        })?;
        let slack = f64::from(info.quantum) * 0.51;
        for ((_, shown, _), point) in decoder.nodes().zip(points) {
            let within = shown.iter().zip(point).all(|(shown, x)| f64::from((shown - x).abs()) <= slack);
            ensure!(within, "{}: tick {tick} shows {shown:?} for {point:?}", trajectory.name);
        }
        let place = trajectory.phases().iter().position(|phase| phase.contains(&tick));
        let Some(phase) = place.and_then(|place| phases.get_mut(place)) else { continue };
        phase.bytes += frame.body().len();
        phase.raw_ns.push(raw_ns);
        phase.encode_ns.push(encode_ns);
        phase.decode_ns.push(decode_ns);
        phase.raw_bits += raw_bits;
        phase.counts.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
        if normalise {
            encoder.snapshot(&mut other)?;
            phase.snapshot_bytes.push(other.body().len());
        }
    }
    encoder.mark(&mut other)?;
    decoder.mark(other.body())?;
    Ok(phases)
}

fn print(trajectory: &Trajectory, phases: &mut [Phase; 3]) {
    for (name, (phase, ticks)) in PHASES.iter().zip(phases.iter_mut().zip(trajectory.phases())) {
        let node_frames = (trajectory.node_count * ticks.len()).max(1) as f64;
        let bytes = phase.bytes as f64 / node_frames;
        let two_pass = phase.two_pass_bits() / 8.0 / node_frames;
        let snapshots = phase.snapshot_bytes.len().max(1) * trajectory.node_count;
        let snapshot = phase.snapshot_bytes.iter().sum::<usize>() as f64 / snapshots as f64;
        let [raw, encode, decode] = [&mut phase.raw_ns, &mut phase.encode_ns, &mut phase.decode_ns]
            .map(|ns| median(ns) as f64 / trajectory.node_count as f64);
        println!(
            "| {} | {} | {} | {name} | {} | {bytes:.4} | {:.0} | {:.0} | {two_pass:.4} | {:.3} | {snapshot:.2} | {raw:.1} | \
             {encode:.1} | {:.2} | {decode:.1} |",
            trajectory.name,
            trajectory.node_count,
            trajectory.quantum,
            ticks.len(),
            28.0 / bytes,
            34.0 / bytes,
            bytes / two_pass,
            encode / raw,
        );
    }
}

/// The messages of the whole trajectory, a mark after every 64 ticks.
fn record(trajectory: &Trajectory, normalise_every: usize) -> Result<Vec<u8>> {
    let info = trajectory.info();
    let mut encoder = Encoder::new(info, Coding::Cheapest)?;
    let mut frame = CompactFrame::for_snapshots(trajectory.node_count);
    let mut out = Vec::new();
    let mut push = |kind: u8, normalise: bool, phase: u8, body: &[u8]| {
        out.extend([kind, u8::from(normalise), phase, 0]);
        out.extend((body.len() as u32).to_le_bytes());
        out.extend(body);
    };
    push(4, false, 3, &info.to_bytes());
    encoder.reset(trajectory.ticks.first().context("a tick")?)?;
    encoder.snapshot(&mut frame)?;
    push(3, false, 3, frame.body());
    for (tick, points) in trajectory.ticks.iter().enumerate().skip(1) {
        let normalise = tick.is_multiple_of(normalise_every);
        encoder.tick(points, normalise, &mut frame)?;
        let phase = trajectory.phases().iter().position(|phase| phase.contains(&tick)).unwrap_or(PHASES.len());
        push(2, normalise, phase as u8, frame.body());
        if tick % 64 == 0 {
            encoder.mark(&mut frame)?;
            push(5, false, 3, frame.body());
        }
    }
    Ok(out)
}

/// Frequencies that add up to 4,096, multiples of `step`, none below `least`, as near to `counts` as that allows.
fn frequencies(counts: &[u64], prior: &[f64], step: u16, least: u16) -> Vec<u16> {
    const SCALE: f64 = 4_096.0;
    let weights: Vec<f64> = counts.iter().zip(prior).map(|(count, prior)| *count as f64 + prior).collect();
    let sum: f64 = weights.iter().sum();
    let rounded = |weight: f64| (weight / sum * SCALE / f64::from(step)).round() as u16 * step;
    let mut out: Vec<u16> = weights.iter().map(|weight| rounded(*weight).max(least)).collect();
    loop {
        let over = i32::from(out.iter().sum::<u16>()) - SCALE as i32;
        let change = -over.signum() * i32::from(step);
        // The bits that a symbol's share of the counts gains by the change.
        let gain = |weight: f64, frequency: u16| {
            weight * ((f64::from(frequency) + f64::from(change)) / f64::from(frequency)).log2()
        };
        let open = out.iter_mut().zip(&weights).filter(|(f, _)| i32::from(**f) + change >= i32::from(least));
        let best = open.max_by(|(f, weight), (g, other)| gain(**weight, **f).total_cmp(&gain(**other, **g)));
        match best {
            Some((frequency, _)) if over != 0 => *frequency = (i32::from(*frequency) + change) as u16,
            _ => return out,
        }
    }
}

fn train(graphs: &[Trajectory], normalise_every: usize) -> Result<()> {
    let mut counts = vec![0_u64; Token::places()];
    for trajectory in graphs {
        let mut phases = measure(trajectory, normalise_every)?;
        // Every graph and phase weighs the same, so that the largest graph is not the only teacher.
        for phase in &mut phases {
            let all = phase.counts.iter().sum::<u64>().max(1) as f64;
            for (sum, count) in counts.iter_mut().zip(&phase.counts) {
                *sum += (*count as f64 / all * 1e8) as u64;
            }
        }
    }
    let two_sided = |symbols: usize, scale: f64| -> Vec<f64> {
        let weight = |rank: usize| (-(rank.div_ceil(2) as f64) / scale).exp() * 2_000.0;
        (0..symbols).map(|symbol| if symbol + 1 == symbols { 20.0 } else { weight(symbol) }).collect()
    };
    let (quiet, hot) = (two_sided(SYMBOLS_QUIET, 1.0), two_sided(SYMBOLS_HOT, 3.0));
    let flag = [1_900.0, 100.0];
    let mut all = tables(&counts).map(|table| match table.len() {
        SYMBOLS_QUIET => frequencies(table, &quiet, FREQUENCY_STEP, FREQUENCY_STEP),
        SYMBOLS_HOT => frequencies(table, &hot, FREQUENCY_STEP, FREQUENCY_STEP),
        _ => frequencies(table, &flag, 1, FLAG_FREQUENCY_MIN),
    });
    let names: Vec<&str> = graphs.iter().map(|graph| graph.name.as_str()).collect();
    println!("//! Printed by `trajectories --train` from {}; not to be edited by hand.\n", names.join(", "));
    println!("use super::{{FLAG_CONTEXTS, HOT_CONTEXTS, QUIET_CONTEXTS, SYMBOLS_HOT, SYMBOLS_QUIET}};\n");
    println!("/// Of 4,096 quiet nodes, how many are corrected.\n#[rustfmt::skip]");
    println!("pub(super) const FLAGS: [u16; FLAG_CONTEXTS] = [");
    let flags: Vec<u16> = all.by_ref().take(FLAG_CONTEXTS).filter_map(|table| table.last().copied()).collect();
    flags.chunks(FLAG_CONTEXTS / 10).for_each(|row| println!("    {},", joined(row)));
    println!("];\n\n/// Corrections of quiet nodes.\n#[rustfmt::skip]");
    println!("pub(super) const QUIET: [[u16; SYMBOLS_QUIET]; QUIET_CONTEXTS] = [");
    all.by_ref().take(QUIET_CONTEXTS).for_each(|table| println!("    [{}],", joined(&table)));
    println!("];\n\n/// Corrections of hot nodes.\n#[rustfmt::skip]");
    println!("pub(super) const HOT: [[u16; SYMBOLS_HOT]; HOT_CONTEXTS] = [");
    all.for_each(|table| {
        let (first, second) = table.split_at(SYMBOLS_HOT / 2);
        println!("    [{},\n     {}],", joined(first), joined(second));
    });
    println!("];");
    Ok(())
}

fn joined(numbers: &[u16]) -> String {
    numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn trajectory(graph: &str, bits: u32) -> Result<Trajectory> {
    let (name, csr) = load(graph)?;
    ensure!(csr.node_count() > 1, "{name} has no nodes to move");
    simulate(name, csr, bits)
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.train {
        let graphs = options.graphs.iter().map(|graph| trajectory(graph, options.bits));
        return train(&graphs.collect::<Result<Vec<_>>>()?, options.normalise);
    }
    if let Some(folder) = &options.record {
        for graph in &options.graphs {
            let trajectory = trajectory(graph, options.bits)?;
            let path = folder.join(format!("{}.stream", trajectory.name));
            std::fs::write(&path, record(&trajectory, options.normalise)?).context(path.display().to_string())?;
        }
        return Ok(());
    }
    println!(
        "| graph | nodes | quantum | phase | ticks | B/node | 28 B / | 34 B / | two-pass B | ratio | snapshot B/node | \
         raw 34 B ns/node | encode ns/node | encode / raw | decode ns/node |"
    );
    println!("|{}", "---|".repeat(15));
    for graph in &options.graphs {
        let trajectory = trajectory(graph, options.bits)?;
        print(&trajectory, &mut measure(&trajectory, options.normalise)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_graph_costs_a_fraction_of_its_raw_bytes() {
        let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/graphs/les_miserables.graphml");
        let trajectory = trajectory(graph, 14).unwrap();
        let phases = measure(&trajectory, 32).unwrap();
        for (phase, ticks) in phases.iter().zip(trajectory.phases()) {
            let node_frames = trajectory.node_count * ticks.len();
            assert!(phase.bytes < node_frames * 3, "{} bytes of {node_frames}", phase.bytes);
        }
    }

    #[test]
    fn frequencies_add_up() {
        for counts in [[0_u64, 0, 0, 0], [1, 0, 0, 1_000_000], [5, 5, 5, 5], [u64::MAX / 8; 4]] {
            let out = frequencies(&counts, &[1.0; 4], 4, 4);
            assert_eq!(out.iter().sum::<u16>(), 4_096);
            assert!(out.iter().all(|frequency| *frequency >= 4 && frequency.is_multiple_of(4)));
        }
    }
}
