//! `analyze_graph`: one measure of the graph or of a part of it, the top of it, and a summary; on request every node's score as a property.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::cycles::{Rows, rings, shortest};
use super::measure::{betweenness, core_numbers, triangles};
use super::part::{Part, Scope};
use super::show::cut;
use super::write::{Given, given};
use super::{Done, Write, done};
use crate::analytics::{
    AnalyticsError, Feature, LeidenOptions, PageRankOptions, connected_components, feature, leiden, pagerank, z_scores,
};
use crate::graph::{Csr, NodePatch, NodeRef, Op, Value as Property};
use crate::limits::BATCH_OPS_MAX;
use crate::mcp::Scopes;
use crate::mcp::args::{ToolError, arguments, choice, whole};
use crate::mcp::reply::printable;
use crate::mcp::view::{Bounds, View};

arguments!(Analyze {
    #[serde(borrow)]
    metric: Option<Cow<'line, str>>,
    #[serde(borrow)]
    scope: Option<Scope<'line>>,
    top: Option<i64>,
    #[serde(borrow)]
    write_to: Option<Cow<'line, str>>,
});

impl Analyze<'_> {
    /// Whether the scores become properties, which only somebody may ask for who may write.
    ///
    /// # Errors
    /// They may not; the name cannot be a property's.
    pub(super) fn writes(&self, scopes: Scopes) -> Result<bool, ToolError> {
        let Some(name) = self.write_to.as_deref() else { return Ok(false) };
        if !scopes.allow(Scopes::WRITE) {
            let words =
                "write_to changes nodes: it needs the scope graph:write, which you do not have. Leave it out to look";
            return Err(ToolError::new(words));
        }
        if name.is_empty() || name.len() > PROPERTY_BYTES_MAX || printable(name, PROPERTY_BYTES_MAX) != name {
            return Err(ToolError::field("write_to", format!("{name:?}"), "1 to 64 bytes of text that can be seen"));
        }
        if OWN_NAMES.contains(&name) {
            let allowed = format!("another name: {} are what every node has", OWN_NAMES.join(", "));
            return Err(ToolError::field("write_to", format!("{name:?}"), allowed));
        }
        Ok(true)
    }
}

/// Bytes of the name of a property that scores are written to.
const PROPERTY_BYTES_MAX: usize = 64;

/// What queries know of every node by these names.
const OWN_NAMES: [&str; 8] = ["id", "node_id", "label", "kind", "group", "weight", "degree", "pinned"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Degree,
    PageRank,
    Betweenness,
    Core,
    Triangles,
    Communities,
    Components,
    Cycles,
    Anomalies,
}

const METRICS: [(&str, Metric); 9] = [
    ("degree", Metric::Degree),
    ("pagerank", Metric::PageRank),
    ("betweenness", Metric::Betweenness),
    ("core", Metric::Core),
    ("triangles", Metric::Triangles),
    ("communities", Metric::Communities),
    ("components", Metric::Components),
    ("cycles", Metric::Cycles),
    ("anomalies", Metric::Anomalies),
];

/// Standard deviations from which a degree is unusual.
const UNUSUAL: f64 = 3.0;

/// Members of a community or component that are named.
const MEMBERS_NAMED: usize = 5;

fn failed(error: AnalyticsError) -> ToolError {
    match error {
        AnalyticsError::Stopped => {
            ToolError::new("stopped: it was cancelled or ran out of time. degree and core are the fastest metrics.")
        }
        other => ToolError::new(format!("this cannot be computed: {other}")),
    }
}

/// What was found out.
struct Findings {
    top: Vec<Value>,
    summary: Value,
    /// By place; what is no number says nothing of its node.
    scores: Scores,
}

enum Scores {
    Numbers(Vec<f64>),
    Groups(Vec<u32>),
}

pub(super) fn analyze(asked: &Analyze<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    if asked.write_to.is_some() {
        return Err(ToolError::new("write_to: what only looks writes nothing"));
    }
    let (name, Findings { top, summary, .. }, _) = measure(asked, view, bounds)?;
    done(&json!({ "metric": name, "top": top, "summary": summary, "us": bounds.us(), "revision": view.revision }))
}

