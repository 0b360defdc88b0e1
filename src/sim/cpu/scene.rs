//! One step's forces: what is read by all threads that sum them, and the share of each.

#![allow(clippy::indexing_slicing, reason = "ranges of groups, ranks and slots come from the tree and the rows")]

use std::ops::Range;

use super::morton::MortonSorter;
use super::pairs::{Law, Sources, TARGETS_MAX, Targets};
use super::springs::{SpringLaw, Springs};
use super::tree::{Group, List, Tree};
use crate::sim::SimParams;

/// Nodes up to which all pairs are summed: as fast as the tree up to here, and exact.
pub(super) const EXACT_NODES_MAX: usize = 512;

/// Steps for which the tree keeps its shape, at most; boxes and centres follow the nodes all the same.
const SHAPE_STEPS_MAX: u32 = 16;

/// Way, in units of [`Shape::scale`], that the nodes may have gone by their RMS velocity since the tree got its shape.
const SHAPE_WAY_MAX: f32 = 0.5;

/// Part of the layout's RMS radius that is a long way.
const SIZE_PART: f32 = 0.1;

/// Steps for which what cells do to a node is kept, at most. What near nodes do is summed in every step. Source: multiple time
/// steps, Tuckerman et al., 1992.
const FAR_STEPS_MAX: u32 = 4;

/// Way, in the same unit, that the nodes may have gone since that was summed.
const FAR_WAY_MAX: f32 = 0.15;

/// Room for runs near groups, for each node. There is about one; where more are needed the memory grows, once.
const NEAR_RUNS: usize = 2;

/// What all threads read while forces are summed. Nobody writes it then.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) law: Law,
    spring_law: SpringLaw,
    /// Of a spring of weight 1.
    spring_stiffness: f32,
    repulsion: bool,
    attraction: bool,
    /// The nodes by rank: in Morton order of the step in which the tree got its shape.
    pub(super) points: Sources,
    tree: Tree,
    /// All pairs instead of the tree.
    exact: bool,
    /// Whether shares find anew what is far from their groups, and sum it.
    far_anew: bool,
    /// By slot: position and mass.
    at: Vec<[f32; 4]>,
    pub(super) springs: Springs,
}

/// Where the tree's shape comes from, and how old it is.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) sorter: MortonSorter,
    /// Steps since it was found; none when it has to be.
    age: Option<u32>,
    /// Way gone since, world units.
    way: f32,
    /// The same for what is far.
    far_age: u32,
    far_way: f32,
    /// What is a long way: the softening, or a part of the layout's own size where that is less.
    scale: f32,
    /// What the far field was summed with.
    far_of: Option<(Law, f32, usize)>,
}

impl Shape {
    /// For `node_count` nodes.
    pub(super) fn new(node_count: usize) -> Self {
        Self {
            sorter: MortonSorter::new(node_count),
            age: None,
            way: 0.0,
            far_age: 0,
            far_way: 0.0,
            scale: 0.0,
            far_of: None,
        }
    }

    /// The nodes went so far, world units.
    pub(super) fn moved(&mut self, way: f32) {
        self.way += way;
        self.far_way += way;
    }

    /// It has to be found again.
    pub(super) fn forget(&mut self) {
        self.age = None;
    }
}

impl Scene {
    /// For the nodes of `springs`.
    pub(super) fn new(params: &SimParams, springs: Springs, node_count: usize) -> Self {
        Self {
            law: Law::new(params, node_count),
            spring_law: SpringLaw::new(params, node_count),
            spring_stiffness: 0.0,
            repulsion: params.repulsion,
            attraction: true,
            points: Sources::with_capacity(node_count),
            tree: Tree::with_capacity(node_count),
            exact: true,
            far_anew: true,
            at: Vec::with_capacity(node_count),
            springs,
        }
    }

    /// Bytes held for a graph of this size.
    pub(super) const fn footprint(node_count: usize, half_edges: usize) -> usize {
        Sources::footprint(node_count)
            + Tree::footprint(node_count)
            + node_count * size_of::<[f32; 4]>()
            + Springs::footprint(node_count, half_edges)
            + MortonSorter::footprint(node_count)
    }

