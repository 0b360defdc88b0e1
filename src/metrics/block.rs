//! One block of cells per thread.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use super::{Counter, Gauge, Histogram, Stage, StoreMetrics};
use crate::base::clock::{monotonic_ns, unix_ms};

/// Written by `sim`.
#[derive(Debug, Default)]
pub struct SimMetrics {
    /// Steps taken.
    pub ticks: Counter,
    /// Deadlines that were taken.
    pub turns: Counter,
    /// How far deadlines taken and skipped are from what the time since start asks for, as a share; above 0 is fast.
    pub tick_drift: Gauge,
    /// Deadlines that a late tick skipped.
    pub ticks_skipped: Counter,
    /// Deadline to wake-up.
    pub tick_lateness: Histogram,
    /// The commands of a tick, where there were any.
    pub applied: Stage,
    /// One step.
    pub step: Stage,
    /// All bodies and heads of a frame.
    pub encode: Stage,
    /// Bytes of records that were packed, once a tick for all classes of the packed profile.
    pub packed_raw_bytes: Counter,
    /// Bytes that they were packed into.
    pub packed_bytes: Counter,
    /// Frames handed over.
    pub frames_published: Counter,
    /// Frames that found the pool leased out and were left out.
    pub pool_waits: Counter,
    /// Ticks that a compact class went without because all its messages were leased.
    pub chain_waits: Counter,
    /// Frames of the pool that nobody leases.
    pub pool_free: Gauge,
    /// Notches of accuracy that the repulsion lost because steps took too long.
    pub accuracy_notches: Gauge,
    /// Structures of the graph that were taken, the first one not counted.
    pub structures: Counter,
    /// What taking the last one took, ns.
    pub structure_ns: Gauge,
    /// Nodes put back after a non-finite value.
    pub nonfinite_resets: Counter,
    /// Commands taken from shards and control.
    pub commands: Counter,
    /// Nodes held by drags now.
    pub drags: Gauge,
    /// Live subscription classes.
    pub classes: Gauge,
    /// Root mean square of node velocities, world units / s.
    pub rms_velocity: Gauge,
    /// Kinetic energy of the nodes that may move, the weight of each as its mass: world units^2 / s^2.
    pub kinetic_energy: Gauge,
    /// 1 at rest, 0 while it moves.
    pub settled: Gauge,
    /// Current tick.
    pub tick: Gauge,
    /// When the last turn ended, monotonic ns: how `readyz` knows that the thread lives.
    pub turn_ended_ns: Counter,
    /// Measured error of the fast repulsion, relative rms over sampled nodes; NaN until measured.
    pub repulsion_error: Gauge,
    /// 1 while an NVIDIA device computes, 0 while the processor does.
    pub on_device: Gauge,
    /// 1 once the processor took over from a device that failed.
    pub fell_back: Gauge,
    /// Errors of the device.
    pub device_errors: Counter,
    /// Bytes of the device that the layout holds; NaN without one.
    pub device_used_bytes: Gauge,
    /// Bytes of the device that nobody holds; NaN without one.
    pub device_free_bytes: Gauge,
}

/// Written by one shard.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    /// Connections now.
    pub connections: Gauge,
    /// Bytes a second that they take at full rate.
    pub demand_bytes: Gauge,
    /// Connections taken over.
    pub adopted: Counter,
    /// Connections gone, whatever the reason.
    pub ended: Counter,
    /// Of those, closed because they took nothing for too long or leased too much.
    pub stalled: Counter,
    /// Of those, closed because nobody answered at the other end.
    pub dead: Counter,
    /// Signs of life that silent clients were asked for.
    pub pings: Counter,
    /// Of those, closed because their event panicked.
    pub panics: Counter,
    /// Of those, closed for breaking the protocol.
    pub protocol_errors: Counter,
    /// Frames whose last byte went to the kernel.
    pub frames_sent: Counter,
    /// Bytes that went to the kernel.
    pub bytes_sent: Counter,
    /// Calls of `write` and `writev`.
    pub writes: Counter,
    /// Bytes of shared frames that were copied for the interest of one client.
    pub bytes_gathered: Counter,
    /// Frames that slow clients were spared.
    pub frames_conflated: Counter,
    /// Clients that were left out of frames because of themselves: the first step down.
    pub rung_skipping: Counter,
    /// Moves to a coarser class, or up to a less coarse one.
    pub rung_coarser: Counter,
    /// Clients that were given snapshots alone.
    pub rung_snapshots: Counter,
    /// Clients that were given everything again.
    pub rung_full: Counter,
    /// Frames whose rest was copied so that the lease could end.
    pub lease_copies: Counter,
    /// Messages received.
    pub messages: Counter,
    /// Messages answered with an error.
    pub messages_refused: Counter,
    /// Published to picked up.
    pub pickup: Stage,
    /// Picked up to the last client of the frame served.
    pub fanout: Stage,
    /// Tick due to last client served.
    pub tick_to_wire: Stage,
}

