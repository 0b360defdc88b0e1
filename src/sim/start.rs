//! Where nodes begin: given positions are kept, the others placed from the shape of the graph and the seed.

#![allow(clippy::indexing_slicing, reason = "rows of a Csr name its own nodes, labels its own components")]

mod pivot;

use super::hash::{cube_point, fold_seed, mix2};
use super::{Dimensions, SimParams};
use crate::graph::Csr;

/// RMS distance from the centre of a drawing that is dense enough, in rest lengths times the side of `node_count`.
const SPACING: f32 = 0.4;

/// Mean edge of a drawing in rest lengths: what repulsion makes of the edges of meshes and paths. Shorter, and they would be
/// pressed together until they buckle.
const EDGE: f32 = 1.5;

/// Least jitter, in rest lengths: parts what hops alone cannot tell apart, and lifts flat drawings into space.
const JITTER: f32 = 0.1;

/// Radius of a component in RMS distances of its nodes; an even ball has 1.3, an even disc 1.4. Some stray nodes would otherwise
/// keep everybody else far away.
const RADIUS_RMS: f32 = 2.0;

/// Room for a component in the packing, over that of its ball: balls set at random need about twice their room.
const PACKING: f64 = 2.0;

/// Which connected component each node is in, numbered by first node.
#[derive(Clone, Debug, Default)]
pub(super) struct Components {
    /// `[node_count]`.
    pub(super) of: Vec<u32>,
    /// `[component_count]`, nodes.
    pub(super) size: Vec<u32>,
}

impl Components {
    const UNSEEN: u32 = u32::MAX;

    /// Labels every node. O(nodes + edges).
    pub(super) fn of(csr: &Csr) -> Self {
        let mut of = vec![Self::UNSEEN; csr.node_count()];
        let mut size = Vec::new();
        let mut reached: Vec<u32> = Vec::new();
        for first in 0..csr.node_count() {
            if of[first] != Self::UNSEEN {
                continue;
            }
            let label = size.len() as u32;
            reached.clear();
            reached.push(first as u32);
            of[first] = label;
            let mut next = 0;
            while let Some(node) = reached.get(next).copied() {
                next += 1;
                for (other, _) in csr.row(node as usize) {
                    if of[other as usize] == Self::UNSEEN {
                        of[other as usize] = label;
                        reached.push(other);
                    }
                }
            }
            size.push(reached.len() as u32);
        }
        Self { of, size }
    }

    /// Components, counted.
    pub(super) fn count(&self) -> usize {
        self.size.len()
    }

    /// The labels in another order of the nodes.
    pub(super) fn permuted(&self, node_of: &[u32]) -> Self {
        Self { of: node_of.iter().map(|node| self.of[*node as usize]).collect(), size: self.size.clone() }
    }

    /// Bytes held for `node_count` nodes without edges.
    pub(super) const fn footprint(node_count: usize) -> usize {
        2 * node_count * size_of::<u32>()
    }
}

/// A position inside `bound` for every node of `csr`, `[node_count]`.
///
/// Given positions are kept. A node that is joined to placed ones is put beside them. Whole components without any
/// are drawn by [`pivot::draw`] and packed around the rest, largest first. The same arguments give the same bytes.
pub(super) fn place(
    csr: &Csr,
    components: &Components,
    given: &[Option<[f32; 3]>],
    params: &SimParams,
    bound: f32,
) -> Vec<[f32; 3]> {
    let mut at: Vec<Option<[f32; 3]>> = given
        .iter()
        .map(|given| given.filter(|at| at.iter().all(|axis| axis.is_finite())))
        .map(|given| given.map(|[x, y, z]| [x, y, if params.dimensions == Dimensions::Two { 0.0 } else { z }]))
        .map(|given| given.map(|at| at.map(|axis| axis.clamp(-bound, bound))))
        .collect();
    let reach = at.iter().flatten().map(length).fold(0.0, f32::max);
    grow(csr, params, &mut at);
    let new = Drawing::of_components(csr, components, params, &at);
    pack(&new, params, reach, bound, &mut at);
    // Every component was either grown from a given position or drawn whole.
    at.into_iter().map(|at| at.unwrap_or_default().map(|axis| axis.clamp(-bound, bound))).collect()
}

