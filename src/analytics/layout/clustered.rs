//! Communities, each a disc (in space a ball) with its best joined nodes in the middle, set apart from each other.

#![allow(clippy::indexing_slicing, reason = "nodes are those of the rows, labels are nodes")]

use std::f32::consts::PI;

use super::Ground;
use crate::analytics::{LeidenOptions, Unwatched, leiden};

/// Distance of neighbouring nodes within a community, in edges.
const CROWDING: f32 = 0.6;

/// A step of the sunflower's spiral, radians.
const GOLDEN_ANGLE: f32 = 2.399_963_2;

/// Places around each community's own middle, and the communities. O(nodes log nodes + edges), the edges some
/// dozens of times.
pub(super) fn draw(ground: &Ground) -> (Vec<[f32; 3]>, Vec<Vec<u32>>) {
    let node_count = ground.csr.node_count();
    // A graph that cannot be divided, one of negative weights, is one community.
    let found = leiden(&ground.csr, &LeidenOptions::default(), &Unwatched);
    let label = found.map_or_else(|_| vec![0; node_count], |partition| partition.community);
    let mut order: Vec<u32> = (0..node_count as u32).collect();
    let degree = |node: &u32| ground.csr.offset()[*node as usize + 1] - ground.csr.offset()[*node as usize];
    order.sort_by_key(|node| (label[*node as usize], u32::MAX - degree(node), *node));
    let mut places = vec![[0f32; 3]; node_count];
    let communities: Vec<Vec<u32>> =
        order.chunk_by(|left, right| label[*left as usize] == label[*right as usize]).map(<[u32]>::to_vec).collect();
    for community in &communities {
        let count = community.len() as f32;
        for (turn, node) in community.iter().enumerate() {
            places[*node as usize] =
                sunflower(ground.flat, turn as f32, count).map(|axis| axis * CROWDING * ground.length);
        }
    }
    (places, communities)
}

/// Point `turn` of `count` spread evenly over a disc or a ball, from its middle outwards, neighbours about 1 apart.
fn sunflower(flat: bool, turn: f32, count: f32) -> [f32; 3] {
    let angle = turn * GOLDEN_ANGLE;
    if flat {
        let radius = (turn / PI).sqrt() * 1.7;
        return [radius * angle.cos(), radius * angle.sin(), 0.0];
    }
    // The height runs through all heights at its own irrational pace, so every shell is covered evenly.
    let height = 1.0 - 2.0 * (turn * 0.754_877_7 + 0.5 / count.max(1.0)).fract();
    let around = (1.0 - height * height).max(0.0).sqrt();
    let radius = (turn * 0.75 / PI).cbrt() * 1.6;
    [radius * around * angle.cos(), radius * height, radius * around * angle.sin()]
}
