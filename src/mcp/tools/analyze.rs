//! `analyze_graph`: one measure of the whole graph, the top of it, and a summary.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::measure::{betweenness, core_numbers, triangles};
use super::show::{cut, key};
use super::{Done, done};
use crate::analytics::{
    AnalyticsError, Feature, LeidenOptions, PageRankOptions, connected_components, feature, leiden, pagerank, z_scores,
};
use crate::graph::{Csr, NodeIndex};
use crate::mcp::args::{ToolError, arguments, choice, whole};
use crate::mcp::view::{Bounds, View};

arguments!(Analyze {
    #[serde(borrow)]
    metric: Option<Cow<'line, str>>,
    top: Option<i64>,
});

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Degree,
    PageRank,
    Betweenness,
    Core,
    Triangles,
    Communities,
    Components,
    Anomalies,
}

const METRICS: [(&str, Metric); 8] = [
    ("degree", Metric::Degree),
    ("pagerank", Metric::PageRank),
    ("betweenness", Metric::Betweenness),
    ("core", Metric::Core),
    ("triangles", Metric::Triangles),
    ("communities", Metric::Communities),
    ("components", Metric::Components),
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

pub(super) fn analyze(asked: &Analyze<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let name = asked.metric.as_deref().ok_or_else(|| ToolError::missing("metric", "one of degree, pagerank, …"))?;
    let metric = choice("metric", Some(name), &METRICS, Metric::Degree)?;
    let top = whole("top", asked.top, (1, 200), 20)?;
    let csr = view.graph.csr();
    let (rows, summary) = match metric {
        Metric::Communities => {
            let found = leiden(&csr, &LeidenOptions::default(), bounds.watch).map_err(failed)?;
            let summary = json!({
                "communities": found.size.len(), "modularity": found.modularity, "converged": found.converged,
            });
            (groups(view, &csr, &found.community, &found.size, top), summary)
        }
        Metric::Components => {
            let found = connected_components(&csr, bounds.watch).map_err(failed)?;
            let isolated = found.size.iter().filter(|size| **size == 1).count();
            let summary = json!({ "components": found.size.len(), "isolated": isolated });
            (groups(view, &csr, &found.component, &found.size, top), summary)
        }
        Metric::Anomalies => {
            let degrees = feature(&csr, &[], Feature::Degree, bounds.watch).map_err(failed)?;
            let scores = z_scores(&degrees);
            let unusual = scores.score.iter().filter(|score| score.abs() >= UNUSUAL).count();
            let summary = json!({
                "feature": "degree", "mean": scores.mean, "deviation": scores.deviation, "threshold": UNUSUAL,
                "unusual": unusual,
            });
            let kept: Vec<f64> =
                scores.score.iter().map(|score| if score.abs() >= UNUSUAL { *score } else { f64::NAN }).collect();
            (ranked(view, &kept, top), summary)
        }
        _ => {
            let (scores, mut summary) = scored(metric, &csr, bounds)?;
            let sum: f64 = scores.iter().sum();
            let max = scores.iter().copied().fold(0.0, f64::max);
            if let Some(summary) = summary.as_object_mut() {
                summary.insert("max".to_owned(), json!(max));
                summary.insert("mean".to_owned(), json!(sum / scores.len().max(1) as f64));
                summary.insert("nodes".to_owned(), json!(scores.len()));
            }
            (ranked(view, &scores, top), summary)
        }
    };
    done(&json!({ "metric": name, "top": rows, "summary": summary, "revision": view.revision }))
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
fn ranked(view: &View<'_>, scores: &[f64], top: usize) -> Vec<Value> {
    let mut order: Vec<(usize, f64)> =
        scores.iter().copied().enumerate().filter(|(_, score)| score.is_finite()).collect();
    order.sort_by(|left, right| right.1.abs().total_cmp(&left.1.abs()).then(left.0.cmp(&right.0)));
    let rows = order.iter().take(top).filter_map(|(index, score)| {
        let node = view.graph.node(NodeIndex(*index as u32))?;
        Some(json!({ "id": cut(&node.key, 256), "label": cut(&node.label, 256), "score": score }))
    });
    rows.collect()
}

/// The largest groups, with the members of highest degree.
fn groups(view: &View<'_>, csr: &Csr, group: &[u32], size: &[u32], top: usize) -> Vec<Value> {
    let mut order: Vec<usize> = (0..size.len()).collect();
    order.sort_by_key(|group| std::cmp::Reverse(size.get(*group).copied()));
    order.truncate(top);
    let mut members: std::collections::HashMap<usize, Vec<(usize, u32)>> =
        order.iter().map(|group| (*group, Vec::new())).collect();
    for (index, group) in group.iter().enumerate() {
        let Some(members) = members.get_mut(&(*group as usize)) else { continue };
        members.push((csr.row(index).count(), index as u32));
        if members.len() > MEMBERS_NAMED * 8 {
            members.sort_unstable_by_key(|(degree, index)| (std::cmp::Reverse(*degree), *index));
            members.truncate(MEMBERS_NAMED);
        }
    }
    let rows = order.iter().map(|group| {
        let mut top = members.remove(group).unwrap_or_default();
        top.sort_unstable_by_key(|(degree, index)| (std::cmp::Reverse(*degree), *index));
        top.truncate(MEMBERS_NAMED);
        let ids: Vec<&str> = top.iter().map(|(_, index)| cut(key(view.graph, NodeIndex(*index)), 64)).collect();
        json!({ "group": group, "size": size.get(*group), "members": ids })
    });
    rows.collect()
}
