//! The tools of agents among agents: their arguments, and the looks at tasks and at one agent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Done, done};
use crate::graph::{EdgeId, Graph, Node, NodeIndex, Value};
use crate::mcp::args::{ToolError, arguments, choice, did_you_mean, nearest, short, whole};
use crate::mcp::view::{Bounds, Budget, View};

/// What the key of a task begins with.
pub const TASK: &str = "task:";

/// The relation from a task to one that has to be done before.
const DEPENDS_ON: &str = "depends_on";

/// The relation from an agent to the task that it has claimed.
const WORKS_ON: &str = "works_on";

arguments!(GetAgent {
    #[serde(borrow)]
    agent_id: Option<Cow<'line, str>>,
    limit: Option<i64>,
});
arguments!(SendMessage {
    #[serde(borrow)]
    handle: Option<Cow<'line, str>>,
    #[serde(borrow)]
    to: Option<Cow<'line, str>>,
    #[serde(borrow)]
    topic: Option<Cow<'line, str>>,
    #[serde(borrow)]
    text: Option<Cow<'line, str>>,
    #[serde(borrow)]
    data: Option<&'line RawValue>,
});
arguments!(ReadInbox {
    #[serde(borrow)]
    handle: Option<Cow<'line, str>>,
    since: Option<u64>,
    limit: Option<i64>,
    wait_ms: Option<i64>,
});
arguments!(CreateTask {
    #[serde(borrow)]
    title: Option<Cow<'line, str>>,
    #[serde(borrow)]
    text: Option<Cow<'line, str>>,
    #[serde(borrow)]
    depends_on: Vec<Cow<'line, str>>,
    #[serde(borrow)]
    assignee: Option<Cow<'line, str>>,
});
arguments!(UpdateTask {
    #[serde(borrow)]
    task_id: Option<Cow<'line, str>>,
    #[serde(borrow)]
    status: Option<Cow<'line, str>>,
    #[serde(borrow)]
    handle: Option<Cow<'line, str>>,
    #[serde(borrow)]
    claim: Option<Cow<'line, str>>,
    #[serde(borrow)]
    result: Option<Cow<'line, str>>,
});
arguments!(ListTasks {
    #[serde(borrow)]
    status: Option<Cow<'line, str>>,
    #[serde(borrow)]
    assignee: Option<Cow<'line, str>>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
});

/// What agents ask of each other.
#[derive(Debug)]
pub struct Among<'line>(pub(in crate::mcp) AmongAsk<'line>);

#[derive(Debug)]
pub(in crate::mcp) enum AmongAsk<'line> {
    /// A message.
    Send(SendMessage<'line>),
    /// What waits for it.
    Read(ReadInbox<'line>),
    /// A new task.
    Create(CreateTask<'line>),
    /// A task's next state.
    Update(UpdateTask<'line>),
}

/// A task, as the graph has it.
#[derive(Debug, Serialize)]
pub struct Task<'a> {
    /// Its key.
    #[serde(rename = "task_id")]
    pub id: &'a str,
    /// What is to be done.
    pub title: &'a str,
    /// More of it.
    pub text: Option<&'a str>,
    /// open, running, blocked, done, failed or cancelled.
    pub status: &'a str,
    /// The agent that it is meant for, or that has claimed it.
    pub assignee: Option<&'a str>,
    /// Who made it.
    pub by: Option<&'a str>,
    /// Tasks that have to be done before.
    pub depends_on: Vec<&'a str>,
    /// Those of them that are not.
    pub waits_for: Vec<&'a str>,
    /// What came of it.
    pub result: Option<&'a str>,
    /// Half the digest of the claim.
    #[serde(skip)]
    pub claim: Option<&'a str>,
    /// Edges from agents that work on it.
    #[serde(skip)]
    pub worked_on: Vec<EdgeId>,
}

fn attribute<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    let found = node.attributes.iter().find(|(known, _)| **known == *name);
    found.and_then(|(_, value)| if let Value::Text(text) = value { Some(&**text) } else { None })
}

/// The task of a node, if it is one.
fn task_of(graph: &Graph, index: NodeIndex) -> Option<Task<'_>> {
    let node = graph.node(index).filter(|node| node.key.starts_with(TASK))?;
    let status = attribute(node, "task_status")?;
    let (mut depends_on, mut waits_for, mut worked_on) = (Vec::new(), Vec::new(), Vec::new());
    for edge in graph.incident(index).iter().filter_map(|id| graph.edge(*id)) {
        match edge.relation.as_deref() {
            Some(DEPENDS_ON) if edge.source == index && edge.target != index => {
                let Some(before) = graph.node(edge.target) else { continue };
                depends_on.push(&*before.key);
                if attribute(before, "task_status") != Some("done") {
                    waits_for.push(&*before.key);
                }
            }
            Some(WORKS_ON) if edge.target == index => worked_on.push(edge.id),
            _ => {}
        }
    }
    Some(Task {
        id: &node.key,
        title: &node.label,
        text: attribute(node, "task_text"),
        status,
        assignee: attribute(node, "task_assignee"),
        by: attribute(node, "task_by"),
        depends_on,
        waits_for,
        result: attribute(node, "task_result"),
        claim: attribute(node, "task_claim"),
        worked_on,
    })
}