    /// Takes the positions of a step. Positions must be finite; all are `[node_count]` by slot. No allocation.
    pub(super) fn set(
        &mut self,
        params: &SimParams,
        position: &[[f32; 3]],
        mass: &[f32],
        shape: &mut Shape,
        attraction: bool,
        threads: usize,
    ) {
        self.attraction = attraction;
        self.far_anew = true;
        let node_count = position.len();
        self.law = Law::new(params, node_count);
        self.spring_law = SpringLaw::new(params, node_count);
        self.spring_stiffness = if params.springs { params.spring_k * params.spring_stiffness() } else { 0.0 };
        self.repulsion = params.repulsion;
        self.exact = position.len() <= EXACT_NODES_MAX || params.theta == 0.0;
        self.at.clear();
        self.at.extend(position.iter().zip(mass).map(|([x, y, z], mass)| [*x, *y, *z, *mass]));
        if !params.repulsion {
            return;
        }
        let anew = shape.age.is_none_or(|age| age >= SHAPE_STEPS_MAX || shape.way > SHAPE_WAY_MAX * shape.scale);
        if anew {
            shape.sorter.sort(position, params.dimensions);
            (shape.age, shape.way) = (Some(0), 0.0);
        }
        shape.age = shape.age.map(|age| age + 1);
        self.points.take_nodes(&self.at, shape.sorter.indices());
        if self.exact {
            // The tree is not kept up meanwhile.
            shape.forget();
            return;
        }
        if anew {
            self.tree.build(&shape.sorter, position.len(), params.dimensions);
        }
        let of = Some((self.law, params.theta, threads));
        let far_old = shape.far_age >= FAR_STEPS_MAX || shape.far_way > FAR_WAY_MAX * shape.scale || shape.far_of != of;
        self.far_anew = anew || far_old;
        if self.far_anew {
            self.tree.refit(&self.points, params.theta);
            shape.scale = params.softening.min(SIZE_PART * self.tree.rms_radius());
            (shape.far_age, shape.far_way, shape.far_of) = (0, 0.0, of);
        }
        shape.far_age += 1;
    }

    /// Groups of targets, counted.
    fn group_count(&self) -> usize {
        match (self.repulsion, self.exact) {
            (false, _) => 0,
            (true, true) => self.points.len().div_ceil(TARGETS_MAX),
            (true, false) => self.tree.groups().len(),
        }
    }

    /// Ranks of the targets of a group.
    fn ranks(&self, group: usize) -> Range<usize> {
        if self.exact {
            let start = group * TARGETS_MAX;
            return start..self.points.len().min(start + TARGETS_MAX);
        }
        let Group { start, end, .. } = self.tree.groups()[group];
        start as usize..end as usize
    }
}

/// What one thread sums: a run of groups and a run of slots.
#[derive(Debug)]
pub(super) struct Share {
    groups: Range<usize>,
    slots: Range<usize>,
    list: List,
    /// Runs of ranks near each group, and where each group's begin.
    near: Vec<(u32, u32)>,
    near_of: Vec<u32>,
    /// By rank: what cells did to it, before the strength of the law.
    far: Vec<[f32; 4]>,
    targets: Box<Targets>,
    /// Ranks of the groups.
    ranks: Range<usize>,
    /// By rank: force of the repulsion, and stiffness.
    repulsion: Vec<[f32; 4]>,
    /// By slot: force of the springs.
    pull: Vec<[f32; 3]>,
    /// By group: pairs summed.
    cost: Vec<u64>,
}

impl Share {
    /// Room for all of `node_count` nodes.
    pub(super) fn new(node_count: usize) -> Self {
        Self {
            groups: 0..0,
            slots: 0..0,
            list: List::with_capacity(node_count),
            near: Vec::with_capacity(NEAR_RUNS * node_count),
            near_of: Vec::with_capacity(node_count),
            far: Vec::with_capacity(node_count),
            targets: Box::default(),
            ranks: 0..0,
            repulsion: Vec::with_capacity(node_count),
            pull: Vec::with_capacity(node_count),
            cost: Vec::with_capacity(node_count),
        }
    }

    /// Bytes held for `node_count` nodes.
    pub(super) const fn footprint(node_count: usize) -> usize {
        List::footprint(node_count)
            + size_of::<Targets>()
            + node_count * (2 * size_of::<[f32; 4]>() + size_of::<[f32; 3]>() + size_of::<u64>() + size_of::<u32>())
            + NEAR_RUNS * node_count * size_of::<(u32, u32)>()
    }

