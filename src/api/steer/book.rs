//! Everything that clients have set to steer the layout, by id and name, and its compilation to what `sim` applies.
//!
//! `control` owns the book. A request changes a copy, which takes the place of the book when `sim` has taken what was compiled of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::constraints::ConstraintSpec;
use super::fields::{RestError, index};
use super::places::Places;
use super::settings::{PRESETS, PathSprings, Preset, Semantic, Springs, TwoGraphs, mode_name};
use crate::analytics::layout::{Ground, Mode, NO_LEVEL, levels};
use crate::analytics::{Unwatched, shortest_paths};
use crate::graph::{Attributes, Graph, NodeKind, Value as Attribute};
use crate::handoff::{
    Bounds, Collision, LevelPull, Populations, RuleScale, RuleSet, SpringTable, Targets, TypeCluster, Violations,
};
use crate::limits::{CONSTRAINT_NODES_MAX, CONSTRAINTS_MAX};

/// What the simulation at hand is like, for whoever compiles rules for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteerFacts {
    /// Units.
    pub scale: RuleScale,
    /// The cube that holds every node.
    pub bounds: Bounds,
}

impl SteerFacts {
    /// Whether places of a layout mode that were found under the other are places under this: how strong a rule is has no part in them.
    #[must_use]
    pub fn has_places_of(&self, other: &Self) -> bool {
        let ground = |facts: &Self| (facts.scale.length, facts.scale.flat, facts.bounds);
        ground(self) == ground(other)
    }
}

/// The layout mode, and the places that it has.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// In force or on its way.
    pub mode: Mode,
    /// Counts the changes; 0 before the first.
    pub version: u32,
    /// None for a mode without places.
    pub places: Option<Places>,
    /// Step at which `sim` took it.
    pub since_tick: u64,
}

impl Layout {
    /// Takes the places over to the structure of this epoch; they are to be found again. As [`Places::carried_to`] where it is another one.
    pub fn carry_to(&mut self, graph: &Graph, epoch: u32) {
        if let Some(places) = self.places.as_mut().filter(|places| places.base.epoch != epoch) {
            *places = places.carried_to(graph, epoch);
        }
    }
}

/// The book.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    constraints: BTreeMap<u32, ConstraintSpec>,
    last_key: u32,
    revision: u32,
    /// Semantic forces.
    pub semantic: Semantic,
    /// Springs that are not all alike.
    pub springs: Springs,
    /// Two graphs in one space.
    pub two_graphs: TwoGraphs,
    /// The mode.
    pub layout: Layout,
    /// The preset that was set last, while nothing that it sets has been changed since.
    pub preset: Option<&'static str>,
}

impl RuleBook {
    /// Adds a constraint; returns its key.
    ///
    /// # Errors
    /// The field at fault, or `full`.
    pub fn add(&mut self, body: &Value, graph: &Graph, flat: bool) -> Result<u32, RestError> {
        if self.constraints.len() >= CONSTRAINTS_MAX {
            let message = format!("there are {CONSTRAINTS_MAX} constraints already");
            return Err(RestError::new(409, "full", message));
        }
        let key = self.last_key + 1;
        self.put(key, body, graph, flat)?;
        self.last_key = key;
        Ok(key)
    }

    /// Replaces a constraint.
    ///
    /// # Errors
    /// The field at fault, or `unknown_constraint`.
    pub fn replace(&mut self, key: u32, body: &Value, graph: &Graph, flat: bool) -> Result<(), RestError> {
        self.known(key)?;
        self.put(key, body, graph, flat)
    }

    fn put(&mut self, key: u32, body: &Value, graph: &Graph, flat: bool) -> Result<(), RestError> {
        let spec = ConstraintSpec::read(body, graph, flat, self.revision + 1)?;
        let of = |spec: &ConstraintSpec| spec.node_count().unwrap_or(graph.nodes().len());
        let others: usize = self.constraints.iter().filter(|(other, _)| **other != key).map(|(_, spec)| of(spec)).sum();
        if others + of(&spec) > CONSTRAINT_NODES_MAX {
            let message =
                format!("all constraints together may name {CONSTRAINT_NODES_MAX} nodes, the others name {others}");
            return Err(RestError::at(400, "out_of_range", "nodes", message));
        }
        self.revision += 1;
        self.constraints.insert(key, spec);
        Ok(())
    }

    /// Takes a constraint away.
    ///
    /// # Errors
    /// `unknown_constraint`.
    pub fn remove(&mut self, key: u32) -> Result<(), RestError> {
        self.known(key)?;
        self.constraints.remove(&key);
        Ok(())
    }

    /// Takes all constraints away.
    pub fn remove_all(&mut self) {
        self.constraints.clear();
    }

    /// Whether there is such a constraint.
    ///
    /// # Errors
    /// `unknown_constraint`.
    pub fn known(&self, key: u32) -> Result<(), RestError> {
        match self.constraints.contains_key(&key) {
            true => Ok(()),
            false => Err(RestError::new(404, "unknown_constraint", format!("there is no constraint {key}"))),
        }
    }