/// Puts every node that a placed one can reach near the mean of its placed neighbours, nearest first.
fn grow(csr: &Csr, params: &SimParams, at: &mut [Option<[f32; 3]>]) {
    let seed = fold_seed(params.seed);
    let mut front: Vec<u32> = (0u32..).zip(&*at).filter(|(_, at)| at.is_some()).map(|(node, _)| node).collect();
    let mut next = 0;
    while let Some(placed) = front.get(next).copied() {
        next += 1;
        for (node, _) in csr.row(placed as usize) {
            if at[node as usize].is_some() {
                continue;
            }
            let (mut sum, mut count) = ([0f32; 3], 0f32);
            for near in csr.row(node as usize).filter_map(|(other, _)| at[other as usize]) {
                sum = add(sum, near, 1.0);
                count += 1.0;
            }
            let jitter = cube_point(mix2(seed, node), params.dimensions);
            at[node as usize] = Some(add(sum.map(|axis| axis / count), jitter, params.rest_length));
            front.push(node);
        }
    }
}

/// One component drawn around the origin.
struct Drawing {
    nodes: Vec<u32>,
    at: Vec<[f32; 3]>,
    /// Hardly a node is farther from the origin.
    radius: f32,
}

impl Drawing {
    /// Draws every component that has no placed node, largest first.
    fn of_components(csr: &Csr, components: &Components, params: &SimParams, at: &[Option<[f32; 3]>]) -> Vec<Self> {
        let mut nodes: Vec<Vec<u32>> = vec![Vec::new(); components.count()];
        for ((label, at), node) in components.of.iter().zip(at).zip(0u32..) {
            if at.is_none() {
                nodes[*label as usize].push(node);
            }
        }
        nodes.retain(|nodes| !nodes.is_empty());
        // Stable, so equal sizes keep the order of their first nodes.
        nodes.sort_by_key(|nodes| std::cmp::Reverse(nodes.len()));
        let mut place_of = vec![0u32; csr.node_count()];
        nodes.into_iter().map(|nodes| Self::of(csr, params, nodes, &mut place_of)).collect()
    }

    fn of(csr: &Csr, params: &SimParams, nodes: Vec<u32>, place_of: &mut [u32]) -> Self {
        let (mut at, hops_max) = pivot::draw(csr, params.dimensions, &nodes, place_of);
        let mut edges = (0f64, 0u64);
        for (node, here) in nodes.iter().zip(&at) {
            for (other, _) in csr.row(*node as usize) {
                edges.0 += f64::from(length(&add(*here, at[place_of[other as usize] as usize], -1.0)));
                edges.1 += 1;
            }
        }
        let mean_edge = (edges.0 / edges.1.max(1) as f64) as f32;
        let scale = if mean_edge > 0.0 { EDGE * params.rest_length / mean_edge } else { 0.0 };
        // Where most nodes look alike, as the leaves of a star do, the drawing is a few pivots flung far away from a
        // heap; but no node is farther from the middle than the component is wide.
        let reach = EDGE * params.rest_length * hops_max as f32;
        for at in &mut at {
            *at = at.map(|axis| axis * scale);
            let shorten = (reach / length(at).max(f32::MIN_POSITIVE)).min(1.0);
            *at = at.map(|axis| axis * shorten);
        }
        let jitter = spread_out(params, &mut at);
        let seed = fold_seed(params.seed);
        for (node, at) in nodes.iter().zip(&mut at) {
            if nodes.len() > 1 {
                *at = add(*at, cube_point(mix2(seed, *node), params.dimensions), jitter);
            }
        }
        let rms = (at.iter().map(|at| f64::from(length(at)).powi(2)).sum::<f64>() / at.len().max(1) as f64).sqrt();
        let radius = at.iter().map(length).fold(0.0, f32::max).min(RADIUS_RMS * rms as f32);
        Self { nodes, at, radius }
    }
}

