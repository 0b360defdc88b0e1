//! The eleven kinds of constraint: where each of its nodes would have to go, and how far that is.

#![allow(
    clippy::indexing_slicing,
    reason = "nodes are below node_count and axes below 3, checked when the set was taken"
)]

use crate::handoff::{Constraint, Demand};
use crate::sim::Dimensions;
use crate::sim::hash::{direction, mix2};

/// What a constraint is measured against: positions and grips, `[node_count]`.
#[derive(Clone, Copy)]
pub(super) struct Ground<'step> {
    pub(super) position: &'step [[f32; 3]],
    pub(super) grip: &'step [f32],
    pub(super) flat: bool,
}

/// Sum of squares of what was missed, and of how many.
#[derive(Clone, Copy, Debug, Default)]
struct Missed {
    squares: f64,
    count: u32,
}

impl Missed {
    /// World units.
    fn rms(self) -> f32 {
        (self.squares / f64::from(self.count.max(1))).sqrt() as f32
    }
}

/// Calls `pull` with every node that `constraint` wants elsewhere: the node, the way it has to go (world units) and the grip that the
/// pull counts with. Pulls of a pair, and of nodes that share a centre, cancel out. Returns the violation: the root mean square of
/// the ways, over the pairs or nodes that the constraint is about. O(nodes), for a separation O(nodes^2).
pub(super) fn pulls(constraint: &Constraint, ground: Ground<'_>, mut pull: impl FnMut(usize, [f32; 3], f32)) -> f32 {
    let Ground { position, grip, flat } = ground;
    let mut missed = Missed::default();
    let nodes = constraint.nodes.iter().map(|node| *node as usize);
    let mut want = |node: usize, mut way: [f32; 3], grip: f32| {
        if flat {
            way[2] = 0.0;
        }
        let squared = squared(way);
        missed.squares += f64::from(squared);
        missed.count += 1;
        if squared > 0.0 {
            pull(node, way, grip);
        }
    };
    match &constraint.demand {
        Demand::FixedPosition { at } => {
            for node in nodes {
                want(node, minus(*at, position[node]), grip[node]);
            }
        }
        Demand::Boundary { min, max } => {
            for node in nodes {
                let inside = |axis: usize| position[node][axis].clamp(min[axis], max[axis]);
                want(node, minus([0, 1, 2].map(inside), position[node]), grip[node]);
            }
        }
        Demand::RadialDistance { centre, centre_node, radius } => {
            let centre = centre_node.map_or(*centre, |node| position[node as usize]);
            for node in nodes {
                let offset = minus(position[node], centre);
                let (way, distance) = unit(offset, node, usize::MAX, flat);
                want(node, times(way, radius - distance), grip[node]);
            }
        }
        Demand::LayerDepth { axis, depth } => {
            for node in nodes {
                want(node, along(*axis, depth - position[node][usize::from(*axis)]), grip[node]);
            }
        }
        Demand::Align { axis, at } => {
            let axis_index = usize::from(*axis);
            let at = at.unwrap_or_else(|| centre(nodes.clone(), ground)[axis_index]);
            for node in nodes {
                want(node, along(*axis, at - position[node][axis_index]), grip[node]);
            }
        }
        Demand::Cluster { radius } => gather(nodes, ground, *radius, &mut want),
        Demand::Semantic { group_ends, distance } => {
            let mut start = 0;
            for end in group_ends {
                let group = constraint.nodes[start..*end as usize].iter().map(|node| *node as usize);
                gather(group, ground, *distance, &mut want);
                start = *end as usize;
            }
        }
        Demand::Separation { distance } => {
            let mut later = nodes.clone();
            for left in nodes {
                later.next();
                for right in later.clone() {
                    let (way, apart) = unit(minus(position[left], position[right]), left, right, flat);
                    let way = times(way, 0.5 * (distance - apart).max(0.0));
                    let shared = grip[left].min(grip[right]);
                    want(left, way, shared);
                    want(right, times(way, -1.0), shared);
                }
            }
        }
        Demand::DirectionalFlow { direction, gap } => {
            for (before, after) in nodes.clone().zip(nodes.skip(1)) {
                let advance = dot(minus(position[after], position[before]), *direction);
                let way = times(*direction, 0.5 * (gap - advance).max(0.0));
                let shared = grip[before].min(grip[after]);
                want(after, way, shared);
                want(before, times(way, -1.0), shared);
            }
        }
    }
    missed.rms()
}

/// Wants every node within `radius` of their common centre.
fn gather(
    nodes: impl Iterator<Item = usize> + Clone,
    ground: Ground<'_>,
    radius: f32,
    want: &mut impl FnMut(usize, [f32; 3], f32),
) {
    let centre = centre(nodes.clone(), ground);
    for node in nodes {
        let offset = minus(centre, ground.position[node]);
        let distance = squared(offset).sqrt();
        let share = if distance > radius { (distance - radius) / distance } else { 0.0 };
        want(node, times(offset, share), ground.grip[node]);
    }
}

/// Mean position, each node counting with its grip: pulls towards it by grip then cancel out.
fn centre(nodes: impl Iterator<Item = usize>, ground: Ground<'_>) -> [f32; 3] {
    let (mut sum, mut grips) = ([0f64; 3], 0f64);
    for node in nodes {
        let grip = f64::from(ground.grip[node]);
        grips += grip;
        for (sum, axis) in sum.iter_mut().zip(ground.position[node]) {
            *sum += grip * f64::from(axis);
        }
    }
    sum.map(|axis| (axis / grips.max(f64::MIN_POSITIVE)) as f32)
}

/// The direction and length of `offset`; a direction of their own for two nodes at one place.
pub(super) fn unit(offset: [f32; 3], left: usize, right: usize, flat: bool) -> ([f32; 3], f32) {
    let offset = if flat { [offset[0], offset[1], 0.0] } else { offset };
    let length = squared(offset).sqrt();
    if length > 1e-6 {
        return (times(offset, 1.0 / length), length);
    }
    let dimensions = if flat { Dimensions::Two } else { Dimensions::Three };
    (direction(mix2(left as u32, right as u32), dimensions), 0.0)
}

pub(super) fn minus(left: [f32; 3], right: [f32; 3]) -> [f32; 3] {
    [left[0] - right[0], left[1] - right[1], left[2] - right[2]]
}

pub(super) fn times(vector: [f32; 3], by: f32) -> [f32; 3] {
    vector.map(|axis| axis * by)
}

pub(super) fn squared(vector: [f32; 3]) -> f32 {
    dot(vector, vector)
}

fn dot(left: [f32; 3], right: [f32; 3]) -> f32 {
    left[0] * right[0] + left[1] * right[1] + left[2] * right[2]
}

fn along(axis: u8, way: f32) -> [f32; 3] {
    let mut vector = [0.0; 3];
    vector[usize::from(axis)] = way;
    vector
}
