//! What another server says about its agents, as records. What it does not say, or says in a way that is not understood, is null.

use serde_json::{Map, Value};

use crate::limits::SOURCE_AGENTS_MAX;
use crate::mcp::agents::{AgentMetrics, STATUSES};

/// Bytes of an id: with the source's address in front it is a key of the graph.
const ID_BYTES_MAX: usize = 128;

/// Bytes of a name, a type, a capability.
const NAME_BYTES_MAX: usize = 64;

/// Bytes of what an agent is at.
const TEXT_BYTES_MAX: usize = 4_096;

/// Things that one agent can do.
const CAPABILITIES_MAX: usize = 32;

/// Bytes of what else is said of an agent, as JSON.
const METADATA_BYTES_MAX: usize = 4_096;

/// An agent of another server, as that server has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceAgent {
    /// Its name for itself there.
    pub id: Box<str>,
    /// For people.
    pub name: Option<Box<str>>,
    /// coordinator, researcher, coder, analyst, architect, tester, reviewer, optimizer, documenter, or anything else.
    pub role: Option<Box<str>>,
    /// spawning, running, idle, stopped or errored.
    pub status: Option<&'static str>,
    /// What it belongs to.
    pub swarm_id: Option<Box<str>>,
    /// Id of the one that started it.
    pub parent: Option<Box<str>>,
    /// What it is at.
    pub task: Option<Box<str>>,
    /// A word or a number, as it was said.
    pub health: Option<Box<str>>,
    /// Figures.
    pub metrics: AgentMetrics,
    /// What it can do.
    pub capabilities: Vec<Box<str>>,
    /// ms since 1970.
    pub created_ms: Option<u64>,
    /// ms since 1970.
    pub last_activity_ms: Option<u64>,
    /// An object.
    pub metadata: Option<Value>,
}

/// A part of a list of agents.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) agents: Vec<SourceAgent>,
    /// Rows that are no agent: without an id, or with one that is too long.
    pub(super) left_out: u64,
    /// For the next part.
    pub(super) cursor: Option<String>,
}

/// Words for a status in use elsewhere, and ours.
const STATUS_WORDS: [(&str, &str); 14] = [
    ("starting", "spawning"),
    ("initializing", "spawning"),
    ("pending", "spawning"),
    ("active", "running"),
    ("busy", "running"),
    ("working", "running"),
    ("ready", "idle"),
    ("waiting", "idle"),
    ("completed", "stopped"),
    ("terminated", "stopped"),
    ("offline", "stopped"),
    ("error", "errored"),
    ("failed", "errored"),
    ("crashed", "errored"),
];

/// Finds the list in what a tool has returned: a list, an object with `agents`, or such an object one level down.
///
/// # Errors
/// Nothing like a list of agents; more agents than may be.
pub(super) fn page(answer: &Value) -> Result<Page, String> {
    let holder = |value: &Value| value.get("agents").is_some_and(Value::is_array);
    let found = match answer {
        Value::Object(members) if !holder(answer) => {
            ["data", "result", "response"].iter().filter_map(|name| members.get(*name)).find(|value| holder(value))
        }
        _ => None,
    };
    let found = found.unwrap_or(answer);
    let rows = match found {
        Value::Array(rows) => rows,
        Value::Object(members) => match members.get("agents") {
            Some(Value::Array(rows)) => rows,
            _ => return Err("the answer has no list called agents".to_owned()),
        },
        _ => return Err("the answer is no list of agents".to_owned()),
    };
    if rows.len() > SOURCE_AGENTS_MAX {
        return Err(format!("{} agents in one answer: {SOURCE_AGENTS_MAX} are taken", rows.len()));
    }
    let mut page = Page { cursor: cursor(found), ..Page::default() };
    for row in rows {
        match row {
            Value::Object(members) if is_elsewhere(members) => {}
            Value::Object(members) => match agent(members) {
                Some(agent) => page.agents.push(agent),
                None => page.left_out += 1,
            },
            _ => page.left_out += 1,
        }
    }
    Ok(page)
}

/// Agents that are over, and those that the other server has from a third one: two servers that ask each other would go on for ever.
fn is_elsewhere(members: &Map<String, Value>) -> bool {
    members.get("live") == Some(&Value::Bool(false)) || members.get("source").is_some_and(Value::is_string)
}

