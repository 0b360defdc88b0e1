//! `graph_overview`, `get_schema`, `get_changes`, `get_layout`: what there is, and where.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::show::{self, cut};
use super::{Done, done, find};
use crate::analytics::connected_components;
use crate::base::clock::MILLISECOND_NS;
use crate::graph::{Attributes, NodeIndex, Value};
use crate::limits::{
    MCP_CALL_NS_MAX, MCP_CONNECTIONS_MAX, MCP_CURSOR_LIFE_S, MCP_DEPTH_MAX, MCP_EXPANSIONS_MAX, MCP_IMAGE_BYTES_MAX,
    MCP_IN_FLIGHT_MAX, MCP_LINE_BYTES_MAX, MCP_MEMBERS_MAX, MCP_OUTPUT_BYTES_MAX, MCP_READS_MAX, MCP_RESULT_BYTES_MAX,
    MCP_SESSION_IDLE_NS, MCP_SESSION_STREAMS_MAX, MCP_SESSIONS_MAX, MCP_STRANGER_NS_MAX, MCP_STRANGERS_MAX,
    MCP_SUBSCRIPTION_URIS_MAX, MCP_SUBSCRIPTIONS_MAX, MCP_VIEWS_MAX,
};
use crate::mcp::Server;
use crate::mcp::args::{self, Id, ToolError, arguments, choice, counted, need, whole};
use crate::mcp::changes::Changed;
use crate::mcp::view::{Bounds, Budget, View};

arguments!(Nothing {});

/// Groups and types that an overview names.
const NAMED_MAX: usize = 20;

/// Nodes and edges up to which an overview counts components.
const COMPONENTS_MAX: usize = 2_000_000;

/// The commonest first, then by name.
pub(super) fn commonest<'a>(names: impl Iterator<Item = &'a str>, as_what: &str) -> Vec<serde_json::Value> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut rows: Vec<(&str, usize)> = counts.into_iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows.iter().take(NAMED_MAX).map(|(name, count)| json!({ as_what: cut(name, 256), "count": count })).collect()
}

/// The simulation, as overview and `graph://stats` show it.
pub(in crate::mcp) fn simulation(view: &View<'_>) -> serde_json::Value {
    let sim = view.sim;
    json!({
        "running": sim.running, "layout": sim.layout, "tick_hz": sim.tick_hz, "settled": sim.settled,
        "rms_velocity": sim.rms_velocity.filter(|speed| speed.is_finite()), "backend": sim.backend,
    })
}

pub(super) fn overview(view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let graph = view.graph;
    bounds.spend((graph.nodes().len() + graph.edges().len()) as u64)?;
    let components = match graph.nodes().len() + graph.edges().len() <= COMPONENTS_MAX {
        true => connected_components(&graph.csr(), bounds.watch).ok().map(|found| found.size.len()),
        false => None,
    };
    let live = view.agents.iter().filter(|agent| agent.live).count();
    done(&json!({
        "graph": "main",
        "nodes": graph.nodes().len(),
        "edges": graph.edges().len(),
        "kinds": commonest(graph.nodes().iter().map(|node| node.class.kind.name()), "kind"),
        "groups": commonest(graph.nodes().iter().filter_map(|node| node.group.as_deref()), "group"),
        "edge_types": commonest(graph.edges().iter().filter_map(|edge| edge.relation.as_deref()), "type"),
        "components": components,
        "simulation": simulation(view),
        "agents": { "live": live, "total": view.agents.len() },
        "limits": limits(view, bounds.server),
        "tick": view.tick,
        "revision": view.revision,
    }))
}

