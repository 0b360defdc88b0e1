//! What watchers hear of agents: who there is, what of them changes, who comes and goes, who speaks to whom. One text for all watchers.
//!
//! Pure: the time comes from the caller. Events count up by one, `frame_id`, for everybody; a snapshot has the number of the last event
//! that it has in it, so that whoever begins with it goes on with the next one, and a gap shows that some were missed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::agents::{AgentRow, LINK_NS};
use super::society::Spoken;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS};
use crate::limits::{AGENT_EVENT_BYTES_MAX, AGENTS_SCHEMA_VERSION};

/// Least time between two looks at what has changed.
const LOOK_NS: u64 = 100 * MILLISECOND_NS;

/// Time between two heartbeats.
const HEARTBEAT_NS: u64 = 5 * SECOND_NS;

/// Bytes of an event beside its rows.
const ENVELOPE_BYTES: usize = 256;

/// What an agent has done to a node, as a client of the stream says.
#[derive(Clone, Copy, Debug)]
pub struct ActionSaid<'said> {
    /// The agent's node.
    pub source: u32,
    /// The node.
    pub target: u32,
    /// `query`, `update`, `create`, `delete`, `link` or `transform`.
    pub action: &'static str,
    /// By the agent's clock, ms.
    pub time_ms: u32,
    /// For how long, ms.
    pub duration_ms: u16,
    /// Whatever it adds.
    pub payload: &'said [u8],
}

/// The stream of events.
#[derive(Debug)]
pub struct Lifecycle {
    /// Drawn anew with every start of the engine.
    session_id: Box<str>,
    frame_id: u64,
    /// What watchers have been told, by agent. Kept while there are any.
    told: Option<BTreeMap<Box<str>, AgentRow>>,
    /// The agent that was told of last.
    told_last: Box<str>,
    looked_ns: u64,
    beat_ns: u64,
}

impl Lifecycle {
    /// Nobody watches yet. `session_id` tells this run of the engine from others.
    #[must_use]
    pub fn new(session_id: &str) -> Self {
        Self { session_id: session_id.into(), frame_id: 0, told: None, told_last: "".into(), looked_ns: 0, beat_ns: 0 }
    }

    fn text(&self, event: &str, now_ms: u64, body: Value) -> Vec<u8> {
        let mut text = json!({
            "type": "agents", "event": event, "schema_version": AGENTS_SCHEMA_VERSION, "session_id": self.session_id,
            "frame_id": self.frame_id, "timestamp_ms": now_ms,
        });
        if let (Some(text), Value::Object(body)) = (text.as_object_mut(), body) {
            text.extend(body);
        }
        text.to_string().into_bytes()
    }

    fn event(&mut self, event: &str, now_ms: u64, body: Value) -> Vec<u8> {
        self.frame_id += 1;
        self.text(event, now_ms, body)
    }

    /// What a new watcher begins with: as many of the live agents as fit, those heard of last first.
    pub fn snapshot(&mut self, rows: &[AgentRow], now_ms: u64) -> Vec<u8> {
        let told = self.told.get_or_insert_with(|| live(rows));
        let mut known: Vec<&AgentRow> = told.values().collect();
        known.sort_by_key(|row| std::cmp::Reverse(row.last_seen_ms));
        let total = known.len();
        let mut left = AGENT_EVENT_BYTES_MAX - ENVELOPE_BYTES;
        let fit = known.into_iter().map_while(|row| {
            let row = object(row);
            left = left.checked_sub(Value::from(row.clone()).to_string().len() + 1)?;
            Some(row)
        });
        let agents: Vec<_> = fit.collect();
        let truncated = agents.len() < total;
        self.text("snapshot", now_ms, json!({ "agents": agents, "total": total, "truncated": truncated }))
    }

    /// Nobody watches any more: nothing is kept for watchers.
    pub fn rest(&mut self) {
        self.told = None;
    }