fn cursor(holder: &Value) -> Option<String> {
    let cursor = ["next_cursor", "nextCursor"].iter().find_map(|name| holder.get(name)?.as_str())?;
    (!cursor.is_empty()).then(|| cursor.to_owned())
}

fn agent(members: &Map<String, Value>) -> Option<SourceAgent> {
    let text = |names: &[&str], bytes_max| text(members, names, bytes_max);
    let id = text(&["agent_id", "agentId", "id"], ID_BYTES_MAX)?;
    let number = |names: &[&str]| number(members, names);
    let tasks = |name: &str| match members.get("tasks") {
        Some(Value::Object(tasks)) => self::number(tasks, &[name]),
        _ => None,
    };
    let metadata = members.get("metadata").filter(|value| value.is_object());
    let capabilities = members.get("capabilities").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Some(SourceAgent {
        name: text(&["name", "label"], NAME_BYTES_MAX),
        role: text(&["type", "role", "agent_type", "agentType"], NAME_BYTES_MAX),
        status: text(&["status", "state"], NAME_BYTES_MAX).and_then(|word| status(&word)),
        swarm_id: text(&["swarm_id", "swarmId"], ID_BYTES_MAX),
        parent: text(&["parent_id", "parentId", "parent"], ID_BYTES_MAX),
        task: text(&["task", "current_task", "currentTask"], TEXT_BYTES_MAX),
        health: text(&["health"], NAME_BYTES_MAX)
            .or_else(|| number(&["health"]).map(|health| health.to_string().into())),
        metrics: AgentMetrics {
            cpu: number(&["cpu", "cpu_usage", "cpuUsage"]),
            mem_mb: number(&["mem_mb", "memory", "memory_usage", "memoryUsage"]),
            tokens_in: number(&["tokens_in"]),
            tokens_out: number(&["tokens_out"]),
            tokens_total: number(&["tokens_total", "tokens", "token_usage", "tokenUsage"]),
            tokens_per_s: number(&["tokens_per_s", "token_rate", "tokenRate"]),
            cost_usd: number(&["cost_usd"]),
            queue: number(&["queue"]),
            workload: number(&["workload"]),
            tasks_active: number(&["tasks_active", "tasksActive", "active_tasks"]).or_else(|| tasks("active")),
            tasks_completed: number(&["tasks_completed", "tasksCompleted", "completed_tasks"])
                .or_else(|| tasks("completed")),
            tasks_failed: number(&["tasks_failed", "tasksFailed", "failed_tasks"]).or_else(|| tasks("failed")),
        },
        capabilities: capabilities
            .iter()
            .filter_map(|it| plain(it.as_str()?, NAME_BYTES_MAX))
            .take(CAPABILITIES_MAX)
            .collect(),
        created_ms: moment(members, &["created_ms", "created_at", "createdAt", "created"]),
        last_activity_ms: moment(members, &["last_activity_ms", "last_activity", "lastActivity", "last_seen_ms"]),
        metadata: metadata.filter(|value| value.to_string().len() <= METADATA_BYTES_MAX).cloned(),
        id,
    })
}

fn status(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let ours = STATUSES.iter().find(|(name, _)| *name == word).map(|(name, _)| *name);
    ours.or_else(|| STATUS_WORDS.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours))
}

/// Of the members with these names, the first that is there and right.
fn first<T>(members: &Map<String, Value>, names: &[&str], take: impl Fn(&Value) -> Option<T>) -> Option<T> {
    names.iter().find_map(|name| members.get(*name).and_then(&take))
}

fn text(members: &Map<String, Value>, names: &[&str], bytes_max: usize) -> Option<Box<str>> {
    first(members, names, |value| match value {
        Value::String(text) => plain(text, bytes_max),
        // Ids are often numbers.
        Value::Number(number) if number.is_u64() => Some(number.to_string().into()),
        _ => None,
    })
}

/// Text that can be shown: not empty, not too long, no control characters.
fn plain(text: &str, bytes_max: usize) -> Option<Box<str>> {
    let fits = !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control);
    fits.then(|| text.into())
}

