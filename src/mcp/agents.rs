//! Agents as nodes of the live graph: who registered, what they reported last, and what of it the graph is to show.
//!
//! Pure: `now` and random bytes come from the caller. What was not reported is null. An agent that is silent for its time to live
//! is gone from the graph; a link to what it touched stands for five seconds after the last touch. One to another agent fades
//! meanwhile, in a few steps that everybody watching sees; they are kept as every change is, and the next start clears them with the
//! agents. Changes of the graph are gathered, and taken as one batch a few times a second, so that 500 events a second of each agent
//! are not 500 commits. What a batch asked for and the graph does not show once it is over is asked for again.

mod links;
mod look;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

pub(super) use self::links::LINK_NS;
use self::links::{Fading, Links, MESSAGES, TOUCHES};
use self::look::Batches;
use super::args::{ToolError, bounded, counted, short, whole};
use super::society::Spoken;
use super::sources::SourceAgent;
use super::tools::{Register, Report};
use crate::base::hex;
use crate::graph::{Batch, Graph, Node, NodeKind, NodeRef, Op};

/// Agents at once.
const AGENTS_MAX: usize = 4_096;

/// Events a second of one agent, and at once.
const EVENTS_PER_SECOND: u64 = 500;

/// Bytes of what else an agent says of itself, as JSON.
const METADATA_BYTES_MAX: usize = 4_096;

/// How long the record of an agent that is gone is kept.
const RECORD_NS: u64 = 600_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// Time to live of an agent that a source tells of.
const SOURCE_TTL_NS: u64 = 60 * SECOND_NS;

/// What [`Batch::author`] says of changes that agents' reports cause.
pub const AUTHOR: &str = "agents";

/// The prefix of an agent's key in the graph.
const KEY: &str = "agent:";

/// Figures that an agent reported last.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AgentMetrics {
    /// Share of a processor, as reported.
    pub cpu: Option<f64>,
    /// MiB.
    pub mem_mb: Option<f64>,
    /// Tokens read, of the last report.
    pub tokens_in: Option<f64>,
    /// Tokens written, of the last report.
    pub tokens_out: Option<f64>,
    /// Tokens of all reports.
    pub tokens_total: Option<f64>,
    /// Money, of the last report.
    pub cost_usd: Option<f64>,
    /// Things that wait for it.
    pub queue: Option<f64>,
    /// Share of what it can do, as reported.
    pub workload: Option<f64>,
    /// Tokens a second.
    pub tokens_per_s: Option<f64>,
    /// Tasks that it is at.
    pub tasks_active: Option<f64>,
    /// Tasks that it has done.
    pub tasks_completed: Option<f64>,
    /// Tasks that it could not do.
    pub tasks_failed: Option<f64>,
}

/// Events of one agent that are kept.
const EVENTS_MAX: usize = 100;

/// Something that an agent reported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentEvent {
    /// When it was heard, ms since 1970.
    pub t_ms: u64,
    /// As `report_agent` names them.
    pub kind: &'static str,
    /// Where it was told.
    pub status: Option<&'static str>,
    /// Key of a node.
    pub target: Option<Box<str>>,
    /// As it was told.
    pub task_id: Option<Box<str>>,
    /// What it said.
    pub text: Option<Box<str>>,
}