/// Widens a drawing that is much denser than the layout will be, as those of small-world graphs are, and returns the
/// jitter, world units, that takes the rest of the way where all nodes are drawn at one place.
fn spread_out(params: &SimParams, at: &mut [[f32; 3]]) -> f32 {
    let wanted = SPACING * params.rest_length * side(params.dimensions, at.len() as f32);
    let mean2 = at.iter().map(|at| f64::from(length(at)).powi(2)).sum::<f64>() / at.len().max(1) as f64;
    let rms = mean2.sqrt() as f32;
    let widen = if rms > 0.0 { (wanted / rms).max(1.0) } else { 1.0 };
    at.iter_mut().for_each(|at| *at = at.map(|axis| axis * widen));
    let missing = wanted * wanted - (rms * widen) * (rms * widen);
    missing.max(0.0).sqrt().max(JITTER * params.rest_length)
}

/// Sets the drawings around what reaches from the origin to `reach`: the first at the origin if that is free, the
/// next ones on a spiral as far out as the room that those before them took, and all drawn in to stay in `bound`.
fn pack(drawings: &[Drawing], params: &SimParams, reach: f32, bound: f32, at: &mut [Option<[f32; 3]>]) {
    let axes = if params.dimensions == Dimensions::Two { 2 } else { 3 };
    let mut core = reach;
    let mut taken = f64::from(reach).powi(axes);
    let mut centres = Vec::with_capacity(drawings.len());
    for (turn, drawing) in drawings.iter().enumerate() {
        let radius = drawing.radius + 0.5 * params.rest_length;
        if taken == 0.0 {
            centres.push([0.0; 3]);
            core = radius;
        } else {
            // Nearest the middle that keeps clear of the core; of each other they keep clear on the average.
            let out = (taken.powf(1.0 / f64::from(axes)) as f32).max(core + radius);
            centres.push(spiral(turn, drawings.len(), params.dimensions).map(|axis| axis * out));
        }
        taken += PACKING * f64::from(radius).powi(axes);
    }
    let far = drawings.iter().zip(&centres).map(|(drawing, centre)| length(centre) + drawing.radius);
    let fit = (0.9 * bound / far.fold(f32::MIN_POSITIVE, f32::max)).min(1.0);
    for (drawing, centre) in drawings.iter().zip(&centres) {
        for (node, here) in drawing.nodes.iter().zip(&drawing.at) {
            at[*node as usize] = Some(add(*centre, *here, 1.0).map(|axis| axis * fit));
        }
    }
}

/// Directions that cover the circle or sphere evenly, the `turn`-th of `count` after a golden angle each.
fn spiral(turn: usize, count: usize, dimensions: Dimensions) -> [f32; 3] {
    const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;
    let angle = GOLDEN_ANGLE * turn as f64;
    let z = match dimensions {
        Dimensions::Two => 0.0,
        // In bit-reversed order, as the distance grows with the turn: poles and equator fill up together.
        Dimensions::Three => 2.0 * f64::from((turn as u32).reverse_bits()) / 4_294_967_296.0 - 1.0 + 1.0 / count as f64,
    };
    let flat = (1.0 - z * z).max(0.0).sqrt();
    [flat * angle.cos(), flat * angle.sin(), z].map(|axis| axis as f32)
}

/// Side of the square or cube of `count` units.
fn side(dimensions: Dimensions, count: f32) -> f32 {
    if dimensions == Dimensions::Two { count.sqrt() } else { count.cbrt() }
}

fn add(left: [f32; 3], right: [f32; 3], scale: f32) -> [f32; 3] {
    [left[0] + right[0] * scale, left[1] + right[1] * scale, left[2] + right[2] * scale]
}

fn length(at: &[f32; 3]) -> f32 {
    (at[0] * at[0] + at[1] * at[1] + at[2] * at[2]).sqrt()
}
