//! Question: what does the load tester use of a core per frame that it receives, above a bare `recv` loop of the same
//! bytes?
//!
//! Budget: at most 1.3 times the bare loop, for frames of 2 KB and more to 100 clients and more.
//!
//! Method: for each size and number of clients, rounds of bare loop and load tester in turn, A B A B, each against a
//! fresh bare sender at the same rate. Both are one thread of this process, and what is counted is that thread's own
//! processor time. The load tester does all it does in a run: headers, sequences, histograms, timers. Every frame of
//! its window must have come and agreed with its sequence, or the round is an error.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use swarmcast::wire::Profile;
use swarmcast_bench::limits::raise_open_files;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::receiver::{Take, receive};
use swarmcast_bench::report::{hardware, short};
use swarmcast_bench::round::median;
use swarmcast_bench::sender::{Load, whole_frame_bytes};
use swarmcast_bench::server::Server;
use swarmcast_bench::viewers::{Viewers, group, plan};
use swarmcast_load::clock::SECOND_NS;
use swarmcast_load::plan::{Group, Protocol};
use swarmcast_load::record::Count;

const RATIO_MAX: f64 = 1.3;
const BUDGET_BYTES: usize = 2_048;
const BUDGET_CLIENTS: usize = 100;

/// What the load tester costs per received frame, above a bare loop.
#[derive(Parser)]
struct Options {
    /// Payloads.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 2_048, 32_768])]
    sizes: Vec<usize>,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000])]
    clients: Vec<usize>,
    /// Bytes a second that the sender may be asked for, MB; it sets the rate, up to 60 Hz.
    #[arg(long, default_value_t = 200.0)]
    budget_mb: f64,
    /// Pairs of windows.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a window, s.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The bare sender; by default beside this program.
    #[arg(long)]
    floor: Option<PathBuf>,
    /// One short round of three clients: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.sizes, options.clients, options.rounds, options.seconds) = (vec![2_048], vec![3], 1, 1);
    }
    ensure!(options.rounds > 0 && options.seconds > 0, "rounds and seconds above 0");
    raise_open_files();
    let floor = match &options.floor {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("floor"),
    };
    print!("{}", hardware(&Machine::here()));
    println!("- one thread each, sender on the same cores; medians over {} rounds\n", options.rounds);
    println!(
        "| frame bytes | clients | frames/s asked | bare loop, us per frame | load tester, us per frame | ratio |"
    );
    println!("|---|---|---|---|---|---|");
    let (mut missed, mut judged) = (Vec::new(), 0);
    for bytes in options.sizes.iter().map(|bytes| whole_frame_bytes(*bytes)) {
        for clients in options.clients.iter().copied() {
            let rate = (options.budget_mb * 1e6 / (bytes * clients) as f64).clamp(1.0, 60.0);
            let load = Load { frame_bytes: bytes, clients, rate_hz: rate, one_piece: true };
            let (mut bare, mut tool, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..options.rounds {
                let sender = Server::floor(&floor, load, None)?;
                let take = Take {
                    address: sender.address,
                    path: "/stream".to_owned(),
                    clients,
                    warm_ns: SECOND_NS,
                    measured_ns: options.seconds * SECOND_NS,
                };
                let floor_us = receive(&take)?.frame_us(bytes);
                drop(sender);
                let sender = Server::floor(&floor, load, None)?;
                let tool_us = load_tester(&sender, clients, rate, options.seconds)?;
                bare.push(floor_us);
                tool.push(tool_us);
                ratios.push(tool_us / floor_us);
            }
            let ratio = median(ratios);
            println!(
                "| {bytes} | {clients} | {} | {} | {} | {} |",
                short(rate * clients as f64),
                short(median(bare)),
                short(median(tool)),
                short(ratio)
            );
            if bytes >= whole_frame_bytes(BUDGET_BYTES) && clients >= BUDGET_CLIENTS {
                judged += 1;
                if ratio > RATIO_MAX {
                    missed.push(format!("{bytes} bytes to {clients} clients: {}", short(ratio)));
                }
            }
        }
    }
    let verdict = match (judged, missed.is_empty()) {
        (0, _) => "not asked of any row".to_owned(),
        (_, true) => format!("kept in all {judged} rows"),
        (_, false) => format!("missed in {} of {judged} rows: {}", missed.len(), missed.join("; ")),
    };
    println!(
        "\nbudget of {RATIO_MAX} times the bare loop, from {BUDGET_BYTES} bytes and {BUDGET_CLIENTS} clients on: {verdict}"
    );
    Ok(())
}

/// Processor time of the load tester's thread per frame, us.
fn load_tester(sender: &Server, clients: usize, rate_hz: f64, seconds: u64) -> Result<f64> {
    let protocol = Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 };
    let group = Group { owed_hz: Some(rate_hz), ..group("viewers", sender.address, u32::try_from(clients)?, protocol) };
    // The sender begins when the last client is there.
    let seen = Viewers::start(plan(vec![group], 2, seconds))?.finish()?;
    let frames: u64 = seen.groups.iter().map(|group| group.of(Count::Delivered)).sum();
    ensure!(frames > 0, "no frame came");
    Ok(seen.thread_ns / 1e3 / frames as f64)
}