/// One agent, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AgentRow {
    /// Its key in the graph.
    pub agent_id: Box<str>,
    /// Its number in the graph and on the streams, while the graph shows it.
    pub node_id: Option<u32>,
    /// As it registered.
    pub name: Box<str>,
    /// What it does.
    pub role: Option<Box<str>>,
    /// spawning, running, idle, stopped or errored; `None` where a source says something else, or nothing.
    pub status: Option<&'static str>,
    /// Heard of within its time to live.
    pub live: bool,
    /// The server that was asked for it; `None` is one that registered here.
    pub source: Option<Box<str>>,
    /// What it belongs to, as it or a source says.
    pub swarm_id: Option<Box<str>>,
    /// ms since 1970.
    pub created_ms: Option<u64>,
    /// When it was heard of here, ms since 1970.
    pub last_seen_ms: u64,
    /// When it did something last, as it or a source says, ms since 1970.
    pub last_activity_ms: Option<u64>,
    /// What it is at.
    pub task: Option<Box<str>>,
    /// As it says last.
    pub health: Option<Box<str>>,
    /// Reported figures.
    pub metrics: AgentMetrics,
    /// What it can do.
    pub capabilities: Vec<Box<str>>,
    /// Who started it.
    pub parent: Option<Box<str>>,
    /// Who it is for the doors.
    pub by: Box<str>,
    /// Errors it reported.
    pub errors: u64,
    /// What it said last.
    pub last_text: Option<Box<str>>,
    /// What it reported lately, newest last; figures alone are none.
    #[serde(skip)]
    pub events: Arc<VecDeque<AgentEvent>>,
    /// What else it or a source says of it: an object.
    pub metadata: Option<serde_json::Value>,
}

/// One agent.
#[derive(Debug)]
struct Agent {
    row: AgentRow,
    /// 128 random bits; an agent of a source has none.
    handle: Option<[u8; 16]>,
    ttl_ns: u64,
    seen_ns: u64,
    /// Events it may still report, times [`SECOND_NS`], at `seen_ns`.
    allowance: u64,
    allowed_ns: u64,
    links: Links,
    /// The graph is to be asked for it as it is now.
    changed: bool,
    /// The batch that asked for it last; `None` when the graph is known to show it as it was then, or not to have it.
    asked: Option<u64>,
    /// The node that was asked to go last.
    going: Option<u32>,
    /// The edge from who started it is in the graph, or was asked for.
    parent_shown: bool,
    /// The batch that asked for that edge.
    parent_asked: Option<u64>,
}

/// All agents. Owned by the one that writes the graph.
#[derive(Debug, Default)]
pub struct Agents {
    agents: BTreeMap<Box<str>, Agent>,
    rows: Vec<AgentRow>,
    touched: bool,
    /// Who has reported events since the last time this was asked.
    heard: HashSet<Box<str>>,
    /// Who has reported of messages since the last time this was asked.
    said: Vec<Spoken>,
    fading: Fading,
    batches: Batches,
}

/// What a new agent is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Its key in the graph.
    pub agent_id: Box<str>,
    /// Its number in the graph and on the streams; `None` while the graph cannot show it.
    pub node_id: Option<u32>,
    /// What it reports with.
    pub handle: String,
    /// How often, at least.
    pub report_every_ms: u64,
    /// When it is shown as gone.
    pub ttl_s: u64,
    /// Of the graph.
    pub revision: u64,
}

/// What a report comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// Events that count.
    pub accepted: usize,
    /// Events beyond 500 a second.
    pub dropped: usize,
    /// Report again within so many ms.
    pub next_ms: u64,
    /// Of the graph.
    pub revision: u64,
}

/// What an agent can be, each as its own choice.
pub(super) const STATUSES: [(&str, &str); 5] = [
    ("spawning", "spawning"),
    ("running", "running"),
    ("idle", "idle"),
    ("stopped", "stopped"),
    ("errored", "errored"),
];

/// What else an agent says of itself.
fn metadata(said: &RawValue) -> Result<serde_json::Value, ToolError> {
    let text = bounded("metadata", said.get(), METADATA_BYTES_MAX)?;
    let read = serde_json::from_str(text).ok().filter(serde_json::Value::is_object);
    read.ok_or_else(|| ToolError::field("metadata", short(text), "an object"))
}

