//! Question: how far do the simulation's ticks drift from the clock?
//!
//! Budget: below 1 % over ten minutes.
//!
//! Method: one client of the compact profile at the tick rate notes the tick of the first and the last frame, and when each
//! came by its own clock; viewers load the server meanwhile. Ticks that the clock had room for, less those that were made:
//! a tick that is left out because the one before took too long counts as drift, as it does for whoever watches. The
//! published figure is of `--seconds 600`.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use swarmcast::base::clock::{SECOND_NS, monotonic_ns};
use swarmcast::wire::{FLAG_SETTLED, FrameHeader};
use swarmcast_bench::machine::{self, Machine};
use swarmcast_bench::peek::Peek;
use swarmcast_bench::report::{hardware, ms};
use swarmcast_bench::server::Server;
use swarmcast_bench::viewers::{Viewers, compact, group, plan};
use swarmcast_load::plan::Protocol;

const DRIFT_MAX: f64 = 0.01;

/// Left out: the first frame may be one of before.
const WARM_NS: u64 = 2 * SECOND_NS;

/// How many ticks the simulation is short of its clock.
#[derive(Parser)]
struct Options {
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// The graph.
    #[arg(long, default_value = "examples/graphs/desktops.csv")]
    graph: PathBuf,
    /// Ticks a second.
    #[arg(long, default_value_t = 60)]
    rate: u16,
    /// Clients beside the one that watches the clock.
    #[arg(long, default_value_t = 100)]
    viewers: u32,
    /// How long is watched.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A second: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

/// A frame, as its client saw it.
#[derive(Clone, Copy)]
struct Mark {
    tick: u64,
    tick_ns: u64,
    came_ns: u64,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.seconds, options.viewers) = (1, 3);
    }
    ensure!(options.seconds > 0, "seconds above 0");
    let more = ["--rate".to_owned(), options.rate.to_string()];
    let server = Server::engine(&options.server, &options.graph, &more)?;
    let protocol = Protocol::Compact(compact(options.rate));
    let crowd = (options.viewers > 0).then(|| {
        Viewers::start(plan(vec![group("crowd", server.address, options.viewers, protocol)], 1, options.seconds + 2))
    });
    let crowd = crowd.transpose()?;
    let query = format!("profile=swarmcast.compact&rate={}", options.rate);
    let (first, last, longest_ns) = watch(&mut Peek::connect(server.address, &query)?, options.seconds * SECOND_NS)?;
    if let Some(crowd) = crowd {
        crowd.finish()?;
    }
    print!("{}", hardware(&Machine::here()));
    println!(
        "- {}, {} Hz, {} viewers; load average after: {}\n",
        options.graph.display(),
        options.rate,
        options.viewers,
        machine::load()
    );
    println!(
        "| seconds | ticks due | ticks made | drift by the client's clock | by the stamps | longest time between frames, ms |"
    );
    println!("|---|---|---|---|---|---|");
    let rate = f64::from(options.rate);
    let made = (last.tick - first.tick) as f64;
    let seconds = (last.came_ns - first.came_ns) as f64 / SECOND_NS as f64;
    let stamped = (last.tick_ns - first.tick_ns) as f64 / SECOND_NS as f64;
    let [drift, by_stamps] = [seconds, stamped].map(|seconds| 1.0 - made / (seconds * rate));
    println!(
        "| {seconds:.1} | {:.0} | {made:.0} | {:.4} % | {:.4} % | {} |",
        seconds * rate,
        drift * 100.0,
        by_stamps * 100.0,
        ms(longest_ns as f64 / SECOND_NS as f64)
    );
    let kept = if drift.abs() < DRIFT_MAX { "kept" } else { "missed" };
    eprintln!("budget of {} %: {kept}", DRIFT_MAX * 100.0);
    Ok(())
}

/// The first and the last frame of so long, and the longest time between two.
fn watch(peek: &mut Peek, for_ns: u64) -> Result<(Mark, Mark, u64)> {
    let began_ns = monotonic_ns();
    let (mut first, mut last, mut longest_ns) = (None::<Mark>, None::<Mark>, 0);
    loop {
        let message = peek.frame()?;
        let (header, _) = FrameHeader::parse_compact(&message)?;
        let now = Mark { tick: header.tick.get(), tick_ns: header.tick_ns.get(), came_ns: monotonic_ns() };
        if header.sequence.get() == 0 || now.came_ns < began_ns + WARM_NS {
            continue;
        }
        ensure!(header.flags.get() & FLAG_SETTLED == 0, "the simulation came to rest: nothing ticks");
        longest_ns = last.map_or(0, |last| longest_ns.max(now.came_ns - last.came_ns));
        first = first.or(Some(now));
        last = Some(now);
        let from = first.context("it was just set")?;
        if now.came_ns >= from.came_ns + for_ns {
            return Ok((from, now, longest_ns));
        }
    }
}
