//! Forces from what nodes are: their level, their type, their body, the population that they belong to.
//!
//! All arrays are `[node_count]` in node order, world units and world units / s^2; forces are added. Nothing is allocated. Every sum runs
//! in node order, so the same positions give the same bytes.

#![allow(clippy::indexing_slicing, reason = "every array is as long as the positions, checked when the set was taken")]

use super::constraint::{minus, squared, times, unit};
use super::{STIFFNESS_MARGIN, push};
use crate::handoff::{Collision, LevelPull, Populations, TypeCluster, UNTYPED};

/// Nodes of neighbouring cells that one node is compared with at most. A heap of coincident nodes is parted from the outside in,
/// some steps later, instead of costing the square of its size in this one.
const NEIGHBOURS_MAX: usize = 128;

/// Draws every node with a level to it, `strength * stiffness * grip` for each world unit. O(nodes).
pub(super) fn levels(pull: &LevelPull, stiffness: f32, grip: &[f32], position: &[[f32; 3]], force: &mut [[f32; 4]]) {
    let axis = usize::from(pull.axis);
    for (node, force) in force.iter_mut().enumerate() {
        let way = pull.target[node] - position[node][axis];
        if way.is_finite() {
            let firm = pull.strength * stiffness * grip[node];
            force[axis] += firm * way;
            force[3] += firm;
        }
    }
}

/// Draws every node further than `distance` from the centre of its type towards it, `strength * stiffness * grip` for each world unit
/// beyond. Each node counts with its grip, so the pulls of nodes that are all outside cancel out. O(nodes + types).
pub(super) fn types(
    cluster: &mut TypeCluster,
    stiffness: f32,
    grip: &[f32],
    position: &[[f32; 3]],
    force: &mut [[f32; 4]],
) {
    cluster.centre.fill([0.0; 4]);
    let of = std::sync::Arc::clone(&cluster.of);
    let typed = || of.iter().enumerate().filter(|(_, of)| **of != UNTYPED);
    for (node, of) in typed() {
        let sum = &mut cluster.centre[*of as usize];
        for (sum, axis) in sum.iter_mut().zip(position[node]) {
            *sum += f64::from(axis) * f64::from(grip[node]);
        }
        sum[3] += f64::from(grip[node]);
    }
    for (node, of) in typed() {
        let sum = cluster.centre[*of as usize];
        let centre = [0, 1, 2].map(|axis| (sum[axis] / sum[3]) as f32);
        let offset = minus(centre, position[node]);
        let distance = squared(offset).sqrt();
        if distance > cluster.distance {
            let way = times(offset, (distance - cluster.distance) / distance);
            push(&mut force[node], way, cluster.strength * stiffness * grip[node]);
        }
    }
}

/// Pushes nodes nearer than two radii apart, each by `strength * stiffness` for each world unit that is missing.
///
/// A hash grid of cells two radii wide: counted, summed, dealt, then every node looks at the 27 (9) cells around its own. O(nodes) while
/// cells hold a bounded number; more than [`NEIGHBOURS_MAX`] others are not looked at.
pub(super) fn collide(
    collision: &mut Collision,
    stiffness: f32,
    flat: bool,
    position: &[[f32; 3]],
    force: &mut [[f32; 4]],
) {
    let Collision { radius, strength, cell_start, by_cell, occupied } = collision;
    let (reach, firm) = (2.0 * *radius, *strength * stiffness);
    let mask = (cell_start.len() - 2) as u32;
    let cell = |at: [f32; 3]| at.map(|axis| (axis / reach).floor() as i32);
    let bucket = |hash: u32| ((hash >> 7) & mask) as usize;
    let bits = (occupied.len() * 64 - 1) as u32;
    cell_start.fill(0);
    occupied.fill(0);
    for at in position {
        let hash = hash(cell(*at));
        cell_start[bucket(hash) + 1] += 1;
        occupied[((hash & bits) / 64) as usize] |= 1 << (hash & 63);
    }
    let mut sum = 0;
    for start in cell_start.iter_mut() {
        sum += *start;
        *start = sum;
    }
    // Dealt from the back, each bucket's start ends where its first node lies.
    for (node, at) in position.iter().enumerate().rev() {
        let end = &mut cell_start[bucket(hash(cell(*at))) + 1];
        *end -= 1;
        by_cell[*end as usize] = node as u32;
    }
    // Now `cell_start[b + 1]` is where bucket b begins, and the next entry, or the count of nodes, where it ends.
    let depth = if flat { 0..=0 } else { -1..=1 };
    for (node, at) in position.iter().enumerate() {
        let home = cell(*at);
        let mut looked = 0;
        for dz in depth.clone() {
            for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
                let around = [home[0].wrapping_add(dx), home[1].wrapping_add(dy), home[2].wrapping_add(dz)];
                let hash = hash(around);
                if occupied[((hash & bits) / 64) as usize] & (1 << (hash & 63)) == 0 {
                    continue;
                }
                let bucket = bucket(hash);
                let start = cell_start[bucket + 1] as usize;
                let end = cell_start.get(bucket + 2).map_or(position.len(), |end| *end as usize);
                for other in &by_cell[start..end] {
                    let other = *other as usize;
                    let offset = minus(*at, position[other]);
                    // Two cells may share a bucket: each finds its own nodes only. Asked last, since it costs most.
                    if squared(offset) < reach * reach && other != node && cell(position[other]) == around {
                        looked += 1;
                        if looked > NEIGHBOURS_MAX {
                            break;
                        }
                        let (low, high) = (node.min(other), node.max(other));
                        let (way, apart) = unit(offset, low, high, flat);
                        let sign = if apart == 0.0 && node == high { -1.0 } else { 1.0 };
                        push(&mut force[node], times(way, sign * (reach - apart)), firm);
                    }
                }
            }
        }
    }
}

/// Scrambles a cell.
fn hash(cell: [i32; 3]) -> u32 {
    let mixed = (cell[0] as u32).wrapping_mul(0x9e37_79b1)
        ^ (cell[1] as u32).wrapping_mul(0x85eb_ca77)
        ^ (cell[2] as u32).wrapping_mul(0xc2b2_ae3d);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d);
    mixed ^ (mixed >> 12)
}

/// Keeps the centres of agents and of all others `distance` apart along x, agents on the side of larger x. All nodes of a population get
/// the same force for their grip, so its inner layout stays as it is. O(nodes).
pub(super) fn apart(
    populations: &Populations,
    stiffness: f32,
    grip: &[f32],
    position: &[[f32; 3]],
    force: &mut [[f32; 4]],
) {
    let mut sums = [[0f64; 2]; 2];
    for (node, agent) in populations.agent.iter().enumerate() {
        let sum = &mut sums[usize::from(*agent)];
        sum[0] += f64::from(position[node][0]) * f64::from(grip[node]);
        sum[1] += f64::from(grip[node]);
    }
    let [others, agents] = sums;
    if others[1] == 0.0 || agents[1] == 0.0 {
        return;
    }
    let missing = populations.distance - (agents[0] / agents[1] - others[0] / others[1]) as f32;
    if missing <= 0.0 {
        return;
    }
    // Shares by the other's weight: what they get cancels out, and a handful of agents moves, not the graph.
    let whole = agents[1] + others[1];
    let shares = [-(agents[1] / whole) as f32, (others[1] / whole) as f32];
    for (node, agent) in populations.agent.iter().enumerate() {
        let share = shares[usize::from(*agent)];
        force[node][0] += stiffness * grip[node] * missing * share;
        force[node][3] += stiffness * grip[node] * share.abs() * STIFFNESS_MARGIN;
    }
}
