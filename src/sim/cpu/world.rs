//! The arrays of one graph and what a step does to them.

#![allow(clippy::indexing_slicing, reason = "slots and nodes are permutations of 0..node_count, fixed at upload")]

use std::sync::Arc;

use super::crew::Crew;
use super::heat::TOUCHED;
use super::motion::{Drive, Motion, is_finite, squared};
use super::pairs::Law;
use super::scene::{Scene, Shape, Share, collect, deal};
use super::springs::Springs;
use super::warmth::Warmth;
use crate::graph::NodeIndex;
use crate::sim::hash::{cube_point, direction, mix};
use crate::sim::params::{LAW_PEAK, repulsion_mass};
use crate::sim::slots::{Deal, inside};
use crate::sim::start::Components;
use crate::sim::{Dimensions, SimParams, StepReport, Topology};
use crate::wire::NodeRecord;

/// Nodes that can be held before memory is asked for: more than all clients may drag.
const HELD_ROOM: usize = 4_096;

/// Why a node does not move by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) pinned: bool,
    pub(super) held: bool,
}

impl Fixed {
    fn any(self) -> bool {
        self.pinned || self.held
    }
}

/// Everything of one graph. All arrays are `[node_count]`, by slot unless said.
#[derive(Debug)]
pub(super) struct World {
    /// By slot.
    pub(super) node_of: Vec<u32>,
    /// By node.
    pub(super) slot_of: Vec<u32>,
    pub(super) position: Vec<[f32; 3]>,
    pub(super) velocity: Vec<[f32; 3]>,
    /// Sum of the forces; after a step the clamped acceleration.
    pub(super) force: Vec<[f32; 3]>,
    pub(super) stiffness: Vec<f32>,
    pub(super) mass: Vec<f32>,
    /// By node: forces from outside the model and their stiffness; empty when there are none.
    extra: Vec<[f32; 4]>,
    pub(super) fixed: Vec<Fixed>,
    /// Slots of held nodes.
    held: Vec<u32>,
    pub(super) warmth: Warmth,
    /// Where the node was placed, to go back to when all else is lost.
    home: Vec<[f32; 3]>,
    components: Components,
    /// `[component_count]`: sum of the positions, then the acceleration that all nodes of it share.
    centring: Vec<[f64; 3]>,
    scene: Arc<Scene>,
    shape: Shape,
    #[allow(clippy::vec_box, reason = "the boxes themselves travel to workers and back")]
    shares: Vec<Box<Share>>,
    /// Scratch of [`deal`].
    cost: Vec<u64>,
    /// Half-side of the bounds.
    pub(super) bound: f32,
}

impl World {
    /// Places the nodes and builds everything that a step needs.
    pub(super) fn new(params: &SimParams, topology: &Topology, threads: usize) -> Self {
        let csr = &topology.csr;
        let node_count = csr.node_count();
        let deal = Deal::new(params, topology);
        let position: Vec<[f32; 3]> = deal.by_slot().collect();
        let Deal { node_of, slot_of, components, .. } = deal;
        let springs = Springs::new(csr, &node_of, &slot_of);
        let mass = (0..node_count).map(|slot| repulsion_mass(springs.degree(slot))).collect();
        let pin = |node: &u32| Fixed { pinned: topology.pinned[*node as usize], held: false };
        Self {
            velocity: vec![[0.0; 3]; node_count],
            force: vec![[0.0; 3]; node_count],
            stiffness: vec![0.0; node_count],
            mass,
            extra: Vec::with_capacity(node_count),
            fixed: node_of.iter().map(pin).collect(),
            held: Vec::with_capacity(HELD_ROOM),
            warmth: Warmth::new(node_count),
            home: position.clone(),
            position,
            centring: vec![[0.0; 3]; components.count()],
            components,
            scene: Arc::new(Scene::new(params, springs, node_count)),
            shape: Shape::new(node_count),
            shares: (0..threads).map(|_| Box::new(Share::new(node_count))).collect(),
            cost: Vec::with_capacity(node_count),
            bound: params.bounds_for(node_count),
            node_of,
            slot_of,
        }
    }

    /// Bytes of [`Self::new`] for a graph of this size, every node a component of its own.
    pub(super) const fn footprint(node_count: usize, half_edges: usize, threads: usize) -> usize {
        let per_node = 2 * size_of::<u32>()
            + 4 * size_of::<[f32; 3]>()
            + 2 * size_of::<f32>()
            + size_of::<[f32; 4]>()
            + size_of::<Fixed>()
            + size_of::<[f64; 3]>()
            + size_of::<u64>();
        node_count * per_node
            + Components::footprint(node_count)
            + Warmth::footprint(node_count)
            + Scene::footprint(node_count, half_edges)
            + threads * Share::footprint(node_count)
    }

