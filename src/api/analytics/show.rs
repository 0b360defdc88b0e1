//! What came of a job: as JSON, and as planes for the wire.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::analytics::{AnalyticsError, Job, NO_PARENT, NOISE, Outcome, Watch};
use crate::handoff::SidePlanes;

/// Nodes written between two reports.
const NODES_PER_REPORT: usize = 4_096;

/// Sizes of communities, clusters and components that are listed, the largest or first ones.
const SIZES_MAX: usize = 1_000;

/// Nodes that stand furthest out, listed.
const FIRST_MAX: usize = 100;

/// A column of the answer: a name and what of node `n` is written under it.
type Column<'run> = (&'static str, Box<dyn Fn(usize) -> Value + 'run>);

/// The result as a JSON object. `ids` are those of the nodes in index order; with `values` every node's value is listed,
/// in columns beside `ids`. Labels count from 1, as on the wire; what there is none of is null.
///
/// # Errors
/// [`AnalyticsError::Stopped`].
pub fn show(
    job: &Job,
    outcome: &Outcome,
    ids: &[u32],
    values: bool,
    watch: &dyn Watch,
) -> Result<Vec<u8>, AnalyticsError> {
    let (summary, columns) = parts(job, outcome, ids);
    let mut out = serde_json::to_vec(&Value::Object(summary)).unwrap_or_default();
    if !values || columns.is_empty() {
        return Ok(out);
    }
    out.pop();
    let mut comma = out.len() > 1;
    let id_column: Column<'_> = ("ids", Box::new(|node| json!(ids.get(node))));
    for (name, of) in std::iter::once(&id_column).chain(&columns) {
        out.extend_from_slice(if comma { b",\"" } else { b"\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":[");
        for node in 0..ids.len() {
            if node % NODES_PER_REPORT == 0 {
                watch.progress(1.0)?;
            }
            if node > 0 {
                out.push(b',');
            }
            // A value without text cannot be: numbers, null and short lists alone are made here.
            let _ = serde_json::to_writer(&mut out, &of(node));
        }
        out.push(b']');
        comma = true;
    }
    out.push(b'}');
    Ok(out)
}

/// JSON knows no infinity: what no path reaches is null.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

fn id_of(ids: &[u32], node: u32) -> Value {
    json!(ids.get(node as usize))
}

fn label(labels: &[u32], node: usize) -> Value {
    labels.get(node).filter(|label| **label != NOISE).map_or(Value::Null, |label| json!(label + 1))
}

fn sizes(size: &[u32]) -> Value {
    json!(size.iter().take(SIZES_MAX).collect::<Vec<_>>())
}

/// Nodes by falling score, the first few, and how many reach the threshold.
fn outstanding(score: &[f64], threshold: f64, ids: &[u32]) -> (Value, usize) {
    let mut order: Vec<u32> = (0..score.len() as u32).collect();
    let of = |node: &u32| score.get(*node as usize).copied().unwrap_or(0.0);
    order.sort_by(|a, b| of(b).total_cmp(&of(a)).then(a.cmp(b)));
    let first = order.iter().take(FIRST_MAX);
    let rows: Vec<_> = first.map(|node| json!({ "id": id_of(ids, *node), "score": of(node) })).collect();
    (json!(rows), score.iter().filter(|score| **score >= threshold).count())
}

/// The figures of the whole, and the columns of the nodes.
fn parts<'run>(job: &'run Job, outcome: &'run Outcome, ids: &'run [u32]) -> (Map<String, Value>, Vec<Column<'run>>) {
    fn column<'run>(name: &'static str, of: impl Fn(usize) -> Value + 'run) -> Column<'run> {
        (name, Box::new(of))
    }
    let number = |values: &'run [f64]| move |node: usize| values.get(node).map_or(Value::Null, |value| finite(*value));
    let (summary, columns) = match outcome {
        Outcome::Paths(found) => (
            json!({
                "source": id_of(ids, found.source), "reached": found.reached, "eccentricity": found.eccentricity(),
            }),
            vec![
                column("distance", number(&found.distance)),
                column("parent", |node| match found.parent.get(node) {
                    Some(parent) if *parent != NO_PARENT => id_of(ids, *parent),
                    _ => Value::Null,
                }),
            ],
        ),
        Outcome::Components(found) => (
            json!({ "count": found.size.len(), "sizes": sizes(&found.size) }),
            vec![column("component", |node| label(&found.component, node))],
        ),
        Outcome::PageRank(found) => (
            json!({ "iterations": found.iterations, "converged": found.converged, "change": found.change }),
            vec![column("rank", number(&found.rank))],
        ),
        Outcome::KMeans(found) => (
            json!({
                "iterations": found.iterations, "converged": found.converged, "inertia": found.inertia,
                "count": found.size.len(), "sizes": found.size, "centres": found.centre,
            }),
            vec![column("cluster", |node| label(&found.cluster, node))],
        ),
        Outcome::Dbscan(found) => (
            json!({
                "count": found.size.len(), "sizes": sizes(&found.size), "noise": found.noise, "cores": found.cores,
            }),
            vec![column("cluster", |node| label(&found.cluster, node))],
        ),
        Outcome::Partition(found) => (
            json!({
                "iterations": found.iterations, "converged": found.converged, "modularity": found.modularity,
                "count": found.size.len(), "sizes": sizes(&found.size),
            }),
            vec![column("community", |node| label(&found.community, node))],
        ),
        Outcome::Lof(factor) => {
            let threshold = if let Job::Lof { threshold, .. } = job { *threshold } else { f64::INFINITY };
            let (first, outliers) = outstanding(factor, threshold, ids);
            (json!({ "outliers": outliers, "first": first }), vec![column("score", number(factor))])
        }
        Outcome::ZScore(values, scores) => {
            let threshold = if let Job::ZScore { threshold, .. } = job { *threshold } else { f64::INFINITY };
            let apart: Vec<f64> = scores.score.iter().map(|score| score.abs()).collect();
            let (first, outliers) = outstanding(&apart, threshold, ids);
            (
                json!({
                    "mean": scores.mean, "deviation": scores.deviation, "outliers": outliers, "first": first,
                }),
                vec![column("value", number(values)), column("score", number(&scores.score))],
            )
        }
        Outcome::Stress(found) => (
            json!({
                "iterations": found.iterations, "converged": found.converged, "unit": found.unit,
                "pivots": found.pivots, "stress_before": found.stress.first(), "stress": found.stress.last(),
            }),
            vec![column("position", |node| json!(found.position.get(node)))],
        ),
        Outcome::Landmarks(found) => {
            let pairs = if let Job::Landmarks { pairs, .. } = job { pairs.as_slice() } else { &[] };
            let row = |(a, b): &(u32, u32)| {
                let (from, to) = (*a as usize, *b as usize);
                json!({
                    "from": id_of(ids, *a), "to": id_of(ids, *b),
                    "estimate": finite(found.estimate(from, to)), "at_least": finite(found.at_least(from, to)),
                })
            };
            let marks: Vec<_> = found.node.iter().map(|node| id_of(ids, *node)).collect();
            (json!({ "landmarks": marks, "pairs": pairs.iter().map(row).collect::<Vec<_>>() }), Vec::new())
        }
    };
    let summary = if let Value::Object(summary) = summary { summary } else { Map::new() };
    (summary, columns)
}

/// What of a result the wire can carry; `None` for a layout and for landmarks.
#[must_use]
pub fn planes(epoch: u32, outcome: &Outcome, ids: &[u32]) -> Option<SidePlanes> {
    let floats = |values: &[f64]| Some(values.iter().map(|value| *value as f32).collect::<Arc<[f32]>>());
    // The noise of a clustering is one below 0, so its label becomes 0.
    let labels = |labels: &[u32]| Some(labels.iter().map(|label| label.wrapping_add(1)).collect::<Arc<[u32]>>());
    let empty = SidePlanes { epoch, ..SidePlanes::default() };
    Some(match outcome {
        Outcome::Paths(found) => {
            let parent = |parent: &u32| ids.get(*parent as usize).map_or(-1, |id| *id as i32);
            let parents = found.parent.iter().map(parent).collect::<Arc<[i32]>>();
            SidePlanes { distance: floats(&found.distance), parent: Some(parents), ..empty }
        }
        Outcome::Components(found) => SidePlanes { component: labels(&found.component), ..empty },
        Outcome::PageRank(found) => SidePlanes { rank: floats(&found.rank), ..empty },
        Outcome::KMeans(found) => SidePlanes { cluster: labels(&found.cluster), ..empty },
        Outcome::Dbscan(found) => SidePlanes { cluster: labels(&found.cluster), ..empty },
        Outcome::Partition(found) => SidePlanes { community: labels(&found.community), ..empty },
        Outcome::Lof(factor) => SidePlanes { anomaly: floats(factor), ..empty },
        Outcome::ZScore(_, scores) => {
            let apart: Vec<f64> = scores.score.iter().map(|score| score.abs()).collect();
            SidePlanes { anomaly: floats(&apart), ..empty }
        }
        Outcome::Stress(_) | Outcome::Landmarks(_) => return None,
    })
}

const _: () = assert!(NOISE.wrapping_add(1) == 0, "noise is 0 on the wire");