/// The same with the scores as properties of the nodes: a change to be made. Nodes that are gone by then are left out.
pub(super) fn analyze_into(
    asked: &Analyze<'_>,
    name: &str,
    view: &View<'_>,
    bounds: &Bounds<'_>,
) -> Result<Box<Write>, ToolError> {
    let (metric, Findings { top, summary, scores }, part) = measure(asked, view, bounds)?;
    let count = part.csr.node_count();
    if count > BATCH_OPS_MAX {
        let words = format!("write_to is for at most {BATCH_OPS_MAX} nodes, and these are {count}: name a scope");
        return Err(ToolError::new(words));
    }
    let value = |place: usize| match &scores {
        Scores::Numbers(scores) => scores.get(place).filter(|score| score.is_finite()).map(|it| Property::Float(*it)),
        Scores::Groups(groups) => groups.get(place).map(|group| Property::Int(i64::from(*group))),
    };
    let ops = (0..count).filter_map(|place| {
        let patch = NodePatch { attributes: vec![(name.into(), value(place))], ..NodePatch::default() };
        Some(Op::UpdateNode { node: NodeRef::Id(part.node(view, place)?.id), patch })
    });
    let structured = json!({
        "metric": metric, "top": top, "summary": summary, "us": bounds.us(), "write_to": name,
    });
    let mut write =
        given(ops.collect(), bounds.principal, Given { list: "write_to", structured, text: None, counted: None });
    write.batch.each = true;
    Ok(write)
}

fn measure<'line>(
    asked: &'line Analyze<'_>,
    view: &View<'_>,
    bounds: &Bounds<'_>,
) -> Result<(&'line str, Findings, Part), ToolError> {
    let name = asked.metric.as_deref().ok_or_else(|| ToolError::missing("metric", "one of degree, pagerank, …"))?;
    let metric = choice("metric", Some(name), &METRICS, Metric::Degree)?;
    let top = whole("top", asked.top, (1, 200), 20)?;
    let part = Part::of(asked.scope.as_ref(), view, bounds)?;
    let csr = &part.csr;
    let findings = match metric {
        Metric::Communities => {
            let found = leiden(csr, &LeidenOptions::default(), bounds.watch).map_err(failed)?;
            let summary = json!({
                "communities": found.size.len(), "modularity": found.modularity, "converged": found.converged,
            });
            let top = groups(view, &part, &found.community, &found.size, top);
            Findings { top, summary, scores: Scores::Groups(found.community) }
        }
        Metric::Components => {
            let found = connected_components(csr, bounds.watch).map_err(failed)?;
            let isolated = found.size.iter().filter(|size| **size == 1).count();
            let summary = json!({ "components": found.size.len(), "isolated": isolated });
            let top = groups(view, &part, &found.component, &found.size, top);
            Findings { top, summary, scores: Scores::Groups(found.component) }
        }
        Metric::Cycles => on_cycles(view, &part, bounds, top)?,
        Metric::Anomalies => {
            let degrees = feature(csr, &[], Feature::Degree, bounds.watch).map_err(failed)?;
            let scores = z_scores(&degrees);
            let unusual = scores.score.iter().filter(|score| score.abs() >= UNUSUAL).count();
            let summary = json!({
                "feature": "degree", "mean": scores.mean, "deviation": scores.deviation, "threshold": UNUSUAL,
                "unusual": unusual,
            });
            let kept: Vec<f64> =
                scores.score.iter().map(|score| if score.abs() >= UNUSUAL { *score } else { f64::NAN }).collect();
            Findings { top: ranked(view, &part, &kept, top), summary, scores: Scores::Numbers(scores.score) }
        }
        _ => {
            let (scores, mut summary) = scored(metric, csr, bounds)?;
            let sum: f64 = scores.iter().sum();
            let max = scores.iter().copied().fold(0.0, f64::max);
            if let Some(summary) = summary.as_object_mut() {
                summary.insert("max".to_owned(), json!(max));
                summary.insert("mean".to_owned(), json!(sum / scores.len().max(1) as f64));
                summary.insert("nodes".to_owned(), json!(scores.len()));
            }
            Findings { top: ranked(view, &part, &scores, top), summary, scores: Scores::Numbers(scores) }
        }
    };
    Ok((name, findings, part))
}

