//! Rings (in space: shells) around the middle of a component, each as far out as its nodes are from there; a node stands in the sector of
//! the tree below the one that it was reached from.

#![allow(clippy::indexing_slicing, reason = "nodes are those of the rows, rings those that were counted")]

use std::f32::consts::PI;

use super::{Ground, Search};

/// Source: Eades 1992 (radial drawings of trees), on the tree of a breadth-first search. O(nodes + edges).
pub(super) fn draw(ground: &Ground, components: &[Vec<u32>]) -> Vec<[f32; 3]> {
    let node_count = ground.csr.node_count();
    let mut search = Search::new(node_count);
    let mut places = vec![[0f32; 3]; node_count];
    let mut leaves = vec![0u32; node_count];
    // Where the sector of a node begins and what its children have taken of it, in leaves.
    let mut sector = vec![0u32; node_count];
    for component in components {
        let Some(first) = component.first() else { continue };
        let middle = search.middle(&ground.csr, *first);
        search.run(&ground.csr, middle);
        for node in search.order.iter().rev().copied() {
            let own = leaves[node as usize].max(1);
            leaves[node as usize] = own;
            if node != middle {
                leaves[search.parent(node) as usize] += own;
            }
        }
        let all = leaves[middle as usize] as f32;
        let radii = radii(ground, &search);
        for node in search.order.iter().copied() {
            if node != middle {
                let parent = search.parent(node) as usize;
                sector[node as usize] = sector[parent];
                sector[parent] += leaves[node as usize];
            }
        }
        // `sector` of a node with children has moved to its end by now: begin again from the end.
        for node in search.order.iter().copied() {
            let own = leaves[node as usize];
            let moved = if ends_behind(ground, &search, node) { own } else { 0 };
            let begin = sector[node as usize] - moved;
            let along = (begin as f32 + 0.5 * own as f32) / all;
            let radius = radii[search.depth(node) as usize];
            places[node as usize] = direction(ground.flat, along, all).map(|axis| axis * radius);
        }
    }
    places
}

/// Whether the node has children in the search, whose sectors its own has been moved behind.
fn ends_behind(ground: &Ground, search: &Search, node: u32) -> bool {
    let depth = search.depth(node) + 1;
    ground.csr.row(node as usize).any(|(other, _)| search.depth(other) == depth && search.parent(other) == node)
}

/// Radius of every ring: an edge further out than the one before, and wide enough for its nodes.
fn radii(ground: &Ground, search: &Search) -> Vec<f32> {
    let rings = search.depth(search.last()) as usize + 1;
    let mut count = vec![0u32; rings];
    for node in &search.order {
        count[search.depth(*node) as usize] += 1;
    }
    let mut radii = vec![0f32; rings];
    for ring in 1..rings {
        let nodes = count[ring] as f32;
        let room = if ground.flat { 0.5 * nodes / (2.0 * PI) } else { (0.5 * nodes / (4.0 * PI)).sqrt() };
        radii[ring] = (radii[ring - 1] + ground.length).max(room * ground.length);
    }
    radii
}

/// The direction at `along`, 0 to 1, of the way around: on a circle, or on a spiral from pole to pole whose windings are as far apart as
/// `all` points on it are from each other.
fn direction(flat: bool, along: f32, all: f32) -> [f32; 3] {
    if flat {
        let angle = 2.0 * PI * along;
        return [angle.cos(), angle.sin(), 0.0];
    }
    let height = 1.0 - 2.0 * along;
    let windings = (0.25 * PI * all).sqrt().max(1.0);
    let angle = 2.0 * windings * height.clamp(-1.0, 1.0).acos();
    let around = (1.0 - height * height).max(0.0).sqrt();
    [around * angle.cos(), height, around * angle.sin()]
}