    /// Constraints, counted.
    #[must_use]
    pub fn constraint_count(&self) -> usize {
        self.constraints.len()
    }

    /// One constraint, or all, as JSON, as they were measured.
    #[must_use]
    pub fn show_constraints(&self, only: Option<u32>, measured: &Violations) -> Value {
        let of = |key: u32| measured.rows.iter().find(|row| row.0 == key).map(|row| (row.1, row.2));
        let show = |(key, spec): (&u32, &ConstraintSpec)| spec.show(*key, of(*key));
        match only {
            Some(key) => self.constraints.get_key_value(&key).map_or(Value::Null, show),
            None => {
                let rows: Vec<Value> = self.constraints.iter().map(show).collect();
                json!({ "constraints": rows, "limit": CONSTRAINTS_MAX })
            }
        }
    }

    /// The presets as JSON.
    #[must_use]
    pub fn show_presets(&self) -> Value {
        let rows: Vec<Value> = PRESETS.iter().map(|(name, about)| json!({ "name": name, "about": about })).collect();
        json!({ "presets": rows, "preset": self.preset })
    }

    /// The mode as JSON.
    #[must_use]
    pub fn show_layout(&self) -> Value {
        let Layout { mode, version, since_tick, .. } = &self.layout;
        json!({ "mode": mode_name(*mode), "version": version, "since_tick": since_tick })
    }

    /// Sets what a preset sets. The places of its mode are found afterwards.
    pub fn set_preset(&mut self, name: &'static str, preset: Preset) {
        self.semantic = preset.semantic;
        self.springs.attribute = preset.attribute;
        self.preset = Some(name);
    }

    /// The set that `sim` applies; `stirs_all` unless it differs from the one before in its constraints alone. O(nodes + edges).
    #[must_use]
    pub fn compile(&self, graph: &Graph, epoch: u32, facts: &SteerFacts, stirs_all: bool) -> Box<RuleSet> {
        let nodes = graph.nodes().len();
        let mut grip = vec![1f32; nodes];
        for edge in graph.edges().iter().filter(|edge| edge.source != edge.target) {
            for end in [edge.source, edge.target] {
                if let Some(grip) = grip.get_mut(end.get()) {
                    *grip = (*grip + edge.weight).min(GRIP_MAX);
                }
            }
        }
        let constraints = self.constraints.iter().map(|(key, spec)| spec.compile(*key, graph)).collect();
        let mut set = RuleSet::none(epoch, facts.scale, grip.into()).with_constraints(constraints);
        let Semantic { levels, types, bodies } = &self.semantic;
        set.levels = levels.on.then(|| {
            let target = level_targets(graph, levels.spacing);
            LevelPull { target: target.into(), axis: 1, strength: levels.strength }
        });
        set.types = types.on.then(|| {
            let (of, count) = types.by.of(graph);
            let centre = vec![[0.0; 4]; count as usize].into();
            TypeCluster { of: of.into(), strength: types.strength, distance: types.distance, centre }
        });
        set.collision = bodies.on.then(|| Collision::new(bodies.radius, bodies.strength, nodes));
        let is_agent = |kind| kind == NodeKind::Agent;
        let agent: Arc<[bool]> = graph.nodes().iter().map(|node| is_agent(node.class.kind)).collect();
        let both = agent.contains(&true) && agent.contains(&false);
        set.populations = (both && self.two_graphs.on && self.two_graphs.separation_x > 0.0)
            .then_some(Populations { agent, distance: self.two_graphs.separation_x });
        let Layout { version, places, .. } = &self.layout;
        // Places of another structure are those of other nodes, even where the nodes are as many.
        let places = places.as_ref().filter(|places| places.base.epoch == epoch);
        let to = places.map(|places| Arc::clone(&places.at));
        set.stirs_all = stirs_all;
        set.targets = Targets { version: *version, to, ..set.targets };
        Box::new(set)
    }

