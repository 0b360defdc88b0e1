//! Constraints as clients name them: eleven kinds on nodes by id, read from JSON, shown as JSON, and compiled to indices.

use serde_json::{Map, Value, json};

use super::fields::{Fields, POINT_MAX, RestError, index};
use super::meaning::Meaning;
use crate::graph::{Graph, NodeId};
use crate::handoff::{Constraint, Demand, UNTYPED};
use crate::limits::{CONSTRAINT_NODES_MAX, CONSTRAINT_PAIRED_NODES_MAX};

/// Names of the eleven kinds.
pub const KINDS: [&str; 11] = [
    "fixed_position",
    "separation",
    "align_horizontal",
    "align_vertical",
    "align_depth",
    "cluster",
    "boundary",
    "directional_flow",
    "radial_distance",
    "layer_depth",
    "semantic",
];

/// Heaviest a constraint counts, of an edge's spring.
const WEIGHT_MAX: f64 = 100.0;

/// What a constraint asks, with ids.
#[derive(Clone, Debug, PartialEq)]
enum Ask {
    FixedPosition { position: [f32; 3] },
    Separation { distance: f32 },
    Align { kind: &'static str, axis: u8, at: Option<f32> },
    Cluster { radius: f32 },
    Boundary { min: [f32; 3], max: [f32; 3] },
    DirectionalFlow { direction: [f32; 3], gap: f32 },
    RadialDistance { centre: [f32; 3], centre_node: Option<NodeId>, radius: f32 },
    LayerDepth { axis: u8, depth: f32 },
    Semantic { by: Meaning, distance: f32 },
}

/// A constraint as a client set it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstraintSpec {
    /// `None` is every node.
    nodes: Option<Vec<NodeId>>,
    weight: f32,
    enabled: bool,
    ask: Ask,
    /// Changes with each change.
    revision: u32,
}

const AXES: [(&str, u8); 3] = [("x", 0), ("y", 1), ("z", 2)];

impl ConstraintSpec {
    /// Reads one from a request. `flat` is a layout without depth.
    ///
    /// # Errors
    /// The first field at fault.
    pub fn read(body: &Value, graph: &Graph, flat: bool, revision: u32) -> Result<Self, RestError> {
        let mut fields = Fields::of_body(body)?;
        let names = KINDS.map(|kind| (kind, kind));
        let kind = fields.choice("kind", &names)?;
        let kind = fields.need("kind", kind, &format!("one of {}", KINDS.join(", ")))?;
        let counts = match kind {
            "separation" => (2, CONSTRAINT_PAIRED_NODES_MAX),
            "fixed_position" | "boundary" | "radial_distance" | "layer_depth" => (1, CONSTRAINT_NODES_MAX),
            _ => (2, CONSTRAINT_NODES_MAX),
        };
        let nodes = fields.nodes("nodes", graph, counts)?;
        let everywhere = matches!(kind, "boundary" | "semantic");
        if nodes.is_none() && !everywhere {
            let wanted = format!("a list of {} to {} ids", counts.0, counts.1);
            fields.need("nodes", None::<()>, &wanted)?;
        }
        let ask = read_ask(kind, &mut fields, graph, flat)?;
        let weight = fields.number("weight", 0.0, WEIGHT_MAX)?.unwrap_or(1.0);
        let enabled = fields.flag("enabled")?.unwrap_or(true);
        fields.end()?;
        Ok(Self { nodes, weight, enabled, ask, revision })
    }

    /// Nodes that it names; `None` for all.
    #[must_use]
    pub fn node_count(&self) -> Option<usize> {
        self.nodes.as_ref().map(Vec::len)
    }

