//! Rules: what steers the layout beside its basic forces. Constraints, levels, types, bodies, populations, layout modes.
//!
//! The `sim` thread calls [`Rules::apply`] before every step and hands the forces to its backend, so CPU and CUDA obey the same rules.
//! No clock, no allocation: the memory comes with the [`RuleSet`], from `control`, and goes back there. Without rules it costs nothing;
//! constraints alone cost what they and their nodes are, everything else O(nodes).
//!
//! # Units
//!
//! A rule pulls like springs: `weight * spring_k * grip` for each world unit, where a node's **grip** is 1 plus the weights of its
//! edges, so a hub is pulled as firmly as it is held. Constraints and semantic forces together are capped at `force_cap` for each unit of
//! grip. Users know 50 as that cap, in a unit where 50 is also `max_force` and a spring's constant is 12; here the unit is a fiftieth of
//! `max_force`, so 50 is what it was, as much as the forces on a node may come to, and beats a stretch of 83 world units of each edge.
//!
//! # Stability
//!
//! Every pull reports [`STIFFNESS_MARGIN`] times its stiffness. A backend makes a node heavy enough for the stiffness around it; a device
//! may hand out positions one step old, and with a delay of a step semi-implicit Euler at the CPU's response of 0.5 would swing up: the
//! roots of z^2 - (1 + d) z + d (1 + r) have the product d (1 + r) = 1.35 at a damping d of 0.9. At r = 0.5 / 8 it is 0.96.

mod blend;
mod constraint;
mod semantic;
#[cfg(test)]
mod tests;

use crate::graph::NodeIndex;
use crate::handoff::{Constraint, Demand, RuleSet, UNTYPED, Violations};
pub use blend::BLEND_STEPS;
use blend::Blend;
use constraint::{Ground, pulls, squared};

/// Steps in which a new constraint grows to its full strength.
pub const RAMP_STEPS: u32 = 60;

/// Steps in which the nodes of a new constraint are kept warm.
const STIR_STEPS: u32 = 2 * RAMP_STEPS;

/// Steps in which they are kept warm for as long as the violation falls, at most.
const STIR_STEPS_MAX: u32 = 1_200;

/// Steps without a fall after which a constraint has come as far as it can.
const QUIET_STEPS: u32 = 20;

/// What is left of a violation that falls, after a step.
const FALLING: f32 = 0.999;

/// Who has to be warm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stirred<'rules> {
    /// The layout may cool and come to rest.
    Nobody,
    /// The nodes of constraints that are new.
    Nodes(&'rules [NodeIndex]),
    /// All: they are on their way to the places of a layout mode.
    Everybody,
}

/// See the module.
pub const STIFFNESS_MARGIN: f32 = 8.0;

/// Where a constraint stands, whatever the indices of its nodes are.
#[derive(Clone, Copy, Debug)]
struct Standing {
    key: u32,
    revision: u32,
    age: u32,
    quiet: u32,
    violation: f32,
}

impl Standing {
    fn of(constraint: &Constraint) -> Self {
        let Constraint { key, revision, age, quiet, violation, .. } = *constraint;
        Self { key, revision, age, quiet, violation }
    }
}