/// A figure of the row itself, or of its `metrics` or `performance`.
fn number(members: &Map<String, Value>, names: &[&str]) -> Option<f64> {
    let of = |members: &Map<String, Value>| {
        first(members, names, |value| value.as_f64().filter(|number| number.is_finite() && *number >= 0.0))
    };
    let below = ["metrics", "performance"].iter().filter_map(|name| members.get(*name)?.as_object());
    of(members).or_else(|| below.into_iter().find_map(of))
}

/// A moment in ms since 1970, from a number of ms or from the text of RFC 3339 with a time zone.
fn moment(members: &Map<String, Value>, names: &[&str]) -> Option<u64> {
    first(members, names, |value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => rfc3339(text),
        _ => None,
    })
}

/// Ms since 1970 of a moment in the text of RFC 3339 with a time zone.
pub(in crate::mcp) fn rfc3339(text: &str) -> Option<u64> {
    let read: toml::value::Datetime = text.parse().ok()?;
    let (date, time, offset) = (read.date?, read.time?, read.offset?);
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    // Days since 1970 of the proleptic Gregorian calendar: Hinnant 2013, "chrono-Compatible Low-Level Date Algorithms".
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let minute = i64::from(time.hour) * 60 + i64::from(time.minute) - minutes;
    let seconds = days * 86_400 + minute * 60 + i64::from(time.second.unwrap_or(0));
    let ms = i64::from(time.nanosecond.unwrap_or(0)) / 1_000_000;
    u64::try_from(seconds * 1_000 + ms).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_in_use_elsewhere_are_understood_and_the_rest_is_null() {
        let answer = json!({ "success": true, "agents": [
            { "id": "a-1", "type": "coder", "status": "busy", "swarmId": "s", "createdAt": "2025-01-04T10:30:15.250Z",
              "tasks": { "active": 1, "completed": 7 }, "metrics": { "cpuUsage": 0.5 }, "health": 0.75,
              "capabilities": ["rust", 7, "x\u{7}"], "metadata": { "k": [1] } },
            { "agentId": 7, "status": "on holiday", "cpu": -1, "memory": "much", "createdAt": "yesterday" },
            { "name": "no id" }, 7,
            { "agent_id": "dead", "live": false },
            { "agent_id": "third hand", "source": "x:1" },
        ]});
        let page = page(&answer).unwrap();
        assert_eq!((page.agents.len(), page.left_out, page.cursor), (2, 2, None));
        let one = &page.agents[0];
        assert_eq!(
            (one.role.as_deref(), one.status, one.swarm_id.as_deref()),
            (Some("coder"), Some("running"), Some("s"))
        );
        assert_eq!(
            (one.created_ms, one.metrics.cpu, one.health.as_deref()),
            (Some(1_735_986_615_250), Some(0.5), Some("0.75"))
        );
        assert_eq!(
            (one.metrics.tasks_active, one.metrics.tasks_completed, one.metrics.tasks_failed),
            (Some(1.0), Some(7.0), None)
        );
        assert_eq!((one.capabilities.len(), &one.metadata), (1, &Some(json!({ "k": [1] }))));
        let other = &page.agents[1];
        assert_eq!(*other, SourceAgent { id: "7".into(), ..SourceAgent::default() });
    }

    #[test]
    fn the_list_is_found_or_missed_with_a_reason() {
        for found in [json!([{ "id": "a" }]), json!({ "data": { "agents": [{ "id": "a" }], "nextCursor": "c" } })] {
            assert_eq!(page(&found).unwrap().agents.len(), 1, "{found}");
        }
        for missed in [json!(null), json!("agents"), json!({}), json!({ "agents": {} }), json!({ "data": [] })] {
            assert!(page(&missed).is_err(), "{missed}");
        }
        let many = json!({ "agents": vec![json!({ "id": "a" }); SOURCE_AGENTS_MAX + 1] });
        assert!(page(&many).unwrap_err().contains("1025 agents"));
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00+02:00", Some(951_818_400_000)),
            ("2026-11-21T21:00:35.999Z", Some(1_795_294_835_999)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-21T21:00:35", None),
            ("2026-11-21", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
    }
}