    /// Lets nodes that may move do so, in node order.
    pub(super) fn set_velocities(&mut self, velocity: &[[f32; 3]]) {
        if velocity.len() != self.velocity.len() {
            return;
        }
        for (slot, node) in self.node_of.iter().enumerate() {
            let wanted = velocity[*node as usize];
            if !self.fixed[slot].any() && wanted.iter().all(|axis| axis.is_finite()) {
                self.velocity[slot] = wanted;
            }
        }
    }

    /// Puts the nodes there, moved into the bounds. The first three of each are the place.
    pub(super) fn set_positions(&mut self, params: &SimParams, motion: &[[f32; 6]]) {
        for (node, [x, y, z, ..]) in motion.iter().enumerate().take(self.slot_of.len()) {
            let slot = self.slot_of[node] as usize;
            self.position[slot] = self.inside(params, [*x, *y, *z]);
        }
        self.shape.forget();
    }

    /// The nodes that are warmer than all, and how warm.
    pub(super) fn warm_nodes(&self) -> Vec<(NodeIndex, f32)> {
        self.warmth.each().map(|(slot, warmth)| (NodeIndex(self.node_of[slot]), warmth)).collect()
    }

    /// Where `node` is kept.
    pub(super) fn slot(&self, node: NodeIndex) -> Option<usize> {
        self.slot_of.get(node.get()).map(|slot| *slot as usize)
    }

    /// Makes the positions fit new parameters: inside the bounds, in the plane, or out of it.
    pub(super) fn refit(&mut self, old: &SimParams, new: &SimParams) {
        self.bound = new.bounds_for(self.position.len());
        let lifted = old.dimensions == Dimensions::Two && new.dimensions == Dimensions::Three;
        for slot in 0..self.position.len() {
            let mut to = self.position[slot];
            if lifted {
                // A flat layout feels no force out of its plane.
                to[2] = 0.1 * new.rest_length * cube_point(self.node_of[slot], new.dimensions)[2];
            }
            self.position[slot] = self.inside(new, to);
            self.home[slot] = self.inside(new, self.home[slot]);
            if new.dimensions == Dimensions::Two {
                self.velocity[slot][2] = 0.0;
            }
        }
    }

    /// `to`, moved into the bounds and, in two dimensions, the plane.
    fn inside(&self, params: &SimParams, to: [f32; 3]) -> [f32; 3] {
        inside(params, self.bound, to)
    }

    /// Puts every node that is not finite at the mean of its finite neighbours, or back where it started, at rest.
    /// Returns how many there were.
    pub(super) fn reset_nonfinite(&mut self, params: &SimParams) -> u32 {
        // All of them without a branch first: that goes in vectors.
        let all_finite = |of: &[[f32; 3]]| of.as_flattened().iter().fold(true, |all, number| all & number.is_finite());
        if all_finite(&self.position) && all_finite(&self.velocity) {
            return 0;
        }
        let mut resets = 0;
        for slot in 0..self.position.len() {
            if !is_finite(&self.position[slot], &self.velocity[slot]) {
                self.reset(params, slot);
                resets += 1;
            }
        }
        resets
    }

    /// Puts every node back to where it was placed, at rest, and lets go of what is held.
    pub(super) fn reset_all(&mut self) {
        self.position.copy_from_slice(&self.home);
        self.velocity.fill([0.0; 3]);
        self.fixed.iter_mut().for_each(|fixed| fixed.held = false);
        self.held.clear();
        self.warmth.cool();
        self.shape.forget();
    }

    #[cold]
    fn reset(&mut self, params: &SimParams, slot: usize) {
        let (mut sum, mut count) = ([0f64; 3], 0u32);
        for other in self.neighbours(slot) {
            let at = self.position[*other as usize];
            if is_finite(&at, &[0.0; 3]) {
                (0..3).for_each(|axis| sum[axis] += f64::from(at[axis]));
                count += 1;
            }
        }
        let mean = sum.map(|axis| (axis / f64::from(count.max(1))) as f32);
        self.position[slot] = self.inside(params, if count > 0 { mean } else { self.home[slot] });
        self.velocity[slot] = [0.0; 3];
    }

    /// Fills `force`, `stiffness` and `centring` from the positions.
    pub(super) fn sum_forces(&mut self, params: &SimParams, crew: &mut Crew) {
        self.attract_and_repel(params, crew, true);
        if params.repulsion {
            self.part_coincident(params);
        }
        for (extra, slot) in self.extra.iter().zip(&self.slot_of) {
            let slot = *slot as usize;
            (0..3).for_each(|axis| self.force[slot][axis] += extra[axis]);
            self.stiffness[slot] += extra[3].max(0.0);
        }
        self.centre(params);
    }

