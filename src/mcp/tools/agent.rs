//! `register_agent`, `report_agent`, `list_agents`: their arguments.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Done, done};
use crate::graph::Graph;
use crate::mcp::agents::{AgentMetrics, Checked};
use crate::mcp::args::{self, Id, ToolError, arguments, bounded, choice, unknown_node, whole};
use crate::mcp::view::{Bounds, Budget, View};

arguments!(RegisterArguments {
    #[serde(borrow)]
    name: Option<Cow<'line, str>>,
    #[serde(borrow)]
    role: Option<Cow<'line, str>>,
    #[serde(borrow)]
    capabilities: Vec<Cow<'line, str>>,
    #[serde(borrow)]
    parent: Option<Cow<'line, str>>,
    #[serde(borrow)]
    swarm_id: Option<Cow<'line, str>>,
    #[serde(borrow)]
    metadata: Option<&'line RawValue>,
    ttl_s: Option<i64>,
});

arguments!(ReportArguments {
    #[serde(borrow)]
    handle: Option<Cow<'line, str>>,
    #[serde(borrow)]
    events: Vec<Event<'line>>,
});

/// Somebody who becomes an agent.
#[derive(Debug, Default)]
pub struct Register<'line> {
    pub(in crate::mcp) name: Option<Cow<'line, str>>,
    pub(in crate::mcp) role: Option<Cow<'line, str>>,
    pub(in crate::mcp) capabilities: Vec<Cow<'line, str>>,
    pub(in crate::mcp) parent: Option<Cow<'line, str>>,
    pub(in crate::mcp) swarm_id: Option<Cow<'line, str>>,
    pub(in crate::mcp) metadata: Option<&'line RawValue>,
    pub(in crate::mcp) ttl_s: Option<i64>,
}

/// What an agent reports.
#[derive(Debug, Default)]
pub struct Report<'line> {
    pub(in crate::mcp) handle: Option<Cow<'line, str>>,
    pub(in crate::mcp) events: Vec<Event<'line>>,
}

impl<'line> From<RegisterArguments<'line>> for Register<'line> {
    fn from(read: RegisterArguments<'line>) -> Self {
        let RegisterArguments { name, role, capabilities, parent, swarm_id, metadata, ttl_s, .. } = read;
        Self { name, role, capabilities, parent, swarm_id, metadata, ttl_s }
    }
}

impl<'line> From<ReportArguments<'line>> for Report<'line> {
    fn from(read: ReportArguments<'line>) -> Self {
        Self { handle: read.handle, events: read.events }
    }
}

/// Something that happened to an agent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::mcp) struct Event<'line> {
    #[serde(rename = "t")]
    at_ms: Option<u64>,
    #[serde(borrow)]
    kind: Option<Cow<'line, str>>,
    #[serde(borrow)]
    status: Option<Cow<'line, str>>,
    #[serde(borrow)]
    target: Option<Id<'line>>,
    #[serde(borrow)]
    task_id: Option<Cow<'line, str>>,
    #[serde(borrow)]
    text: Option<Cow<'line, str>>,
    #[serde(borrow)]
    health: Option<Cow<'line, str>>,
    metrics: Option<Figures>,
    duration_ms: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Figures {
    cpu: Option<f64>,
    mem_mb: Option<f64>,
    tokens_in: Option<f64>,
    tokens_out: Option<f64>,
    cost_usd: Option<f64>,
    queue: Option<f64>,
    workload: Option<f64>,
    tokens_per_s: Option<f64>,
    tasks_active: Option<f64>,
    tasks_completed: Option<f64>,
    tasks_failed: Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Status,
    Action,
    Message,
    Task,
    Metric,
    Error,
    Handoff,
}

const KINDS: [(&str, Kind); 7] = [
    ("status", Kind::Status),
    ("action", Kind::Action),
    ("message", Kind::Message),
    ("task", Kind::Task),
    ("metric", Kind::Metric),
    ("error", Kind::Error),
    ("handoff", Kind::Handoff),
];

