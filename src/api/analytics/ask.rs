//! From a request's body to a job.

use serde_json::Value;

use super::fields::Fields;
use crate::analytics::{
    DbscanOptions, Feature, Job, KMeansOptions, LabelOptions, LeidenOptions, Lengths, LofOptions, PageRankOptions,
    StressOptions,
};
use crate::graph::{Graph, NodeId};
use crate::limits::ANALYTICS_DENSE_NODES_MAX;

/// Pairs one request may have estimated.
const PAIRS_MAX: usize = 4_096;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// What to compute.
    pub job: Job,
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// Every parameter, given or not.
    pub parameters: Value,
    /// The result goes on the wire, too.
    pub publish: bool,
    /// The answer lists the values of all nodes.
    pub values: bool,
}

/// Why a body asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskError {
    /// Of the offending field; `body` for the body itself.
    pub field: String,
    /// For a person, with value and range.
    pub message: String,
}

impl AskError {
    pub(super) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// A job, and the name of its algorithm.
type Named = (Job, &'static str);

/// Reads the body of `POST /api/analytics/{kind}`; `None` when there is no such kind.
///
/// # Errors
/// [`AskError`], naming the field.
pub fn read(kind: &str, body: &[u8], graph: &Graph) -> Option<Result<Ask, AskError>> {
    let parse: fn(&mut Fields, &Graph) -> Result<Named, AskError> = match kind {
        "sssp" => sssp,
        "clustering" => clustering,
        "community" => community,
        "anomaly" => anomaly,
        "pagerank" => ranks,
        "components" => |_, _| Ok((Job::Components, "components")),
        "stress" => stress,
        "landmarks" => landmarks,
        _ => return None,
    };
    let on_wire = !matches!(kind, "stress" | "landmarks");
    Some(Fields::parse(body).and_then(|mut fields| {
        let (job, algorithm) = parse(&mut fields, graph)?;
        let publish = on_wire && fields.flag("publish", false)?;
        let values = fields.flag("values", true)?;
        Ok(Ask { job, algorithm, parameters: fields.end()?, publish, values })
    }))
}

fn lengths(fields: &mut Fields) -> Result<Lengths, AskError> {
    let choices = [("hops", Lengths::Hops), ("weights", Lengths::Weights), ("inverse", Lengths::Inverse)];
    fields.choice("lengths", &choices)
}

/// The index of the node whose id a value is.
fn node(value: &Value, field: &str, graph: &Graph) -> Result<u32, AskError> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).and_then(NodeId::new);
    let index = id.and_then(|id| graph.index_of(id));
    let shown: String = value.to_string().chars().take(60).collect();
    let missing = || AskError::new(field, format!("{field} is {shown}, must be the id of a node of the graph"));
    Ok(index.ok_or_else(missing)?.0)
}

fn sssp(fields: &mut Fields, graph: &Graph) -> Result<Named, AskError> {
    let source = fields.needed("source", "the id of a node of the graph")?;
    let job = Job::Paths { source: node(&source, "source", graph)?, lengths: lengths(fields)? };
    Ok((job, "dijkstra"))
}

fn iterations(fields: &mut Fields, default: usize, max: usize) -> Result<usize, AskError> {
    fields.count("iterations_max", default, 1, max)
}

#[derive(Clone, Copy)]
enum Which {
    First,
    Second,
}

fn clustering(fields: &mut Fields, _: &Graph) -> Result<Named, AskError> {
    match fields.choice("algorithm", &[("kmeans", Which::First), ("dbscan", Which::Second)])? {
        Which::First => {
            let default = KMeansOptions::default();
            let options = KMeansOptions {
                clusters: fields.count("clusters", default.clusters, 1, 4_096)?,
                tolerance: fields.number("tolerance", default.tolerance, 0.0, 1.0)?,
                seed: fields.seed()?,
                iterations_max: iterations(fields, default.iterations_max, 10_000)?,
            };
            Ok((Job::KMeans(options), "kmeans"))
        }
        Which::Second => {
            let default = DbscanOptions::default();
            let options = DbscanOptions {
                radius: fields.number("radius", default.radius, 1e-6, 1e9)?,
                neighbours_min: fields.count("neighbours_min", default.neighbours_min, 1, 1_000_000)?,
            };
            Ok((Job::Dbscan(options), "dbscan"))
        }
    }
}