    /// Strengths and rest lengths of every half-edge. `distance`, `[node_count]`, is from the source of `Springs::paths`, where there is one.
    /// O(nodes + edges).
    #[must_use]
    pub fn spring_table(
        &self,
        graph: &Graph,
        epoch: u32,
        rest_length: f32,
        distance: Option<&[f32]>,
    ) -> Box<SpringTable> {
        let springs = &self.springs;
        let attribute = &springs.attribute;
        let range = attribute.on.then(|| value_range(graph, attribute.attribute.as_deref()));
        let of = |edge: &crate::graph::Edge| {
            let relation = edge.relation.as_ref().and_then(|name| springs.relations.get(name));
            let mut weight = edge.weight * relation.map_or(1.0, |relation| relation.strength);
            let mut rest = relation.and_then(|relation| relation.rest_length).unwrap_or(rest_length);
            if let Some(range) = range
                && let Some(value) = edge_value(edge, attribute.attribute.as_deref())
            {
                let share = range.share(value);
                let wanted = attribute.rest_max - share * (attribute.rest_max - attribute.rest_min);
                rest += attribute.strength * (wanted - rest);
                weight *= 1.0 + attribute.strength * attribute.weight_multiplier * share;
            }
            if let Some(distance) = distance {
                let at = |node: usize| distance.get(node).copied().unwrap_or(f32::INFINITY);
                let (from, to) = (at(edge.source.get()), at(edge.target.get()));
                rest += path_stretch(springs.paths.alpha, springs.paths.cap, from, to);
            }
            if relation.is_some_and(|relation| !relation.spring) {
                weight = 0.0;
            }
            (weight, rest.max(0.0), relation.is_some_and(|relation| relation.directional))
        };
        let csr = graph.csr();
        let mut table =
            SpringTable { epoch, weight: csr.weight().into(), rest: vec![rest_length; csr.half_edge_count()].into() };
        // In the order in which `Csr::new` deals half-edges to rows.
        let mut next: Vec<u32> = csr.offset().to_vec();
        for edge in graph.edges().iter().filter(|edge| edge.source != edge.target) {
            let (weight, rest, directional) = of(edge);
            for (end, pulled) in [(edge.source, !directional), (edge.target, true)] {
                let Some(place) = next.get_mut(end.get()) else { continue };
                let slot = *place as usize;
                *place += 1;
                if let (Some(its_weight), Some(its_rest)) = (table.weight.get_mut(slot), table.rest.get_mut(slot)) {
                    (*its_weight, *its_rest) = (if pulled { weight } else { 0.0 }, rest);
                }
            }
        }
        Box::new(table)
    }

    /// `[node_count]`: distances from the source of the springs by path; `None` without one. O(nodes + edges), or log nodes times that.
    #[must_use]
    pub fn distances(&self, graph: &Graph) -> Option<Vec<f32>> {
        let PathSprings { source, lengths, alpha, .. } = &self.springs.paths;
        let source = index(graph, (*source)?).filter(|_| *alpha > 0.0)?;
        let paths = shortest_paths(&graph.csr(), source as usize, *lengths, &Unwatched).ok()?;
        Some(paths.distance.iter().map(|distance| *distance as f32).collect())
    }

    /// What the places of a mode are found from, the nodes being at `position` (empty when that is not known). O(nodes + edges).
    #[must_use]
    pub fn ground(graph: &Graph, facts: &SteerFacts, position: Vec<[f32; 3]>) -> Ground {
        Ground {
            csr: graph.csr(),
            directed: directed(graph),
            length: facts.scale.length,
            flat: facts.scale.flat,
            position,
            bound: facts.bounds.of(graph.nodes().len()),
        }
    }
}

/// Largest grip: the sums of forces stay within the range of a f32.
const GRIP_MAX: f32 = 1e6;

/// How much longer a spring rests for the distances of its ends from a source: `alpha * min(|from - to|, cap)`, world units. A pair of
/// which one end cannot be reached differs by `cap`, one of which neither can by nothing.
#[must_use]
pub fn path_stretch(alpha: f32, cap: f32, from: f32, to: f32) -> f32 {
    match (from.is_finite(), to.is_finite()) {
        (false, false) => 0.0,
        (true, true) => alpha * (from - to).abs().min(cap),
        _ => alpha * cap,
    }
}

fn directed(graph: &Graph) -> Vec<(u32, u32)> {
    let ends = graph.edges().iter().filter(|edge| edge.directed).map(|edge| (edge.source.0, edge.target.0));
    ends.collect()
}

/// Where on the axis each node's level is: the middle level at 0, sources at the top.
fn level_targets(graph: &Graph, spacing: f32) -> Vec<f32> {
    let levels = levels(graph.nodes().len(), &directed(graph));
    let deepest = levels.iter().filter(|level| **level != NO_LEVEL).max().copied().unwrap_or(0);
    let target = |level: &u32| match *level {
        NO_LEVEL => f32::NAN,
        level => (0.5 * deepest as f32 - level as f32) * spacing,
    };
    levels.iter().map(target).collect()
}

/// Smallest and largest value of an attribute among the edges.
#[derive(Clone, Copy, Debug)]
struct ValueRange {
    low: f32,
    high: f32,
}

impl ValueRange {
    /// 0 at the smallest value, 1 at the largest; the middle when all are alike.
    fn share(self, value: f32) -> f32 {
        if self.high > self.low { ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0) } else { 0.5 }
    }
}

fn value_range(graph: &Graph, attribute: Option<&str>) -> ValueRange {
    let values = graph.edges().iter().filter_map(|edge| edge_value(edge, attribute));
    values.fold(ValueRange { low: f32::INFINITY, high: f32::NEG_INFINITY }, |range, value| ValueRange {
        low: range.low.min(value),
        high: range.high.max(value),
    })
}

/// The number that an edge has in an attribute; its weight when no attribute is named.
fn edge_value(edge: &crate::graph::Edge, attribute: Option<&str>) -> Option<f32> {
    let Some(name) = attribute else { return Some(edge.weight) };
    number(edge.attributes(), name).filter(|value| value.is_finite())
}

fn number(attributes: &Attributes, name: &str) -> Option<f32> {
    match attributes.iter().find(|(key, _)| **key == *name)? {
        (_, Attribute::Int(value)) => Some(*value as f32),
        (_, Attribute::Float(value)) => Some(*value as f32),
        _ => None,
    }
}
