//! Question: what does this machine ask at least for giving N WebSocket clients the same B bytes at a rate, and for
//! taking them in?
//!
//! `floor` and `floor send` are the first, `floor receive` is the second.
//!
//! Method: one bare thread sends, in a process of its own; one thread of this process reads as all clients. Processor
//! time is that of the sending process. Budget: none, this is the bar that the engine is read against. Every frame is
//! checked by every client before it counts. `floor receive` turns it round: one bare thread of this process receives and parses nothing, and
//! its processor time is divided by what it received, in frames.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use swarmcast::base::clock::SECOND_NS;
use swarmcast::wire::Profile;
use swarmcast_bench::client::Ask;
use swarmcast_bench::limits::raise_open_files;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::receiver::{Take, receive};
use swarmcast_bench::report::{hardware, latency, short};
use swarmcast_bench::round::{Span, measure, median};
use swarmcast_bench::sender::{Load, send, whole_frame_bytes};
use swarmcast_bench::server::Server;

/// What a bare broadcast loop costs per delivered frame.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    load: LoadOptions,
    /// Windows; the figures are medians over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a window.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Left out before it.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// One short window with three clients: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

#[derive(Subcommand)]
enum Role {
    /// Only send: print the address, wait for all clients, end with them.
    Send(LoadOptions),
    /// Only receive, parse nothing, and print the processor time per received frame.
    Receive(ReceiveOptions),
}

#[derive(Args)]
struct ReceiveOptions {
    /// A WebSocket server that sends frames of --bytes; without it a bare sender is started.
    #[arg(long)]
    address: Option<SocketAddr>,
    /// Path and query of the handshake.
    #[arg(long, default_value = "/stream")]
    path: String,
    #[command(flatten)]
    load: LoadOptions,
    /// Windows.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a window.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Left out before it.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
}

#[derive(Args, Clone, Copy)]
struct LoadOptions {
    /// Payload of a frame, rounded down to a header and whole records.
    #[arg(long, default_value_t = 29_576)]
    bytes: usize,
    /// Connections.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Frames a second.
    #[arg(long, default_value_t = 60.0)]
    rate: f64,
    /// Pin the sender to this core.
    #[arg(long)]
    core: Option<usize>,
    /// Head and body of a frame in one piece and one `write`, not in two pieces and a `writev` as the engine has them.
    #[arg(long)]
    one_piece: bool,
}

impl LoadOptions {
    fn load(self) -> Load {
        let Self { bytes, clients, rate: rate_hz, one_piece, .. } = self;
        Load { frame_bytes: whole_frame_bytes(bytes), clients, rate_hz, one_piece }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    raise_open_files();
    match options.role {
        Some(Role::Send(options)) => send(options.load(), options.core),
        Some(Role::Receive(options)) => run_receive(&options),
        None => run(&options),
    }
}

fn run_receive(options: &ReceiveOptions) -> Result<()> {
    let Load { frame_bytes, clients, .. } = options.load.load();
    let (rounds, seconds, warm) = (options.rounds, options.seconds, options.warm);
    ensure!(clients > 0 && rounds > 0 && seconds > 0.0 && warm >= 0.0, "clients, rounds and seconds above 0");
    let own = std::env::current_exe()?;
    print!("{}", hardware(&Machine::here()));
    println!("| clients | frame bytes | frames/s | MB/s | CPU us per received frame | recv calls per frame | cores |");
    println!("|---|---|---|---|---|---|---|");
    let mut cost = Vec::new();
    for _ in 0..rounds {
        let sender = match options.address {
            Some(_) => None,
            None => Some(Server::floor(&own, options.load.load(), options.load.core)?),
        };
        let address = options.address.or(sender.as_ref().map(|sender| sender.address));
        let ns = |seconds: f64| (seconds * SECOND_NS as f64) as u64;
        let taken = receive(&Take {
            address: address.context("an address is given or started")?,
            path: options.path.clone(),
            clients,
            warm_ns: ns(warm),
            measured_ns: ns(seconds),
        })?;
        ensure!(taken.bytes > 0, "nothing was received");
        cost.push(taken.frame_us(frame_bytes));
        println!(
            "| {clients} | {frame_bytes} | {} | {} | {} | {:.2} | {:.2} |",
            short(taken.frames(frame_bytes) / taken.seconds),
            short(taken.bytes as f64 / taken.seconds / 1e6),
            short(taken.frame_us(frame_bytes)),
            taken.calls as f64 / taken.frames(frame_bytes),
            taken.cpu_ns as f64 / SECOND_NS as f64 / taken.seconds,
        );
    }
    println!("\nmedian: {} us of the receiver per received frame", short(median(cost)));
    Ok(())
}

fn run(options: &Options) -> Result<()> {
    let mut load = options.load.load();
    let (mut rounds, mut seconds, mut warm) = (options.rounds, options.seconds, options.warm);
    if options.small {
        (load.clients, rounds, seconds, warm) = (3, 1, 0.3, 0.1);
    }
    ensure!(rounds > 0 && seconds > 0.0 && warm >= 0.0, "rounds and seconds above 0");
    let span = Span { warm: Duration::from_secs_f64(warm), measured: Duration::from_secs_f64(seconds) };
    let own = std::env::current_exe()?;
    print!("{}", hardware(&Machine::here()));
    println!("- clients and sender share these cores");
    println!(
        "| clients | frame bytes | delivered Hz per client: min / median / max | conflated % | MB/s | CPU us per delivered frame | sender cores | client cores | publish to last byte, ms: p50 / p99 / max |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut cost = Vec::new();
    for _ in 0..rounds {
        let server = Server::floor(&own, load, options.load.core)?;
        let (rate_hz, clients) = (load.rate_hz.ceil() as u32, load.clients);
        let ask = Ask { address: server.address, profile: Profile::Own, rate_hz, clients };
        let round = measure(&server, ask, span, None)?;
        cost.push(round.server_us);
        println!(
            "| {clients} | {} | {} | {:.1} | {} | {} | {:.2} | {:.2} | {} |",
            round.frame_bytes,
            round.delivered_hz.map(short).join(" / "),
            round.conflated_share.unwrap_or(f64::NAN) * 100.0,
            short(round.bytes_per_s / 1e6),
            short(round.server_us),
            round.sender_cores,
            round.client_cores,
            latency(round.latency_ns),
        );
    }
    println!("\nmedian: {} us of the sender per delivered frame", short(median(cost)));
    Ok(())
}