    /// Sets the forces to those of repulsion and, unless it is to be alone, springs, and the stiffness to that of the repulsion.
    pub(super) fn attract_and_repel(&mut self, params: &SimParams, crew: &mut Crew, attract: bool) {
        let Self { scene, shape, shares, cost, position, mass, force, stiffness, .. } = self;
        loop {
            // All leases came back with the shares.
            let Some(unread) = Arc::get_mut(scene) else { return };
            unread.set(params, position, mass, shape, attract, crew.threads());
            shares.resize_with(crew.threads(), || Box::new(Share::new(position.len())));
            deal(scene, shares, cost);
            if crew.run(scene, shares) {
                break;
            }
        }
        collect(scene, shares, &shape.sorter, force, stiffness);
    }

    /// Nodes at one place get no force from each other but a push along the hash of their slot, as strong as the law ever is.
    /// They stand side by side in an order that is fresh, and stay at one place until then.
    fn part_coincident(&mut self, params: &SimParams) {
        let Self { scene, shape, position, mass, force, .. } = self;
        if !scene.points.any_coincident() {
            return;
        }
        for rank in 1..position.len() {
            let (before, here) = (shape.sorter.index(rank - 1), shape.sorter.index(rank));
            if position[before] == position[here] {
                push(params, here, mass[here], &mut force[here]);
                let first = rank == 1 || position[shape.sorter.index(rank - 2)] != position[before];
                if first {
                    push(params, before, mass[before], &mut force[before]);
                }
            }
        }
        shape.forget();
    }

    /// New strengths and rest lengths; false when they do not fit.
    pub(super) fn set_springs(&mut self, weight: &[f32], rest: &[f32]) -> bool {
        Arc::get_mut(&mut self.scene).is_some_and(|scene| scene.springs.set(weight, rest))
    }

    /// The slots next to `slot`.
    pub(super) fn neighbours(&self, slot: usize) -> &[u32] {
        self.scene.springs.neighbours(slot)
    }

    /// See [`crate::sim::Backend::set_extra_forces`].
    pub(super) fn set_extra_forces(&mut self, extra: &[[f32; 4]]) {
        if !extra.is_empty() && extra.len() != self.slot_of.len() {
            return;
        }
        self.extra.clear();
        let finite = |force: &[f32; 4]| force.map(|number| if number.is_finite() { number } else { 0.0 });
        self.extra.extend(extra.iter().map(finite));
    }

    /// Positions in node order.
    pub(super) fn read_positions(&self, out: &mut [[f32; 3]]) {
        assert!(out.len() >= self.slot_of.len(), "there is room for every node");
        for (out, slot) in out.iter_mut().zip(&self.slot_of) {
            *out = self.position[*slot as usize];
        }
    }

    /// Works out the pull of every component's centroid to the origin.
    fn centre(&mut self, params: &SimParams) {
        self.centring.fill([0.0; 3]);
        if !params.centring {
            return;
        }
        for (position, component) in self.position.iter().zip(&self.components.of) {
            let sum = &mut self.centring[*component as usize];
            (0..3).for_each(|axis| sum[axis] += f64::from(position[axis]));
        }
        let pull = params.centre_pull(self.position.len());
        for (sum, nodes) in self.centring.iter_mut().zip(&self.components.size) {
            *sum = sum.map(|axis| -pull * axis / f64::from(*nodes));
        }
    }

    /// Moves every free node and measures the motion.
    pub(super) fn advance(&mut self, params: &SimParams, temperature: f32) -> StepReport {
        let motion = Motion::new(params, self.bound);
        for held in &self.held {
            // What hangs on it follows for as long as it is held.
            self.warmth.raise_around(&self.scene.springs, *held as usize, TOUCHED);
        }
        let (mut speed2, mut force2, mut energy, mut free) = (0f64, 0f64, 0f64, 0u32);
        for slot in 0..self.position.len() {
            if self.fixed[slot].any() {
                self.velocity[slot] = [0.0; 3];
                self.force[slot] = [0.0; 3];
                continue;
            }
            let centring = self.centring[self.components.of[slot] as usize].map(|axis| axis as f32);
            let (force, stiffness) = (self.force[slot], self.stiffness[slot]);
            let drive = Drive { force, stiffness, centring, temperature: temperature.max(self.warmth.of(slot)) };
            let felt = motion.advance(&drive, &mut self.position[slot], &mut self.velocity[slot]);
            self.force[slot] = felt;
            let slot_speed2 = f64::from(squared(&self.velocity[slot]));
            speed2 += slot_speed2;
            force2 += f64::from(squared(&felt));
            energy += 0.5 * f64::from(self.mass[slot]) * slot_speed2;
            free += 1;
        }
        self.warmth.end_step(params, &self.scene.springs, &self.velocity);
        let count = f64::from(free.max(1));
        let rms_velocity = (speed2 / count).sqrt() as f32;
        self.shape.moved(rms_velocity * params.time_step);
        StepReport {
            rms_velocity,
            rms_force: (force2 / count).sqrt() as f32,
            kinetic_energy: energy,
            ..StepReport::default()
        }
    }