impl Agents {
    /// Makes an agent, or gives the one of that name a new handle. `random` are 128 random bits.
    ///
    /// # Errors
    /// A field out of its bounds; a name that a live agent of somebody else has; too many agents.
    pub fn register(
        &mut self,
        asked: &Register<'_>,
        by: &str,
        random: [u8; 16],
        (now_ns, now_ms): (u64, u64),
        revision: u64,
    ) -> Result<Registered, ToolError> {
        let name = asked.name.as_deref().unwrap_or("");
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err(ToolError::field(
                "name",
                format!("{name:?}"),
                "1 to 64 bytes of text without control characters",
            ));
        }
        let role = asked.role.as_deref().map(|role| bounded("role", role, 64)).transpose()?;
        counted("capabilities", asked.capabilities.len(), 0, 32)?;
        for capability in &asked.capabilities {
            bounded("capabilities", capability, 64)?;
        }
        let swarm_id = asked.swarm_id.as_deref().map(|swarm| bounded("swarm_id", swarm, 64)).transpose()?;
        let metadata = asked.metadata.filter(|metadata| metadata.get() != "null").map(metadata).transpose()?;
        let ttl_s = whole("ttl_s", asked.ttl_s, (5, 600), 60)? as u64;
        let parent = asked.parent.as_deref();
        if let Some(parent) = parent.filter(|parent| !self.agents.contains_key(*parent)) {
            let words = format!("parent: there is no agent {:?}; list_agents has the ids", short(parent));
            return Err(ToolError::new(words));
        }
        let key: Box<str> = format!("{KEY}{name}").into();
        let before = self.agents.get(&key);
        if before.is_some_and(|agent| agent.row.live && &*agent.row.by != by) {
            let words = format!("name: a live agent of somebody else is called {name:?}; choose another name");
            return Err(ToolError::new(words));
        }
        if before.is_none() && self.agents.len() >= AGENTS_MAX {
            return Err(ToolError::new(format!("there are {AGENTS_MAX} agents, as many as there may be")));
        }
        let created_ms = before.and_then(|agent| agent.row.created_ms).unwrap_or(now_ms);
        let in_batch = before.and_then(|agent| agent.asked);
        let node_id = before.and_then(|agent| agent.row.node_id);
        let (links, events) = self.agents.remove(&key).map(|agent| (agent.links, agent.row.events)).unwrap_or_default();
        let row = AgentRow {
            agent_id: key.clone(),
            node_id,
            name: name.into(),
            role: role.map(Into::into),
            status: Some("spawning"),
            live: true,
            source: None,
            swarm_id: swarm_id.map(Into::into),
            created_ms: Some(created_ms),
            last_seen_ms: now_ms,
            last_activity_ms: None,
            task: None,
            health: None,
            metrics: AgentMetrics::default(),
            capabilities: asked.capabilities.iter().map(|it| it.as_ref().into()).collect(),
            parent: parent.map(Into::into),
            by: by.into(),
            errors: 0,
            last_text: None,
            events,
            metadata,
        };
        let agent = Agent {
            handle: Some(random),
            ttl_ns: ttl_s * SECOND_NS,
            links,
            asked: in_batch,
            ..Agent::new(row, now_ns)
        };
        self.agents.insert(key.clone(), agent);
        self.touched = true;
        let report_every_ms = ttl_s * 1_000 / 3;
        Ok(Registered { agent_id: key, node_id: None, handle: hex(&random), report_every_ms, ttl_s, revision })
    }

    /// Takes a report.
    ///
    /// # Errors
    /// A handle that is not this caller's; an event that is not what it may be: nothing counts then.
    pub fn report(
        &mut self,
        asked: &Report<'_>,
        by: &str,
        graph: &Graph,
        (now_ns, now_ms): (u64, u64),
        revision: u64,
    ) -> Result<Reported, ToolError> {
        let handle =
            asked.handle.as_deref().ok_or_else(|| ToolError::missing("handle", "what register_agent gave you"))?;
        let mine = |agent: &&mut Agent| agent.handle.is_some_and(|own| hex(&own) == handle) && &*agent.row.by == by;
        let unknown = || ToolError::new("handle: no live agent of yours has it; call register_agent for a new one");
        let agent = self.agents.values_mut().find(mine).filter(|agent| agent.row.live).ok_or_else(unknown)?;
        counted("events", asked.events.len(), 0, 500)?;
        let mut checked = Vec::with_capacity(asked.events.len());
        for (index, event) in asked.events.iter().enumerate() {
            checked.push(event.check(index, graph, &STATUSES)?);
        }
        let since_ns = now_ns.saturating_sub(agent.allowed_ns).min(SECOND_NS);
        agent.allowance = (agent.allowance + since_ns * EVENTS_PER_SECOND).min(EVENTS_PER_SECOND * SECOND_NS);
        agent.allowed_ns = now_ns;
        let accepted = checked.len().min((agent.allowance / SECOND_NS) as usize);
        agent.allowance -= accepted as u64 * SECOND_NS;
        agent.seen_ns = now_ns;
        agent.row.last_seen_ms = now_ms;
        let mut to: Vec<Box<str>> = Vec::new();
        for event in checked.into_iter().take(accepted) {
            let other = event.target.clone().filter(|_| matches!(event.kind, "message" | "handoff"));
            to.extend(other.filter(|other| !to.contains(other)));
            agent.take(event, (now_ns, now_ms));
        }
        if !to.is_empty() {
            self.said.push(Spoken { id: None, from: agent.row.agent_id.clone(), to, topic: None });
        }
        if accepted > 0 {
            self.heard.insert(agent.row.agent_id.clone());
        }
        self.touched = true;
        let next_ms = agent.ttl_ns / 3_000_000;
        Ok(Reported { accepted, dropped: asked.events.len() - accepted, next_ms, revision })
    }

    /// Takes a whole list of a source: its agents are these and no others. Returns how many there was no room for.
    pub fn take_source(&mut self, source: &str, listed: Vec<SourceAgent>, (now_ns, now_ms): (u64, u64)) -> usize {
        let by: Box<str> = format!("source {source}").into();
        let key_of = |id: &str| -> Box<str> { format!("{KEY}{source}/{id}").into() };
        let mut left_out = 0;
        for told in listed {
            let key = key_of(&told.id);
            let before = self.agents.get(&key);
            let taken = before.is_some_and(|agent| agent.row.live && agent.row.by != by);
            if taken || (before.is_none() && self.agents.len() >= AGENTS_MAX) {
                left_out += 1;
                continue;
            }
            let name = told.name.unwrap_or(told.id);
            let row = AgentRow {
                agent_id: key.clone(),
                node_id: before.and_then(|agent| agent.row.node_id),
                name,
                role: told.role,
                status: told.status,
                live: true,
                source: Some(source.into()),
                swarm_id: told.swarm_id,
                created_ms: told.created_ms,
                last_seen_ms: now_ms,
                last_activity_ms: told.last_activity_ms,
                task: told.task,
                health: told.health,
                metrics: told.metrics,
                capabilities: told.capabilities,
                parent: told.parent.as_deref().map(key_of),
                by: by.clone(),
                errors: 0,
                last_text: None,
                metadata: told.metadata,
                events: self.agents.get(&key).map(|agent| Arc::clone(&agent.row.events)).unwrap_or_default(),
            };
            match self.agents.get_mut(&key) {
                Some(agent) => agent.hear(row, now_ns),
                None => drop(self.agents.insert(key, Agent::new(row, now_ns))),
            }
        }
        let silent = |agent: &&mut Agent| agent.row.by == by && agent.row.live && agent.seen_ns != now_ns;
        for agent in self.agents.values_mut().filter(silent) {
            agent.end();
        }
        self.touched = true;
        left_out
    }

    /// Ends what is over: agents that fell silent, links nobody touched, records of agents long gone.
    pub fn expire(&mut self, now_ns: u64) {
        for agent in self.agents.values_mut().filter(|agent| agent.row.live && now_ns >= agent.seen_ns + agent.ttl_ns) {
            agent.end();
            self.touched = true;
        }
        let before = self.agents.len();
        self.agents.retain(|_, agent| agent.may_be_shown() || now_ns < agent.seen_ns + agent.ttl_ns + RECORD_NS);
        self.touched |= before != self.agents.len();
    }

    /// What the graph is to show otherwise; `None` when it shows everything, or was asked for it. Agents whose time is over go, with their
    /// links. It is over at once unless [`Self::sent`] tells of it.
    pub fn take_batch(&mut self, graph: &Graph, now_ns: u64) -> Option<Batch> {
        let fades = self.fading.room(now_ns);
        let mut look = self.batches.look(graph, now_ns, fades);
        for agent in self.agents.values_mut() {
            agent.show(&mut look);
        }
        batch(self.batches.take(look))
    }

    /// The batch that was taken last is on its way, and makes this version.
    pub fn sent(&mut self, version: u64) {
        self.batches.sent(version);
    }

    /// The graph is at this version: batches up to it are over. To be told before a batch is taken.
    pub fn reached(&mut self, version: u64) {
        self.batches.reached(version);
    }

    /// Nothing of the batch that was taken last can be done: the graph is looked at less often until it changes.
    pub fn refused(&mut self) {
        self.batches.refused();
    }

    /// Batches on their way are lost: the disk has failed.
    pub fn lost(&mut self) {
        self.batches.lost();
    }

    /// Agents of a run before this one, which the log has kept: nobody reports for them any more.
    #[must_use]
    pub fn left_over(graph: &Graph) -> Option<Batch> {
        let left = graph.nodes().iter().filter(|node| is_shown_agent(node));
        batch(left.map(|node| Op::RemoveNode { node: NodeRef::Id(node.id) }).collect())
    }

    /// Whether something has changed since the last time this was asked: for subscriptions.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Who has reported events since the last time this was asked: for subscriptions.
    pub fn take_heard(&mut self) -> HashSet<Box<str>> {
        std::mem::take(&mut self.heard)
    }

    /// Who has reported of messages to whom since this was asked last. To be asked after each report.
    pub fn take_said(&mut self) -> Vec<Spoken> {
        std::mem::take(&mut self.said)
    }

    /// The live agent of this handle, where it is this principal's.
    #[must_use]
    pub fn of_handle(&self, handle: &str, by: &str) -> Option<&AgentRow> {
        let is_it = |agent: &Agent| agent.handle.is_some_and(|own| hex(&own) == handle);
        let mine = |agent: &&Agent| agent.row.live && is_it(agent) && &*agent.row.by == by;
        self.agents.values().find(mine).map(|agent| &agent.row)
    }

    /// One agent has sent others a message: they are linked for five seconds after the last one.
    pub fn spoke(&mut self, from: &str, to: &[Box<str>], now_ns: u64) {
        let Some(agent) = self.agents.get_mut(from) else { return };
        for other in to.iter().filter(|other| ***other != *from) {
            agent.links.touch(other.clone(), MESSAGES, now_ns);
        }
    }

    /// What a live agent is called.
    #[must_use]
    pub fn live_name(&self, agent_id: &str) -> Option<&str> {
        self.agents.get(agent_id).filter(|agent| agent.row.live).map(|agent| &*agent.row.name)
    }

    /// Whether there is a record of this agent.
    #[must_use]
    pub fn has(&self, agent_id: &str) -> bool {
        self.agents.contains_key(agent_id)
    }

    /// All, most recently heard of first. Made anew by [`Self::refresh`].
    #[must_use]
    pub fn rows(&self) -> &[AgentRow] {
        &self.rows
    }

    /// Makes [`Self::rows`] say what is true now. O(agents log agents): after reports, before reads.
    pub fn refresh(&mut self) {
        self.rows = self.agents.values().map(|agent| agent.row.clone()).collect();
        self.rows
            .sort_by(|left, right| right.last_seen_ms.cmp(&left.last_seen_ms).then(left.agent_id.cmp(&right.agent_id)));
    }
}

