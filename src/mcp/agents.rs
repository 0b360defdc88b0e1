//! Agents as nodes of the live graph: who registered, what they reported last, and what of it the graph is to show.
//!
//! Pure: `now` and random bytes come from the caller. What was not reported is null. An agent that is silent for its time to live
//! is gone from the graph; a link to what it touched stands for five seconds after the last touch. Changes of the graph are
//! gathered, and taken as one batch a few times a second, so that 500 events a second of each agent are not 500 commits.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::args::{ToolError, bounded, counted, short, whole};
use super::tools::{Register, Report};
use crate::graph::{
    Batch, EdgeDraft, EdgePatch, EdgeRef, Graph, Node, NodeDraft, NodeKind, NodePatch, NodeRef, Op, Value,
};

/// Agents at once.
const AGENTS_MAX: usize = 4_096;

/// Events a second of one agent, and at once.
const EVENTS_PER_SECOND: u64 = 500;

/// How long a link stands after the last touch.
const LINK_NS: u64 = 5_000_000_000;

/// Links of one agent at once.
const LINKS_MAX: usize = 64;

/// How long the record of an agent that is gone is kept.
const RECORD_NS: u64 = 600_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// What [`Batch::author`] says of changes that agents' reports cause.
pub const AUTHOR: &str = "agents";

/// The prefix of an agent's key in the graph.
const KEY: &str = "agent:";

/// The relation of a link to what an agent touched.
const TOUCHES: &str = "touches";

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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentRow {
    /// Its key in the graph.
    pub agent_id: Box<str>,
    /// As it registered.
    pub name: Box<str>,
    /// What it does.
    pub role: Option<Box<str>>,
    /// spawning, running, idle, stopped or errored.
    pub status: &'static str,
    /// Heard of within its time to live.
    pub live: bool,
    /// ms since 1970.
    pub created_ms: u64,
    /// ms since 1970.
    pub last_seen_ms: u64,
    /// What it is at.
    pub task: Option<Box<str>>,
    /// Not reported by any event yet: null.
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
}

/// One agent.
#[derive(Debug)]
struct Agent {
    row: AgentRow,
    /// 128 random bits.
    handle: [u8; 16],
    ttl_ns: u64,
    seen_ns: u64,
    /// Events it may still report, times [`SECOND_NS`], at `seen_ns`.
    allowance: u64,
    allowed_ns: u64,
    /// Keys of nodes, and until when the link to them stands; `true` when it is in the graph.
    links: BTreeMap<Box<str>, (u64, bool)>,
    changed: bool,
    shown: bool,
}

/// All agents. Owned by the one that writes the graph.
#[derive(Debug, Default)]
pub struct Agents {
    agents: BTreeMap<Box<str>, Agent>,
    rows: Vec<AgentRow>,
    touched: bool,
    /// Who has reported events since the last time this was asked.
    heard: HashSet<Box<str>>,
}

/// What a new agent is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Its key in the graph.
    pub agent_id: Box<str>,
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

