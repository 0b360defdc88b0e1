//! What steers the whole layout: semantic forces, springs by relation and attribute, the space between two graphs, the layout mode, and
//! the presets that set several of them. Read from JSON, where a field that is left out stays as it is; shown as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields::{Fields, RestError};
use super::meaning::Meaning;
use crate::analytics::Lengths;
use crate::analytics::layout::Mode;
use crate::graph::{Graph, NodeId};
use crate::limits::RELATION_TYPES_MAX;

/// Strongest a semantic force is, of an edge's spring.
const STRENGTH_MAX: f64 = 100.0;

/// Furthest a semantic force reaches, world units.
const FAR: f64 = 1e5;

/// Names of the layout modes.
pub const MODES: [(&str, Mode); 6] = [
    ("force_directed", Mode::ForceDirected),
    ("hierarchical", Mode::Hierarchical),
    ("radial", Mode::Radial),
    ("spectral", Mode::Spectral),
    ("clustered", Mode::Clustered),
    ("stress", Mode::Stress),
];

/// What an edge measures on the way from a source.
const LENGTHS: [(&str, Lengths); 3] =
    [("hops", Lengths::Hops), ("weights", Lengths::Weights), ("inverse", Lengths::Inverse)];

/// The name of a mode.
#[must_use]
pub fn mode_name(mode: Mode) -> &'static str {
    MODES.iter().find(|(_, known)| *known == mode).map_or("force_directed", |(name, _)| name)
}

/// Levels of a directed graph, stacked along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    pub(super) on: bool,
    /// World units from one level to the next.
    pub(super) spacing: f32,
    /// Of an edge's spring.
    pub(super) strength: f32,
}

/// Nodes of one type near each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Types {
    pub(super) on: bool,
    pub(super) by: Meaning,
    /// Of an edge's spring.
    pub(super) strength: f32,
    /// World units from their centre within which nothing pulls.
    pub(super) distance: f32,
}

/// Bodies.
#[derive(Clone, Debug, PartialEq)]
pub struct Bodies {
    pub(super) on: bool,
    /// World units.
    pub(super) radius: f32,
    /// Of an edge's spring.
    pub(super) strength: f32,
}

/// The semantic forces.
#[derive(Clone, Debug, PartialEq)]
pub struct Semantic {
    pub(super) levels: Levels,
    pub(super) types: Types,
    pub(super) bodies: Bodies,
}

impl Default for Semantic {
    fn default() -> Self {
        Self {
            levels: Levels { on: false, spacing: 100.0, strength: 0.5 },
            types: Types { on: false, by: Meaning::Class, strength: 0.4, distance: 150.0 },
            bodies: Bodies { on: false, radius: 10.0, strength: 1.0 },
        }
    }
}

impl Semantic {
    /// Changes what the request names.
    ///
    /// # Errors
    /// The first field at fault; nothing counts then.
    pub fn read(&mut self, body: &Value) -> Result<(), RestError> {
        let mut fields = Fields::of_body(body)?;
        if let Some(mut inner) = fields.object("dag_levels")? {
            set(&mut self.levels.on, inner.flag("enabled")?);
            set(&mut self.levels.spacing, inner.number("vertical_spacing", 0.0, FAR)?);
            set(&mut self.levels.strength, inner.number("strength", 0.0, STRENGTH_MAX)?);
            inner.end()?;
        }
        if let Some(mut inner) = fields.object("type_cluster")? {
            set(&mut self.types.on, inner.flag("enabled")?);
            set(&mut self.types.by, Meaning::read(&mut inner, "by")?);
            set(&mut self.types.strength, inner.number("strength", 0.0, STRENGTH_MAX)?);
            set(&mut self.types.distance, inner.number("distance", 0.0, FAR)?);
            inner.end()?;
        }
        if let Some(mut inner) = fields.object("collision")? {
            set(&mut self.bodies.on, inner.flag("enabled")?);
            set(&mut self.bodies.radius, inner.number("radius", 0.01, FAR)?);
            set(&mut self.bodies.strength, inner.number("strength", 0.0, STRENGTH_MAX)?);
            inner.end()?;
        }
        fields.end()
    }

    /// As JSON.
    #[must_use]
    pub fn show(&self) -> Value {
        let Self { levels, types, bodies } = self;
        json!({
            "dag_levels": { "enabled": levels.on, "vertical_spacing": levels.spacing, "strength": levels.strength },
            "type_cluster": {
                "enabled": types.on, "by": types.by.name(), "strength": types.strength, "distance": types.distance,
            },
            "collision": { "enabled": bodies.on, "radius": bodies.radius, "strength": bodies.strength },
        })
    }
}

/// What an edge of a relation type is to the layout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relation {
    /// Of an edge's spring; its own weight counts as well. 0 lets go: the two ends repel each other like strangers.
    pub strength: f32,
    /// World units; the simulation's own when `None`.
    pub rest_length: Option<f32>,
    /// Only the target is pulled; the source stays as if there were no edge.
    pub directional: bool,
    /// It pulls.
    pub spring: bool,
}