/// An event that was checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) kind: &'static str,
    pub(super) status: Option<&'static str>,
    /// Key of a node.
    pub(super) target: Option<Box<str>>,
    pub(super) task: Option<Box<str>>,
    pub(super) text: Option<Box<str>>,
    pub(super) health: Option<Box<str>>,
    pub(super) is_error: bool,
    pub(super) metrics: Option<AgentMetrics>,
}

impl Agent {
    fn new(row: AgentRow, now_ns: u64) -> Self {
        Self {
            row,
            handle: None,
            ttl_ns: SOURCE_TTL_NS,
            seen_ns: now_ns,
            allowance: EVENTS_PER_SECOND * SECOND_NS,
            allowed_ns: now_ns,
            links: Links::default(),
            changed: true,
            asked: None,
            going: None,
            parent_shown: false,
            parent_asked: None,
        }
    }

    /// Whether the graph shows it, or is yet to be asked to do without it.
    fn may_be_shown(&self) -> bool {
        self.row.live || self.asked.is_some() || (self.changed && self.row.node_id.is_some())
    }

    /// It is not an agent any more.
    fn end(&mut self) {
        self.row.live = false;
        self.changed = true;
    }

    /// A source tells of it again.
    fn hear(&mut self, row: AgentRow, now_ns: u64) {
        let shown = |row: &AgentRow| (row.name.clone(), row.role.clone(), row.status, row.task.clone(), row.live);
        self.changed |= shown(&self.row) != shown(&row);
        self.parent_shown &= self.row.parent == row.parent;
        self.row = row;
        self.seen_ns = now_ns;
    }

