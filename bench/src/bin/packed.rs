//! Question: what does LZ4 save on full frames, and what does it cost?
//!
//! Method: our own simulation of the named graphs on the CPU backend. Hot is ticks 10 to 130 from the start; settling goes
//! on to the 600th tick. Every tenth frame is packed as it is and as byte planes, unpacked again and compared. Times are
//! medians over the frames of a phase, each beside the writing of the same nodes as 34-byte records.
//! Budget: none; the compact profile is the one that is to be small. See `bench/results/`.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use swarmcast::graph::formats::{Format, ImportOptions, import_path};
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, SimParams, Topology};
use swarmcast::wire::planes::{PlaneScratch, compress, decompress};
use swarmcast::wire::{NodeRecord, Profile, encode_records};
use zerocopy::IntoBytes;

const PHASES: [(&str, Range<usize>); 2] = [("hot", 10..130), ("settling", 130..600)];
const EVERY: usize = 10;
const RECORD_BYTES: usize = size_of::<NodeRecord>();

/// Bytes and time of packed full frames.
#[derive(Parser)]
struct Options {
    /// Graphs, in any format that the server reads.
    #[arg(required = true)]
    graphs: Vec<String>,
}

/// Sums and times of one phase.
#[derive(Default)]
struct Phase {
    raw: usize,
    plain: usize,
    planes: usize,
    write_ns: Vec<u64>,
    pack_ns: Vec<u64>,
    unpack_ns: Vec<u64>,
}

fn main() -> Result<()> {
    println!(
        "| graph | nodes | phase | frames | LZ4 alone / raw | planes and LZ4 / raw | B/node | write 34 B ns/node | pack ns/node | unpack ns/node |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for graph in Options::parse().graphs {
        measure(Path::new(&graph))?;
    }
    Ok(())
}

fn measure(path: &Path) -> Result<()> {
    let options = ImportOptions {
        format: Format::Auto,
        skip_bad: true,
        vault_all_pages: false,
        nodes_max: usize::MAX,
        edges_max: usize::MAX,
    };
    let graph = import_path(path, &options, &mut ()).context(path.display().to_string())?.graph;
    let mut records: Vec<NodeRecord> = graph
        .nodes()
        .iter()
        .map(|node| NodeRecord { id_flags: (node.id.get() | node.class.wire_bits()).into(), ..NodeRecord::default() })
        .collect();
    let nodes = records.len();
    let mut backend = CpuBackend::new(SimParams::default());
    backend.upload(Topology { csr: graph.csr(), start: vec![None; nodes], pinned: vec![false; nodes] })?;
    let mut scratch = PlaneScratch::new(nodes * RECORD_BYTES);
    let mut written = vec![0; Profile::V1.body_bytes(nodes)];
    let (mut packed, mut unpacked) = (Vec::new(), Vec::new());
    for (name, ticks) in PHASES {
        let mut phase = Phase::default();
        let frames = ticks.len() / EVERY;
        for tick in ticks {
            backend.step();
            if !tick.is_multiple_of(EVERY) {
                continue;
            }
            backend.write_into(&mut records);
            let raw = records.as_bytes();
            let start = Instant::now();
            encode_records(Profile::V1.records(), &records, &mut written);
            phase.write_ns.push(start.elapsed().as_nanos() as u64);
            packed.clear();
            let start = Instant::now();
            phase.planes += compress(raw, RECORD_BYTES, &mut scratch, &mut packed);
            phase.pack_ns.push(start.elapsed().as_nanos() as u64);
            let start = Instant::now();
            decompress(&packed, RECORD_BYTES, raw.len(), &mut unpacked)?;
            phase.unpack_ns.push(start.elapsed().as_nanos() as u64);
            ensure!(unpacked == raw, "tick {tick} comes back as something else");
            // Records of one byte are their own plane.
            packed.clear();
            phase.plain += compress(raw, 1, &mut scratch, &mut packed);
            phase.raw += raw.len();
        }
        let per_node = |ns: &mut Vec<u64>| {
            ns.sort_unstable();
            ns.get(ns.len() / 2).copied().unwrap_or(0) as f64 / nodes as f64
        };
        let of_raw = |bytes: usize| bytes as f64 / phase.raw as f64;
        println!(
            "| {} | {nodes} | {name} | {frames} | {:.3} | {:.3} | {:.2} | {:.1} | {:.1} | {:.1} |",
            path.file_name().unwrap_or_default().to_string_lossy(),
            of_raw(phase.plain),
            of_raw(phase.planes),
            of_raw(phase.planes) * RECORD_BYTES as f64,
            per_node(&mut phase.write_ns),
            per_node(&mut phase.pack_ns),
            per_node(&mut phase.unpack_ns),
        );
    }
    Ok(())
}