/// Springs that are not all alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Springs {
    /// By the name of the relation.
    pub relations: BTreeMap<Box<str>, Relation>,
    /// By the value of an attribute.
    pub attribute: AttributeSprings,
    /// By the distance from a node along the graph.
    pub paths: PathSprings,
}

/// Springs by the value of an edge's attribute: from the longest and softest at its smallest value to the shortest and firmest.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeSprings {
    /// Switched on.
    pub on: bool,
    /// Name of the attribute; the edge's weight when `None`.
    pub attribute: Option<Box<str>>,
    /// Share of the way from the plain rest length to the one that the value asks for, 0 to 1.
    pub strength: f32,
    /// How much firmer the spring of the largest value is: 1 + this.
    pub weight_multiplier: f32,
    /// Rest length at the largest value, world units.
    pub rest_min: f32,
    /// Rest length at the smallest value, world units.
    pub rest_max: f32,
}

impl Default for AttributeSprings {
    fn default() -> Self {
        Self { on: false, attribute: None, strength: 1.0, weight_multiplier: 0.5, rest_min: 30.0, rest_max: 200.0 }
    }
}

/// Rest lengths that grow with how much nearer one end of an edge is to a source: `rest + alpha * min(|du - dv|, cap)`.
#[derive(Clone, Debug, PartialEq)]
pub struct PathSprings {
    /// From where the distances are; none switches it off.
    pub source: Option<NodeId>,
    /// What an edge measures.
    pub lengths: Lengths,
    /// World units for each unit of distance; 0 changes nothing.
    pub alpha: f32,
    /// Largest difference that counts.
    pub cap: f32,
}

impl Default for PathSprings {
    fn default() -> Self {
        Self { source: None, lengths: Lengths::Hops, alpha: 0.0, cap: 10.0 }
    }
}

impl Springs {
    /// Replaces all relation types.
    ///
    /// # Errors
    /// The first field at fault; nothing counts then.
    pub fn read_relations(&mut self, body: &Value) -> Result<(), RestError> {
        let mut fields = Fields::of_body(body)?;
        let found = fields.map("relations", RELATION_TYPES_MAX)?;
        let wanted = format!("an object of at most {RELATION_TYPES_MAX} relation types");
        let mut relations = BTreeMap::new();
        for (name, mut inner) in fields.need("relations", found, &wanted)? {
            let kind = inner.choice("kind", &[("spring", true), ("none", false)])?;
            let relation = Relation {
                strength: inner.number("strength", 0.0, 1_000.0)?.unwrap_or(1.0),
                rest_length: inner.number("rest_length", 0.01, 1e4)?,
                directional: inner.flag("directional")?.unwrap_or(false),
                spring: kind.unwrap_or(true),
            };
            inner.end()?;
            relations.insert(name.into(), relation);
        }
        fields.end()?;
        self.relations = relations;
        Ok(())
    }

    /// The relation types as JSON, with how many edges of the graph each is of.
    #[must_use]
    pub fn show_relations(&self, graph: &Graph) -> Value {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for edge in graph.edges() {
            if let Some(relation) = &edge.relation {
                *counts.entry(relation).or_default() += 1;
            }
        }
        let rows = self.relations.iter().map(|(name, relation)| {
            let row = json!({
                "strength": relation.strength,
                "rest_length": relation.rest_length,
                "directional": relation.directional,
                "kind": if relation.spring { "spring" } else { "none" },
            });
            (name.to_string(), row)
        });
        let rows: serde_json::Map<_, _> = rows.collect();
        // A file can have a relation type for each edge; only so many are of use here.
        let kinds = counts.len();
        let counts: BTreeMap<_, _> = counts.into_iter().take(RELATION_TYPES_MAX).collect();
        json!({ "relations": rows, "limit": RELATION_TYPES_MAX, "edges": counts, "kinds_of_edges": kinds })
    }

    /// Changes what the request names of the springs by attribute and by path.
    ///
    /// # Errors
    /// The first field at fault; nothing counts then.
    pub fn read(&mut self, body: &Value, graph: &Graph) -> Result<(), RestError> {
        let mut fields = Fields::of_body(body)?;
        if let Some(mut inner) = fields.object("attribute")? {
            let springs = &mut self.attribute;
            set(&mut springs.on, inner.flag("enabled")?);
            if let Some(name) = inner.text("attribute")? {
                springs.attribute = (name != "weight").then(|| name.into());
            }
            set(&mut springs.strength, inner.number("strength", 0.0, 1.0)?);
            set(&mut springs.weight_multiplier, inner.number("weight_multiplier", 0.0, 100.0)?);
            set(&mut springs.rest_min, inner.number("rest_min", 0.01, 1e4)?);
            set(&mut springs.rest_max, inner.number("rest_max", 0.01, 1e4)?);
            if springs.rest_min > springs.rest_max {
                return Err(inner.refuse("rest_min", "out_of_range", "must not be above rest_max"));
            }
            inner.end()?;
        }
        if let Some(mut inner) = fields.object("sssp")? {
            let springs = &mut self.paths;
            if let Some(source) = inner.node("source", graph)? {
                springs.source = Some(source);
            }
            set(&mut springs.lengths, inner.choice("lengths", &LENGTHS)?);
            set(&mut springs.alpha, inner.number("alpha", 0.0, 1e4)?);
            set(&mut springs.cap, inner.number("cap", 0.0, 1e4)?);
            if springs.alpha > 0.0 && springs.source.is_none() {
                inner.need("source", None::<()>, "the id of a node when alpha is above 0")?;
            }
            inner.end()?;
        }
        fields.end()
    }