/// The task of this id.
///
/// # Errors
/// There is none; with the nearest.
pub fn task<'a>(view: &View<'a>, field: &str, id: &str) -> Result<Task<'a>, ToolError> {
    let graph = view.graph;
    graph.by_key(id).and_then(|index| task_of(graph, index)).ok_or_else(|| {
        let keys = graph.nodes().iter().map(|node| &*node.key).filter(|key| key.starts_with(TASK));
        let near = did_you_mean(nearest(id, keys));
        ToolError::new(format!("{field}: there is no task {:?}.{near} list_tasks has the ids.", short(id)))
    })
}

/// `graph://task/{id}`.
pub(in crate::mcp) fn one_task(view: &View<'_>, id: &str) -> Option<String> {
    task(view, "id", id).ok().and_then(|task| serde_json::to_string(&task).ok())
}

#[derive(Serialize)]
struct ListedTasks {
    tasks: Vec<Box<RawValue>>,
    total: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    revision: u64,
}

pub(super) fn list_tasks(asked: &ListTasks<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let limit = whole("limit", asked.limit, (1, 500), 25)?;
    let offset = bounds.offset("list_tasks", asked.cursor.as_deref())?;
    let statuses = ["open", "running", "blocked", "done", "failed", "cancelled"].map(|name| (name, name));
    let status = asked.status.as_deref().map(|name| choice("status", Some(name), &statuses, "")).transpose()?;
    let mut fits = Vec::new();
    for index in (0..view.graph.nodes().len()).map(|index| NodeIndex(index as u32)) {
        bounds.spend(1)?;
        let Some(task) = task_of(view.graph, index) else { continue };
        if status.is_none_or(|status| task.status == status)
            && asked.assignee.as_deref().is_none_or(|agent| task.assignee == Some(agent))
        {
            fits.push(task);
        }
    }
    let total = fits.len();
    let mut budget = Budget::default();
    let tasks: Vec<_> = fits.iter().skip(offset).take(limit).map_while(|task| budget.take(task)).collect();
    let next = offset + tasks.len();
    let truncated = next < total;
    let next_cursor = (truncated && !tasks.is_empty()).then(|| bounds.cursor("list_tasks", next));
    done(&ListedTasks { tasks, total, truncated, next_cursor, revision: view.revision })
}

pub(super) fn get_agent(asked: &GetAgent<'_>, view: &View<'_>) -> Done {
    let id = asked.agent_id.as_deref().ok_or_else(|| ToolError::missing("agent_id", "the id of an agent"))?;
    let limit = whole("limit", asked.limit, (0, 100), 25)?;
    let row = view.agents.iter().find(|row| *row.agent_id == *id).ok_or_else(|| {
        let near = did_you_mean(nearest(id, view.agents.iter().map(|row| &*row.agent_id)));
        ToolError::new(format!("agent_id: there is no agent {:?}.{near} list_agents has the ids.", short(id)))
    })?;
    let mut budget = Budget::default();
    let agent = budget.take(row);
    let events: Vec<_> = row.events.iter().rev().take(limit).map_while(|event| budget.take(event)).collect();
    let truncated = events.len() < row.events.len();
    done(&json!({ "agent": agent, "events": events, "truncated": truncated, "revision": view.revision }))
}