/// Which forces of a set pull nodes that no constraint names: levels, types, bodies, populations.
fn forces_of(set: &RuleSet) -> [bool; 4] {
    [set.levels.is_some(), set.types.is_some(), set.collision.is_some(), set.populations.is_some()]
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Rules {
    set: Option<Box<RuleSet>>,
    blend: Blend,
    /// Of the structure before, by key: its constraints go on in the first set of the next one.
    left: Vec<Standing>,
    /// Of the structure before: see [`forces_of`].
    left_forces: [bool; 4],
}

impl Rules {
    /// Puts `set` in force from the next step on. Constraints that stay as they were keep their age, in a new structure too, and a change
    /// of the layout mode on its way goes on. `read` fills in where the nodes are. Returns the set before.
    ///
    /// # Errors
    /// `set` itself when it is not of `node_count` nodes or is not consistent: nothing has changed then.
    pub fn take(
        &mut self,
        mut set: Box<RuleSet>,
        node_count: usize,
        read: impl FnOnce(&mut [[f32; 3]]),
    ) -> Result<Option<Box<RuleSet>>, Box<RuleSet>> {
        if !is_consistent(&set, node_count) {
            return Err(set);
        }
        read(&mut set.position);
        let mut before = self.set.take();
        for constraint in &mut set.constraints {
            let old = self.standing(before.as_deref(), constraint.key);
            if let Some(old) = old.filter(|old| old.revision == constraint.revision) {
                (constraint.age, constraint.quiet, constraint.violation) = (old.age, old.quiet, old.violation);
            }
        }
        self.blend.change(before.as_deref_mut(), &mut set);
        self.set = Some(set);
        Ok(before)
    }

    /// Where the constraint of this name stood, in the set `before` or, without one, in the structure before.
    fn standing(&self, before: Option<&RuleSet>, key: u32) -> Option<Standing> {
        let Some(before) = before else {
            let place = self.left.binary_search_by_key(&key, |old| old.key).ok()?;
            return self.left.get(place).copied();
        };
        let place = before.constraints.binary_search_by_key(&key, |old| old.key).ok()?;
        before.constraints.get(place).map(Standing::of)
    }

    /// Ends all rules at once, as a new structure of the graph does; returns the set. Where its constraints stood is kept for the next one.
    /// Allocates when there are more of them than ever.
    pub fn clear(&mut self) -> Option<Box<RuleSet>> {
        self.blend = Blend::default();
        if let Some(set) = &self.set {
            self.left.clear();
            self.left.extend(set.constraints.iter().map(Standing::of));
            self.left_forces = forces_of(set);
        }
        self.set.take()
    }

    /// Whether `set`, as the first one of a structure, pulls nodes elsewhere all over the graph: forces begin or end with it, or there are
    /// levels, which an edge may shift for all that come behind it.
    #[must_use]
    pub fn unsettles(&self, set: &RuleSet) -> bool {
        self.set.is_none() && (set.levels.is_some() || forces_of(set) != self.left_forces)
    }

    /// Begins every ramp and the mode's blend again, from where `read` says the nodes are.
    pub fn restart(&mut self, read: impl FnOnce(&mut [[f32; 3]])) {
        self.left.clear();
        if let Some(set) = &mut self.set {
            set.constraints.iter_mut().for_each(|constraint| (constraint.age, constraint.quiet) = (0, 0));
            read(&mut set.position);
            self.blend.restart(set);
        }
    }

    /// Whether there is anything to apply.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.set.as_ref().is_some_and(|set| {
            !set.constraints.is_empty()
                || set.levels.is_some()
                || set.types.is_some()
                || set.collision.is_some()
                || set.populations.is_some()
                || self.blend.is_active(set)
        })
    }

    /// Who has to be warm in the coming step: cooled down, a layout would not follow a rule that is new.
    #[must_use]
    pub fn stirred(&self) -> Stirred<'_> {
        let Some(set) = self.set.as_deref() else { return Stirred::Nobody };
        let at_work = |rule: &Constraint| rule.age < STIR_STEPS_MAX && rule.quiet < QUIET_STEPS;
        let is_new = |rule: &Constraint| rule.weight > 0.0 && (rule.age < STIR_STEPS || at_work(rule));
        match self.blend.is_changing(set) {
            true => Stirred::Everybody,
            false if set.constraints.iter().any(is_new) => Stirred::Nodes(&set.touched),
            false => Stirred::Nobody,
        }
    }

    /// The set in force.
    #[must_use]
    pub fn set(&self) -> Option<&RuleSet> {
        self.set.as_deref()
    }

    /// Reads positions with `read`, works out the forces of one step, and returns them in node order: x, y, z and stiffness. Empty
    /// without rules.
    pub fn exert(&mut self, read: impl FnOnce(&mut [[f32; 3]])) -> &[[f32; 4]] {
        if !self.is_active() {
            return &[];
        }
        let Some(set) = self.set.as_deref_mut() else { return &[] };
        let (mut position, mut force) = (std::mem::take(&mut set.position), std::mem::take(&mut set.force));
        read(&mut position);
        self.apply(&position, &mut force);
        let Some(set) = self.set.as_deref_mut() else { return &[] };
        (set.position, set.force) = (position, force);
        &set.force
    }

    /// One step: fills `out` with the extra forces at these positions, both `[node_count]` in node order, and ages ramps and blend.
    /// `out` is the one of the step before, or zero. No allocation.
    ///
    /// # Panics
    /// When `position` or `out` is not as long as the set in force.
    pub fn apply(&mut self, position: &[[f32; 3]], out: &mut [[f32; 4]]) {
        let Some(set) = self.set.as_deref_mut() else { return };
        assert!(position.len() == set.grip.len() && out.len() == set.grip.len(), "a set is of one structure");
        let RuleSet { scale, grip, constraints, touched, .. } = set;
        let scale = *scale;
        let everywhere = set.levels.is_some()
            || set.types.is_some()
            || set.collision.is_some()
            || set.populations.is_some()
            || set.targets.version != 0;
        if everywhere {
            out.fill([0.0; 4]);
        } else {
            for node in touched.iter() {
                if let Some(force) = out.get_mut(node.get()) {
                    *force = [0.0; 4];
                }
            }
        }
        let ground = Ground { position, grip, flat: scale.flat };
        for constraint in constraints.iter_mut() {
            constraint.age = constraint.age.saturating_add(1);
            let ramp = constraint.age.min(RAMP_STEPS) as f32 / RAMP_STEPS as f32;
            let firm = constraint.weight * ramp * scale.stiffness;
            let violation = pulls(constraint, ground, |node, way, grip| {
                if let Some(force) = out.get_mut(node) {
                    push(force, way, firm * grip);
                }
            });
            let fell = violation < constraint.violation * FALLING;
            constraint.quiet = if fell { 0 } else { constraint.quiet.saturating_add(1) };
            constraint.violation = violation;
        }
        let stiffness = scale.stiffness;
        if let Some(pull) = &set.levels {
            semantic::levels(pull, stiffness, grip, position, out);
        }
        if let Some(cluster) = &mut set.types {
            semantic::types(cluster, stiffness, grip, position, out);
        }
        if let Some(collision) = &mut set.collision {
            semantic::collide(collision, stiffness, scale.flat, position, out);
        }
        if everywhere {
            out.iter_mut().zip(grip.iter()).for_each(|(force, grip)| finish(force, scale.force_cap * grip));
        } else {
            for node in touched.iter() {
                if let (Some(force), Some(grip)) = (out.get_mut(node.get()), grip.get(node.get())) {
                    finish(force, scale.force_cap * grip);
                }
            }
        }
        if let Some(populations) = &set.populations {
            semantic::apart(populations, stiffness, grip, position, out);
        }
        self.blend.apply(set, position, out);
        if scale.flat && everywhere {
            out.iter_mut().for_each(|force| force[2] = 0.0);
        }
    }

    /// Measures every constraint where `read` says the nodes are, without a step. As many rows as fit into the capacity.
    pub fn measure(&mut self, into: &mut Violations, read: impl FnOnce(&mut [[f32; 3]])) {
        into.rows.clear();
        let Some(set) = self.set.as_deref_mut() else { return };
        read(&mut set.position);
        let ground = Ground { position: &set.position, grip: &set.grip, flat: set.scale.flat };
        for constraint in set.constraints.iter().take(into.rows.capacity()) {
            into.rows.push((constraint.key, pulls(constraint, ground, |_, _, _| {}), constraint.age));
        }
    }
}