    fn take(&mut self, event: Checked, (now_ns, now_ms): (u64, u64)) {
        let row = &mut self.row;
        if event.kind != "metric" {
            let events = Arc::make_mut(&mut row.events);
            if events.len() >= EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(AgentEvent {
                t_ms: now_ms,
                kind: event.kind,
                status: event.status,
                target: event.target.clone(),
                task_id: event.task.clone(),
                text: event.text.clone(),
            });
        }
        if let Some(status) = event.status {
            self.changed |= row.status != Some(status);
            row.status = Some(status);
        }
        if let Some(task) = event.task {
            self.changed |= row.task.as_ref() != Some(&task);
            row.task = Some(task);
        }
        if !matches!(event.kind, "metric" | "status") {
            row.last_activity_ms = Some(now_ms);
        }
        if event.health.is_some() {
            row.health = event.health;
        }
        row.errors += u64::from(event.is_error);
        if event.text.is_some() {
            row.last_text = event.text;
        }
        if let Some(found) = event.metrics {
            let known = &mut row.metrics;
            if found.tokens_in.is_some() || found.tokens_out.is_some() {
                let more = found.tokens_in.unwrap_or(0.0) + found.tokens_out.unwrap_or(0.0);
                known.tokens_total = Some(known.tokens_total.unwrap_or(0.0) + more);
            }
            known.cpu = found.cpu.or(known.cpu);
            known.mem_mb = found.mem_mb.or(known.mem_mb);
            known.tokens_in = found.tokens_in.or(known.tokens_in);
            known.tokens_out = found.tokens_out.or(known.tokens_out);
            known.cost_usd = found.cost_usd.or(known.cost_usd);
            known.queue = found.queue.or(known.queue);
            known.workload = found.workload.or(known.workload);
            known.tokens_per_s = found.tokens_per_s.or(known.tokens_per_s);
            known.tasks_active = found.tasks_active.or(known.tasks_active);
            known.tasks_completed = found.tasks_completed.or(known.tasks_completed);
            known.tasks_failed = found.tasks_failed.or(known.tasks_failed);
        }
        if let Some(target) = event.target.filter(|target| *target != self.row.agent_id) {
            self.links.touch(target, TOUCHES, now_ns);
        }
    }
}

/// A batch of the engine's own; what of it cannot be done leaves the rest alone.
fn batch(ops: Vec<Op>) -> Option<Batch> {
    (!ops.is_empty()).then(|| Batch { ops, author: AUTHOR.into(), each: true, ..Batch::default() })
}

/// Whether a node shows an agent that registered, of this run or one before.
pub(super) fn is_shown_agent(node: &Node) -> bool {
    node.class.kind == NodeKind::Agent
        && node.key.starts_with(KEY)
        && node.attributes.iter().any(|(name, _)| &**name == "agent_by")
}

#[cfg(test)]
mod tests;