/// What an agent may meet, as it is in force: times in the unit of their names, everything else in pieces or bytes.
fn limits(view: &View<'_>, server: &Server) -> serde_json::Value {
    json!({
        "nodes": view.graph_limits.0, "edges": view.graph_limits.1, "line_bytes": MCP_LINE_BYTES_MAX,
        "json_depth": MCP_DEPTH_MAX, "json_members": MCP_MEMBERS_MAX,
        "result_bytes": MCP_RESULT_BYTES_MAX, "image_bytes": MCP_IMAGE_BYTES_MAX, "work": MCP_EXPANSIONS_MAX, "list": 500,
        "nodes_per_call": 1_000, "edges_per_call": 1_000, "ops_per_call": 5_000, "timeout_ms": 30_000,
        "call_ms": MCP_CALL_NS_MAX / MILLISECOND_NS, "calls_in_flight": MCP_IN_FLIGHT_MAX, "long_reads_waiting": MCP_READS_MAX,
        "calls_per_second": server.rate_limits.calls, "changes_per_second": server.rate_limits.changes,
        "connections": MCP_CONNECTIONS_MAX, "connections_per_name": server.connections_max,
        "strangers": MCP_STRANGERS_MAX, "stranger_ms": MCP_STRANGER_NS_MAX / MILLISECOND_NS,
        "sessions": MCP_SESSIONS_MAX, "session_idle_ms": MCP_SESSION_IDLE_NS / MILLISECOND_NS,
        "session_streams": MCP_SESSION_STREAMS_MAX, "output_bytes": MCP_OUTPUT_BYTES_MAX,
        "subscriptions": MCP_SUBSCRIPTIONS_MAX, "subscription_uris": MCP_SUBSCRIPTION_URIS_MAX,
        "cursor_s": MCP_CURSOR_LIFE_S, "views": MCP_VIEWS_MAX,
    })
}

arguments!(GetSchema {
    #[serde(borrow)]
    kind: Option<Cow<'line, str>>,
    sample: Option<i64>,
});

/// What was seen of one property.
#[derive(Default)]
struct Property<'a> {
    count: usize,
    types: Vec<&'static str>,
    example: Option<&'a Value>,
}

/// What was seen of one kind or type.
#[derive(Default)]
struct Seen<'a> {
    count: usize,
    sampled: usize,
    keys: BTreeMap<&'a str, Property<'a>>,
}

/// Properties that a schema names of each kind or type.
const KEYS_MAX: usize = 100;

impl<'a> Seen<'a> {
    fn add(&mut self, attributes: &'a Attributes, sample: usize) {
        self.count += 1;
        if self.sampled >= sample {
            return;
        }
        self.sampled += 1;
        for (key, value) in attributes {
            if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(&**key) {
                continue;
            }
            let property = self.keys.entry(key).or_default();
            property.count += 1;
            let kind = match value {
                Value::Bool(_) => "boolean",
                Value::Int(_) => "integer",
                Value::Float(_) => "number",
                Value::Text(_) => "string",
            };
            if !property.types.contains(&kind) {
                property.types.push(kind);
            }
            property.example.get_or_insert(value);
        }
    }

    fn row(&self, name: &str, of: Option<&str>) -> serde_json::Value {
        let keys = self.keys.iter().map(|(key, property)| {
            let example = match property.example {
                Some(Value::Text(text)) => json!(cut(text, 80)),
                Some(other) => json!(other),
                None => serde_json::Value::Null,
            };
            let share = property.count as f64 / self.sampled.max(1) as f64;
            json!({ "key": cut(key, 256), "types": property.types, "share": share, "example": example })
        });
        let keys: Vec<_> = keys.collect();
        json!({ name: of, "count": self.count, "sampled": self.sampled, "keys": keys })
    }
}

pub(super) fn schema(asked: &GetSchema<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let sample = whole("sample", asked.sample, (1, 100_000), 1_000)?;
    let only = find::kind(asked.kind.as_deref())?;
    let mut kinds: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    for node in view.graph.nodes() {
        bounds.spend(1)?;
        if only.is_none_or(|only| only == node.class.kind) {
            kinds.entry(node.class.kind.name()).or_default().add(&node.attributes, sample);
        }
    }
    let mut types: BTreeMap<Option<&str>, Seen<'_>> = BTreeMap::new();
    for edge in view.graph.edges() {
        bounds.spend(1)?;
        if types.len() < KEYS_MAX || types.contains_key(&edge.relation.as_deref()) {
            types.entry(edge.relation.as_deref()).or_default().add(edge.attributes(), sample);
        }
    }
    let mut budget = Budget::default();
    let kinds: Vec<_> = kinds.iter().filter_map(|(kind, seen)| budget.take(&seen.row("kind", Some(kind)))).collect();
    let types: Vec<_> = types.iter().filter_map(|(kind, seen)| budget.take(&seen.row("type", *kind))).collect();
    done(&json!({ "kinds": kinds, "edge_types": types, "revision": view.revision }))
}