const STATUS: [(&str, &str); 5] = [
    ("spawning", "spawning"),
    ("running", "running"),
    ("idle", "idle"),
    ("stopped", "stopped"),
    ("errored", "errored"),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        let created_ms = before.map_or(now_ms, |agent| agent.row.created_ms);
        let shown = before.is_some_and(|agent| agent.shown);
        let (links, events) = self.agents.remove(&key).map(|agent| (agent.links, agent.row.events)).unwrap_or_default();
        let row = AgentRow {
            agent_id: key.clone(),
            name: name.into(),
            role: role.map(Into::into),
            status: "spawning",
            live: true,
            created_ms,
            last_seen_ms: now_ms,
            task: None,
            health: None,
            metrics: AgentMetrics::default(),
            capabilities: asked.capabilities.iter().map(|it| it.as_ref().into()).collect(),
            parent: parent.map(Into::into),
            by: by.into(),
            errors: 0,
            last_text: None,
            events,
        };
        let agent = Agent {
            row,
            handle: random,
            ttl_ns: ttl_s * SECOND_NS,
            seen_ns: now_ns,
            allowance: EVENTS_PER_SECOND * SECOND_NS,
            allowed_ns: now_ns,
            links,
            changed: true,
            shown,
        };
        self.agents.insert(key.clone(), agent);
        self.touched = true;
        let report_every_ms = ttl_s * 1_000 / 3;
        Ok(Registered { agent_id: key, handle: hex(&random), report_every_ms, ttl_s, revision })
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
        let mine = |agent: &&mut Agent| hex(&agent.handle) == handle && &*agent.row.by == by;
        let unknown = || ToolError::new("handle: no live agent of yours has it; call register_agent for a new one");
        let agent = self.agents.values_mut().find(mine).filter(|agent| agent.row.live).ok_or_else(unknown)?;
        counted("events", asked.events.len(), 0, 500)?;
        let mut checked = Vec::with_capacity(asked.events.len());
        for (index, event) in asked.events.iter().enumerate() {
            checked.push(event.check(index, graph, &STATUS)?);
        }
        let since_ns = now_ns.saturating_sub(agent.allowed_ns).min(SECOND_NS);
        agent.allowance = (agent.allowance + since_ns * EVENTS_PER_SECOND).min(EVENTS_PER_SECOND * SECOND_NS);
        agent.allowed_ns = now_ns;
        let accepted = checked.len().min((agent.allowance / SECOND_NS) as usize);
        agent.allowance -= accepted as u64 * SECOND_NS;
        agent.seen_ns = now_ns;
        agent.row.last_seen_ms = now_ms;
        for event in checked.into_iter().take(accepted) {
            agent.take(event, (now_ns, now_ms));
        }
        if accepted > 0 {
            self.heard.insert(agent.row.agent_id.clone());
        }
        self.touched = true;
        let next_ms = agent.ttl_ns / 3_000_000;
        Ok(Reported { accepted, dropped: asked.events.len() - accepted, next_ms, revision })
    }

    /// Ends what is over: agents that fell silent, links nobody touched, records of agents long gone.
    pub fn expire(&mut self, now_ns: u64) {
        for agent in self.agents.values_mut().filter(|agent| agent.row.live && now_ns >= agent.seen_ns + agent.ttl_ns) {
            agent.row.live = false;
            agent.changed = true;
            self.touched = true;
        }
        let before = self.agents.len();
        self.agents
            .retain(|_, agent| agent.row.live || agent.shown || now_ns < agent.seen_ns + agent.ttl_ns + RECORD_NS);
        self.touched |= before != self.agents.len();
    }

    /// What the graph is to show otherwise; `None` when it shows everything. Agents whose time is over go, with their links.
    pub fn take_batch(&mut self, graph: &Graph, now_ns: u64) -> Option<Batch> {
        let mut ops = Vec::new();
        for agent in self.agents.values_mut() {
            agent.show(graph, now_ns, &mut ops);
        }
        (!ops.is_empty()).then(|| Batch { ops, author: AUTHOR.into(), ..Batch::default() })
    }

    /// Agents of a run before this one, which the log has kept: nobody reports for them any more.
    #[must_use]
    pub fn left_over(graph: &Graph) -> Option<Batch> {
        let left = graph.nodes().iter().filter(|node| is_shown_agent(node));
        let ops: Vec<Op> = left.map(|node| Op::RemoveNode { node: NodeRef::Id(node.id) }).collect();
        (!ops.is_empty()).then(|| Batch { ops, author: AUTHOR.into(), ..Batch::default() })
    }

    /// Whether something has changed since the last time this was asked: for subscriptions.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Who has reported events since the last time this was asked: for subscriptions.
    pub fn take_heard(&mut self) -> HashSet<Box<str>> {
        std::mem::take(&mut self.heard)
    }

    /// The live agent of this handle, where it is this principal's.
    #[must_use]
    pub fn of_handle(&self, handle: &str, by: &str) -> Option<&AgentRow> {
        let mine = |agent: &&Agent| agent.row.live && hex(&agent.handle) == handle && &*agent.row.by == by;
        self.agents.values().find(mine).map(|agent| &agent.row)
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
    pub(super) is_error: bool,
    pub(super) metrics: Option<AgentMetrics>,
}

