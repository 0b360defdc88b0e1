//! The one table of lanes, and the lanes made from it.

use std::sync::Arc;

use crate::handoff::{
    Adopt, Consumer, DoorReply, DoorRequest, Doorbell, Frame, LaneStats, McpEvent, McpReply, McpSocket, Overflow,
    Producer, ShardEvent, ShardMessage, SimCommand, SimEvent, ViewCommand, lane,
};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, FILE_ORDERS_MAX};
use crate::mcp::{AuditRecord, Server, SourceReport};
use crate::store::{StoreOrder, StoreReport};
use crate::worker::{FileOrder, FileReport, LookOrder, LookReport, WorkOrder, WorkReport};

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneSpec {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) item: &'static str,
    pub(super) slots: usize,
    pub(super) item_bytes: usize,
    pub(super) overflow: Overflow,
    /// What a full lane means.
    pub(super) meaning: &'static str,
    /// There is one for each shard.
    pub(super) per_shard: bool,
}

const fn spec<T>(
    (from, to, item): (&'static str, &'static str, &'static str),
    slots: usize,
    overflow: Overflow,
    meaning: &'static str,
    per_shard: bool,
) -> LaneSpec {
    LaneSpec { from, to, item, slots, item_bytes: size_of::<T>(), overflow, meaning, per_shard }
}

/// Full frames need no history: a shard eight frames behind serves the newest. Every slot can pin a frame of the
/// pool, so this lane is short.
pub(super) const FRAMES: LaneSpec = spec::<Arc<Frame>>(
    ("sim", "shard", "frame"),
    8,
    Overflow::Conflate,
    "the oldest frame goes; its clients take the newest",
    true,
);
pub(super) const LATEST: LaneSpec =
    spec::<Arc<Frame>>(("sim", "control", "frame"), 1, Overflow::Conflate, "control sees the newest frame", false);
pub(super) const SIM_EVENTS: LaneSpec =
    spec::<SimEvent>(("sim", "control", "event"), 256, Overflow::Refuse, "a client is not told, counted", false);
pub(super) const COMMANDS: LaneSpec =
    spec::<ViewCommand>(("shard", "sim", "command"), 1_024, Overflow::Refuse, "the client is told: busy", true);
pub(super) const SIM: LaneSpec =
    spec::<SimCommand>(("control", "sim", "command"), 256, Overflow::Refuse, "control waits a turn", false);
pub(super) const ADOPT: LaneSpec =
    spec::<Adopt>(("door", "shard", "connection"), 256, Overflow::Refuse, "the door holds it", true);
pub(super) const SHARD_EVENTS: LaneSpec =
    spec::<ShardEvent>(("shard", "control", "event"), 4_096, Overflow::Refuse, "the client is told: busy", true);
pub(super) const SHARD_MESSAGES: LaneSpec =
    spec::<ShardMessage>(("control", "shard", "message"), 4_096, Overflow::Refuse, "an answer is lost, logged", true);
pub(super) const REQUESTS: LaneSpec =
    spec::<DoorRequest>(("door", "control", "request"), 1_024, Overflow::Refuse, "the door holds it", false);
pub(super) const REPLIES: LaneSpec = spec::<DoorReply>(
    ("control", "door", "reply"),
    1_024,
    Overflow::Refuse,
    "the request runs into its deadline",
    false,
);
/// One at a time: the queue is `control`'s, so that a job begins with the graph of its moment.
pub(super) const ORDERS: LaneSpec =
    spec::<WorkOrder>(("control", "worker", "order"), 1, Overflow::Refuse, "control waits a turn", false);
pub(super) const REPORTS: LaneSpec =
    spec::<WorkReport>(("worker", "control", "report"), 2, Overflow::Refuse, "never: one order at a time", false);
pub(super) const STORE_ORDERS: LaneSpec = spec::<StoreOrder>(
    ("control", "store", "order"),
    BATCHES_IN_FLIGHT_MAX + 8,
    Overflow::Refuse,
    "never: control refuses batches before",
    false,
);
pub(super) const STORE_REPORTS: LaneSpec =
    spec::<StoreReport>(("store", "control", "report"), 64, Overflow::Refuse, "the store waits", false);
pub(super) const MCP_EVENTS: LaneSpec =
    spec::<McpEvent>(("mcp", "control", "event"), 4_096, Overflow::Refuse, "the connection is not read", false);
pub(super) const MCP_REPLIES: LaneSpec =
    spec::<McpReply>(("control", "mcp", "reply"), 4_096, Overflow::Refuse, "control waits a turn", false);
pub(super) const MCP_ADOPT: LaneSpec =
    spec::<McpSocket>(("door", "mcp", "connection"), 256, Overflow::Refuse, "the client is told: busy", false);
pub(super) const MCP_BACK: LaneSpec =
    spec::<McpSocket>(("mcp", "door", "connection"), 256, Overflow::Refuse, "the connection is closed", false);
pub(super) const LOOKS: LaneSpec = spec::<LookOrder>(
    ("control", "look", "order"),
    1,
    Overflow::Refuse,
    "never: control gives a thread one at a time",
    false,
);
pub(super) const LOOKED: LaneSpec =
    spec::<LookReport>(("look", "control", "report"), 1, Overflow::Refuse, "the thread waits", false);
pub(super) const MCP_STOP: LaneSpec = spec::<()>(("main", "mcp", "stop"), 1, Overflow::Conflate, "told once", false);
pub(super) const STOP: LaneSpec = spec::<()>(("main", "door", "stop"), 1, Overflow::Conflate, "told once", false);

pub(super) const FILE_ORDERS: LaneSpec = spec::<FileOrder>(
    ("control", "files", "order"),
    FILE_ORDERS_MAX + 2,
    Overflow::Refuse,
    "never: control refuses files before",
    false,
);
pub(super) const FILE_REPORTS: LaneSpec =
    spec::<FileReport>(("files", "control", "report"), 2, Overflow::Refuse, "the thread waits", false);

pub(super) const SOURCE_REPORTS: LaneSpec =
    spec::<SourceReport>(("sources", "control", "report"), 64, Overflow::Refuse, "the thread waits", false);
pub(super) const SOURCES_STOP: LaneSpec =
    spec::<()>(("main", "sources", "stop"), 1, Overflow::Conflate, "told once", false);

pub(super) const TOKENS: LaneSpec =
    spec::<Arc<Server>>(("main", "control", "tokens"), 1, Overflow::Refuse, "main tries again a second later", false);

pub(super) const AUDIT: LaneSpec = spec::<AuditRecord>(
    ("control", "audit", "record"),
    1_024,
    Overflow::Refuse,
    "control keeps them for a while",
    false,
);

/// Every lane there is.
pub(super) const LANES: [LaneSpec; 28] = [
    FRAMES,
    LATEST,
    SIM_EVENTS,
    COMMANDS,
    SIM,
    ADOPT,
    SHARD_EVENTS,
    SHARD_MESSAGES,
    REQUESTS,
    REPLIES,
    ORDERS,
    REPORTS,
    STORE_ORDERS,
    STORE_REPORTS,
    MCP_EVENTS,
    MCP_REPLIES,
    MCP_ADOPT,
    MCP_BACK,
    LOOKS,
    LOOKED,
    FILE_ORDERS,
    FILE_REPORTS,
    SOURCE_REPORTS,
    SOURCES_STOP,
    TOKENS,
    AUDIT,
    MCP_STOP,
    STOP,
];

impl LaneSpec {
    /// Bytes of all its lanes' slots.
    pub(super) fn bytes(&self, shards: usize) -> usize {
        let lanes = if self.per_shard { shards } else { 1 };
        lanes * self.slots * self.item_bytes
    }
}

/// Makes lanes and keeps their counters together.
#[derive(Default)]
pub(super) struct LaneMaker {
    pub(super) stats: Vec<Arc<LaneStats>>,
}

impl LaneMaker {
    /// The lane of `spec` that `bell`'s thread reads; `shard` is part of the name of a lane of one shard, or of one of the threads that look.
    pub(super) fn make<T>(
        &mut self,
        spec: &LaneSpec,
        shard: Option<usize>,
        bell: &Arc<Doorbell>,
    ) -> (Producer<T>, Consumer<T>) {
        debug_assert!(spec.item_bytes == size_of::<T>(), "the table names this lane's item");
        let side = |name: &str| match shard {
            Some(index) if ["shard", "look"].contains(&name) => format!("{name}-{index}"),
            _ => name.to_owned(),
        };
        let name = format!("{}->{}.{}", side(spec.from), side(spec.to), spec.item);
        let (producer, consumer) = lane(name, spec.slots, spec.overflow, Arc::clone(bell));
        self.stats.push(producer.stats());
        (producer, consumer)
    }
}