/// The tool that the cursors are of.
const CHANGES: &str = "get_changes";

arguments!(GetChanges {
    since: Option<u64>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
    wait_ms: Option<i64>,
});

#[derive(Serialize)]
struct Changes<'a> {
    from: u64,
    to: u64,
    changes: Vec<&'a Changed>,
    complete: bool,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    revision: u64,
}

impl GetChanges<'_> {
    /// How long to wait for a change, and after which revision; `None` when there is one, or nothing to wait for.
    pub(super) fn waits(&self, view: &View<'_>) -> Result<Option<(u64, u64)>, ToolError> {
        let wait_ms = whole("wait_ms", self.wait_ms, (0, 10_000), 0)? as u64;
        let since = self.since.ok_or_else(|| ToolError::missing("since", "a revision, 0 for the beginning"))?;
        let waits = wait_ms > 0 && self.cursor.is_none() && since >= view.recent.latest();
        Ok(waits.then_some((since, wait_ms)))
    }
}

pub(super) fn get_changes(asked: &GetChanges<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let since = asked.since.ok_or_else(|| ToolError::missing("since", "a revision, 0 for the beginning"))?;
    let limit = whole("limit", asked.limit, (1, 500), 100)?;
    let recent = view.recent;
    let first = match bounds.offset(CHANGES, asked.cursor.as_deref())? {
        0 => recent.first_after(since),
        number => number as u64,
    };
    let mut rest = recent.from(first);
    let complete = rest.is_some() && (asked.cursor.is_some() || recent.reaches(since));
    let (mut changes, mut left, mut truncated) = (Vec::new(), MCP_RESULT_BYTES_MAX - 4_096, false);
    for change in rest.iter_mut().flatten() {
        let bytes = change.bytes() + 96;
        // A revision is told whole where it can be: it is what one goes on from.
        let Some(rest) = left.checked_sub(bytes).filter(|_| changes.len() < limit) else {
            truncated = true;
            break;
        };
        left = rest;
        changes.push(change);
    }
    let mut to = recent.latest().max(since);
    if truncated {
        let cut_off = changes.last().map_or(since, |change: &&Changed| change.revision);
        let whole_to = changes.iter().rev().find(|change| change.revision < cut_off).map(|change| change.revision);
        match whole_to {
            Some(whole_to) => {
                changes.retain(|change| change.revision <= whole_to);
                to = whole_to;
            }
            // One revision with more changes than a result holds: its beginning, and on behind it.
            None => to = cut_off.max(since + 1),
        }
    }
    let next = first + changes.len() as u64;
    let next_cursor = (truncated && !changes.is_empty()).then(|| bounds.cursor(CHANGES, next as usize));
    done(&Changes { from: since, to, changes, complete, truncated, next_cursor, revision: view.revision })
}

/// The newest changes first, for `graph://changes`.
pub(in crate::mcp) fn latest_changes(view: &View<'_>, limit: usize) -> String {
    let mut budget = Budget::default();
    let rows = view.recent.after(0).rev().take(limit);
    let rows: Vec<Box<RawValue>> = rows.map_while(|change| budget.take(change)).collect();
    json!({ "changes": rows, "revision": view.revision }).to_string()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct Region {
    min: [f32; 3],
    max: [f32; 3],
}

arguments!(GetLayout {
    #[serde(borrow)]
    ids: Option<Vec<Id<'line>>>,
    region: Option<Region>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
    #[serde(borrow)]
    encoding: Option<Cow<'line, str>>,
});

#[derive(Serialize)]
struct Layout<'a> {
    ids: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<Vec<[f32; 3]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<serde_json::Value>,
    total: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'a Id<'a>>,
    settled: bool,
    tick: Option<u64>,
    revision: u64,
}

/// The box that holds all positions.
pub(super) fn extent(positions: &[[f32; 3]]) -> Option<([f32; 3], [f32; 3])> {
    let first = *positions.first()?;
    Some(positions.iter().fold((first, first), |(mut low, mut high), point| {
        for ((low, high), at) in low.iter_mut().zip(&mut high).zip(point) {
            *low = low.min(*at);
            *high = high.max(*at);
        }
        (low, high)
    }))
}

