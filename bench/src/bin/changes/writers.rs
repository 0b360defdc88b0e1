//! Writers: how long one waits, how many changes there are a second, and what viewers notice.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use swarmcast::wire::Profile;
use swarmcast_bench::server::Server;
use swarmcast_bench::viewers::{Viewers, group, plan};
use swarmcast_load::plan::Protocol;
use swarmcast_load::record::Timing;

use super::http::Http;
use super::{Options, median, tell};

const WRITERS: usize = 16;

/// Nodes of one request.
const BATCH: usize = 64;

/// Changes a second beside viewers.
const RATE: u64 = 1_000;

/// Connections that share them.
const CALM_WRITERS: u64 = 20;

/// Bytes that a commit of one node appends, about.
const COMMIT_BYTES: usize = 4_096;

pub fn run(options: &Options) -> Result<()> {
    let (mut sync, mut waits, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        sync.push(synced(&options.folder, options.seconds.min(3))?);
        waits.push(crowd(options, 1)?.p99_ms);
        nodes.push(crowd(options, BATCH)?.nodes_per_s);
    }
    println!(
        "{WRITERS} writers that wait for each answer, {} s, medians of {} rounds:\n",
        options.seconds, options.rounds
    );
    let floor = median(sync);
    tell("one node, p99 of the wait", median(waits), "ms", Some(floor), 10.0, true);
    tell(&format!("batches of {BATCH}"), median(nodes), "nodes/s", None, 20_000.0, false);
    println!(
        "\nThe floor is the p99 of appending {COMMIT_BYTES} bytes and `fdatasync`, one at a time, on the same disk."
    );
    Ok(())
}

pub fn run_watched(options: &Options) -> Result<()> {
    let (mut calm, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        calm.push(watched(options, false)?);
        busy.push(watched(options, true)?);
    }
    let ratios = calm.iter().zip(&busy).map(|(calm, busy)| busy / calm).collect::<Vec<f64>>();
    println!(
        "\n{} viewers at 60 Hz, with and without {RATE} changes a second (a quarter of them new nodes, a quarter nodes that go):\n",
        options.viewers
    );
    println!("- viewers' p99: {:.3} ms without, {:.3} ms with", median(calm), median(busy));
    tell("with by without, median of rounds", median(ratios), "times", None, 1.10, true);
    Ok(())
}

/// p99 of a bare append, ms.
fn synced(folder: &Path, seconds: u64) -> Result<f64> {
    let path = folder.join("floor");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let (mut times, bytes) = (Histogram::<u64>::new(3)?, [7; COMMIT_BYTES]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        let one = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.record(one.elapsed().as_nanos() as u64)?;
    }
    std::fs::remove_file(path)?;
    Ok(times.value_at_quantile(0.99) as f64 / 1e6)
}

struct Crowd {
    p99_ms: f64,
    nodes_per_s: f64,
}

/// Writers of so many nodes a request.
fn crowd(options: &Options, batch: usize) -> Result<Crowd> {
    let server = Server::kept(&options.server, &fresh(&options.folder)?, &[])?;
    let (address, seconds) = (server.address, Duration::from_secs(options.seconds));
    let began = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            thread::spawn(move || -> Result<(Histogram<u64>, usize)> {
                let (mut http, mut times, mut turn) = (Http::connect(address)?, Histogram::new(3)?, 0);
                while began.elapsed() < seconds {
                    let nodes: Vec<String> =
                        (0..batch).map(|node| format!(r#"{{"key":"w{writer} t{turn} n{node}"}}"#)).collect();
                    let one = Instant::now();
                    http.post("/api/graph/nodes", &format!(r#"{{"nodes":[{}]}}"#, nodes.join(",")))?;
                    times.record(one.elapsed().as_nanos() as u64)?;
                    turn += 1;
                }
                Ok((times, turn * batch))
            })
        })
        .collect();
    let (mut times, mut nodes) = (Histogram::<u64>::new(3)?, 0);
    for writer in writers {
        let (own, made) = writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        times.add(own)?;
        nodes += made;
    }
    Ok(Crowd {
        p99_ms: times.value_at_quantile(0.99) as f64 / 1e6,
        nodes_per_s: nodes as f64 / began.elapsed().as_secs_f64(),
    })
}

/// p99 of what viewers see, ms.
fn watched(options: &Options, busy: bool) -> Result<f64> {
    let server = Server::kept(&options.server, &fresh(&options.folder)?, &["--set", "sim.settle_velocity=0"])?;
    let address = server.address;
    let protocol = Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 };
    let viewers = Viewers::start(plan(vec![group("viewers", address, options.viewers, protocol)], 2, options.seconds))?;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..if busy { CALM_WRITERS } else { 0 })
        .map(|writer| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || -> Result<()> {
                let mut http = Http::connect(address)?;
                let (began, mut turn) = (Instant::now(), 0_u64);
                while !stop.load(Ordering::Relaxed) {
                    // Open loop: what is late is made up for.
                    let due = Duration::from_nanos(1_000_000_000 * CALM_WRITERS * turn / RATE);
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    // The graph stays as large as without: its frames do, too.
                    let key = format!(r#""w{writer} n{}""#, turn / 4);
                    let op = match turn % 4 {
                        0 => format!(r#"{{"op":"add_node","node":{{"key":{key}}}}}"#),
                        1 | 2 => format!(r#"{{"op":"update_node","id":{key},"set":{{"label":"label {turn}"}}}}"#),
                        _ => format!(r#"{{"op":"remove_node","id":{key}}}"#),
                    };
                    http.post("/api/graph/batch", &format!(r#"{{"ops":[{op}]}}"#))?;
                    turn += 1;
                }
                Ok(())
            })
        })
        .collect();
    let seen = viewers.finish()?;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
    }
    let record = seen.groups.first().context("the viewers")?;
    let latency = record.timing(Timing::LatencyRaw).context("latency")?;
    Ok(latency.value_at_quantile(0.99) as f64 / 1e6)
}

/// A store that is not there yet.
fn fresh(folder: &Path) -> Result<std::path::PathBuf> {
    let path = folder.join("writers.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    Ok(path)
}