fn community(fields: &mut Fields, _: &Graph) -> Result<Named, AskError> {
    match fields.choice("algorithm", &[("leiden", Which::First), ("label_propagation", Which::Second)])? {
        Which::First => {
            let default = LeidenOptions::default();
            let options = LeidenOptions {
                resolution: fields.number("resolution", default.resolution, 1e-3, 1e3)?,
                seed: fields.seed()?,
                iterations_max: iterations(fields, default.iterations_max, 1_000)?,
            };
            Ok((Job::Leiden(options), "leiden"))
        }
        Which::Second => {
            let default = LabelOptions::default();
            let options = LabelOptions {
                seed: fields.seed()?,
                iterations_max: iterations(fields, default.iterations_max, 10_000)?,
                runs: fields.count("runs", default.runs, 1, 64)?,
            };
            Ok((Job::Labels(options), "label_propagation"))
        }
    }
}

fn anomaly(fields: &mut Fields, _: &Graph) -> Result<Named, AskError> {
    match fields.choice("algorithm", &[("lof", Which::First), ("zscore", Which::Second)])? {
        Which::First => {
            let options = LofOptions { neighbours: fields.count("neighbours", 32, 1, 256)? };
            let threshold = fields.number("threshold", 1.5, 1.0, 1e6)?;
            Ok((Job::Lof { options, threshold }, "lof"))
        }
        Which::Second => {
            let radius = fields.number("radius", 150.0, 1e-6, 1e9)?;
            let choices = [
                ("degree", Feature::Degree),
                ("strength", Feature::Strength),
                ("distance", Feature::Distance),
                ("edge_length", Feature::EdgeLength),
                ("crowd", Feature::Crowd { radius }),
            ];
            let feature = fields.choice("feature", &choices)?;
            let threshold = fields.number("threshold", 3.0, 0.0, 1e6)?;
            Ok((Job::ZScore { feature, threshold }, "zscore"))
        }
    }
}

fn ranks(fields: &mut Fields, _: &Graph) -> Result<Named, AskError> {
    let default = PageRankOptions::default();
    let options = PageRankOptions {
        damping: fields.number("damping", default.damping, 0.0, 0.999)?,
        tolerance: fields.number("tolerance", default.tolerance, 1e-12, 1.0)?,
        iterations_max: iterations(fields, default.iterations_max, 10_000)?,
        weighted: fields.flag("weighted", default.weighted)?,
    };
    Ok((Job::PageRank(options), "pagerank"))
}

fn stress(fields: &mut Fields, _: &Graph) -> Result<Named, AskError> {
    let default = StressOptions::default();
    let options = StressOptions {
        lengths: lengths(fields)?,
        pivots: fields.count("pivots", default.pivots, 1, ANALYTICS_DENSE_NODES_MAX)?,
        unit: fields.number("unit", default.unit, 0.0, 1e6)?,
        tolerance: fields.number("tolerance", default.tolerance, 0.0, 1.0)?,
        iterations_max: iterations(fields, default.iterations_max, 10_000)?,
    };
    Ok((Job::Stress(options), "stress_majorisation"))
}

fn landmarks(fields: &mut Fields, graph: &Graph) -> Result<Named, AskError> {
    let count = fields.count("count", 16, 1, ANALYTICS_DENSE_NODES_MAX)?;
    let lengths = lengths(fields)?;
    let wanted = || AskError::new("pairs", format!("pairs must be a list of at most {PAIRS_MAX} pairs of node ids"));
    let mut pairs = Vec::new();
    if let Some(given) = fields.maybe("pairs") {
        let given = given.as_array().filter(|given| given.len() <= PAIRS_MAX).ok_or_else(wanted)?;
        for pair in given {
            match pair.as_array().map(Vec::as_slice) {
                Some([a, b]) => pairs.push((node(a, "pairs", graph)?, node(b, "pairs", graph)?)),
                _ => return Err(wanted()),
            }
        }
    }
    Ok((Job::Landmarks { count, lengths, pairs }, "landmarks"))
}
