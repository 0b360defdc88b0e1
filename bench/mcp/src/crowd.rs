//! Many at once: subscribers of one resource, and viewers beside agents.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use swarmcast::wire::Profile;
use swarmcast_bench::process::Reading;
use swarmcast_bench::server::Server;
use swarmcast_bench::viewers::{Viewers, group, plan};
use swarmcast_load::plan::Protocol;
use swarmcast_load::record::Timing;

use super::calls::{self, Shape};
use super::{ECHO, Engine, OURS, Options, beside, median, tell};

/// Changes a second.
const RATE: u64 = 100;

/// A connection that asks and waits.
pub struct Caller {
    from: BufReader<TcpStream>,
    line: String,
}

impl Caller {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { from: BufReader::new(calls::connect(address)?), line: String::new() })
    }

    /// A request; its answer, whole.
    pub fn ask(&mut self, method: &str, params: &str) -> Result<Value> {
        let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}\n");
        self.from.get_mut().write_all(request.as_bytes())?;
        loop {
            self.line.clear();
            ensure!(self.from.read_line(&mut self.line)? > 0, "the server closed the connection");
            let answer: Value = serde_json::from_str(&self.line)?;
            if answer.get("id").is_some() {
                ensure!(answer.get("error").is_none(), "{answer}");
                return Ok(answer);
            }
        }
    }

    pub fn call(&mut self, params: &str) -> Result<Value> {
        self.ask("tools/call", params)
    }
}

/// Everybody subscribes to one resource, and it changes a hundred times a second: how often is each told?
pub fn subscribers(options: &Options) -> Result<()> {
    let engine = Engine::start(options, None, &[])?;
    let mut all = Vec::new();
    for _ in 0..options.subscribers {
        let mut caller = Caller::connect(engine.agents)?;
        caller.ask("resources/subscribe", r#"{"uri":"graph://overview"}"#)?;
        all.push(caller);
    }
    let mut writer = Caller::connect(engine.agents)?;
    let before = Reading::now(engine.server.process())?;
    let began = Instant::now();
    let mut turn = 0_u64;
    while began.elapsed().as_secs_f64() < options.seconds {
        let due = Duration::from_nanos(1_000_000_000 * turn / RATE);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let node =
            format!(r#"{{"name":"upsert_nodes","arguments":{{"nodes":[{{"id":"n","label":"label {turn}"}}]}}}}"#);
        let answer = writer.call(&node)?;
        ensure!(answer.pointer("/result/isError") != Some(&Value::Bool(true)), "{answer}");
        turn += 1;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let spent = Reading::now(engine.server.process())?.since(&before, "");
    // What waits is what the sockets hold: everything was written by now.
    thread::sleep(Duration::from_millis(300));
    let mut most = 0_usize;
    let mut least = usize::MAX;
    for caller in &mut all {
        caller.from.get_ref().set_nonblocking(true)?;
        let mut told = 0;
        loop {
            caller.line.clear();
            match caller.from.read_line(&mut caller.line) {
                Ok(0) => anyhow::bail!("a subscriber was left"),
                Ok(_) => told += usize::from(caller.line.contains("notifications/resources/updated")),
                Err(_) => break,
            }
        }
        (most, least) = (most.max(told), least.min(told));
    }
    println!(
        "\n{} subscribers of one resource, {:.0} changes/s for {elapsed:.1} s: each was told {least} to {most} times; {:.1} ms of the processor a second\n",
        options.subscribers,
        turn as f64 / elapsed,
        spent.ns as f64 / 1e6 / elapsed
    );
    ensure!(least > 0, "a subscriber was never told");
    tell("notices to one subscriber", most as f64 / elapsed, "a second", 10.0 + 2.0 / elapsed, true);
    Ok(())
}

/// What viewers see while a hundred connections call as fast as they are answered: the engine, or, on the same machine, a floor that does
/// nothing but answer. What the second costs viewers is the machine's share; what the first costs beyond it is the engine's.
pub fn viewers(options: &Options) -> Result<()> {
    let (mut calm, mut busy, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        calm.push(watched(options, None)?.0);
        busy.push(watched(options, Some(Answers::Engine))?);
        floors.push(watched(options, Some(Answers::Floor))?);
    }
    println!("\n{} viewers at 60 Hz, with and without 100 connections that call all the time:\n", options.viewers);
    let p99_ms = |rounds: &[(f64, f64)]| median(rounds.iter().map(|round| round.0));
    let calls_per_s = |rounds: &[(f64, f64)]| median(rounds.iter().map(|round| round.1));
    println!(
        "- viewers' p99: {:.3} ms without; {:.3} ms with {:.0} calls/s of the engine; {:.3} ms with {:.0} calls/s of a floor beside it",
        median(calm.iter().copied()),
        p99_ms(&busy),
        calls_per_s(&busy),
        p99_ms(&floors),
        calls_per_s(&floors)
    );
    let by = |with: &[(f64, f64)], without: &[f64]| {
        median(with.iter().zip(without).map(|((with, _), without)| with / without))
    };
    tell("with by without, median of rounds", by(&busy, &calm), "times", 1.10, true);
    println!("- the floor's calls by none: {:.3} times", by(&floors, &calm));
    let without: Vec<f64> = floors.iter().map(|round| round.0).collect();
    tell("the engine's calls by the floor's", by(&busy, &without), "times", 1.10, true);
    Ok(())
}

/// Who answers calls while viewers look at the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Engine,
    Floor,
}

/// p99 of what viewers see, ms, and calls a second beside them.
fn watched(options: &Options, answers: Option<Answers>) -> Result<(f64, f64)> {
    let engine = Engine::start(options, None, &["--set", "sim.settle_velocity=0"])?;
    let floor = if answers == Some(Answers::Floor) { Some(Server::other(beside("mcp-floor")?)?) } else { None };
    let protocol = Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 };
    let seconds = options.seconds.ceil() as u64;
    let viewers =
        Viewers::start(plan(vec![group("viewers", engine.server.address, options.viewers, protocol)], 2, seconds))?;
    let stop = Arc::new(AtomicBool::new(false));
    let callers = answers.map(|_| {
        let (address, process, call) = match &floor {
            Some(floor) => (floor.address, floor.process(), ECHO),
            None => (engine.agents, engine.server.process(), OURS),
        };
        let stop = Arc::clone(&stop);
        thread::spawn(move || -> Result<f64> {
            let shape = Shape { name: "", connections: 100, in_flight: 1 };
            let mut rates = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                rates.push(calls::run(address, process, shape, call, 1.0)?.calls_per_s);
            }
            Ok(median(rates))
        })
    });
    let seen = viewers.finish()?;
    stop.store(true, Ordering::Relaxed);
    let rate = match callers {
        Some(callers) => callers.join().map_err(|_| anyhow::anyhow!("the callers panicked"))??,
        None => 0.0,
    };
    let record = seen.groups.first().context("the viewers")?;
    let latency = record.timing(Timing::LatencyRaw).context("latency")?;
    Ok((latency.value_at_quantile(0.99) as f64 / 1e6, rate))
}