pub(super) fn get_layout(asked: &GetLayout<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let limit = whole("limit", asked.limit, (1, 2_000), 500)?;
    let offset = bounds.offset("get_layout", asked.cursor.as_deref())?;
    let packed = choice("encoding", asked.encoding.as_deref(), &[("json", false), ("f32_base64", true)], false)?;
    let nodes = view.graph.nodes();
    let positions = view.positions.filter(|positions| positions.len() == nodes.len());
    let positions = positions.ok_or_else(|| ToolError::new("there are no positions yet: try again in a second"))?;
    bounds.spend(nodes.len() as u64)?;
    let (mut wanted, mut missing): (Vec<usize>, Vec<&Id<'_>>) = (Vec::new(), Vec::new());
    match (&asked.ids, &asked.region) {
        (Some(_), Some(_)) => return Err(ToolError::new("get_layout takes ids or region, not both")),
        (Some(ids), None) => {
            counted("ids", ids.len(), 0, 2_000)?;
            for id in ids {
                match args::find(view.graph, id) {
                    Some(index) => wanted.push(index.get()),
                    None => missing.push(id),
                }
            }
        }
        (None, region) => wanted.extend((0..nodes.len()).filter(|index| {
            let Some((at, region)) = positions.get(*index).zip(region.as_ref()) else { return region.is_none() };
            at.iter().zip(region.min.iter().zip(&region.max)).all(|(at, (min, max))| (min..=max).contains(&at))
        })),
    }
    let (mut ids, mut points) = (Vec::new(), Vec::new());
    let mut left = MCP_RESULT_BYTES_MAX - 4_096;
    for index in wanted.iter().skip(offset).take(limit) {
        let Some((node, at)) = nodes.get(*index).zip(positions.get(*index)) else { continue };
        // As JSON, a position takes up to 48 bytes; a key may double when it is escaped.
        let Some(rest) = left.checked_sub(node.key.len() * 2 + 48).or((ids.is_empty()).then_some(0)) else { break };
        left = rest;
        ids.push(show::key(view.graph, NodeIndex(*index as u32)));
        points.push(*at);
    }
    let next = offset + ids.len();
    let truncated = next < wanted.len();
    let bytes: Vec<u8> = points.iter().flatten().flat_map(|axis| axis.to_le_bytes()).collect();
    done(&Layout {
        data: packed.then(|| STANDARD.encode(bytes)),
        positions: (!packed).then_some(points),
        bounds: extent(positions).map(|(min, max)| json!({ "min": min, "max": max })),
        total: wanted.len(),
        truncated,
        next_cursor: (truncated && !ids.is_empty()).then(|| bounds.cursor("get_layout", next)),
        ids,
        missing,
        settled: view.sim.settled,
        tick: view.tick,
        revision: view.revision,
    })
}

/// One edge, for `graph://edge/{id}`.
pub(in crate::mcp) fn one_edge(view: &View<'_>, id: u32) -> Option<String> {
    let edge = view.graph.edge(crate::graph::EdgeId(id))?;
    serde_json::to_string(&show::edge(view.graph, edge)).ok()
}

/// One node with its edges, for `graph://node/{id}`.
pub(in crate::mcp) fn one_node(view: &View<'_>, key: &str) -> Option<String> {
    let id = Id::Text(Cow::Borrowed(key));
    let index = need(view.graph, "id", Some(&id)).ok()?;
    let (mut budget, mut edges, mut nodes) = (Budget::default(), Vec::new(), Vec::new());
    show::take_node(&mut budget, view, index, show::Fields::default(), &mut nodes);
    let incident = view.graph.incident(index);
    for id in incident {
        let Some(json) = view.graph.edge(*id).and_then(|edge| budget.take(&show::edge(view.graph, edge))) else {
            break;
        };
        edges.push(json);
    }
    let truncated = edges.len() < incident.len();
    let node = nodes.pop();
    Some(json!({ "node": node, "edges": edges, "truncated": truncated, "revision": view.revision }).to_string())
}