    /// As JSON, with what was measured: the violation in world units (none before the first step) and its age in steps.
    #[must_use]
    pub fn show(&self, key: u32, measured: Option<(f32, u32)>) -> Value {
        let mut row = Map::new();
        let ids = self.nodes.as_ref().map(|nodes| nodes.iter().map(|id| id.get()).collect::<Vec<_>>());
        row.insert("id".into(), json!(key));
        row.insert("kind".into(), json!(self.kind()));
        row.insert("nodes".into(), json!(ids));
        let own = match &self.ask {
            Ask::FixedPosition { position } => json!({ "position": position }),
            Ask::Separation { distance } => json!({ "distance": distance }),
            Ask::Align { at, .. } => json!({ "at": at }),
            Ask::Cluster { radius } => json!({ "radius": radius }),
            Ask::Boundary { min, max } => json!({ "min": min, "max": max }),
            Ask::DirectionalFlow { direction, gap } => json!({ "direction": direction, "gap": gap }),
            Ask::RadialDistance { centre, centre_node: None, radius } => json!({ "centre": centre, "radius": radius }),
            Ask::RadialDistance { centre_node: Some(node), radius, .. } => {
                json!({ "centre_node": node.get(), "radius": radius })
            }
            Ask::LayerDepth { axis, depth } => json!({ "axis": axis_name(*axis), "depth": depth }),
            Ask::Semantic { by, distance } => json!({ "by": by.name(), "distance": distance }),
        };
        if let Value::Object(own) = own {
            row.extend(own);
        }
        row.insert("weight".into(), json!(self.weight));
        row.insert("enabled".into(), json!(self.enabled));
        row.insert("violation".into(), json!(measured.map(|(violation, _)| violation).filter(|it| it.is_finite())));
        row.insert("age_steps".into(), json!(measured.map(|(_, age)| age)));
        Value::Object(row)
    }

    fn kind(&self) -> &'static str {
        match &self.ask {
            Ask::FixedPosition { .. } => "fixed_position",
            Ask::Separation { .. } => "separation",
            Ask::Align { kind, .. } => kind,
            Ask::Cluster { .. } => "cluster",
            Ask::Boundary { .. } => "boundary",
            Ask::DirectionalFlow { .. } => "directional_flow",
            Ask::RadialDistance { .. } => "radial_distance",
            Ask::LayerDepth { .. } => "layer_depth",
            Ask::Semantic { .. } => "semantic",
        }
    }

    /// With indices of `graph`. Nodes that have gone since are left out.
    #[must_use]
    pub fn compile(&self, key: u32, graph: &Graph) -> Constraint {
        let mut nodes: Vec<u32> = match &self.nodes {
            Some(ids) => ids.iter().filter_map(|id| index(graph, *id)).collect(),
            None => (0..graph.nodes().len() as u32).collect(),
        };
        let demand = match &self.ask {
            Ask::FixedPosition { position } => Demand::FixedPosition { at: *position },
            Ask::Separation { distance } => Demand::Separation { distance: *distance },
            Ask::Align { axis, at, .. } => Demand::Align { axis: *axis, at: *at },
            Ask::Cluster { radius } => Demand::Cluster { radius: *radius },
            Ask::Boundary { min, max } => Demand::Boundary { min: *min, max: *max },
            Ask::DirectionalFlow { direction, gap } => Demand::DirectionalFlow { direction: *direction, gap: *gap },
            Ask::RadialDistance { centre, centre_node, radius } => {
                let centre_node = centre_node.and_then(|id| index(graph, id));
                Demand::RadialDistance { centre: *centre, centre_node, radius: *radius }
            }
            Ask::LayerDepth { axis, depth } => Demand::LayerDepth { axis: *axis, depth: *depth },
            Ask::Semantic { by, distance } => {
                let (of, _) = by.of(graph);
                let meaning = |node: &u32| of.get(*node as usize).copied().unwrap_or(UNTYPED);
                nodes.retain(|node| meaning(node) != UNTYPED);
                nodes.sort_by_key(meaning);
                let runs = nodes.chunk_by(|left, right| meaning(left) == meaning(right));
                let mut end = 0;
                let group_ends = runs.map(|run| {
                    end += run.len() as u32;
                    end
                });
                Demand::Semantic { group_ends: group_ends.collect(), distance: *distance }
            }
        };
        let weight = if self.enabled { self.weight } else { 0.0 };
        let nodes = nodes.into();
        Constraint { key, revision: self.revision, weight, nodes, demand, age: 0, quiet: 0, violation: f32::NAN }
    }
}

