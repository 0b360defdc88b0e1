//! Question: how much memory of ours does a connection take that only waits?
//!
//! Budget: at most 8 KiB.
//!
//! Method: the engine over a small graph that is at rest, so that a client gets a heartbeat every five seconds and nothing
//! else. A few clients are there before, so that what a class takes once is not counted. Resident memory of the process
//! after all others have come, less that before, by their number. The kernel's socket buffers are not in it.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use swarmcast::wire::Profile;
use swarmcast_bench::limits::raise_open_files;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::process::rss_mib;
use swarmcast_bench::report::hardware;
use swarmcast_bench::server::Server;
use swarmcast_bench::viewers::{Viewers, compact, group, plan};
use swarmcast_load::plan::Protocol;
use swarmcast_load::record::Count;

const KIB_MAX: f64 = 8.0;

/// Clients that are there before.
const FIRST: u32 = 8;

/// Between the last connection and the look at memory, s.
const SETTLE_S: u64 = 4;

/// What an idle connection takes of the server's memory.
#[derive(Parser)]
struct Options {
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// The graph; a large one hides the connections.
    #[arg(long, default_value = "examples/graphs/les_miserables.graphml")]
    graph: PathBuf,
    /// Connections.
    #[arg(long, default_value_t = 5_000)]
    clients: u32,
    /// Formats, each in a fresh process.
    #[arg(long, value_delimiter = ',', default_values_t = ["swarmcast.compact".to_owned(), "swarmcast.v1".to_owned()])]
    profiles: Vec<String>,
    /// A few clients: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        options.clients = 50;
    }
    ensure!(options.clients > 0, "clients above 0");
    let (files, wanted) = (raise_open_files(), u64::from(options.clients + FIRST) + 64);
    ensure!(files >= wanted, "{wanted} open files are needed and {files} allowed: `ulimit -Hn {wanted}` as root");
    print!("{}", hardware(&Machine::here()));
    println!("\n| profile | connections | server, MiB: before, after | KiB per connection |\n|---|---|---|---|");
    for name in &options.profiles {
        let profile = Profile::from_name(name).with_context(|| format!("no profile is called {name}"))?;
        let [before, after] = measure(&options, profile)?;
        let each = (after - before) * 1_024.0 / f64::from(options.clients);
        println!("| {name} | {} | {before:.1}, {after:.1} | {each:.2} |", options.clients);
        let kept = if each <= KIB_MAX { "kept" } else { "missed" };
        eprintln!("budget of {KIB_MAX} KiB for each connection of {name}: {kept}");
    }
    Ok(())
}

/// Resident memory before and after, MiB.
fn measure(options: &Options, profile: Profile) -> Result<[f64; 2]> {
    // Whatever moves is slow enough to be at rest.
    let room = format!("net.connections_max={}", options.clients + FIRST + 16);
    let more = ["--set", "sim.settle_velocity=1000000", "--set", &room].map(str::to_owned);
    let server = Server::engine(&options.server, &options.graph, &more)?;
    let protocol = match profile {
        Profile::Compact => Protocol::Compact(compact(20)),
        profile => Protocol::Swarmcast { profile, rate_hz: 20 },
    };
    let viewers = |clients: u32, seconds| {
        Viewers::start(plan(vec![group("idle", server.address, clients, protocol.clone())], 1, seconds))
    };
    let ramp_s = u64::from(options.clients).div_ceil(1_000);
    let first = viewers(FIRST, ramp_s + 3 * SETTLE_S + 4)?;
    sleep(Duration::from_secs(SETTLE_S));
    let before = rss_mib(server.process())?;
    let all = viewers(options.clients, SETTLE_S + 1)?;
    sleep(Duration::from_secs(ramp_s + SETTLE_S));
    let after = rss_mib(server.process())?;
    let seen = all.finish()?;
    let connected: u64 = seen.groups.iter().map(|group| group.of(Count::Connected)).sum();
    ensure!(connected == u64::from(options.clients), "{connected} of {} connected", options.clients);
    first.finish()?;
    Ok([before, after])
}
