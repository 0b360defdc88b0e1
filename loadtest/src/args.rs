//! The command line: as it is typed, and from there to a checked plan and places for results.

mod resolve;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::clock::MILLISECOND_NS;
use crate::compare::RatioBound;
use crate::plan::ClockMode;
use crate::quantity::{DURATION_FORM, duration_ns};
use crate::report::Outputs;
use crate::scenario::{CLOCKS, READY, STAMP_FORM, THREADS_MAX};

pub use resolve::{Resolved, UsageError, resolve, show_plan};

const EXAMPLES: &str = "\
Examples:
  swarmcast-load run ws://127.0.0.1:7400/stream --clients 1000 --duration 30s
  swarmcast-load run --scenario storm ws://10.0.0.5:7400/stream --out results/
  swarmcast-load run ws://127.0.0.1:9001/feed --protocol generic --expect 20 --threshold 'missing < 0.1%'
  swarmcast-load compare results/before.json results/after.json
  swarmcast-load compare run.json run.json --before-stage calm --after-stage beside --bound 'quick/latency.p99 <= 1.1x'
  swarmcast-load scenario mixed > mine.toml

Exit codes: 0 all thresholds held, 1 wrong use, 2 could not connect, 3 invalid run (the tool disturbed it),
99 a threshold or a bound was broken.";

/// Thousands of WebSocket and TCP viewers and callers, open loop, with latency figures that hold.
#[derive(Clone, Debug, Parser)]
#[command(name = "swarmcast-load", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Put load on a server and measure what its clients see.
    Run(Box<RunArgs>),
    /// Render a saved result again.
    Report(ReportArgs),
    /// Say whether two results differ by more than noise.
    Compare(CompareArgs),
    /// Generate load for a `run --agents` on another host.
    Agent(AgentArgs),
    /// List the ready scenarios, or print one.
    Scenario(ScenarioArgs),
}

/// `run`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// Server, such as ws://127.0.0.1:7400/stream or tcp://127.0.0.1:7401; over a scenario's own.
    pub target: Option<String>,
    /// Play a scenario: a TOML file, or the name of a ready one (see `swarmcast-load scenario`).
    #[arg(long, value_name = "FILE|NAME")]
    pub scenario: Option<String>,
    /// Clients [default: 100]; with a scenario of one group, that group's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: Option<u32>,
    /// Measured time, after ramp and warm-up [default: 30s].
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub duration: Option<u64>,
    /// Frames per second that a stream of Swarmcast is asked for [default: 60].
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u16).range(1..=120))]
    pub rate: Option<u16>,
    /// swarmcast (profile by the address), swarmcast.v1, swarmcast.compact, v1, v2, v3, or generic for any other stream of
    /// messages [default: swarmcast].
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<String>,
    /// Bits of a position in the compact profile: 10, 12, 14 or 16 [default: the server's].
    #[arg(long, value_name = "N")]
    pub bits: Option<u8>,
    /// Dimensions in the compact profile: 2 sends every z as 0 [default: the server's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub dimensions: Option<u8>,
    /// What the clients of the compact profile want to see: the JSON of an `interest` message [default: everything].
    #[arg(long, value_name = "JSON")]
    pub interest: Option<String>,
    /// Frames from one acknowledgement of a client of the compact profile to the next [default: 0, none].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub ack_every: Option<u32>,
    /// Time in which the clients connect [default: 1,000 clients per second, at least 1s].
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub ramp: Option<u64>,
    /// Left out of the figures at the start [default: 1s].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub warmup: Option<u64>,
    /// Threads that generate load [default: one per 250 clients, at most one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX as i64))]
    pub threads: Option<u16>,
    /// A bound that decides the exit code, such as 'latency.p99 < 5ms'; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub threshold: Vec<String>,
    /// Frames per second that each client is owed [default: the rate that the server confirms].
    #[arg(long, value_name = "HZ")]
    pub expect: Option<f64>,
    /// Where a message of a generic stream says when it was made.
    #[arg(long, value_name = "OFFSET:KIND:UNIT[:CLOCK]", long_help = STAMP_FORM)]
    pub stamp: Option<String>,
    /// Where a message of a generic stream ends on tcp://: u32-le, u32-be, line, none or a number of bytes.
    #[arg(long, value_name = "NAME|BYTES")]
    pub framing: Option<String>,
    /// Decode and check every byte of every frame; of the compact profile those of up to 32 clients, against full frames.
    #[arg(long)]
    pub verify: bool,
    /// Local address to connect from; repeatable, used in turn.
    #[arg(long, value_name = "ADDR")]
    pub source: Vec<IpAddr>,
    /// How the server's clock is compared with ours: auto, same or ping [default: auto].
    #[arg(long, value_name = "MODE", value_parser = clock)]
    pub clock: Option<ClockMode>,
    /// Other hosts that generate this load with us, each running `swarmcast-load agent`.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// The token that those agents were started with. Others on this host can read it in the list of processes;
    /// --agent-token-file keeps it from them.
    #[arg(long, value_name = "TOKEN", requires = "agents", conflicts_with = "agent_token_file")]
    pub agent_token: Option<String>,
    /// A file with the token that those agents were started with.
    #[arg(long, value_name = "FILE", requires = "agents")]
    pub agent_token_file: Option<PathBuf>,
    /// Print the resolved plan as JSON, and exit.
    #[arg(long)]
    pub check: bool,
    /// No progress line.
    #[arg(long)]
    pub quiet: bool,
    /// Where results go.
    #[command(flatten)]
    pub outputs: OutputArgs,
}

