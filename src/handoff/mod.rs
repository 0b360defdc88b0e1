//! What threads share: lanes, doorbells, frames. Nothing here allocates or waits in steady state.

#![forbid(unsafe_code)]

/// Messages name nodes by id; what an id means is the graph's business, which `net` never sees.
pub use crate::graph::NodeId;

mod chain;
mod dial;
mod doorbell;
mod frame;
mod lane;
mod lease;
mod mcp;
mod message;
mod net_limits;
mod order;
mod planes;
mod rules;
mod rung;
mod steer;
mod structure;
mod sync;

pub use chain::{ChainInput, ChainMessage, ChainPart, ChainWriter, chain_ticks_max};
pub use dial::{Deed, Dialogue};
pub use doorbell::Doorbell;
pub use frame::{ClassHead, Frame, FramePool, Stamp};
pub use lane::{Consumer, LaneStats, Overflow, Producer, lane};
pub use lease::LeasePool;
pub use mcp::{AgentsTurn, McpEvent, McpReply, McpRequest, McpSocket};
pub use message::{
    Adopt, ClassRef, DoorReply, DoorRequest, DragPhase, Grant, HttpQuery, Interest, Origin, Query, Refusal, RestCall,
    SessionId, ShardEvent, ShardMessage, SimCommand, SimEvent, StagePart, Transport, ViewCommand,
};
pub use net_limits::{NetLimit, NetLimits};
pub use order::WireOrder;
pub use planes::SidePlanes;
pub use rules::{
    Bounds, Collision, Constraint, Demand, LevelPull, Populations, RuleScale, RuleSet, SpringTable, Targets,
    TypeCluster, UNTYPED, Violations,
};
pub use rung::Rung;
pub use steer::{SettingsSaid, Spent, Steer, Steered, Tuning, Watching};
pub use structure::{NEW_NODE, Replaced, Structure};
