//! How fast, and how right, is the CUDA backend on this machine's device? See `bench/cuda/run.sh`.
//!
//! `check`: the first step against the CPU (1e-3 relative), and the layout after 500 steps (stress and mean edge within 2 %).
//! `steps N`: a few steps of every kind, for compute-sanitizer. `time`: a table by device events, medians.
//! Ends with 77 where there is no device.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]

use std::process::ExitCode;

use swarmcast::graph::{Csr, NodeIndex};
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::cuda::{self, CudaBackend};
use swarmcast::sim::{Backend, Dimensions, ForceModel, SimParams, Topology};
use swarmcast::wire::NodeRecord;
use swarmcast_bench::made::{hash, near_and_far};

/// Pairs a second and bytes a second that an H200 could do by its data sheet: what distances are measured to.
const PAIRS_PER_SECOND: f64 = 2.2e12;
/// See [`PAIRS_PER_SECOND`].
const BYTES_PER_SECOND: f64 = 4.3e12;

/// Bytes that a step moves at least, for a node and a half-edge: state read and written once, neighbours gathered.
const NODE_BYTES: f64 = 200.0;
/// See [`NODE_BYTES`].
const HALF_EDGE_BYTES: f64 = 28.0;

/// No device.
const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let opened = cuda::open(SimParams::default(), 1, Box::new(CpuBackend::new));
    let name = match opened {
        Ok(backend) => backend.device_name().unwrap_or_default(),
        Err(why) => {
            println!("not measured: {why}");
            return ExitCode::from(SKIPPED);
        }
    };
    match words.as_slice() {
        ["check"] => check(),
        ["steps", nodes] => steps(nodes.parse().unwrap()),
        ["time"] => time(&name),
        _ => {
            eprintln!("cuda check | cuda steps NODES | cuda time");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Nodes begin along a grid, so that no start has to be drawn.
fn graph(nodes: u32, placed: bool) -> Topology {
    let csr = near_and_far(nodes);
    let side = f64::from(nodes).cbrt().ceil().max(1.0) as u32;
    let at = |node: u32| {
        let jitter = |salt: u64| (hash(u64::from(node) ^ (salt << 40)) >> 40) as f32 * (40.0 / 16_777_216.0);
        let cell = [node % side, node / side % side, node / side / side];
        [0, 1, 2].map(|axis| (cell[axis] as f32 - side as f32 / 2.0) * 60.0 + jitter(axis as u64 + 1))
    };
    let start = (0..nodes).map(|node| placed.then(|| at(node))).collect();
    Topology { csr, start, pinned: vec![false; nodes as usize] }
}

fn device(params: SimParams, topology: Topology) -> CudaBackend {
    let mut backend = cuda::open(params, 1, Box::new(CpuBackend::new)).unwrap();
    backend.upload(topology).unwrap();
    backend
}

fn records(backend: &dyn Backend, nodes: u32) -> Vec<NodeRecord> {
    let mut records = vec![NodeRecord::default(); nodes as usize];
    backend.write_into(&mut records);
    records
}

fn check() {
    for (nodes, theta) in [(33, 0.0), (10_000, 0.0), (40_000, 0.15)] {
        let params = SimParams { theta, ..SimParams::default() };
        let topology = graph(nodes, true);
        let mut on_cpu = CpuBackend::new(params);
        on_cpu.upload(topology.clone()).unwrap();
        on_cpu.step();
        let mut on_device = device(params, topology);
        on_device.timed_step().unwrap();
        let (found, wanted) = (records(&on_device, nodes), records(&on_cpu, nodes));
        let (mut apart, mut whole) = (0.0, 0.0);
        for (found, wanted) in found.iter().zip(&wanted) {
            for axis in 0..3 {
                apart += f64::from(found.velocity()[axis] - wanted.velocity()[axis]).powi(2);
                whole += f64::from(wanted.velocity()[axis]).powi(2);
            }
        }
        let difference = (apart / whole).sqrt();
        println!("{nodes} nodes, theta {theta}: the first step differs from the CPU's by {difference:.1e}");
        assert!(difference < 1e-3, "positions agree to 1e-3");
    }
    let nodes = 3_000;
    let topology = graph(nodes, false);
    let mut on_cpu = CpuBackend::new(SimParams::default());
    on_cpu.upload(topology.clone()).unwrap();
    let mut on_device = device(SimParams::default(), topology.clone());
    for _ in 0..500 {
        on_cpu.step();
        on_device.timed_step().unwrap();
    }
    let (found, wanted) =
        (score(&topology.csr, &records(&on_device, nodes)), score(&topology.csr, &records(&on_cpu, nodes)));
    println!(
        "{nodes} nodes, 500 steps: stress {:.4} (CPU {:.4}), mean edge {:.2} ({:.2})",
        found.0, wanted.0, found.1, wanted.1
    );
    assert!((found.0 / wanted.0 - 1.0).abs() < 0.02 && (found.1 / wanted.1 - 1.0).abs() < 0.02, "within 2 %");
}

/// Stress over the pairs of 40 nodes with all others, scaled as best fits, and the mean length of an edge.
fn score(csr: &Csr, records: &[NodeRecord]) -> (f64, f64) {
    let apart = |from: usize, to: usize| {
        let (from, to) = (records[from].position(), records[to].position());
        (0..3).map(|axis| f64::from(from[axis] - to[axis]).powi(2)).sum::<f64>().sqrt()
    };
    let mut pairs = Vec::new();
    for source in (0..records.len()).step_by(records.len() / 40) {
        let mut hops = vec![u32::MAX; records.len()];
        hops[source] = 0;
        let mut reached = vec![source];
        let mut next = 0;
        while next < reached.len() {
            let node = reached[next];
            next += 1;
            for (other, _) in csr.row(node) {
                if hops[other as usize] == u32::MAX {
                    hops[other as usize] = hops[node] + 1;
                    reached.push(other as usize);
                }
            }
        }
        pairs.extend(reached[1..].iter().map(|node| (apart(source, *node), f64::from(hops[*node]))));
    }
    let sum = |of: fn(f64, f64) -> f64| pairs.iter().map(|(length, hops)| of(*length, *hops)).sum::<f64>();
    let scale = sum(|length, hops| length / hops) / sum(|length, hops| (length / hops).powi(2));
    let stress =
        pairs.iter().map(|(length, hops)| (scale * length / hops - 1.0).powi(2)).sum::<f64>() / pairs.len() as f64;
    let edges = (0..records.len()).flat_map(|node| csr.row(node).map(move |(other, _)| (node, other as usize)));
    let (count, length) = edges.fold((0.0, 0.0), |(count, length), (from, to)| (count + 1.0, length + apart(from, to)));
    (stress, length / count)
}

fn steps(nodes: u32) {
    for force_model in [ForceModel::TForce, ForceModel::LinLog] {
        for repulsion_cutoff in [0.0, 300.0] {
            let params = SimParams { force_model, repulsion_cutoff, ..SimParams::default() };
            let mut backend = device(params, graph(nodes, true));
            backend.repulsion_error(8);
            backend.hold(NodeIndex(0), [0.0; 3]);
            backend.pin(NodeIndex(1), true);
            backend.timed_step().unwrap();
            backend.release(NodeIndex(0));
            backend.apply(&SimParams { dimensions: Dimensions::Two, ..params }).unwrap();
            for _ in 0..2 {
                backend.timed_step().unwrap();
            }
        }
    }
}

fn time(name: &str) {
    println!("{name}; ms on the device, median of steps; 3 edges a node, space\n");
    println!(
        "| nodes | tick | repulsion | the rest | least tick | pairs: distance to 2.2e12/s | rest: distance to 4.3 TB/s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (nodes, count) in [(32_000, 200), (100_000, 200), (1_000_000, 60), (10_000_000, 20)] {
        let topology = graph(nodes, true);
        let half_edges = topology.csr.half_edge_count() as f64;
        let mut backend = device(SimParams::default(), topology);
        let mut run = |params: SimParams| {
            backend.apply(&params).unwrap();
            let mut taken: Vec<f32> = (0..count + 8).map(|_| backend.timed_step().unwrap().unwrap()).skip(8).collect();
            taken.sort_by(f32::total_cmp);
            (f64::from(taken[taken.len() / 2]), f64::from(taken[0]))
        };
        let (tick, least) = run(SimParams::default());
        let (rest, _) = run(SimParams { repulsion: false, ..SimParams::default() });
        let repulsion = tick - rest;
        let pairs = if nodes <= 32_768 {
            let floor_ms = f64::from(nodes).powi(2) / PAIRS_PER_SECOND * 1e3;
            format!("{:.2} x", repulsion / floor_ms)
        } else {
            "by the tree".to_owned()
        };
        let floor_ms = (f64::from(nodes) * NODE_BYTES + half_edges * HALF_EDGE_BYTES) / BYTES_PER_SECOND * 1e3;
        println!(
            "| {nodes} | {tick:.3} | {repulsion:.3} | {rest:.3} | {least:.3} | {pairs} | {:.2} x |",
            rest / floor_ms
        );
    }
}