fn axis_name(axis: u8) -> &'static str {
    AXES.iter().find(|(_, number)| *number == axis).map_or("x", |(name, _)| name)
}

fn read_ask(kind: &'static str, fields: &mut Fields<'_>, graph: &Graph, flat: bool) -> Result<Ask, RestError> {
    let far = f64::from(POINT_MAX);
    let length = format!("a number from 0 to {far}");
    match kind {
        "fixed_position" => {
            let position = fields.point("position", POINT_MAX)?;
            Ok(Ask::FixedPosition { position: fields.need("position", position, "[x, y] or [x, y, z]")? })
        }
        "separation" => {
            let distance = fields.number("distance", 0.0, far)?;
            Ok(Ask::Separation { distance: fields.need("distance", distance, &length)? })
        }
        "align_horizontal" | "align_vertical" | "align_depth" => {
            let axis = match kind {
                "align_horizontal" => 1,
                "align_vertical" => 0,
                _ => 2,
            };
            if flat && axis == 2 {
                return Err(fields.refuse("kind", "flat", "is align_depth, and a layout in the plane has no depth"));
            }
            Ok(Ask::Align { kind, axis, at: fields.number("at", -far, far)? })
        }
        "cluster" => {
            let radius = fields.number("radius", 0.0, far)?;
            Ok(Ask::Cluster { radius: fields.need("radius", radius, &length)? })
        }
        "boundary" => {
            let (min, max) = (fields.point("min", POINT_MAX)?, fields.point("max", POINT_MAX)?);
            let min = fields.need("min", min, "[x, y] or [x, y, z]")?;
            let max = fields.need("max", max, "[x, y] or [x, y, z]")?;
            if min.iter().zip(&max).any(|(min, max)| min > max) {
                return Err(fields.refuse("min", "out_of_range", "must not be above max on any axis"));
            }
            Ok(Ask::Boundary { min, max })
        }
        "directional_flow" => {
            let direction = fields.point("direction", POINT_MAX)?.unwrap_or([1.0, 0.0, 0.0]);
            let [x, y, z] = if flat { [direction[0], direction[1], 0.0] } else { direction };
            let norm = (x * x + y * y + z * z).sqrt();
            if norm < 1e-6 {
                return Err(fields.refuse("direction", "out_of_range", "must be longer than 0"));
            }
            let gap = fields.number("gap", 0.0, far)?;
            let gap = fields.need("gap", gap, &length)?;
            Ok(Ask::DirectionalFlow { direction: [x / norm, y / norm, z / norm], gap })
        }
        "radial_distance" => {
            let (centre, centre_node) = (fields.point("centre", POINT_MAX)?, fields.node("centre_node", graph)?);
            if centre.is_some() && centre_node.is_some() {
                return Err(fields.refuse("centre", "twice", "and centre_node are two centres: name one"));
            }
            let radius = fields.number("radius", 0.0, far)?;
            let radius = fields.need("radius", radius, &length)?;
            Ok(Ask::RadialDistance { centre: centre.unwrap_or_default(), centre_node, radius })
        }
        "layer_depth" => {
            let axis = fields.choice("axis", &AXES)?.unwrap_or(if flat { 1 } else { 2 });
            if flat && axis == 2 {
                return Err(fields.refuse("axis", "flat", "is z, and a layout in the plane has no depth"));
            }
            let depth = fields.number("depth", -far, far)?;
            Ok(Ask::LayerDepth { axis, depth: fields.need("depth", depth, &format!("a number from -{far} to {far}"))? })
        }
        _ => {
            let by = Meaning::read(fields, "by")?.unwrap_or(Meaning::Group);
            let distance = fields.number("distance", 0.0, far)?;
            Ok(Ask::Semantic { by, distance: fields.need("distance", distance, &length)? })
        }
    }
}