    /// Sums all that it has to. The result does not depend on how the work was shared. No allocation.
    pub(super) fn work(&mut self, scene: &Scene) {
        let Self { list, near, near_of, far, targets, repulsion, cost, .. } = self;
        repulsion.clear();
        self.ranks = match (self.groups.is_empty(), self.groups.end.checked_sub(1)) {
            (false, Some(last)) => scene.ranks(self.groups.start).start..scene.ranks(last).end,
            _ => 0..0,
        };
        if scene.far_anew {
            near.clear();
            near_of.clear();
            far.clear();
            cost.clear();
        }
        for (turn, group) in self.groups.clone().enumerate() {
            let ranks = scene.ranks(group);
            if scene.exact {
                near_of.push(near.len() as u32);
                near.push((0, scene.points.len() as u32));
                far.resize(far.len() + ranks.len(), [0.0; 4]);
                cost.push(ranks.len() as u64);
            } else if scene.far_anew {
                near_of.push(near.len() as u32);
                scene.tree.list(scene.tree.groups()[group], &scene.law, &mut list.cells, near);
                targets.begin(&scene.points, ranks.start, ranks.end);
                targets.pull_cells(&list.cells, &scene.law);
                far.extend((0..ranks.len()).map(|place| targets.found(place)));
                // A step sums the near nodes of a group, one of some steps the cells; the walk costs about as much as these.
                let first = near_of.last().map_or(0, |first| *first as usize);
                let nodes: u32 = near[first..].iter().map(|(start, end)| end - start).sum();
                cost.push((nodes as usize * (ranks.len() + 8) + list.cells.len() * ranks.len() / 2) as u64);
            }
            let (first, next) =
                (near_of[turn] as usize, near_of.get(turn + 1).map_or(near.len(), |next| *next as usize));
            targets.begin(&scene.points, ranks.start, ranks.end);
            list.take_nodes(&scene.points, &near[first..next]);
            targets.pull_nodes(&list.nodes, &scene.law);
            let law = &scene.law;
            for (place, rank) in ranks.enumerate() {
                let [x, y, z, stiffness] = targets.found(place);
                let [far_x, far_y, far_z, far_stiffness] = far[rank - self.ranks.start];
                let mass = scene.points.mass[rank];
                let scale = law.strength * mass;
                // Without the node's own share of the stiffness.
                let stiffness = (stiffness - mass * law.own_stiffness()).max(0.0) + far_stiffness;
                repulsion.push([(x + far_x) * scale, (y + far_y) * scale, (z + far_z) * scale, stiffness * scale]);
            }
        }
        self.pull.clear();
        if scene.attraction {
            self.pull.resize(self.slots.len(), [0.0; 3]);
            scene.springs.pull(&scene.spring_law, &scene.at, self.slots.clone(), &mut self.pull);
        }
    }

    /// Adds the results to the forces by slot, and sets the stiffness of the repulsion.
    fn add_to(&self, sorter: &MortonSorter, force: &mut [[f32; 3]], stiffness: &mut [f32]) {
        let slots = sorter.indices().skip(self.ranks.start);
        for (slot, [x, y, z, stiff]) in slots.zip(&self.repulsion) {
            force[slot] = [*x, *y, *z];
            stiffness[slot] = *stiff;
        }
    }

    /// Adds the springs to the forces and stiffnesses by slot.
    fn add_springs_to(&self, scene: &Scene, force: &mut [[f32; 3]], stiffness: &mut [f32]) {
        let of_share = force.iter_mut().zip(stiffness).zip(scene.springs.weight_sums()).skip(self.slots.start);
        for (((force, stiffness), weight_sum), pull) in of_share.zip(&self.pull) {
            (0..3).for_each(|axis| force[axis] += pull[axis]);
            *stiffness += scene.spring_stiffness * weight_sum;
        }
    }
}

/// Gives every share its part: groups of equal cost, as the last step found it, and slots of equal numbers of half-edges.
/// `cost` is scratch.
pub(super) fn deal(scene: &Scene, shares: &mut [Box<Share>], cost: &mut Vec<u64>) {
    if !scene.far_anew {
        // What is near a group is known to the share that found it.
        return;
    }
    let groups = scene.group_count();
    cost.clear();
    shares.iter().for_each(|share| cost.extend_from_slice(&share.cost));
    if cost.len() != groups {
        // Another tree: as many nodes each.
        cost.clear();
        cost.extend((0..groups).map(|group| scene.ranks(group).len() as u64));
    }
    let whole: u64 = cost.iter().sum::<u64>().max(1);
    let count = shares.len();
    let slot_count = scene.at.len();
    let half_edges = scene.springs.before(slot_count) + slot_count;
    let (mut group, mut slot, mut done) = (0, 0, 0u64);
    for (turn, share) in shares.iter_mut().enumerate() {
        let (first_group, first_slot) = (group, slot);
        let last = turn + 1 == count;
        let (cost_to, edges_to) = (whole * (turn as u64 + 1) / count as u64, half_edges * (turn + 1) / count);
        while group < groups && (last || done < cost_to) {
            done += cost[group];
            group += 1;
        }
        while slot < slot_count && (last || scene.springs.before(slot) + slot < edges_to) {
            slot += 1;
        }
        share.groups = first_group..group;
        share.slots = first_slot..slot;
    }
}

/// Puts the shares' results together: `force` and `stiffness` by slot.
pub(super) fn collect(
    scene: &Scene,
    shares: &[Box<Share>],
    sorter: &MortonSorter,
    force: &mut [[f32; 3]],
    stiffness: &mut [f32],
) {
    if !scene.repulsion {
        force.fill([0.0; 3]);
        stiffness.fill(0.0);
    }
    shares.iter().for_each(|share| share.add_to(sorter, force, stiffness));
    shares.iter().for_each(|share| share.add_springs_to(scene, force, stiffness));
}
