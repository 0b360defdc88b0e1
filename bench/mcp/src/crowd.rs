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
use swarmcast_bench::viewers::{Viewers, group, plan};
use swarmcast_load::plan::Protocol;
use swarmcast_load::record::Timing;

use super::calls::{self, Shape};
use super::{Engine, OURS, Options, median, tell};

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

/// What viewers see while a hundred connections call as fast as they are answered.
pub fn viewers(options: &Options) -> Result<()> {
    let (mut calm, mut busy, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        calm.push(watched(options, None)?.0);
        let (p99_ms, calls_per_s) = watched(options, Some(Shape { name: "", connections: 100, in_flight: 1 }))?;
        busy.push(p99_ms);
        rates.push(calls_per_s);
    }
    let ratios = calm.iter().zip(&busy).map(|(calm, busy)| busy / calm).collect::<Vec<f64>>();
    println!("\n{} viewers at 60 Hz, with and without 100 connections that call all the time:\n", options.viewers);
    println!(
        "- viewers' p99: {:.3} ms without, {:.3} ms with {:.0} calls/s",
        median(calm),
        median(busy),
        median(rates)
    );
    tell("with by without, median of rounds", median(ratios), "times", 1.10, true);
    Ok(())
}

/// p99 of what viewers see, ms, and calls a second beside them.
fn watched(options: &Options, shape: Option<Shape>) -> Result<(f64, f64)> {
    let engine = Engine::start(options, None, &["--set", "sim.settle_velocity=0"])?;
    let protocol = Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 };
    let seconds = options.seconds.ceil() as u64;
    let viewers =
        Viewers::start(plan(vec![group("viewers", engine.server.address, options.viewers, protocol)], 2, seconds))?;
    let stop = Arc::new(AtomicBool::new(false));
    let callers = shape.map(|shape| {
        let (address, process, stop) = (engine.agents, engine.server.process(), Arc::clone(&stop));
        thread::spawn(move || -> Result<f64> {
            let mut rates = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                rates.push(calls::run(address, process, shape, OURS, 1.0)?.calls_per_s);
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