/// Groups of nodes on cycles; a node's score is the size of the largest that it is in.
fn on_cycles(view: &View<'_>, part: &Part, bounds: &Bounds<'_>, top: usize) -> Result<Findings, ToolError> {
    let nodes = part.csr.node_count();
    let (mut scores, mut shown, mut summary) = (vec![0.0; nodes], Vec::new(), serde_json::Map::new());
    for (name, directed) in [("directed", true), ("undirected", false)] {
        bounds.spend(view.graph.edges().len() as u64)?;
        let rows = Rows::new(nodes, &part.pairs(view.graph, directed), directed);
        let found = rings(&rows, directed, bounds)?;
        for ring in &found {
            for member in &ring.members {
                if let Some(score) = scores.get_mut(*member as usize) {
                    *score = f64::max(*score, ring.members.len() as f64);
                }
            }
        }
        let members: usize = found.iter().map(|ring| ring.members.len()).sum();
        summary.insert(name.to_owned(), json!({ "groups": found.len(), "nodes": members }));
        for ring in found.iter().take(top) {
            let (length, cycle) = shortest(&rows, ring, bounds)?.unwrap_or_default();
            let cycle: Vec<&str> = cycle.iter().map(|place| part.key(view, *place as usize)).collect();
            let size = ring.members.len();
            shown.push((size, json!({ "size": size, "directed": directed, "length": length, "cycle": cycle })));
        }
    }
    shown.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let top = shown.into_iter().take(top).map(|(_, row)| row).collect();
    summary.insert("nodes_on_cycles".to_owned(), json!(scores.iter().filter(|score| **score > 0.0).count()));
    Ok(Findings { top, summary: summary.into(), scores: Scores::Numbers(scores) })
}

fn scored(metric: Metric, csr: &Csr, bounds: &Bounds<'_>) -> Result<(Vec<f64>, Value), ToolError> {
    Ok(match metric {
        Metric::PageRank => {
            let found = pagerank(csr, &PageRankOptions::default(), bounds.watch).map_err(failed)?;
            (found.rank, json!({ "iterations": found.iterations, "converged": found.converged }))
        }
        Metric::Betweenness => {
            let found = betweenness(csr, bounds)?;
            (found.score, json!({ "exact": found.sources == csr.node_count(), "sources": found.sources }))
        }
        Metric::Core => (core_numbers(csr, bounds)?, json!({})),
        Metric::Triangles => {
            let found = triangles(csr, bounds)?;
            let total = found.iter().sum::<f64>() / 3.0;
            (found, json!({ "triangles": total }))
        }
        _ => (feature(csr, &[], Feature::Degree, bounds.watch).map_err(failed)?, json!({})),
    })
}

/// The nodes of the highest scores; what is no number is left out.
fn ranked(view: &View<'_>, part: &Part, scores: &[f64], top: usize) -> Vec<Value> {
    let mut order: Vec<(usize, f64)> =
        scores.iter().copied().enumerate().filter(|(_, score)| score.is_finite()).collect();
    order.sort_by(|left, right| right.1.abs().total_cmp(&left.1.abs()).then(left.0.cmp(&right.0)));
    let rows = order.iter().take(top).filter_map(|(index, score)| {
        let node = part.node(view, *index)?;
        Some(json!({ "id": cut(&node.key, 256), "label": cut(&node.label, 256), "score": score }))
    });
    rows.collect()
}

/// The largest groups, with the members of highest degree.
fn groups(view: &View<'_>, part: &Part, group: &[u32], size: &[u32], top: usize) -> Vec<Value> {
    let mut order: Vec<usize> = (0..size.len()).collect();
    order.sort_by_key(|group| std::cmp::Reverse(size.get(*group).copied()));
    order.truncate(top);
    let mut members: std::collections::HashMap<usize, Vec<(usize, u32)>> =
        order.iter().map(|group| (*group, Vec::new())).collect();
    for (index, group) in group.iter().enumerate() {
        let Some(members) = members.get_mut(&(*group as usize)) else { continue };
        members.push((part.csr.degree(index), index as u32));
        if members.len() > MEMBERS_NAMED * 8 {
            members.sort_unstable_by_key(|(degree, index)| (std::cmp::Reverse(*degree), *index));
            members.truncate(MEMBERS_NAMED);
        }
    }
    let rows = order.iter().map(|group| {
        let mut top = members.remove(group).unwrap_or_default();
        top.sort_unstable_by_key(|(degree, index)| (std::cmp::Reverse(*degree), *index));
        top.truncate(MEMBERS_NAMED);
        let ids: Vec<&str> = top.iter().map(|(_, place)| part.key(view, *place as usize)).collect();
        json!({ "group": group, "size": size.get(*group), "members": ids })
    });
    rows.collect()
}
