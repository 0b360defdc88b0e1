//! One measured window of one server, and the figures of it.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::{self, Ask, Clients, Tally};
use crate::process::{Reading, Time, machine_busy_seconds, rss_mib};
use crate::scrape::{Bucket, Scrape};
use crate::server::Server;

/// How long a window is.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Left out.
    pub warm: Duration,
    /// Measured.
    pub measured: Duration,
}

/// What one window of a server showed.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Payload of one frame.
    pub frame_bytes: usize,
    /// Frames of all clients.
    pub delivered: u64,
    /// Frames per second of the worst, the middle and the best client.
    pub delivered_hz: [f64; 3],
    /// Share of the frames meant for clients that were left out.
    pub conflated_share: Option<f64>,
    /// Read by all clients.
    pub bytes_per_s: f64,
    /// Processor time of the whole server per delivered frame, us.
    pub server_us: f64,
    /// Of the threads that send alone.
    pub sender_us: f64,
    /// Share of it spent in the kernel.
    pub sender_system_share: Option<f64>,
    /// How busy the senders were, cores.
    pub sender_cores: f64,
    /// How busy the clients' one thread was, cores.
    pub client_cores: f64,
    /// `utime + stime` of the whole server per delivered frame, us: the same in ticks of 10 ms, as a check.
    pub server_stat_us: f64,
    /// Published to last byte read: p50, p90, p99, p99.9, max, ns; and how many.
    pub latency_ns: Option<[u64; 5]>,
    /// Frames in that.
    pub latency_samples: u64,
    /// What everything else on the machine used meanwhile, cores.
    pub others_cores: f64,
    /// Resident memory of the server.
    pub rss_mib: f64,
    /// What only the engine says.
    pub engine: Option<Engine>,
    /// For merging.
    #[serde(skip)]
    pub latency: Histogram<u64>,
}

/// From the engine's own metrics and threads.
#[derive(Clone, Debug, Serialize)]
pub struct Engine {
    /// Frames published.
    pub published_hz: f64,
    /// Mean step, s.
    pub step_mean_s: f64,
    /// Bucket that holds the median step.
    pub step_p50: Option<Bucket>,
    /// Bucket that holds the 99th percentile.
    pub step_p99: Option<Bucket>,
    /// Mean encoding of a frame for all classes, s.
    pub encode_mean_s: f64,
    /// Processor time of `sim` per delivered frame, us.
    pub sim_us: f64,
    /// How busy `sim` was, cores.
    pub sim_cores: f64,
    /// `door`, `control` and `main` together, cores.
    pub rest_cores: f64,
    /// `writev` calls per frame sent.
    pub writes_per_frame: f64,
    /// Frames that the pool had no room for.
    pub pool_waits: f64,
}

/// p50, p90, p99, p99.9 and max.
#[must_use]
pub fn percentiles(latency: &Histogram<u64>) -> Option<[u64; 5]> {
    let at = |quantile| latency.value_at_quantile(quantile);
    (!latency.is_empty()).then(|| [at(0.5), at(0.9), at(0.99), at(0.999), latency.max()])
}

/// Lets `ask.clients` clients read from `server` and measures both. `metrics` is where the engine shows its own.
///
/// # Errors
/// When any client got anything wrong, or nobody got a frame.
pub fn measure(server: &Server, ask: Ask, span: Span, metrics: Option<SocketAddr>) -> Result<Round> {
    let clients = Clients::connect(ask)?;
    sleep(span.warm);
    let (process, own) = (server.process(), std::process::id());
    // The scrapes stand outside of the window: they are rates over a slightly longer one of their own.
    let scrape = || metrics.map(Scrape::now).transpose();
    let first = scrape()?;
    clients.measure();
    let (server_before, own_before, busy_before) =
        (Reading::now(process)?, Reading::now(own)?, machine_busy_seconds()?);
    sleep(span.measured);
    let (server_after, own_after, busy_after) = (Reading::now(process)?, Reading::now(own)?, machine_busy_seconds()?);
    let rss = rss_mib(process)?;
    let tally = clients.stop()?;
    let last = scrape()?;
    ensure!(tally.delivered() > 0, "no client got a whole frame in {:?}", span.measured);
    let time = |name: &str| server_after.since(&server_before, name);
    let clients_ns = own_after.since(&own_before, client::THREAD).ns;
    let engine = first.zip(last).map(|(first, last)| engine(&first, &last, &tally, &time));
    let sender = if engine.is_some() { time("shard-") } else { time("") };
    let ours = (time("").ns + own_after.since(&own_before, "").ns) as f64 / 1e9;
    let others_cores = (busy_after - busy_before - ours).max(0.0) / tally.seconds;
    Ok(Round { others_cores, rss_mib: rss, engine, ..round(tally, ask, time(""), sender, clients_ns) })
}

fn round(tally: Tally, ask: Ask, server: Time, sender: Time, clients_ns: u64) -> Round {
    let delivered = tally.delivered();
    // By bytes, so that a frame that begins or ends outside of the window counts for its part of it.
    let frames = tally.frames_by_bytes();
    let each_us = |ns: f64| ns / 1e3 / frames;
    let cores = |ns: u64| ns as f64 / 1e9 / tally.seconds;
    let mut counts = tally.frames.clone();
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied();
    let hz = [counts.first().copied(), middle, counts.last().copied()];
    let sequenced = ask.profile == swarmcast::wire::Profile::Own;
    let meant = (tally.conflated + delivered) as f64;
    Round {
        frame_bytes: tally.frame_bytes,
        delivered,
        delivered_hz: hz.map(|count| count.unwrap_or(0) as f64 / tally.seconds),
        conflated_share: sequenced.then(|| tally.conflated as f64 / meant),
        bytes_per_s: tally.bytes as f64 / tally.seconds,
        server_us: each_us(server.ns as f64),
        sender_us: each_us(sender.ns as f64),
        sender_system_share: Some(sender.system_share()).filter(|share| share.is_finite()),
        sender_cores: cores(sender.ns),
        client_cores: cores(clients_ns),
        server_stat_us: each_us(server.stat_seconds() * 1e9),
        latency_ns: percentiles(&tally.latency_ns),
        latency_samples: tally.latency_ns.len(),
        others_cores: 0.0,
        rss_mib: 0.0,
        engine: None,
        latency: tally.latency_ns,
    }
}

fn engine(first: &Scrape, last: &Scrape, tally: &Tally, time: &dyn Fn(&str) -> Time) -> Engine {
    let seconds = last.seconds_since(first);
    let added = |name: &str| last.added(first, name);
    let (sim, shards, all) = (time("sim"), time("shard-"), time(""));
    let cores = |ns: u64| ns as f64 / 1e9 / tally.seconds;
    Engine {
        published_hz: added("frames_published_total") / seconds,
        step_mean_s: last.mean(first, "step"),
        step_p50: last.quantile(first, "step", 0.5),
        step_p99: last.quantile(first, "step", 0.99),
        encode_mean_s: last.mean(first, "encode"),
        sim_us: sim.ns as f64 / 1e3 / tally.frames_by_bytes(),
        sim_cores: cores(sim.ns),
        rest_cores: cores(all.ns.saturating_sub(sim.ns + shards.ns)),
        writes_per_frame: added("writes_total") / added("frames_sent_total"),
        pool_waits: added("pool_waits_total"),
    }
}

/// The middle one; the upper middle of an even number. NaN for none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
