//! What tools look at: the graph, the newest positions, the simulation, what changed lately, who is an agent. And the bounds
//! that a look has: work, bytes, and somebody who can stop it.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::agents::AgentRow;
use super::args::ToolError;
use super::changes::Recent;
use super::server::Server;
use super::stage::Stage;
use crate::analytics::Watch;
use crate::graph::Graph;
use crate::handoff::SidePlanes;
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
    /// Half of each node's mass times its speed squared, summed, once it is known.
    pub energy: Option<f64>,
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
    /// Views that are kept, and what the channels of the picture mean.
    pub stage: &'a Stage,
    /// What analytics have published of this structure of the graph.
    pub side: Option<&'a SidePlanes>,
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
    /// Monotonic ns; this room has no clock of its own.
    clock: fn() -> u64,
    began_ns: u64,
    /// The arguments, as they came: a cursor is for them alone.
    arguments: Cell<&'a str>,
}

/// Arguments that may differ from page to page.
const OF_ONE_PAGE: [&str; 5] = ["cursor", "limit", "timeout_ms", "explain", "wait_ms"];

/// What a cursor of a call with these arguments is bound to.
fn scope(tool: &str, arguments: &str) -> String {
    let named: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(arguments).unwrap_or_default();
    let mut scope = tool.to_owned();
    for (name, value) in named.iter().filter(|(name, value)| value.get() != "null" && !OF_ONE_PAGE.contains(&&***name))
    {
        scope.push('\n');
        scope.push_str(name);
        scope.push('\n');
        scope.push_str(value.get());
    }
    scope
}

/// Work between two looks at whether to stop: microseconds of it.
const WORK_PER_LOOK: u64 = 4_096;

impl<'a> Bounds<'a> {
    /// The bounds of one call that begins now. `clock` is monotonic, in ns.
    #[must_use]
    pub fn new(server: &'a Server, principal: &'a str, watch: &'a dyn Watch, clock: fn() -> u64) -> Self {
        let (spent, arguments) = (Cell::new(0), Cell::new("{}"));
        Self { server, principal, watch, spent, clock, began_ns: clock(), arguments }
    }

    /// The arguments of the tool that is called.
    pub(super) fn called_with(&self, arguments: &'a str) {
        self.arguments.set(arguments);
    }

    /// How long it has taken so far, us.
    #[must_use]
    pub fn us(&self) -> u64 {
        (self.clock)().saturating_sub(self.began_ns) / 1_000
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
            self.go_on()?;
        }
        Ok(())
    }

    /// Looks whether to stop: of work that is no looking at nodes and edges.
    ///
    /// # Errors
    /// It was stopped.
    pub fn go_on(&self) -> Result<(), ToolError> {
        let spent = self.spent.get();
        let part = (spent as f64 / MCP_EXPANSIONS_MAX as f64).min(1.0);
        self.watch.progress(part).map_err(|_| stopped(spent))
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
    /// A cursor that was not given out to this caller for this tool and these arguments.
    pub fn offset(&self, tool: &str, cursor: Option<&str>) -> Result<usize, ToolError> {
        let Some(cursor) = cursor else { return Ok(0) };
        let scope = scope(tool, self.arguments.get());
        let offset = self.server.verify(self.principal, &scope, cursor).and_then(|offset| usize::try_from(offset).ok());
        offset.ok_or_else(not_given_out)
    }

    /// The same of pages that are of one revision of the graph.
    ///
    /// # Errors
    /// As [`Self::offset`], and a cursor of another revision.
    pub fn offset_at(&self, tool: &str, revision: u64, cursor: Option<&str>) -> Result<usize, ToolError> {
        let Some((at, signed)) = cursor.map(|cursor| cursor.split_once('.').unwrap_or(("", cursor))) else {
            return Ok(0);
        };
        let given_at = u64::from_str_radix(at, 16).map_err(|_| not_given_out())?;
        let scope = format!("{}\n{given_at}", scope(tool, self.arguments.get()));
        let offset = self.server.verify(self.principal, &scope, signed).and_then(|offset| usize::try_from(offset).ok());
        match offset {
            None => Err(not_given_out()),
            Some(_) if given_at != revision => Err(ToolError::new(format!(
                "cursor is of revision {given_at}, and the graph is at {revision}: leave cursor out to begin again"
            ))),
            Some(offset) => Ok(offset),
        }
    }

    /// The cursor of the next page of one revision.
    #[must_use]
    pub fn cursor_at(&self, tool: &str, revision: u64, offset: usize) -> String {
        let scope = format!("{}\n{revision}", scope(tool, self.arguments.get()));
        format!("{revision:x}.{}", self.server.sign(self.principal, &scope, offset as u64))
    }

    /// The cursor of the next page.
    #[must_use]
    pub fn cursor(&self, tool: &str, offset: usize) -> String {
        self.server.sign(self.principal, &scope(tool, self.arguments.get()), offset as u64)
    }
}

#[cold]
fn stopped(spent: u64) -> ToolError {
    let words = "it was cancelled or ran out of time. Ask for less, or raise timeout_ms.";
    ToolError::new(format!("stopped after {spent} steps of work: {words}"))
}

#[cold]
fn not_given_out() -> ToolError {
    let words = "cursor is not one that this tool gave you for these arguments: leave it out to begin again";
    ToolError::new(words)
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