/// Written by `door`.
#[derive(Debug, Default)]
pub struct DoorMetrics {
    /// Connections accepted, all ports.
    pub accepted: Counter,
    /// HTTP requests answered.
    pub http_requests: Counter,
    /// Of those, with a status of 400 or above.
    pub http_errors: Counter,
    /// Streams handed to shards.
    pub upgraded: Counter,
    /// Streams not let in.
    pub refused: Counter,
    /// Connections and requests that had to wait for room in a lane.
    pub held: Counter,
    /// How many of them wait now.
    pub holding: Gauge,
    /// Of those that had to wait, answered with 503 because there were too many or it took too long.
    pub turned_away: Counter,
    /// How long those that got through had waited.
    pub hold: Histogram,
    /// Connections closed because their request did not come in time.
    pub handshake_timeouts: Counter,
    /// `accept` calls that failed.
    pub accept_errors: Counter,
}

/// Written by `mcp`.
#[derive(Debug, Default)]
pub struct McpMetrics {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections now.
    pub connections: Gauge,
    /// Connections turned away because there were as many as may be.
    pub refused: Counter,
    /// Connections closed because they did not say who they are.
    pub strangers: Counter,
    /// Lines taken.
    pub lines: Counter,
    /// Connections closed because something took too long.
    pub timeouts: Counter,
    /// `accept` calls that failed.
    pub accept_errors: Counter,
}

/// Written by `worker`.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// Jobs that ended with a result.
    pub done: Counter,
    /// Jobs that could not be done.
    pub failed: Counter,
    /// Jobs that were stopped while they ran.
    pub cancelled: Counter,
    /// Jobs that panicked.
    pub panics: Counter,
    /// 1 while a job runs.
    pub busy: Gauge,
    /// How far it is, 0 to 1.
    pub progress: Gauge,
    /// When the thread last showed that it turns, monotonic ns.
    pub beat_ns: Counter,
}

impl WorkerMetrics {
    /// The thread turns.
    pub fn beat(&self) {
        self.beat_ns.add(monotonic_ns().saturating_sub(self.beat_ns.get()));
    }
}

/// Every block. Built once at start; shared.
#[derive(Debug)]
pub struct Metrics {
    /// Of `sim`.
    pub sim: CachePadded<SimMetrics>,
    /// Of each shard, in order.
    pub shards: Vec<Arc<CachePadded<ShardMetrics>>>,
    /// Of `door`.
    pub door: CachePadded<DoorMetrics>,
    /// Of `mcp`.
    pub mcp: CachePadded<McpMetrics>,
    /// Of `worker`.
    pub worker: CachePadded<WorkerMetrics>,
    /// Of `store`.
    pub store: CachePadded<StoreMetrics>,
    /// When the process began, monotonic.
    pub started_ns: u64,
    /// The same by the wall clock, ms since 1970.
    pub started_unix_ms: u64,
}

/// A stage of one thread.
#[derive(Clone, Debug)]
pub struct StageRow<'run> {
    /// As threads are named.
    pub thread: String,
    /// As the budget's key and the label.
    pub name: &'static str,
    /// Its records.
    pub stage: &'run Stage,
}

/// How long each stage may take, ns; 0 is no budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Commands of a tick applied.
    pub commands_ns: u64,
    /// One step.
    pub step_ns: u64,
    /// A frame encoded for all classes.
    pub encode_ns: u64,
    /// Published to picked up by a shard.
    pub pickup_ns: u64,
    /// Picked up to the last client served.
    pub fanout_ns: u64,
    /// Tick due to the last client served.
    pub tick_to_wire_ns: u64,
}

impl Metrics {
    /// Blocks for `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let sim = SimMetrics::default();
        for unknown in [&sim.repulsion_error, &sim.device_used_bytes, &sim.device_free_bytes] {
            unknown.set(f64::NAN);
        }
        Self {
            sim: CachePadded::new(sim),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            door: CachePadded::default(),
            mcp: CachePadded::default(),
            worker: CachePadded::default(),
            store: CachePadded::default(),
            started_ns: monotonic_ns(),
            started_unix_ms: unix_ms(),
        }
    }

    /// Every stage, in the order in which a frame passes them, thread by thread.
    pub fn stages(&self) -> impl Iterator<Item = StageRow<'_>> {
        let sim = [("commands", &self.sim.applied), ("step", &self.sim.step), ("encode", &self.sim.encode)];
        let sim = sim.map(|(name, stage)| StageRow { thread: "sim".to_owned(), name, stage });
        let shards = self.shards.iter().enumerate().flat_map(|(index, shard)| {
            let stages = [("pickup", &shard.pickup), ("fanout", &shard.fanout), ("tick_to_wire", &shard.tick_to_wire)];
            stages.map(|(name, stage)| StageRow { thread: format!("shard-{index}"), name, stage })
        });
        sim.into_iter().chain(shards)
    }

    /// From now on these are the budgets of every thread.
    pub fn set_budgets(&self, budgets: &Budgets) {
        for row in self.stages() {
            row.stage.set_budget_ns(match row.name {
                "commands" => budgets.commands_ns,
                "step" => budgets.step_ns,
                "encode" => budgets.encode_ns,
                "pickup" => budgets.pickup_ns,
                "fanout" => budgets.fanout_ns,
                _ => budgets.tick_to_wire_ns,
            });
        }
    }
}
