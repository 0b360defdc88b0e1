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
use std::sync::Arc;

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
use swarmcast_load::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use swarmcast_load::generate::{Job, Offsets, Share, start};
use swarmcast_load::plan::{
    Behaviour, ClockMode, Group, Plan, Protocol, SelfCheck, Stage, StageKind, Target, Transport,
};
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
    let plan = Arc::new(plan(sender, clients, rate_hz, seconds)?);
    let slices = plan.slices();
    let running = start(&Job {
        plan: Arc::clone(&plan),
        share: Share { index: 0, of: 1 },
        start_ns: monotonic_ns() + 20 * MILLISECOND_NS,
        offsets: Arc::new(Offsets::none(1)),
    })?;
    let (mut used_ns, mut frames, mut errors) = (0.0, 0, 0);
    for interval in running.intervals() {
        let Some(slice) = slices.get(interval.slice).copied() else { continue };
        errors += interval.groups.iter().map(swarmcast_load::record::Record::error_count).sum::<u64>();
        if slice.measured {
            used_ns += interval.watch.thread_cpu * (slice.end_ns - slice.start_ns) as f64;
            frames += interval.groups.iter().map(|group| group.of(Count::Delivered)).sum::<u64>();
        }
        running.recycle(interval);
    }
    running.join()?;
    ensure!(errors == 0, "{errors} errors in a round that should have none");
    ensure!(frames > 0, "no frame came");
    Ok(used_ns / 1e3 / frames as f64)
}

fn plan(sender: &Server, clients: usize, rate_hz: f64, seconds: u64) -> Result<Plan> {
    let stage = |kind, duration_ns, measured| Stage { name: String::new(), kind, duration_ns, to: 1.0, measured };
    let ramp_ns = (clients as u64 * MILLISECOND_NS).max(SECOND_NS);
    Ok(Plan {
        name: "receive".to_owned(),
        seed: 1,
        stages: vec![stage(StageKind::Ramp, ramp_ns, false), stage(StageKind::Hold, (seconds + 2) * SECOND_NS, true)],
        groups: vec![Group {
            name: "viewers".to_owned(),
            clients: u32::try_from(clients)?,
            target: Target {
                url: format!("ws://{}/stream", sender.address),
                transport: Transport::WebSocket,
                authority: sender.address.to_string(),
                path: "/stream".to_owned(),
                address: sender.address,
                headers: Vec::new(),
                subprotocols: Vec::new(),
            },
            protocol: Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 },
            behaviour: Behaviour::Reader,
            sending: None,
            start_ns: 0,
            owed_hz: Some(rate_hz),
            reconnect_after_ns: None,
            verify: false,
            receive_buffer_bytes: None,
            stages: None,
        }],
        thresholds: Vec::new(),
        // The sender begins when the last client is there.
        warmup_ns: 2 * SECOND_NS,
        threads: 1,
        sources: Vec::new(),
        connect_timeout_ns: 10 * SECOND_NS,
        clock: ClockMode::Same,
        self_check: SelfCheck::default(),
    })
}