    /// The springs by attribute and by path as JSON.
    #[must_use]
    pub fn show(&self) -> Value {
        let Self { attribute, paths, .. } = self;
        json!({
            "attribute": {
                "enabled": attribute.on,
                "attribute": attribute.attribute.as_deref().unwrap_or("weight"),
                "strength": attribute.strength,
                "weight_multiplier": attribute.weight_multiplier,
                "rest_min": attribute.rest_min,
                "rest_max": attribute.rest_max,
            },
            "sssp": {
                "source": paths.source.map(NodeId::get),
                "lengths": LENGTHS.iter().find(|(_, known)| *known == paths.lengths).map(|(name, _)| name),
                "alpha": paths.alpha,
                "cap": paths.cap,
            },
        })
    }

    /// Whether every spring is as the graph has it.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        self.relations.is_empty() && !self.attribute.on && self.paths.alpha == 0.0
    }
}

/// Two graphs in one space.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoGraphs {
    /// Agents are kept apart from everything else.
    pub on: bool,
    /// World units between the two centres along x.
    pub separation_x: f32,
}

impl Default for TwoGraphs {
    fn default() -> Self {
        Self { on: true, separation_x: 600.0 }
    }
}

impl TwoGraphs {
    /// Changes what the request names.
    ///
    /// # Errors
    /// The first field at fault; nothing counts then.
    pub fn read(&mut self, body: &Value) -> Result<(), RestError> {
        let mut fields = Fields::of_body(body)?;
        set(&mut self.on, fields.flag("enabled")?);
        set(&mut self.separation_x, fields.number("graph_separation_x", 0.0, FAR)?);
        fields.end()
    }

    /// As JSON.
    #[must_use]
    pub fn show(&self) -> Value {
        json!({ "enabled": self.on, "graph_separation_x": self.separation_x })
    }
}

/// The mode that a request asks for.
///
/// # Errors
/// The field at fault.
pub fn read_mode(body: &Value) -> Result<Mode, RestError> {
    let mut fields = Fields::of_body(body)?;
    let mode = fields.choice("mode", &MODES)?;
    let mode = fields.need("mode", mode, &format!("one of {}", MODES.map(|(name, _)| name).join(", ")))?;
    fields.end()?;
    Ok(mode)
}

/// Names of the presets, and what each is for.
pub const PRESETS: [(&str, &str); 3] = [
    ("semantic", "nodes of one class together, bodies apart, edges as long as their weight says"),
    ("agent_swarm", "agents beside knowledge, agents by group, bodies apart"),
    ("hierarchical", "layers by the direction of the edges"),
];

/// What a preset sets: the semantic forces, the springs by attribute, and the mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Semantic forces.
    pub semantic: Semantic,
    /// Springs by attribute.
    pub attribute: AttributeSprings,
    /// Mode.
    pub mode: Mode,
}

/// The preset that a request asks for.
///
/// # Errors
/// The field at fault.
pub fn read_preset(body: &Value) -> Result<(&'static str, Preset), RestError> {
    let mut fields = Fields::of_body(body)?;
    let names = PRESETS.map(|(name, _)| (name, name));
    let name = fields.choice("name", &names)?;
    let name = fields.need("name", name, &format!("one of {}", PRESETS.map(|(name, _)| name).join(", ")))?;
    fields.end()?;
    Ok((name, preset(name)))
}

fn preset(name: &str) -> Preset {
    let plain = Semantic::default();
    let attribute = AttributeSprings::default();
    match name {
        "semantic" => Preset {
            semantic: Semantic {
                types: Types { on: true, ..plain.types },
                bodies: Bodies { on: true, ..plain.bodies },
                ..plain
            },
            attribute: AttributeSprings { on: true, ..attribute },
            mode: Mode::ForceDirected,
        },
        "agent_swarm" => Preset {
            semantic: Semantic {
                types: Types { on: true, by: Meaning::Group, ..plain.types },
                bodies: Bodies { on: true, radius: 15.0, ..plain.bodies },
                ..plain
            },
            attribute,
            mode: Mode::ForceDirected,
        },
        _ => Preset {
            semantic: Semantic { levels: Levels { on: true, ..plain.levels }, ..plain },
            attribute,
            mode: Mode::Hierarchical,
        },
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
