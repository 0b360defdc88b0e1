//! Question: what does a call of MCP over TCP cost here, beside rmcp, and beside a loop that only parses and echoes; and what do viewers
//! notice of agents?
//!
//! Budgets: p50 and p99 of one caller at most rmcp's; at least 1.6 times its calls a second with 100 connections, and 3 times with 100 in
//! flight on one; within 1.25 times of the floor's rate; the neighbourhood of 100 nodes within 2 times of a floor that says as much;
//! a subscriber hears of a resource ten times a second at most, whatever changes; viewers' p99 with 100 connections that call all
//! the time at most 1.10 of that without.
//!
//! Method: a closed loop from one thread of this process; the servers are processes of their own. Rounds alternate between the servers, and
//! the medians of the rounds' ratios are told. Our tool, `list_agents` of nobody, answers with structured content and text; the others' says
//! its argument again. Processor time of the server for each call stands beside: it depends less on who else uses the machine.

#![forbid(unsafe_code)]

mod calls;
mod crowd;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use calls::{Found, Shape};
use clap::{Parser, ValueEnum};
use swarmcast_bench::machine::{self, Machine};
use swarmcast_bench::report::hardware;
use swarmcast_bench::round::median;
use swarmcast_bench::server::Server;

/// What a call of MCP costs.
#[derive(Parser)]
pub struct Options {
    /// The engine; the other servers are looked for beside this program.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// For token and graph.
    #[arg(long, default_value = "target/mcp-calls")]
    folder: PathBuf,
    /// Seconds of a round.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Rounds of everything.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Viewers beside the callers.
    #[arg(long, default_value_t = 200)]
    viewers: u32,
    /// Subscribers of one resource.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Only this part.
    #[arg(long)]
    only: Option<Part>,
    /// Hardly any of everything: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A tool that does nothing, beside rmcp and the floor.
    Trivial,
    /// A hundred nodes around one.
    Neighbourhood,
    /// Subscribers of one resource.
    Subscribers,
    /// Viewers beside callers.
    Viewers,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "1 connection", connections: 1, in_flight: 1 },
    Shape { name: "100 connections", connections: 100, in_flight: 1 },
    Shape { name: "1 connection, 100 in flight", connections: 1, in_flight: 100 },
];

const ECHO: &str = r#"{"name":"echo","arguments":{"message":"hello"}}"#;
const OURS: &str = r#"{"name":"list_agents","arguments":{}}"#;
const NEIGHBOURS: &str = r#"{"name":"get_neighborhood","arguments":{"id":"hub","limit":100}}"#;

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.seconds, options.rounds, options.viewers, options.subscribers) = (0.4, 1, 3, 5);
    }
    ensure!(options.rounds > 0 && options.seconds > 0.0, "rounds and seconds above 0");
    swarmcast_bench::limits::raise_open_files();
    std::fs::create_dir_all(&options.folder)?;
    print!("{}", hardware(&Machine::here()));
    println!("\nLoad average before: {}\n", machine::load());
    let is_asked = |part| options.only.is_none_or(|only| only == part);
    if is_asked(Part::Trivial) {
        trivial(&options)?;
    }
    if is_asked(Part::Neighbourhood) {
        neighbourhood(&options)?;
    }
    if is_asked(Part::Subscribers) {
        crowd::subscribers(&options)?;
    }
    if is_asked(Part::Viewers) {
        crowd::viewers(&options)?;
    }
    println!("\nLoad average after: {}", machine::load());
    Ok(())
}

/// Says a figure and its budget, and whether that is met.
pub fn tell(what: &str, found: f64, unit: &str, budget: f64, at_most: bool) {
    let met = if (found <= budget) == at_most { "met" } else { "missed" };
    let bound = if at_most { "at most" } else { "at least" };
    println!("- {what}: **{found:.3} {unit}**; {bound} {budget} {unit}: {met}");
}

/// The engine with a door for agents, over `graph`. Its limits of rates and connections are out of the way: they are not what is measured.
pub struct Engine {
    pub server: Server,
    pub agents: std::net::SocketAddr,
}

impl Engine {
    pub fn start(options: &Options, graph: Option<&Path>, more: &[&str]) -> Result<Self> {
        // Free a moment ago: nobody else of this machine takes ports in a row.
        let agents = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(&options.server);
        command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp=", "--log", "warn", "--mcp", &agents.to_string()]);
        let token = options.folder.join("token");
        command.args(["--set", &format!("mcp.token_file={}", token.display()), "--set", "mcp.anonymous=write"]);
        command.args(["--set", &format!("mcp.socket={}", options.folder.join("mcp.sock").display())]);
        command.args(["--set", "mcp.calls_per_second=10000000", "--set", "mcp.changes_per_second=10000000"]);
        command.args(["--set", "mcp.connections_per_token=1024"]);
        if let Some(graph) = graph {
            command.arg("--graph").arg(graph);
        }
        command.args(more);
        Ok(Self { server: Server::other(command)?, agents })
    }
}

pub fn beside(name: &str) -> Result<Command> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not there: cargo build --release -p swarmcast-bench-mcp", path.display());
    Ok(Command::new(path))
}