/// Where results go, as typed.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Results")]
pub struct OutputArgs {
    /// The whole result, which `report` and `compare` read.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// HdrHistogram log: an interval a second, tags per group.
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// A row per second and group.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// A page with plots, complete in one file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// A table for a pull request.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// All of them, named after the run, in this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl OutputArgs {
    /// With `--out`, what has no file of its own goes into that folder as `NAME.json` and so on.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Outputs {
        let place = |own: &Option<PathBuf>, ending: &str| {
            own.clone().or_else(|| self.out.as_ref().map(|folder| folder.join(format!("{name}.{ending}"))))
        };
        Outputs {
            json: place(&self.json, "json"),
            hlog: place(&self.hlog, "hlog"),
            csv: place(&self.csv, "csv"),
            html: place(&self.html, "html"),
            markdown: place(&self.markdown, "md"),
        }
    }
}

/// `report`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// A result that `run --json` wrote.
    pub file: PathBuf,
    /// What to render; the table on the terminal where nothing is said.
    #[command(flatten)]
    pub outputs: OutputArgs,
}

/// `compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// The result to compare with.
    pub before: PathBuf,
    /// The result to judge.
    pub after: PathBuf,
    /// Of the first result only the stages of this name.
    #[arg(long, value_name = "NAME")]
    pub before_stage: Option<String>,
    /// Of the second one, likewise; with the same file twice, stages of one run that were played in turn.
    #[arg(long, value_name = "NAME")]
    pub after_stage: Option<String>,
    /// The most that a figure may be against before, such as 'quick/latency.p99 <= 1.1x'; repeatable. One that is broken
    /// makes the exit code 99.
    #[arg(long, value_name = "TEXT", value_parser = RatioBound::parse)]
    pub bound: Vec<RatioBound>,
    /// Confidence of the intervals, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0, value_parser = confidence)]
    pub confidence: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `agent`.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentArgs {
    /// Where to wait for a coordinator.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// A file with the token that coordinators must know. Without one only a loopback address may be listened on.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// `scenario`.
#[derive(Clone, Debug, clap::Args)]
pub struct ScenarioArgs {
    /// Which one to print.
    pub name: Option<String>,
}

impl ScenarioArgs {
    /// The text to print.
    ///
    /// # Errors
    /// When no scenario is called so.
    pub fn text(&self) -> Result<String, UsageError> {
        match &self.name {
            Some(name) => resolve::ready_named(name).map(|ready| ready.text.to_owned()),
            None => Ok(READY.iter().map(|ready| format!("{:<16}{}\n", ready.name, ready.question())).collect()),
        }
    }
}

impl Cli {
    /// Exit code of wrong use. Clap's own is 2, which here says that nothing could connect.
    pub const WRONG_USE: u8 = 1;

    /// Reads the process's own command line. On wrong use, `--help` and `--version` the text is printed, and the exit
    /// code is the error.
    ///
    /// # Errors
    /// The process's exit code: 0 for help and version, else [`Self::WRONG_USE`].
    pub fn read() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // A closed terminal is no reason for another exit code.
            let _ = error.print();
            if error.use_stderr() { Self::WRONG_USE } else { 0 }
        })
    }
}

fn time(text: &str) -> Result<u64, String> {
    duration_ns(text).ok_or_else(|| format!("must be {DURATION_FORM}"))
}

/// A stage takes some time.
fn some_time(text: &str) -> Result<u64, String> {
    time(text).and_then(|ns| if ns >= MILLISECOND_NS { Ok(ns) } else { Err("must be at least 1ms".to_owned()) })
}

fn clock(text: &str) -> Result<ClockMode, String> {
    let found = CLOCKS.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode);
    found.ok_or_else(|| "must be auto, same or ping".to_owned())
}

fn confidence(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.trim_end_matches('%').parse().ok();
    let allowed = |percent: &f64| (50.0..=99.99).contains(percent);
    percent.filter(allowed).ok_or_else(|| "must be a percentage from 50 to 99.99".to_owned())
}

#[cfg(test)]
mod tests;