    /// Whether somebody watches.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.told.is_some()
    }

    /// What has become of the agents since the last look, as events; and that the engine lives, when that is due. O(agents).
    ///
    /// A look tells as much as an event holds, and the next one goes on behind it: what changes faster than that is told in the state that
    /// it has then.
    pub fn look(&mut self, rows: &[AgentRow], (now_ns, now_ms): (u64, u64)) -> Vec<Vec<u8>> {
        let Some(mut told) = self.told.take_if(|_| now_ns >= self.looked_ns + LOOK_NS) else { return Vec::new() };
        self.looked_ns = now_ns;
        let now = live(rows);
        let others = now.iter().filter(|(id, row)| told.get(*id) != Some(*row)).map(|(id, _)| id.clone());
        let mut others: Vec<Box<str>> =
            others.chain(told.keys().filter(|id| !now.contains_key(*id)).cloned()).collect();
        others.sort_unstable();
        let told_last = others.partition_point(|id| *id <= self.told_last);
        others.rotate_left(told_last);
        let (mut events, mut deltas, mut bytes) = (Vec::new(), Vec::new(), ENVELOPE_BYTES);
        for id in others {
            let (event, body) = match (told.get(&id), now.get(&id)) {
                (Some(before), Some(row)) => ("delta", Value::from(difference(before, row))),
                (None, Some(row)) => ("agent_added", json!({ "agent": object(row) })),
                (before, None) => {
                    ("agent_removed", json!({ "agent_id": id, "last_seen_ms": before.map(|row| row.last_seen_ms) }))
                }
            };
            let length = body.to_string().len() + if event == "delta" { 1 } else { ENVELOPE_BYTES };
            if bytes > ENVELOPE_BYTES && bytes + length > AGENT_EVENT_BYTES_MAX {
                break;
            }
            bytes += length;
            match event {
                "delta" => deltas.push(body),
                _ => events.push(self.event(event, now_ms, body)),
            }
            match now.get(&id) {
                Some(row) => drop(told.insert(id.clone(), row.clone())),
                None => drop(told.remove(&id)),
            }
            self.told_last = id;
        }
        if !deltas.is_empty() {
            events.push(self.event("delta", now_ms, json!({ "agents": deltas })));
        }
        if now_ns >= self.beat_ns + HEARTBEAT_NS {
            self.beat_ns = now_ns;
            events.push(self.event("heartbeat", now_ms, json!({ "live": now.len() })));
        }
        self.told = Some(told);
        events
    }

    /// An agent has sent others a message. What it says is theirs: it is not told.
    pub fn communication(&mut self, spoken: &Spoken, now_ms: u64) -> Vec<u8> {
        let Spoken { id, from, to, topic } = spoken;
        let named = to.get(..TO_MAX).unwrap_or(to);
        let body = json!({
            "message_id": id, "from": from, "to": named, "receivers": to.len(), "topic": topic,
            "decay_ms": LINK_NS / MILLISECOND_NS,
        });
        self.event("communication", now_ms, body)
    }

    /// What agents have done to nodes, as a client of the stream says; in as few events as hold it.
    pub fn actions<'said>(
        &mut self,
        actions: impl Iterator<Item = ActionSaid<'said>>,
        session: u64,
        now_ms: u64,
    ) -> Vec<Vec<u8>> {
        let (mut events, mut rows, mut bytes) = (Vec::new(), Vec::new(), ENVELOPE_BYTES);
        for one in actions {
            let row = json!({
                "source": one.source, "target": one.target, "action": one.action, "time": one.time_ms,
                "duration": one.duration_ms, "payload": STANDARD.encode(one.payload),
            });
            let length = row.to_string().len() + 1;
            if !rows.is_empty() && bytes + length > AGENT_EVENT_BYTES_MAX {
                let rows = std::mem::take(&mut rows);
                events.push(self.event("actions", now_ms, json!({ "session": session, "actions": rows })));
                bytes = ENVELOPE_BYTES;
            }
            bytes += length;
            rows.push(row);
        }
        events.push(self.event("actions", now_ms, json!({ "session": session, "actions": rows })));
        events
    }
}

/// Receivers of a message that an event names.
const TO_MAX: usize = 64;

fn live(rows: &[AgentRow]) -> BTreeMap<Box<str>, AgentRow> {
    rows.iter().filter(|row| row.live).map(|row| (row.agent_id.clone(), row.clone())).collect()
}

fn object(row: &AgentRow) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// The agent's id, and what of it is otherwise.
fn difference(before: &AgentRow, row: &AgentRow) -> Map<String, Value> {
    let before = object(before);
    let changed = object(row).into_iter().filter(|(name, value)| name == "agent_id" || before.get(name) != Some(value));
    changed.collect()
}

#[cfg(test)]
mod tests;