fn trivial(options: &Options) -> Result<()> {
    let (floor, rmcp) = (Server::other(beside("mcp-floor")?)?, Server::other(beside("mcp-rmcp")?)?);
    let engine = Engine::start(options, None, &[])?;
    let ask = |who: usize, shape| match who {
        0 => calls::run(floor.address, floor.process(), shape, ECHO, options.seconds),
        1 => calls::run(rmcp.address, rmcp.process(), shape, ECHO, options.seconds),
        _ => calls::run(engine.agents, engine.server.process(), shape, OURS, options.seconds),
    };
    println!("Medians of {} rounds of {} s:\n", options.rounds, options.seconds);
    println!("| calls | server | p50 us | p99 us | calls/s | processor us a call |\n|---|---|---|---|---|---|");
    let mut verdicts = Vec::new();
    for (place, shape) in SHAPES.into_iter().enumerate() {
        let mut rounds: [Vec<Found>; 3] = Default::default();
        for _ in 0..options.rounds {
            for (who, found) in rounds.iter_mut().enumerate() {
                found.push(ask(who, shape)?);
            }
        }
        let [floor, rmcp, ours] = &rounds;
        for (name, found) in [("floor", floor), ("rmcp", rmcp), ("swarmcast", ours)] {
            let of = |figure: fn(&Found) -> f64| median(found.iter().map(figure));
            println!(
                "| {} | {name} | {:.1} | {:.1} | {:.0} | {:.2} |",
                shape.name,
                of(|found| found.p50_us),
                of(|found| found.p99_us),
                of(|found| found.calls_per_s),
                of(|found| found.server_us)
            );
        }
        let ratio = |other: &[Found], figure: fn(&Found) -> f64| {
            median(ours.iter().zip(other).map(|(ours, other)| figure(ours) / figure(other)))
        };
        let name = shape.name;
        match place {
            0 => {
                verdicts.push((format!("{name}: p50 by rmcp's"), ratio(rmcp, |found| found.p50_us), 1.0, true));
                verdicts.push((format!("{name}: p99 by rmcp's"), ratio(rmcp, |found| found.p99_us), 1.0, true));
            }
            1 => verdicts.push((
                format!("{name}: calls/s by rmcp's"),
                ratio(rmcp, |found| found.calls_per_s),
                1.6,
                false,
            )),
            _ => verdicts.push((
                format!("{name}: calls/s by rmcp's"),
                ratio(rmcp, |found| found.calls_per_s),
                3.0,
                false,
            )),
        }
        verdicts.push((format!("{name}: calls/s by the floor's"), ratio(floor, |found| found.calls_per_s), 0.8, false));
        println!(
            "| {name} | processor time: ours by rmcp's {:.2}, by the floor's {:.2} | | | | |",
            ratio(rmcp, |found| found.server_us),
            ratio(floor, |found| found.server_us)
        );
    }
    println!();
    for (what, found, budget, at_most) in verdicts {
        tell(&what, found, "times", budget, at_most);
    }
    Ok(())
}

/// A hub of 100 nodes: ours, and a floor that writes the same answer.
fn neighbourhood(options: &Options) -> Result<()> {
    let path = options.folder.join("hub.json");
    let nodes: Vec<String> =
        std::iter::once("hub".to_owned()).chain((0..100).map(|leaf| format!("leaf {leaf}"))).collect();
    let nodes_json: Vec<_> = nodes.iter().map(|id| serde_json::json!({ "id": id, "label": id })).collect();
    let edges: Vec<_> = nodes.iter().skip(1).map(|id| serde_json::json!({ "source": "hub", "target": id })).collect();
    std::fs::write(&path, serde_json::json!({ "nodes": nodes_json, "edges": edges }).to_string())?;
    let engine = Engine::start(options, Some(&path), &[])?;
    let mut answer = crowd::Caller::connect(engine.agents)?.call(NEIGHBOURS)?;
    let answer = answer.get_mut("result").context("a result")?.take();
    let fixed = options.folder.join("neighbourhood.json");
    std::fs::write(&fixed, answer.to_string())?;
    let mut command = beside("mcp-floor")?;
    command.arg(&fixed);
    let floor = Server::other(command)?;
    println!("\n`get_neighborhood` of 100 nodes, {} bytes:\n", answer.to_string().len());
    for shape in SHAPES {
        let (mut rates, mut times, mut ours_per_s) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let floor = calls::run(floor.address, floor.process(), shape, NEIGHBOURS, options.seconds)?;
            let ours = calls::run(engine.agents, engine.server.process(), shape, NEIGHBOURS, options.seconds)?;
            rates.push(floor.calls_per_s / ours.calls_per_s);
            times.push(ours.server_us / floor.server_us);
            ours_per_s.push(ours.calls_per_s);
        }
        tell(&format!("{}: time of a call by the floor's", shape.name), median(rates), "times", 2.0, true);
        println!("  ({:.0} calls/s; processor time {:.2} times the floor's)", median(ours_per_s), median(times));
    }
    Ok(())
}