impl Event<'_> {
    /// Checks one event; its target becomes a key.
    pub(in crate::mcp) fn check(
        &self,
        index: usize,
        graph: &Graph,
        statuses: &[(&'static str, &'static str)],
    ) -> Result<Checked, ToolError> {
        let at = |field: &str| format!("events[{index}].{field}");
        let name = self.kind.as_deref().ok_or_else(|| ToolError::missing(&at("kind"), "status, action, message, …"))?;
        let kind = choice(&at("kind"), Some(name), &KINDS, Kind::Status)?;
        let status = match self.status.as_deref() {
            None if kind == Kind::Status => {
                return Err(ToolError::missing(&at("status"), "spawning, running, idle, stopped or errored"));
            }
            None => None,
            Some(status) => Some(choice(&at("status"), Some(status), statuses, "running")?),
        };
        let target = match &self.target {
            None if matches!(kind, Kind::Message | Kind::Handoff) => {
                return Err(ToolError::missing(&at("target"), "the agent_id of another agent"));
            }
            None => None,
            Some(id) => {
                let found = args::find(graph, id).and_then(|found| graph.node(found));
                Some(found.map(|node| node.key.clone()).ok_or_else(|| unknown_node(graph, &at("target"), id))?)
            }
        };
        let positive = |field: &str, value: Option<f64>| match value {
            Some(number) if !(number >= 0.0 && number.is_finite()) => {
                Err(ToolError::field(&at(field), number, "0 or more"))
            }
            other => Ok(other),
        };
        positive("duration_ms", self.duration_ms)?;
        let metrics = match &self.metrics {
            None => None,
            Some(found) => Some(AgentMetrics {
                cpu: positive("metrics.cpu", found.cpu)?,
                mem_mb: positive("metrics.mem_mb", found.mem_mb)?,
                tokens_in: positive("metrics.tokens_in", found.tokens_in)?,
                tokens_out: positive("metrics.tokens_out", found.tokens_out)?,
                cost_usd: positive("metrics.cost_usd", found.cost_usd)?,
                queue: positive("metrics.queue", found.queue)?,
                workload: positive("metrics.workload", found.workload)?,
                tokens_per_s: positive("metrics.tokens_per_s", found.tokens_per_s)?,
                tasks_active: positive("metrics.tasks_active", found.tasks_active)?,
                tasks_completed: positive("metrics.tasks_completed", found.tasks_completed)?,
                tasks_failed: positive("metrics.tasks_failed", found.tasks_failed)?,
                ..AgentMetrics::default()
            }),
        };
        let task = self.task_id.as_deref().map(|task| bounded(&at("task_id"), task, 256)).transpose()?;
        let text = self.text.as_deref().map(|text| bounded(&at("text"), text, 4_096)).transpose()?;
        let health = self.health.as_deref().map(|health| bounded(&at("health"), health, 64)).transpose()?;
        // When it happened is the sender's word; what is shown is when it was heard.
        let _ = self.at_ms;
        let kind_name = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| *name);
        Ok(Checked {
            kind: kind_name,
            status,
            target,
            task: task.map(Into::into),
            text: text.map(Into::into),
            health: health.map(Into::into),
            is_error: kind == Kind::Error,
            metrics,
        })
    }
}

arguments!(ListAgents {
    #[serde(borrow)]
    status: Option<Cow<'line, str>>,
    #[serde(borrow)]
    role: Option<Cow<'line, str>>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
});

#[derive(Serialize)]
struct Listed {
    agents: Vec<Box<RawValue>>,
    total: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    revision: u64,
}

pub(super) fn list_agents(asked: &ListAgents<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let limit = whole("limit", asked.limit, (1, 500), 25)?;
    let offset = bounds.offset("list_agents", asked.cursor.as_deref())?;
    let statuses = ["spawning", "running", "idle", "stopped", "errored"].map(|name| (name, name));
    let status = asked.status.as_deref().map(|name| choice("status", Some(name), &statuses, "")).transpose()?;
    let fits = view.agents.iter().filter(|agent| {
        status.is_none_or(|status| agent.status == Some(status))
            && asked.role.as_deref().is_none_or(|role| agent.role.as_deref() == Some(role))
    });
    let total = fits.clone().count();
    let mut budget = Budget::default();
    let agents: Vec<_> = fits.skip(offset).take(limit).map_while(|agent| budget.take(agent)).collect();
    let next = offset + agents.len();
    let truncated = next < total;
    let next_cursor = (truncated && !agents.is_empty()).then(|| bounds.cursor("list_agents", next));
    done(&Listed { agents, total, truncated, next_cursor, revision: view.revision })
}
