//! From what a client wants to see to the blocks that hold it.

use crate::graph::{Graph, NodeId};
use crate::handoff::{Frame, Interest, WireOrder};
use crate::wire::compact::BLOCK_NODES;
use crate::wire::{BlockSet, NodeRecord};

/// Bits of an id word below those of its class.
const CLASS_SHIFT: u32 = 26;

/// Fills in `wanted` and `order`; false when no frame has an order yet. O(nodes).
pub(super) fn resolve(interest: &mut Interest, frame: &Frame, graph: &Graph) -> bool {
    let Some(order) = frame.order() else { return false };
    let Interest { ask, wanted, order: resolved, .. } = interest;
    let block_count = order.nodes().len().div_ceil(BLOCK_NODES);
    *resolved = order.version();
    wanted.clear();
    wanted.add_all(&ask.blocks);
    let block_of = |id: &u32| {
        let index = NodeId::new(*id).and_then(|id| graph.index_of(id))?;
        order.place(index).map(|place| place / BLOCK_NODES)
    };
    ask.ids.as_slice().iter().filter_map(block_of).for_each(|block| wanted.insert(block));
    let by_node = ask.all || ask.kinds != 0 || ask.sphere.is_some() || !ask.planes.as_slice().is_empty();
    if by_node {
        for (block, nodes) in order.nodes().chunks(BLOCK_NODES).enumerate() {
            if nodes.iter().filter_map(|node| frame.nodes().get(*node as usize)).any(|node| wants(interest, node)) {
                interest.wanted.insert(block);
            }
        }
    }
    let wanted = &mut interest.wanted;
    let mut there = BlockSet::default();
    (0..block_count).for_each(|block| there.insert(block));
    wanted.keep(&there);
    if let Some(max_nodes) = interest.ask.max_nodes {
        let first: Vec<usize> = interest.ask.priority.as_slice().iter().filter_map(block_of).collect();
        limit(interest, max_nodes as usize, &first, order);
    }
    true
}

/// Whether a node is among what is wanted by class or by place.
fn wants(interest: &Interest, node: &NodeRecord) -> bool {
    let ask = &interest.ask;
    let position = node.position();
    let within = |(center, radius): ([f32; 3], f32)| {
        let square: f32 = position.iter().zip(center).map(|(x, c)| (x - c) * (x - c)).sum();
        square <= radius * radius
    };
    let inside = |[a, b, c, d]: &[f32; 4]| {
        let [x, y, z] = position;
        a * x + b * y + c * z + d >= 0.0
    };
    let planes = ask.planes.as_slice();
    ask.all
        || node.id_flags.get() >> CLASS_SHIFT & u32::from(ask.kinds) != 0
        || ask.sphere.is_some_and(within)
        || (!planes.is_empty() && planes.iter().all(inside))
}

/// Keeps whole blocks of at most `max_nodes` nodes: those of `first`, wanted or not, then in wire order, where agents come
/// first.
fn limit(interest: &mut Interest, max_nodes: usize, first: &[usize], order: &WireOrder) {
    let wanted = interest.wanted.clone();
    let nodes_of = |block: usize| order.nodes().len().saturating_sub(block * BLOCK_NODES).min(BLOCK_NODES);
    let mut left = max_nodes;
    interest.wanted.clear();
    for block in first.iter().copied().chain(wanted.iter()) {
        if !interest.wanted.contains(block) && nodes_of(block) <= left {
            left -= nodes_of(block);
            interest.wanted.insert(block);
        }
    }
}

/// Nodes of the wanted blocks, and blocks there are.
pub(super) fn size(interest: &Interest, frame: &Frame) -> (u32, u32) {
    let nodes = frame.order().map_or(0, |order| order.nodes().len());
    let of_block = |block: usize| nodes.saturating_sub(block * BLOCK_NODES).min(BLOCK_NODES);
    (interest.wanted.iter().map(of_block).sum::<usize>() as u32, nodes.div_ceil(BLOCK_NODES) as u32)
}
