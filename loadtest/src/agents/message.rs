//! What coordinator and agent say: one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::collect::{ClockNote, PackedSlice};
use crate::plan::Plan;

/// Version of these messages. Both sides must have the same, and be of the same release: plans are sent as they are.
pub const PROTOCOL: u32 = 1;

/// From the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Order {
    /// The first line.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Release of the tool.
        version: String,
        /// Shared secret.
        token: Option<String>,
    },
    /// What to do; answered by `Ready` or `Failed`.
    Prepare {
        /// All of it.
        plan: Box<Plan>,
        /// The agent's share: this one
        index: u32,
        /// of so many.
        of: u32,
    },
    /// What time is it? Only between `Prepare` and `Start`.
    Clock {
        /// Comes back.
        number: u64,
    },
    /// Go.
    Start {
        /// By the agent's monotonic clock.
        start_ns: u64,
    },
    /// End early.
    Stop,
    /// The coordinator is there.
    Alive,
}

/// From an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Answer {
    /// The run is taken.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Release of the tool.
        version: String,
        /// Processor, cores and kernel.
        machine: String,
    },
    /// It is not, and the connection ends.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// Prepared.
    Ready,
    /// Its monotonic clock.
    Clock {
        /// Of the question.
        number: u64,
        /// Now.
        agent_ns: u64,
    },
    /// What its threads did in one slice. A thread that was far behind is told of later, in a line of the same slice.
    Slice {
        /// Place in the plan's slices.
        index: usize,
        /// All groups.
        packed: PackedSlice,
    },
    /// The agent is there.
    Alive,
    /// All has been told.
    Done {
        /// Per group: the clock of its target against the agent's.
        clocks: Vec<ClockNote>,
    },
    /// It cannot go on, and the connection ends.
    Failed {
        /// Why, for a person.
        message: String,
    },
}

/// Why an agent does not take a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    /// A wrong one, or none.
    #[error("the token is not the one that the agent was started with")]
    Token,
    /// Another release.
    #[error("it is release {version} with protocol {protocol}")]
    Version {
        /// The agent's.
        protocol: u32,
        /// The agent's.
        version: String,
    },
    /// Somebody else's run is on.
    #[error("another run is on")]
    Busy,
    /// The first line was no hello.
    #[error("it did not understand the first line")]
    Garbage,
}

/// Release of the tool.
pub(super) const RELEASE: &str = env!("CARGO_PKG_VERSION");
