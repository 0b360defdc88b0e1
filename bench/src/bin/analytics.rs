//! Question: how long does each analytics job take, and which would gain from a device?
//!
//! Budget: none of its own: a job runs on a worker and delays no tick (`tests/graph/analytics.rs`). Method: the computations themselves, one
//! thread, on a graph of 3 edges a node, mostly to near ones, with positions along a grid. Each stands beside a floor of the same run:
//! one pass that gathers a number of every neighbour, which is what an iteration over the graph costs at least, and beside the bytes that a
//! device would have to be sent first.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use swarmcast::analytics::{
    DbscanOptions, Feature, Job, KMeansOptions, LabelOptions, LeidenOptions, Lengths, LofOptions, PageRankOptions,
    StressOptions, Unwatched,
};
use swarmcast::graph::Csr;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::made::{hash, near_and_far};
use swarmcast_bench::report::hardware;
use swarmcast_bench::round::median;

/// How long analytics take.
#[derive(Parser)]
struct Options {
    /// Nodes of the graphs, each a table.
    #[arg(default_values_t = [100_000, 1_000_000])]
    nodes: Vec<u32>,
    /// Rounds; medians are told.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Distance of neighbours along the grid, world units.
const SPACING: f32 = 60.0;

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.rounds > 0 && options.nodes.iter().all(|nodes| *nodes > 100), "rounds above 0, nodes above 100");
    print!("{}", hardware(&Machine::here()));
    for nodes in options.nodes {
        measure(nodes, options.rounds)?;
    }
    Ok(())
}

fn places(nodes: u32) -> Vec<[f32; 3]> {
    let side = f64::from(nodes).cbrt().ceil() as u32;
    let jitter = |node: u32, salt: u64| (hash(u64::from(node) ^ (salt << 40)) >> 40) as f32 / 16_777_216.0;
    let at = |node: u32| {
        [(node % side, 1), (node / side % side, 2), (node / side / side, 3)]
            .map(|(cell, salt)| (cell as f32 + jitter(node, salt)) * SPACING)
    };
    (0..nodes).map(at).collect()
}

/// Milliseconds of one pass over all rows.
fn gather_ms(csr: &Csr) -> f64 {
    let value: Vec<f64> = (0..csr.node_count()).map(|node| node as f64).collect();
    let began = Instant::now();
    let mut sums = vec![0.0; csr.node_count()];
    for (node, sum) in sums.iter_mut().enumerate() {
        *sum = csr.row(node).filter_map(|(other, _)| value.get(other as usize)).sum();
    }
    black_box(&sums);
    began.elapsed().as_secs_f64() * 1e3
}

fn measure(nodes: u32, rounds: usize) -> Result<()> {
    let (csr, places) = (near_and_far(nodes), places(nodes));
    let lengths = Lengths::Hops;
    let jobs = [
        ("shortest paths, hops", Job::Paths { source: 0, lengths }),
        ("shortest paths, weights", Job::Paths { source: 0, lengths: Lengths::Weights }),
        ("components", Job::Components),
        ("PageRank", Job::PageRank(PageRankOptions::default())),
        ("k-means, 8", Job::KMeans(KMeansOptions::default())),
        ("DBSCAN", Job::Dbscan(DbscanOptions { radius: f64::from(SPACING), ..DbscanOptions::default() })),
        ("label propagation, 8 runs", Job::Labels(LabelOptions::default())),
        ("Leiden", Job::Leiden(LeidenOptions::default())),
        ("LOF, 32", Job::Lof { options: LofOptions::default(), threshold: 1.5 }),
        ("z-score of degrees", Job::ZScore { feature: Feature::Degree, threshold: 3.0 }),
        ("stress, 50 pivots", Job::Stress(StressOptions::default())),
        ("landmarks, 16", Job::Landmarks { count: 16, lengths, pairs: Vec::new() }),
    ];
    let pass_ms = median((0..rounds.max(3)).map(|_| gather_ms(&csr)));
    let row_bytes = 4 * (csr.node_count() + 1) + 8 * csr.half_edge_count();
    println!(
        "\n{nodes} nodes, {} half edges; one pass over the rows {pass_ms:.2} ms\n\n| job | ms | passes | MB to send first |\n|---|---|---|---|",
        csr.half_edge_count()
    );
    for (name, job) in jobs {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            black_box(job.run(&csr, &places, &Unwatched)?);
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let took = median(took);
        // A device that lays the graph out has positions and rows already; what it is sent here is what any other would be.
        let bytes = if job.needs_positions() { 12 * csr.node_count() } else { 0 }
            + if matches!(job, Job::KMeans(_) | Job::Dbscan(_) | Job::Lof { .. }) { 0 } else { row_bytes };
        println!("| {name} | {took:.1} | {:.1} | {:.1} |", took / pass_ms, bytes as f64 / 1e6);
    }
    Ok(())
}
