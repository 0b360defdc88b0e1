//! Prometheus text of all blocks. Runs on `control`, at scrape time.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;

use super::cell::BOUNDS_NS;
use super::{Counter, Gauge, Histogram, Metrics, ShardMetrics, StageRow};
use crate::base::clock::monotonic_ns;

/// Shown of each stage; 1 is the longest.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// A figure that another room knows: name, help, one label, value.
#[derive(Debug, Clone)]
pub struct Extra {
    /// Without the `swarmcast_` prefix.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Label name and value, where the figure has one per thing.
    pub label: Option<(&'static str, String)>,
    /// Never goes down.
    pub counter: bool,
    /// The figure.
    pub value: f64,
}

#[derive(Debug)]
struct Scrape {
    metrics: Arc<Metrics>,
    extras: Vec<Extra>,
}

impl Metrics {
    /// All blocks and `extras` as Prometheus text (OpenMetrics 1.0). Extras of one name must stand together.
    #[must_use]
    pub fn text(self: &Arc<Self>, extras: Vec<Extra>) -> String {
        let mut registry = Registry::with_prefix("swarmcast");
        registry.register_collector(Box::new(Scrape { metrics: Arc::clone(self), extras }));
        let mut out = String::with_capacity(16 << 10);
        match text::encode(&mut out, &registry) {
            Ok(()) => out,
            Err(Error) => unreachable!("a String takes every write"),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let out = &mut encoder;
        let sim = &self.metrics.sim;
        counter(out, "ticks", "Simulation steps taken.", &sim.ticks)?;
        counter(out, "turns", "Tick deadlines taken.", &sim.turns)?;
        let help = "Deadlines taken and skipped, against what the time since start asks for; above 0 is fast.";
        gauge(out, "tick_drift_ratio", help, &sim.tick_drift)?;
        counter(out, "ticks_skipped", "Tick deadlines skipped because a tick was late.", &sim.ticks_skipped)?;
        histogram(out, "tick_lateness", "Tick deadline to wake-up of the simulation thread.", &sim.tick_lateness)?;
        histogram(out, "commands", "Duration of applying the commands of a tick.", sim.applied.coarse())?;
        histogram(out, "step", "Duration of one simulation step.", sim.step.coarse())?;
        histogram(out, "encode", "Duration of encoding a frame for all classes.", sim.encode.coarse())?;
        counter(out, "packed_raw_bytes", "Bytes of records that were packed with LZ4.", &sim.packed_raw_bytes)?;
        counter(out, "packed_bytes", "Bytes that they were packed into; the ratio is theirs.", &sim.packed_bytes)?;
        counter(out, "frames_published", "Frames handed to the shards.", &sim.frames_published)?;
        counter(out, "pool_waits", "Frames left out because every frame of the pool was leased.", &sim.pool_waits)?;
        gauge(out, "pool_free_frames", "Frames of the pool that nobody leases.", &sim.pool_free)?;
        counter(out, "structures", "Changed structures of the graph that the simulation took.", &sim.structures)?;
        counter(out, "nonfinite_resets", "Nodes put back after a non-finite value.", &sim.nonfinite_resets)?;
        counter(out, "sim_commands", "Commands taken by the simulation.", &sim.commands)?;
        gauge(out, "drags", "Nodes held by drags.", &sim.drags)?;
        gauge(out, "classes", "Live subscription classes.", &sim.classes)?;
        gauge(out, "rms_velocity", "Root mean square node velocity, world units per second.", &sim.rms_velocity)?;
        let help = "Kinetic energy of the nodes, half their weight times their speed squared.";
        gauge(out, "kinetic_energy", help, &sim.kinetic_energy)?;
        gauge(out, "accuracy_notches", "Accuracy that the repulsion gave up for its budget.", &sim.accuracy_notches)?;
        gauge(out, "settled", "1 when the simulation is at rest by measured energy.", &sim.settled)?;
        if sim.repulsion_error.get().is_finite() {
            let help = "Relative rms error of the fast repulsion against exact, over sampled nodes.";
            gauge(out, "repulsion_error_ratio", help, &sim.repulsion_error)?;
        }
        gauge(out, "backend_cuda", "1 while an NVIDIA device computes, 0 while the processor does.", &sim.on_device)?;
        let help = "1 once the processor took over from a device that failed.";
        gauge(out, "backend_fell_back", help, &sim.fell_back)?;
        counter(out, "device_errors", "Errors of the device that computes the layout.", &sim.device_errors)?;
        if sim.device_free_bytes.get().is_finite() {
            gauge(out, "device_used_bytes", "Memory of the device that the layout holds.", &sim.device_used_bytes)?;
            gauge(out, "device_free_bytes", "Memory of the device that nobody holds.", &sim.device_free_bytes)?;
        }
        let mcp = &self.metrics.mcp;
        counter(out, "mcp_accepted", "Connections of agents accepted.", &mcp.accepted)?;
        gauge(out, "mcp_connections", "Connections of agents now.", &mcp.connections)?;
        counter(out, "mcp_refused", "Connections of agents turned away: all places were taken.", &mcp.refused)?;
        let help = "Connections of agents closed because they did not say who they are.";
        counter(out, "mcp_strangers_closed", help, &mcp.strangers)?;
        counter(out, "mcp_lines", "Lines of agents taken.", &mcp.lines)?;
        counter(out, "mcp_timeouts", "Connections of agents closed because something took too long.", &mcp.timeouts)?;
        counter(out, "mcp_accept_errors", "Failed accepts of the agents' door.", &mcp.accept_errors)?;
        let door = &self.metrics.door;
        counter(out, "accepted", "Connections accepted.", &door.accepted)?;
        counter(out, "accept_errors", "Failed accepts.", &door.accept_errors)?;
        counter(out, "http_requests", "HTTP requests answered.", &door.http_requests)?;
        counter(out, "http_errors", "HTTP requests answered with 400 or above.", &door.http_errors)?;
        counter(out, "streams_opened", "Streams handed to shards.", &door.upgraded)?;
        counter(out, "streams_refused", "Streams not let in.", &door.refused)?;
        counter(out, "door_held", "Connections and requests that waited for room in a lane.", &door.held)?;
        gauge(out, "door_holding", "Connections and requests that wait for room in a lane now.", &door.holding)?;
        let help = "Connections and requests answered with 503 because too many waited, or for too long.";
        counter(out, "door_turned_away", help, &door.turned_away)?;
        histogram(out, "door_hold", "Time that connections and requests waited for room in a lane.", &door.hold)?;
        counter(
            out,
            "handshake_timeouts",
            "Connections whose request did not come in time.",
            &door.handshake_timeouts,
        )?;
        let worker = &self.metrics.worker;
        counter(out, "analytics_done", "Analytics jobs that ended with a result.", &worker.done)?;
        counter(out, "analytics_failed", "Analytics jobs that could not be done.", &worker.failed)?;
        counter(out, "analytics_cancelled", "Analytics jobs stopped while they ran.", &worker.cancelled)?;
        counter(out, "analytics_panics", "Analytics jobs that panicked.", &worker.panics)?;
        gauge(out, "analytics_busy", "1 while an analytics job runs.", &worker.busy)?;
        gauge(out, "analytics_progress", "How far the running analytics job is, 0 to 1.", &worker.progress)?;
        let store = &self.metrics.store;
        counter(out, "store_commits", "Transactions that committed batches.", &store.commits)?;
        counter(out, "store_batches", "Batches committed.", &store.entries)?;
        counter(out, "store_failures", "Times that nothing could be committed any more.", &store.failures)?;
        gauge(out, "store_failed", "1 while nothing can be committed.", &store.failed)?;
        counter(out, "store_layouts", "Layouts kept.", &store.layouts)?;
        histogram(out, "store_commit", "Duration of a transaction, until it is on the disk.", &store.commit)?;
        self.shards(out)?;
        self.stages(out)?;
        self.extras(out)
    }
}

type ShardCounter = fn(&ShardMetrics) -> &Counter;
type ShardGauge = fn(&ShardMetrics) -> &Gauge;
type ShardHistogram = fn(&ShardMetrics) -> &Histogram;

const SHARD_GAUGES: [(&str, &str, ShardGauge); 2] = [
    ("connections", "Streaming connections.", |shard| &shard.connections),
    ("demand_bytes_per_second", "Bytes a second that the connections take at full rate.", |shard| &shard.demand_bytes),
];

const SHARD_COUNTERS: [(&str, &str, ShardCounter); 19] = [
    ("connections_adopted", "Connections taken over.", |shard| &shard.adopted),
    ("connections_ended", "Connections gone.", |shard| &shard.ended),
    ("connections_stalled", "Connections closed for taking nothing or too little.", |shard| &shard.stalled),
    ("connections_dead", "Connections closed because nobody answered at the other end.", |shard| &shard.dead),
    ("pings_sent", "Signs of life that silent clients were asked for.", |shard| &shard.pings),
    ("connection_panics", "Connections closed because their event panicked.", |shard| &shard.panics),
    ("protocol_errors", "Connections closed for breaking the protocol.", |shard| &shard.protocol_errors),
    ("frames_sent", "Frames whose last byte went to the kernel.", |shard| &shard.frames_sent),
    ("sent_bytes", "Bytes that went to the kernel.", |shard| &shard.bytes_sent),
    ("writes", "Calls of write and writev.", |shard| &shard.writes),
    ("gathered_bytes", "Bytes of shared frames copied for the interest of one client.", |shard| &shard.bytes_gathered),
    ("rung_skipping", "Clients that began to be left out of frames.", |shard| &shard.rung_skipping),
    ("rung_coarser", "Moves between a client's class and coarser ones.", |shard| &shard.rung_coarser),
    ("rung_snapshots", "Clients put on snapshots alone.", |shard| &shard.rung_snapshots),
    ("rung_full", "Clients that keep up again.", |shard| &shard.rung_full),
    ("frames_conflated", "Frames that slow clients were spared.", |shard| &shard.frames_conflated),
    ("lease_copies", "Frames whose rest was copied to end a lease.", |shard| &shard.lease_copies),
    ("messages_received", "Messages from clients.", |shard| &shard.messages),
    ("messages_refused", "Messages answered with an error.", |shard| &shard.messages_refused),
];

const SHARD_HISTOGRAMS: [(&str, &str, ShardHistogram); 3] = [
    ("pickup", "Frame published to picked up by the shard.", |shard| shard.pickup.coarse()),
    ("fanout", "Frame picked up to last client served.", |shard| shard.fanout.coarse()),
    ("tick_to_wire", "Tick due to last client of the shard served.", |shard| shard.tick_to_wire.coarse()),
];

impl Scrape {
    fn shards(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let labelled =
            || self.metrics.shards.iter().enumerate().map(|(index, shard)| ([("shard", index.to_string())], shard));
        for (name, help, cell) in SHARD_GAUGES {
            let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (label, shard) in labelled() {
                metric.encode_family(&label)?.encode_gauge(&cell(shard).get())?;
            }
        }
        for (name, help, cell) in SHARD_COUNTERS {
            let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (label, shard) in labelled() {
                metric.encode_family(&label)?.encode_counter::<NoLabelSet, _, f64>(&cell(shard).get(), None)?;
            }
        }
        for (name, help, cell) in SHARD_HISTOGRAMS {
            let mut metric = out.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
            for (label, shard) in labelled() {
                let (sum, count, buckets) = seconds(cell(shard));
                metric.encode_family(&label)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    fn stages(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let now_ns = monotonic_ns();
        let rows: Vec<_> = self.metrics.stages().collect();
        let labels = |row: &StageRow<'_>| [("thread", row.thread.clone()), ("stage", row.name.to_owned())];
        let help = "Quantiles since start of each stage of a frame, by thread; none before the first record.";
        let mut metric = out.encode_descriptor("stage", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for row in &rows {
            let values = row.stage.distribution();
            for quantile in QUANTILES.into_iter().filter(|_| !values.is_empty()) {
                let [thread, stage] = labels(row);
                let labels = [thread, stage, ("quantile", quantile.to_string())];
                metric.encode_family(&labels)?.encode_gauge(&(values.value_at_quantile(quantile) as f64 / 1e9))?;
            }
        }
        let mut metric =
            out.encode_descriptor("budget", "Budget of a stage.", Some(&Unit::Seconds), MetricType::Gauge)?;
        for row in &rows {
            if let Some(ns) = row.stage.budget_ns() {
                metric.encode_family(&labels(row))?.encode_gauge(&(ns as f64 / 1e9))?;
            }
        }
        let help = "Records of a stage over its budget.";
        let mut metric = out.encode_descriptor("budget_breaches", help, None, MetricType::Counter)?;
        for row in &rows {
            let breaches = row.stage.breaches();
            metric.encode_family(&labels(row))?.encode_counter::<NoLabelSet, _, f64>(&breaches, None)?;
        }
        let help = "1 while the p99 of a stage is over its budget second after second.";
        let mut metric = out.encode_descriptor("budget_breached", help, None, MetricType::Gauge)?;
        for row in &rows {
            let breached = u8::from(row.stage.breached(now_ns));
            metric.encode_family(&labels(row))?.encode_gauge(&f64::from(breached))?;
        }
        Ok(())
    }

    fn extras(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        for group in self.extras.chunk_by(|left, right| left.name == right.name) {
            let Some(first) = group.first() else { continue };
            let kind = if first.counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = out.encode_descriptor(first.name, first.help, None, kind)?;
            for extra in group {
                match &extra.label {
                    Some((name, value)) => one(&mut metric.encode_family(&[(*name, value.as_str())])?, extra)?,
                    None => one(&mut metric, extra)?,
                }
            }
        }
        Ok(())
    }
}

fn one(metric: &mut prometheus_client::encoding::MetricEncoder<'_>, extra: &Extra) -> Result<(), Error> {
    if extra.counter {
        metric.encode_counter::<NoLabelSet, _, f64>(&extra.value, None)
    } else {
        metric.encode_gauge(&extra.value)
    }
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, cell: &Counter) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, f64>(&cell.get(), None)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, cell: &Gauge) -> Result<(), Error> {
    out.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&cell.get())
}

fn histogram(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, cell: &Histogram) -> Result<(), Error> {
    let (sum, count, buckets) = seconds(cell);
    let mut metric = out.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

/// Sum in seconds, count, and buckets as the encoder wants them: bound in seconds and count within, not accumulated.
fn seconds(cell: &Histogram) -> (f64, u64, Vec<(f64, u64)>) {
    let counts = cell.counts();
    let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain(std::iter::once(f64::INFINITY));
    (cell.sum_ns() as f64 / 1e9, counts.iter().sum(), bounds.zip(counts).collect())
}

/// Keeps the label types honest: arrays of string pairs are label sets.
const _: fn() = || {
    fn label_set<L: EncodeLabelSet>() {}
    label_set::<[(&str, String); 1]>();
};

#[cfg(test)]
mod tests {
    use super::super::Budgets;
    use super::*;

    #[test]
    fn the_text_holds_every_block_with_units_and_cumulative_buckets() {
        let metrics = Arc::new(Metrics::new(2));
        metrics.sim.ticks.add(3);
        metrics.set_budgets(&Budgets { step_ns: 8_000_000, ..Budgets::default() });
        metrics.sim.step.span(0, 60_000);
        metrics.sim.step.span(5, 30_000_005);
        if let Some(shard) = metrics.shards.get(1) {
            shard.frames_sent.add(7);
        }
        let extra =
            Extra { name: "lane_depth", help: "Items.", label: Some(("lane", "a".into())), counter: false, value: 2.0 };
        let text = metrics.text(vec![extra]);
        for line in [
            "swarmcast_ticks_total 3",
            "swarmcast_step_seconds_bucket{le=\"0.0001\"} 1",
            "swarmcast_step_seconds_bucket{le=\"0.05\"} 2",
            "swarmcast_step_seconds_bucket{le=\"+Inf\"} 2",
            "swarmcast_stage_seconds{thread=\"sim\",stage=\"step\",quantile=\"0.5\"} 0.000060159",
            "swarmcast_stage_seconds{thread=\"sim\",stage=\"step\",quantile=\"1\"} 0.030015487",
            "swarmcast_budget_seconds{thread=\"sim\",stage=\"step\"} 0.008",
            "swarmcast_budget_breaches_total{thread=\"sim\",stage=\"step\"} 1",
            "swarmcast_budget_breached{thread=\"shard-1\",stage=\"fanout\"} 0.0",
            "swarmcast_frames_sent_total{shard=\"0\"} 0",
            "swarmcast_frames_sent_total{shard=\"1\"} 7",
            "swarmcast_lane_depth{lane=\"a\"} 2.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("repulsion_error"), "what was not measured is not shown");
    }
}
