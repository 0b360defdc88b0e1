//! What calls take, by tool, and what `engine_stats` says of the engine. A figure that was not measured is null.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{McpDesk, Principal};
use crate::base::clock::{MILLISECOND_NS, monotonic_ns};
use crate::base::{Handle, host};
use crate::control::turn::Control;
use crate::graph::Author;
use crate::mcp::{Ask, Call, CallKey, Done, Reply, RpcError, structured};

/// Longest call that is told apart, us.
const CALL_US_MAX: u64 = 60_000_000;

/// Calls of one tool.
#[derive(Debug, Default)]
struct Calls {
    count: u64,
    errors: u64,
    /// us from the line being understood to its answer; `None` where it could not be made.
    us: Option<Histogram<u64>>,
}

/// A call that is not answered yet.
#[derive(Debug)]
struct UnderWay {
    /// Its place in the catalogue; `None` is no tool.
    tool: Option<usize>,
    began_ns: u64,
    whose: Arc<str>,
    /// What he calls himself.
    name: Option<Box<str>>,
    /// Why he wants the change that it leads to.
    why: Option<Box<str>>,
}

/// Calls of all tools.
#[derive(Debug, Default)]
pub(super) struct CallBook {
    /// When the line was taken that is being looked at, monotonic ns.
    pub(super) began_ns: u64,
    /// When it was looked for calls that take too long, monotonic ns.
    looked_ns: u64,
    under_way: HashMap<(Handle, CallKey), UnderWay>,
    tools: BTreeMap<usize, Calls>,
}

fn tool_of(ask: &Ask<'_>) -> Option<usize> {
    if let Ask::Tool { tool, .. } = ask { Some(*tool) } else { None }
}

fn is_error(result: &Result<Reply, RpcError>) -> bool {
    match result {
        Ok(Reply::Tool(result)) => result.is_error,
        Ok(_) => false,
        Err(_) => true,
    }
}

impl CallBook {
    pub(super) fn answered(&mut self, call: &Call<'_>, result: &Result<Reply, RpcError>) {
        self.count(tool_of(&call.ask), self.began_ns, result);
    }

    pub(super) fn deferred(&mut self, conn: Handle, key: CallKey, call: &Call<'_>, name: Option<Box<str>>) {
        let Principal { name: whose, .. } = call.principal.clone();
        let (tool, began_ns) = (tool_of(&call.ask), self.began_ns);
        self.under_way.insert((conn, key), UnderWay { tool, began_ns, whose, name, why: None });
    }

    pub(super) fn finished(&mut self, conn: Handle, key: CallKey, result: &Result<Reply, RpcError>) {
        if let Some(UnderWay { tool, began_ns, .. }) = self.under_way.remove(&(conn, key)) {
            self.count(tool, began_ns, result);
        }
    }

    /// It begins now: a person was asked first.
    pub(super) fn restart(&mut self, conn: Handle, key: CallKey, now_ns: u64) {
        if let Some(call) = self.under_way.get_mut(&(conn, key)) {
            call.began_ns = now_ns;
        }
    }

    /// Calls that are under way for longer than `most_ns`; looked for every `every_ns`.
    pub(super) fn overlong(&mut self, now_ns: u64, most_ns: u64, every_ns: u64) -> Vec<(Handle, CallKey)> {
        if now_ns < self.looked_ns + every_ns {
            return Vec::new();
        }
        self.looked_ns = now_ns;
        let is_overlong = |call: &UnderWay| now_ns.saturating_sub(call.began_ns) > most_ns;
        self.under_way.iter().filter(|(_, call)| is_overlong(call)).map(|(name, _)| *name).collect()
    }

    /// Nobody hears of it: it counts as no call.
    pub(super) fn cancelled(&mut self, conn: Handle, key: CallKey) {
        self.under_way.remove(&(conn, key));
    }

    pub(super) fn forget(&mut self, conn: Handle) {
        self.under_way.retain(|(of, _), _| *of != conn);
    }

    /// Why a call that is under way changes the graph.
    pub(super) fn reason(&mut self, conn: Handle, key: CallKey, why: Option<Box<str>>) {
        if let Some(call) = self.under_way.get_mut(&(conn, key)) {
            call.why = why;
        }
    }

    /// Puts under a change what is known of who asked for it.
    pub(super) fn sign(&self, conn: Handle, key: CallKey, author: &mut Author) {
        let Some(call) = self.under_way.get(&(conn, key)) else { return };
        author.name.clone_from(&call.name);
        author.why = author.why.take().or_else(|| call.why.clone());
    }

    /// Who asked for a call that is under way.
    pub(super) fn whose(&self, conn: Handle, key: CallKey) -> Arc<str> {
        self.under_way.get(&(conn, key)).map_or_else(|| "nobody".into(), |call| Arc::clone(&call.whose))
    }

    pub(super) fn waiting(&self) -> usize {
        self.under_way.len()
    }

    fn count(&mut self, tool: Option<usize>, began_ns: u64, result: &Result<Reply, RpcError>) {
        let Some(tool) = tool else { return };
        let calls = self.tools.entry(tool).or_insert_with(|| {
            // Two digits are within 1 %; 12 KiB a tool that was ever called.
            Calls { us: Histogram::new_with_bounds(1, CALL_US_MAX, 2).ok(), ..Calls::default() }
        });
        calls.count += 1;
        calls.errors += u64::from(is_error(result));
        if let Some(us) = &mut calls.us {
            us.saturating_record((monotonic_ns().saturating_sub(began_ns) / 1_000).max(1));
        }
    }

    fn rows(&self, desk: &McpDesk) -> Vec<Value> {
        let row = |(tool, calls): (&usize, &Calls)| {
            let name = desk.server.catalogue.tools().get(*tool).map(|tool| &*tool.name)?;
            let at = |quantile| calls.us.as_ref().map(|us| us.value_at_quantile(quantile));
            Some(json!({
                "name": name, "calls": calls.count, "errors": calls.errors, "p50_us": at(0.5), "p99_us": at(0.99),
            }))
        };
        self.tools.iter().filter_map(row).collect()
    }
}

impl Control {
    /// What `engine_stats` answers.
    pub(super) fn engine_stats(&mut self, desk: &McpDesk) -> Done {
        let step = self.metrics.sim.step.distribution();
        let at = |quantile| (!step.is_empty()).then(|| step.value_at_quantile(quantile) as f64 / MILLISECOND_NS as f64);
        let lanes = self.lane_stats.iter().map(|lane| {
            json!({ "name": lane.name(), "depth": lane.depth(), "slots": lane.slots(), "refused": lane.refused() })
        });
        let lanes: Vec<Value> = lanes.collect();
        let waiting = self.mcp.book.waiting();
        let agents = self.mcp.agents.rows().iter().filter(|agent| agent.live).count();
        structured(&json!({
            "tools": self.mcp.book.rows(desk),
            "connections": { "mcp": self.mcp.talks.count(), "viewers": self.sessions.len(), "agents": agents },
            "queues": { "calls": waiting, "looks": self.mcp.looks.len(), "lanes": lanes },
            "tick": { "steps": self.metrics.sim.ticks.get(), "p50_ms": at(0.5), "p99_ms": at(0.99) },
            "memory": { "resident_bytes": host::resident_bytes() },
            "revision": self.version(),
        }))
    }
}