impl Agent {
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
            self.changed |= row.status != status;
            row.status = status;
        }
        if let Some(task) = event.task {
            self.changed |= row.task.as_ref() != Some(&task);
            row.task = Some(task);
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
        }
        if let Some(target) = event.target.filter(|target| *target != self.row.agent_id) {
            let room = self.links.len() < LINKS_MAX;
            match self.links.get_mut(&target) {
                Some((until_ns, _)) => *until_ns = now_ns + LINK_NS,
                None if room => drop(self.links.insert(target, (now_ns + LINK_NS, false))),
                // The newest link is worth more than the one that ends next; that one goes when its time is over.
                None => {}
            }
        }
    }

    /// Operations that make the graph show this agent as it is.
    fn show(&mut self, graph: &Graph, now_ns: u64, ops: &mut Vec<Op>) {
        let me = || NodeRef::Key(self.row.agent_id.clone());
        if !self.row.live {
            if std::mem::take(&mut self.shown) && graph.by_key(&self.row.agent_id).is_some() {
                ops.push(Op::RemoveNode { node: me() });
            }
            self.links.clear();
            self.changed = false;
            return;
        }
        let gone = self.shown && graph.by_key(&self.row.agent_id).is_none();
        if std::mem::take(&mut self.changed) || gone {
            let text = |text: &str| Some(Value::Text(text.into()));
            let patch = NodePatch {
                label: Some(self.row.name.clone()),
                kind: Some(NodeKind::Agent),
                attributes: vec![
                    ("status".into(), text(self.row.status)),
                    ("role".into(), self.row.role.as_deref().and_then(text)),
                    ("task".into(), self.row.task.as_deref().and_then(text)),
                    ("agent_by".into(), text(&self.row.by)),
                ],
                ..NodePatch::default()
            };
            ops.push(Op::UpsertNode(NodeDraft { key: Some(self.row.agent_id.clone()), patch }));
            if !self.shown
                && let Some(parent) = self.row.parent.clone().filter(|parent| graph.by_key(parent).is_some())
            {
                ops.push(Op::UpsertEdge(link(NodeRef::Key(parent), me(), "spawned")));
            }
            self.shown = true;
        }
        let mut ended = Vec::new();
        for (target, (until_ns, shown)) in &mut self.links {
            let there = graph.by_key(target).is_some();
            if now_ns >= *until_ns || !there {
                ended.push(target.clone());
            } else if !std::mem::replace(shown, true) {
                ops.push(Op::UpsertEdge(link(me(), NodeRef::Key(target.clone()), TOUCHES)));
            }
        }
        for target in ended {
            let was_shown = self.links.remove(&target).is_some_and(|(_, shown)| shown);
            if was_shown && is_linked(graph, &self.row.agent_id, &target) {
                let relation = Some(TOUCHES.into());
                let edge = EdgeRef::Between { source: me(), target: NodeRef::Key(target), relation };
                ops.push(Op::RemoveEdge { edge });
            }
        }
    }
}

/// Whether a node shows an agent that registered, of this run or one before.
pub(super) fn is_shown_agent(node: &Node) -> bool {
    node.class.kind == NodeKind::Agent
        && node.key.starts_with(KEY)
        && node.attributes.iter().any(|(name, _)| &**name == "agent_by")
}

fn is_linked(graph: &Graph, from: &str, to: &str) -> bool {
    let Some((from, to)) = graph.by_key(from).zip(graph.by_key(to)) else { return false };
    let edges = graph.incident(from).iter().filter_map(|id| graph.edge(*id));
    edges.into_iter().any(|edge| edge.source == from && edge.target == to && edge.relation.as_deref() == Some(TOUCHES))
}

fn link(source: NodeRef, target: NodeRef, relation: &str) -> EdgeDraft {
    let patch = EdgePatch { relation: Some(Some(relation.into())), ..EdgePatch::default() };
    EdgeDraft { source, target, create_ends: false, patch }
}