    /// Puts a node somewhere and keeps it; false when nothing changed.
    pub(super) fn hold(&mut self, params: &SimParams, node: NodeIndex, to: [f32; 3]) -> bool {
        let Some(slot) = self.slot(node).filter(|_| is_finite(&to, &[0.0; 3])) else { return false };
        self.position[slot] = self.inside(params, to);
        self.velocity[slot] = [0.0; 3];
        if !self.fixed[slot].held {
            self.fixed[slot].held = true;
            self.held.push(slot as u32);
        }
        true
    }

    /// Whether a node is held.
    pub(super) fn any_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Lets a held node go; false when it was not held.
    pub(super) fn release(&mut self, node: NodeIndex) -> bool {
        let Some(slot) = self.slot(node).filter(|slot| self.fixed[*slot].held) else { return false };
        self.fixed[slot].held = false;
        self.held.retain(|held| *held as usize != slot);
        self.warm(slot);
        true
    }

    /// Pins or unpins a node; false when that is no change.
    pub(super) fn pin(&mut self, node: NodeIndex, pinned: bool) -> bool {
        let Some(slot) = self.slot(node).filter(|slot| self.fixed[*slot].pinned != pinned) else { return false };
        self.fixed[slot].pinned = pinned;
        self.velocity[slot] = [0.0; 3];
        self.warm(slot);
        true
    }

    /// Makes a new node warm enough to go where it belongs, and its neighbours to make room.
    pub(super) fn welcome(&mut self, node: NodeIndex) {
        if let Some(slot) = self.slot(node) {
            self.warm(slot);
            self.warmth.raise(slot, 1.0);
        }
    }

    /// Makes a node and its neighbours warm enough to find their places.
    pub(super) fn warm(&mut self, slot: usize) {
        self.warmth.raise(slot, TOUCHED);
        self.warmth.raise_around(&self.scene.springs, slot, TOUCHED);
    }

    /// Writes positions and velocities in node order.
    pub(super) fn write_into(&self, records: &mut [NodeRecord]) {
        assert!(records.len() >= self.slot_of.len(), "a frame has a record for every node");
        for (record, slot) in records.iter_mut().zip(&self.slot_of) {
            let slot = *slot as usize;
            record.set_motion(self.position[slot], self.velocity[slot]);
        }
    }

    /// See [`super::CpuBackend::repulsion_error_sample`].
    pub(super) fn repulsion_error(&mut self, params: &SimParams, crew: &mut Crew, sample: usize) -> f32 {
        let node_count = self.position.len();
        let params = SimParams { repulsion: true, ..*params };
        let law = Law::new(&params, node_count);
        self.attract_and_repel(&params, crew, false);
        let (mut error2, mut exact2) = (0f64, 0f64);
        let taken = sample.min(node_count);
        for turn in 0..taken {
            let slot = turn * node_count / taken;
            let exact = exact(&law, slot, &self.position, &self.mass);
            for (found, exact) in self.force[slot].iter().zip(exact) {
                error2 += (f64::from(*found) - exact).powi(2);
                exact2 += exact * exact;
            }
        }
        if exact2 > 0.0 { (error2 / exact2).sqrt() as f32 } else { 0.0 }
    }
}

/// The repulsion at `slot`, by brute force in double precision, the parting of coincident nodes left out. O(nodes).
fn exact(law: &Law, slot: usize, position: &[[f32; 3]], mass: &[f32]) -> [f64; 3] {
    let mut sum = [0f64; 3];
    let (soft2, cutoff) = (f64::from(law.soft2), f64::from(law.cutoff));
    for (other, other_mass) in position.iter().zip(mass) {
        let offset = [0, 1, 2].map(|axis| f64::from(position[slot][axis]) - f64::from(other[axis]));
        let d2: f64 = offset.iter().map(|axis| axis * axis).sum();
        if d2 <= cutoff * cutoff {
            let q = d2 + soft2;
            let below = if law.inverse { q } else { q * q };
            let factor = f64::from(law.strength) * f64::from(mass[slot]) * f64::from(*other_mass) / below;
            (0..3).for_each(|axis| sum[axis] += factor * offset[axis]);
        }
    }
    sum
}

#[cold]
fn push(params: &SimParams, slot: usize, mass: f32, force: &mut [f32; 3]) {
    let way = direction(mix(slot as u32), params.dimensions);
    for axis in 0..3 {
        force[axis] += LAW_PEAK * params.repel_k * mass * mass * way[axis];
    }
}