/// Whether every index stands for a node and every array has a place for each.
fn is_consistent(set: &RuleSet, node_count: usize) -> bool {
    let node = |node: &u32| (*node as usize) < node_count;
    let constraints = set.constraints.iter().all(|constraint| {
        let demand = match &constraint.demand {
            Demand::Align { axis, .. } | Demand::LayerDepth { axis, .. } => *axis < 3,
            Demand::RadialDistance { centre_node, .. } => centre_node.as_ref().is_none_or(node),
            Demand::Semantic { group_ends, .. } => {
                group_ends.is_sorted() && group_ends.last().map_or(0, |end| *end as usize) == constraint.nodes.len()
            }
            Demand::Boundary { min, max } => min.iter().zip(max).all(|(min, max)| min <= max),
            _ => true,
        };
        demand && constraint.nodes.iter().all(node)
    });
    let sized = |length: usize| length == node_count;
    constraints
        && set.touched.iter().all(|touched| node(&touched.0))
        && sized(set.grip.len())
        && sized(set.position.len())
        && sized(set.force.len())
        && sized(set.targets.from.len())
        && set.targets.to.as_ref().is_none_or(|to| sized(to.len()))
        && set.levels.as_ref().is_none_or(|levels| sized(levels.target.len()) && levels.axis < 3)
        && set.types.as_ref().is_none_or(|types| {
            sized(types.of.len()) && types.of.iter().all(|of| *of == UNTYPED || (*of as usize) < types.centre.len())
        })
        && set.collision.as_ref().is_none_or(|collision| {
            let cells = collision.cell_start.len().saturating_sub(1);
            let bits = collision.occupied.len();
            sized(collision.by_cell.len())
                && cells.is_power_of_two()
                && bits.is_power_of_two()
                && collision.radius > 0.0
        })
        && set.populations.as_ref().is_none_or(|populations| sized(populations.agent.len()))
}

/// Adds a pull of `firm` for each world unit of `way`.
fn push(force: &mut [f32; 4], way: [f32; 3], firm: f32) {
    for (force, way) in force.iter_mut().zip(way) {
        *force += firm * way;
    }
    force[3] += firm;
}

/// Shortens a force to the cap, and widens its stiffness by the margin. A force that is capped does not grow with the way, and is that much
/// less stiff: reported as stiff as it would be, it would make a node far from its place too heavy to get there.
fn finish(force: &mut [f32; 4], cap: f32) {
    let length2 = squared([force[0], force[1], force[2]]);
    if length2 > cap * cap {
        let scale = cap / length2.sqrt();
        force.iter_mut().for_each(|part| *part *= scale);
    }
    force[3] *= STIFFNESS_MARGIN;
}
