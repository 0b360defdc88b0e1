//! Question: what does a thread that spins instead of sleeping gain in lateness, and what does it cost in processor time?
//!
//! Budget: published to picked up by a shard, p99: 0.1 ms where it spins, 0.5 ms where it parks. The report says which is
//! kept; on a machine whose cores are shared with the clients a spinning thread has no core to itself, and may lose.
//!
//! Method: rounds of every strategy in turn, A B C A B C, each in a fresh process on the same graph, which never comes to
//! rest. `late` is from a tick's deadline to the waking of `sim`; `picked up` from the publishing of a frame to the shard's
//! having it, both as the engine measures them, since its start; `received` is from publishing to the last byte read by a
//! client, in the window only. Medians over rounds.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use swarmcast::wire::Profile;
use swarmcast_bench::client::Ask;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::report::hardware;
use swarmcast_bench::round::{Round, Span, measure, median};
use swarmcast_bench::scrape::{Bucket, Scrape};
use swarmcast_bench::server::Server;

/// Name, strategy of both threads, how long `spin_then_park` spins, us.
const STRATEGIES: [(&str, &str, u32); 4] = [
    ("park", "park", 100),
    ("spin 0.1 ms, then park", "spin_then_park", 100),
    ("spin a tick, then park", "spin_then_park", 17_000),
    ("spin", "spin", 100),
];

const RATE_HZ: u32 = 60;

/// What waiting costs, by strategy.
#[derive(Parser)]
struct Options {
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// The graph.
    #[arg(long, default_value = "examples/graphs/les_miserables.graphml")]
    graph: PathBuf,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    clients: Vec<usize>,
    /// Windows of each strategy.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a window.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Where the report goes.
    #[arg(long)]
    out: Option<PathBuf>,
    /// One short round: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

/// What one round showed.
struct Seen {
    round: Round,
    late: [Option<Bucket>; 2],
    picked_up_s: [f64; 2],
    shard_cores: f64,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.clients, options.rounds, options.seconds) = (vec![2], 1, 0.5);
    }
    ensure!(options.rounds > 0 && options.seconds > 0.0, "rounds and seconds above 0");
    let machine = Machine::here();
    let mut table = String::from(
        "| clients | strategy | late p50 / p99 | picked up p50 / p99 | received p50 / p99 | sim | shard | delivered |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut others: f64 = 0.0;
    for clients in options.clients.iter().copied() {
        let mut seen: [Vec<Seen>; STRATEGIES.len()] = Default::default();
        for round in 0..options.rounds {
            for ((name, strategy, spin_us), seen) in STRATEGIES.iter().zip(&mut seen) {
                eprintln!("{clients} clients, {name}, round {} of {}", round + 1, options.rounds);
                let found =
                    one(&options, clients, strategy, *spin_us).with_context(|| format!("{name}, {clients} clients"))?;
                others = others.max(found.round.others_cores);
                seen.push(found);
            }
        }
        for ((name, ..), seen) in STRATEGIES.iter().zip(&seen) {
            row(&mut table, clients, name, seen)?;
        }
    }
    let text = format!(
        "# What waiting costs\n\n{}\n{} rounds of {} s each; others used up to {others:.2} cores. `sim` and `shard` are shares of a core.\n\n{table}",
        hardware(&machine),
        options.rounds,
        options.seconds,
    );
    println!("{text}");
    if let Some(path) = &options.out {
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn one(options: &Options, clients: usize, strategy: &str, spin_us: u32) -> Result<Seen> {
    let more = [
        "--rate".to_owned(),
        RATE_HZ.to_string(),
        "--shards".to_owned(),
        "1".to_owned(),
        "--set".to_owned(),
        format!("threads.sim_idle={strategy}"),
        "--set".to_owned(),
        format!("threads.shard_idle={strategy}"),
        "--set".to_owned(),
        format!("threads.spin_us={spin_us}"),
    ];
    let server = Server::engine(&options.server, &options.graph, &more)?;
    let first = Scrape::now(server.address)?;
    let ask = Ask { address: server.address, profile: Profile::Own, rate_hz: RATE_HZ, clients };
    let measured = Duration::from_secs_f64(options.seconds);
    let span = Span { warm: measured.min(Duration::from_secs(1)), measured };
    let round = measure(&server, ask, span, Some(server.address))?;
    let last = Scrape::now(server.address)?;
    let late = [0.5, 0.99].map(|quantile| last.quantile(&first, "tick_lateness", quantile));
    let picked_up = |quantile: &str| {
        let name = format!("stage_seconds{{thread=\"shard-0\",stage=\"pickup\",quantile=\"{quantile}\"}}");
        last.value(&name).with_context(|| format!("the engine does not show {name}"))
    };
    let picked_up_s = [picked_up("0.5")?, picked_up("0.99")?];
    let shard_cores = round.sender_cores;
    Ok(Seen { round, late, picked_up_s, shard_cores })
}

fn row(table: &mut String, clients: usize, name: &str, seen: &[Seen]) -> Result<()> {
    let of = |figure: &dyn Fn(&Seen) -> f64| median(seen.iter().map(figure));
    let up_to = |place: usize| {
        of(&|seen| seen.late.get(place).copied().flatten().and_then(|bucket| bucket.up_to).unwrap_or(f64::INFINITY))
    };
    let picked_up = |place: usize| of(&|seen| seen.picked_up_s.get(place).copied().unwrap_or(f64::NAN));
    let received = |place: usize| {
        of(&|seen| seen.round.latency_ns.and_then(|all| all.get(place).copied()).map_or(f64::NAN, |ns| ns as f64 / 1e9))
    };
    let sim = of(&|seen| seen.round.engine.as_ref().map_or(f64::NAN, |engine| engine.sim_cores));
    let [worst, middle, _] =
        [0, 1, 2].map(|place| of(&|seen| seen.round.delivered_hz.get(place).copied().unwrap_or(0.0)));
    writeln!(
        table,
        "| {clients} | {name} | <= {} / <= {} | {} / {} | {} / {} | {:.1} % | {:.1} % | {worst:.1} / {middle:.1} Hz |",
        micros(up_to(0)),
        micros(up_to(1)),
        micros(picked_up(0)),
        micros(picked_up(1)),
        micros(received(0)),
        micros(received(2)),
        sim * 100.0,
        of(&|seen| seen.shard_cores) * 100.0,
    )?;
    Ok(())
}

/// Seconds in us; `-` for none.
fn micros(seconds: f64) -> String {
    if seconds.is_finite() { format!("{:.0} us", seconds * 1e6) } else { "-".to_owned() }
}
