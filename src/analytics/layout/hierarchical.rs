//! Layers, from the top down. In the plane a layer is a line, ordered by barycentres; in space it is a square, ordered the same way along
//! both of its sides.

#![allow(clippy::indexing_slicing, reason = "nodes are those of the rows, layers those that were counted")]

use super::levels::{NO_LEVEL, levels};
use super::{Ground, Search};

/// Times that every layer is ordered by the ones above it and below it. More than four changed the crossings of no measured graph by 5 %.
const SWEEPS: usize = 4;

/// Length of an edge between two layers, of an ordinary edge's.
const LAYER_GAP: f32 = 1.25;

/// Source: Sugiyama, Tagawa, Toda 1981: longest ways for the layers, barycentres for the order within them. A component without directed
/// edges has the distances from the middle of it as layers. O(nodes log nodes + edges).
pub(super) fn draw(ground: &Ground, components: &[Vec<u32>]) -> Vec<[f32; 3]> {
    let node_count = ground.csr.node_count();
    let mut layer = levels(node_count, &ground.directed);
    let mut search = Search::new(node_count);
    let mut places = vec![[0f32; 3]; node_count];
    for component in components {
        fill_in(ground, component, &mut layer, &mut search);
        let count = component.iter().map(|node| layer[*node as usize] + 1).max().unwrap_or(0);
        let mut layers = vec![Vec::new(); count as usize];
        for node in component {
            layers[layer[*node as usize] as usize].push(*node);
        }
        order(ground, &layer, &layers, &mut places);
        for node in component {
            places[*node as usize][1] = -(layer[*node as usize] as f32) * LAYER_GAP * ground.length;
        }
    }
    places
}

/// Gives every node of a component a layer.
fn fill_in(ground: &Ground, component: &[u32], layer: &mut [u32], search: &mut Search) {
    let Some(first) = component.first() else { return };
    if component.iter().all(|node| layer[*node as usize] == NO_LEVEL) {
        let middle = search.middle(&ground.csr, *first);
        search.run(&ground.csr, middle);
        component.iter().for_each(|node| layer[*node as usize] = search.depth(*node));
        return;
    }
    // Nodes that no directed edge touches hang below their neighbours, from those with a layer outwards.
    let mut front: Vec<u32> = component.iter().copied().filter(|node| layer[*node as usize] != NO_LEVEL).collect();
    let mut next = 0;
    while let Some(node) = front.get(next).copied() {
        next += 1;
        for (other, _) in ground.csr.row(node as usize) {
            if layer[other as usize] == NO_LEVEL {
                layer[other as usize] = layer[node as usize] + 1;
                front.push(other);
            }
        }
    }
}

/// Places the nodes of each layer side by side, x along the layer and z across it.
fn order(ground: &Ground, layer: &[u32], layers: &[Vec<u32>], places: &mut [[f32; 3]]) {
    let mut layers = layers.to_vec();
    layers.iter_mut().for_each(|nodes| spread(ground, nodes, places, |_, _| 0.0));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let count = layers.len();
        for turn in 1..count {
            let nodes = &mut layers[if down { turn } else { count - 1 - turn }];
            let wish: Vec<[f32; 2]> = nodes.iter().map(|node| barycentre(ground, layer, *node, down, places)).collect();
            let mut index: Vec<u32> = (0..nodes.len() as u32).collect();
            let mut local = vec![[0f32; 3]; nodes.len()];
            spread(ground, &mut index, &mut local, |node, axis| wish[node as usize][axis]);
            for (place, node) in local.iter().zip(nodes.iter()) {
                places[*node as usize] = *place;
            }
        }
    }
}

/// Mean place of a node's neighbours in the layers above (below); its own place when it has none there.
fn barycentre(ground: &Ground, layer: &[u32], node: u32, above: bool, places: &[[f32; 3]]) -> [f32; 2] {
    let own = layer[node as usize];
    let (mut sum, mut count) = ([0f64; 2], 0u32);
    for (other, _) in ground.csr.row(node as usize) {
        let theirs = layer[other as usize];
        if (above && theirs < own) || (!above && theirs > own) {
            let [x, _, z] = places[other as usize];
            sum = [sum[0] + f64::from(x), sum[1] + f64::from(z)];
            count += 1;
        }
    }
    let [x, _, z] = places[node as usize];
    if count == 0 { [x, z] } else { sum.map(|axis| (axis / f64::from(count)) as f32) }
}

/// Deals nodes to columns by their first wish and within each column by their second. One row in the plane, as many as columns in space.
/// Equal wishes keep the order of before.
fn spread(ground: &Ground, nodes: &mut [u32], places: &mut [[f32; 3]], wish: impl Fn(u32, usize) -> f32) {
    nodes.sort_by(|left, right| wish(*left, 0).total_cmp(&wish(*right, 0)));
    let rows = if ground.flat { 1 } else { (nodes.len() as f64).sqrt().ceil() as usize }.max(1);
    let columns = nodes.len().div_ceil(rows);
    // A layer of very many nodes is pressed together: a drawing ten times wider than high helps nobody.
    let widest = 4.0 * ground.length * (ground.csr.node_count() as f32).sqrt().max(8.0);
    let gap = ground.length.min(widest / columns.max(1) as f32);
    for (column, nodes) in nodes.chunks_mut(rows).enumerate() {
        nodes.sort_by(|left, right| wish(*left, 1).total_cmp(&wish(*right, 1)));
        let x = (column as f32 - 0.5 * (columns as f32 - 1.0)) * gap;
        let count = nodes.len() as f32;
        for (row, node) in nodes.iter().enumerate() {
            places[*node as usize] = [x, 0.0, (row as f32 - 0.5 * (count - 1.0)) * gap];
        }
    }
}
