//! Levels of a directed graph: every edge leads downwards, but for those that close a cycle.

#![allow(clippy::indexing_slicing, reason = "rows are built from the edges here, whose ends are checked first")]

/// The level of a node without one.
pub const NO_LEVEL: u32 = u32::MAX;

/// `[node_count]`: the length of the longest way to each node from a node that no edge leads to; [`NO_LEVEL`] for a node without a directed
/// edge. Edges that close a cycle, found by a depth-first search in node order from the nodes that no edge leads to, then from the others,
/// do not count; loops and ends that are not nodes do not count either. O(nodes + edges), no recursion.
#[must_use]
pub fn levels(node_count: usize, directed: &[(u32, u32)]) -> Vec<u32> {
    let edges = || directed.iter().filter(|(from, to)| from != to && (*from.max(to) as usize) < node_count);
    let mut start = vec![0usize; node_count + 1];
    let mut incoming = vec![0u32; node_count];
    for (from, to) in edges() {
        start[*from as usize + 1] += 1;
        incoming[*to as usize] += 1;
    }
    for node in 0..node_count {
        start[node + 1] += start[node];
    }
    let mut next = start.clone();
    let mut targets = vec![0u32; start[node_count]];
    for (from, to) in edges() {
        targets[next[*from as usize]] = *to;
        next[*from as usize] += 1;
    }
    let post = post_order(&start, &targets, &incoming);
    let mut rank = vec![0u32; node_count];
    for (place, node) in (0u32..).zip(post.iter().rev()) {
        rank[*node as usize] = place;
    }
    let mut level = vec![NO_LEVEL; node_count];
    // Against the post-order every counted edge leads forward, so a node's level is final when its turn comes.
    for node in post.iter().rev().map(|node| *node as usize) {
        let row = start[node]..start[node + 1];
        if row.is_empty() && incoming[node] == 0 {
            continue;
        }
        let own = if level[node] == NO_LEVEL { 0 } else { level[node] };
        level[node] = own;
        for to in targets[row].iter().map(|to| *to as usize) {
            if rank[to] > rank[node] {
                level[to] = if level[to] == NO_LEVEL { own + 1 } else { level[to].max(own + 1) };
            }
        }
    }
    level
}

/// Nodes in the order in which a depth-first search leaves them.
fn post_order(start: &[usize], targets: &[u32], incoming: &[u32]) -> Vec<u32> {
    let node_count = incoming.len();
    let mut order = Vec::with_capacity(node_count);
    let mut seen = vec![false; node_count];
    // A node and where its row goes on.
    let mut stack: Vec<(usize, usize)> = Vec::new();
    let sources = (0..node_count).filter(|node| incoming[*node] == 0);
    for first in sources.chain(0..node_count) {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        stack.push((first, start[first]));
        while let Some((node, at)) = stack.pop() {
            if at == start[node + 1] {
                order.push(node as u32);
                continue;
            }
            stack.push((node, at + 1));
            let to = targets[at] as usize;
            if !std::mem::replace(&mut seen[to], true) {
                stack.push((to, start[to]));
            }
        }
    }
    order
}
