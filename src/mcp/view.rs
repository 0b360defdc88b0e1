//! What tools look at: the graph, the newest positions, the simulation, what changed lately, who is an agent. And the bounds
//! that a look has: work, bytes, and somebody who can stop it.

use std::cell::Cell;

use serde_json::value::RawValue;

use super::agents::AgentRow;
use super::args::ToolError;
use super::changes::Recent;
use super::server::Server;
use crate::analytics::Watch;
use crate::graph::Graph;
use crate::limits::{MCP_EXPANSIONS_MAX, MCP_RESULT_BYTES_MAX};

/// Where the simulation stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimFacts {
    /// It steps.
    pub running: bool,
    /// Name of the layout mode.
    pub layout: &'static str,
    /// Steps a second.
    pub tick_hz: f64,
    /// Nothing moves any more.
    pub settled: bool,
    /// World units a second, once it is known.
    pub rms_velocity: Option<f64>,
    /// Name of what steps.
    pub backend: &'static str,
}

/// One moment of everything. Borrowed: from the live graph on `control`, from a snapshot on a worker.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Where its nodes are, `[node_count]` in index order, world units; `None` before the first step.
    pub positions: Option<&'a [[f32; 3]]>,
    /// The step of the positions.
    pub tick: Option<u64>,
    /// Batches that were committed.
    pub revision: u64,
    /// The simulation.
    pub sim: &'a SimFacts,
    /// What changed lately.
    pub recent: &'a Recent,
    /// The agents, most recently heard of first.
    pub agents: &'a [AgentRow],
    /// Nodes and edges that the graph may have.
    pub graph_limits: (usize, usize),
}

impl View<'_> {
    /// Where a node is.
    #[must_use]
    pub fn position(&self, index: usize) -> Option<[f32; 3]> {
        self.positions.and_then(|positions| positions.get(index)).copied()
    }
}

/// What a call may cost, and who asked it.
pub struct Bounds<'a> {
    /// Signs cursors.
    pub server: &'a Server,
    /// Whose cursors they are.
    pub principal: &'a str,
    /// Hears how far it is, and can stop it: cancellation and time-outs both.
    pub watch: &'a dyn Watch,
    spent: Cell<u64>,
}

/// Work between two looks at whether to stop: microseconds of it.
const WORK_PER_LOOK: u64 = 4_096;

impl<'a> Bounds<'a> {
    /// The bounds of one call.
    #[must_use]
    pub fn new(server: &'a Server, principal: &'a str, watch: &'a dyn Watch) -> Self {
        Self { server, principal, watch, spent: Cell::new(0) }
    }

    /// Counts work: about one node or edge that was looked at.
    ///
    /// # Errors
    /// It was stopped.
    pub fn spend(&self, work: u64) -> Result<(), ToolError> {
        let before = self.spent.get();
        let after = before + work;
        self.spent.set(after);
        if before / WORK_PER_LOOK != after / WORK_PER_LOOK {
            let part = (after as f64 / MCP_EXPANSIONS_MAX as f64).min(1.0);
            self.watch.progress(part).map_err(|_| {
                ToolError::new(format!(
                    "stopped after {after} steps of work: it was cancelled or ran out of time. Ask for less, or raise timeout_ms."
                ))
            })?;
        }
        Ok(())
    }

    /// Whether more than [`MCP_EXPANSIONS_MAX`] was spent: what there is so far is then the answer, marked as truncated.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.spent.get() > MCP_EXPANSIONS_MAX
    }

    /// Work so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// Where a page begins.
    ///
    /// # Errors
    /// A cursor that was not given out to this caller for this tool.
    pub fn offset(&self, tool: &str, cursor: Option<&str>) -> Result<usize, ToolError> {
        let Some(cursor) = cursor else { return Ok(0) };
        let offset = self.server.verify(self.principal, tool, cursor).and_then(|offset| usize::try_from(offset).ok());
        offset.ok_or_else(|| ToolError::new("cursor is not one that this tool gave you: leave it out to begin again"))
    }

    /// The cursor of the next page.
    #[must_use]
    pub fn cursor(&self, tool: &str, offset: usize) -> String {
        self.server.sign(self.principal, tool, offset as u64)
    }
}

/// Counts the bytes of a result so that lists end before it is too large for a model.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        // Room for what surrounds the lists.
        Self { left: MCP_RESULT_BYTES_MAX - 2_048 }
    }
}

impl Budget {
    /// An item as JSON, when it still fits.
    pub fn take<T: serde::Serialize>(&mut self, item: &T) -> Option<Box<RawValue>> {
        let json = serde_json::value::to_raw_value(item).ok()?;
        self.left = self.left.checked_sub(json.get().len() + 1)?;
        Some(json)
    }
}
