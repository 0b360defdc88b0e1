//! Cycles: of directed edges along their direction, and of undirected edges. A cycle that needs both kinds is not looked for.
#![allow(clippy::indexing_slicing, reason = "every index is a node of the part, or lies in its rows")]

use std::collections::VecDeque;

use crate::mcp::args::ToolError;
use crate::mcp::view::Bounds;

/// Members of a cycle that are named.
const NAMED_MAX: usize = 64;

/// Edges of one kind, by the nodes that they can be followed from.
#[derive(Debug)]
pub(super) struct Rows {
    offset: Vec<u32>,
    /// Where a step leads, and the number of its edge.
    step: Vec<(u32, u32)>,
}

impl Rows {
    /// Of edges as pairs of nodes below `nodes`. Undirected ones can be followed both ways.
    pub(super) fn new(nodes: usize, edges: &[(u32, u32)], directed: bool) -> Self {
        let mut offset = vec![0u32; nodes + 1];
        for (from, to) in edges {
            offset[*from as usize + 1] += 1;
            offset[*to as usize + 1] += u32::from(!directed && from != to);
        }
        for row in 0..nodes {
            offset[row + 1] += offset[row];
        }
        let mut next = offset.clone();
        let mut step = vec![(0, 0); offset[nodes] as usize];
        let mut put = |from: u32, to: u32, edge: u32| {
            step[next[from as usize] as usize] = (to, edge);
            next[from as usize] += 1;
        };
        for (edge, (from, to)) in (0..).zip(edges) {
            put(*from, *to, edge);
            if !directed && from != to {
                put(*to, *from, edge);
            }
        }
        Self { offset, step }
    }

    fn of(&self, node: u32) -> &[(u32, u32)] {
        &self.step[self.offset[node as usize] as usize..self.offset[node as usize + 1] as usize]
    }

    fn len(&self) -> usize {
        self.offset.len() - 1
    }
}

/// Nodes that lie on cycles together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    pub(super) members: Vec<u32>,
    pub(super) directed: bool,
}

/// A step of a depth-first search: a node, its next edge, and the edge that led to it.
struct Visit {
    node: u32,
    next: usize,
    by: u32,
}

/// No edge led here.
const NONE: u32 = u32::MAX;

/// Groups of nodes each of which can be left and reached again, by directed edges along their direction, or by undirected ones without
/// using one twice; those that lie on no cycle are in none. Largest first. O(nodes + edges). Source: Tarjan 1972, 1974.
pub(super) fn rings(rows: &Rows, directed: bool, bounds: &Bounds<'_>) -> Result<Vec<Ring>, ToolError> {
    let count = rows.len();
    let (mut order, mut low) = (vec![0u32; count], vec![0u32; count]);
    let mut on_stack = vec![false; count];
    let (mut stack, mut visits, mut rings, mut met) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for root in 0..count as u32 {
        if order[root as usize] != 0 {
            continue;
        }
        visits.push(Visit { node: root, next: 0, by: NONE });
        while let Some(Visit { node, next, by }) = visits.last_mut() {
            let (here, edge_here) = (*node, *by);
            let at = here as usize;
            if *next == 0 {
                met += 1;
                (order[at], low[at], on_stack[at]) = (met, met, true);
                stack.push(here);
            }
            bounds.spend(1)?;
            let Some((to, edge)) = rows.of(here).get(*next).copied() else {
                visits.pop();
                if let Some(above) = visits.last() {
                    let above = above.node as usize;
                    low[above] = low[above].min(low[at]);
                }
                if low[at] == order[at] {
                    let mut members = Vec::new();
                    while let Some(member) = stack.pop() {
                        on_stack[member as usize] = false;
                        members.push(member);
                        if member == here {
                            break;
                        }
                    }
                    let loops = |member: &u32| rows.of(*member).iter().any(|(to, _)| to == member);
                    if members.len() > 1 || members.iter().any(loops) {
                        members.sort_unstable();
                        rings.push(Ring { members, directed });
                    }
                }
                continue;
            };
            *next += 1;
            // An undirected edge does not lead back over itself.
            if !directed && edge == edge_here {
                continue;
            }
            match order[to as usize] {
                0 => visits.push(Visit { node: to, next: 0, by: edge }),
                seen if on_stack[to as usize] => low[at] = low[at].min(seen),
                _ => {}
            }
        }
    }
    rings.sort_by(|left, right| right.members.len().cmp(&left.members.len()).then(left.members.cmp(&right.members)));
    Ok(rings)
}

/// How a search came to a node.
#[derive(Clone, Copy)]
struct Reached {
    from: u32,
    /// The last edge, and the first one of the way.
    by: u32,
    branch: u32,
    depth: usize,
}

/// A shortest cycle through the node of a ring that has most edges: its length, and its nodes in order unless they are too many.
pub(super) fn shortest(rows: &Rows, ring: &Ring, bounds: &Bounds<'_>) -> Result<Option<(usize, Vec<u32>)>, ToolError> {
    let inside = |node: u32| ring.members.binary_search(&node).ok();
    let Some(start) = ring.members.iter().rev().copied().max_by_key(|node| rows.of(*node).len()) else {
        return Ok(None);
    };
    let mut reached: Vec<Option<Reached>> = vec![None; ring.members.len()];
    let known = |reached: &[Option<Reached>], node: u32| inside(node).and_then(|place| reached[place]);
    if let Some(first) = inside(start) {
        reached[first] = Some(Reached { from: start, by: NONE, branch: NONE, depth: 0 });
    }
    let mut queue = VecDeque::from([start]);
    let mut best: Option<Vec<u32>> = None;
    while let Some(node) = queue.pop_front() {
        let Some(here) = known(&reached, node) else { continue };
        if best.as_ref().is_some_and(|best| best.len() <= 2 * here.depth + 1) {
            break;
        }
        for (to, edge) in rows.of(node).iter().copied() {
            bounds.spend(1)?;
            let Some(place) = inside(to) else { continue };
            let Some(there) = reached[place] else {
                let branch = if node == start { edge } else { here.branch };
                reached[place] = Some(Reached { from: node, by: edge, branch, depth: here.depth + 1 });
                queue.push_back(to);
                continue;
            };
            let closes = match ring.directed {
                true => to == start,
                // Two ways from the start that begin differently meet; or an edge leads back that was not the way here.
                false => {
                    edge != here.by && (to == node || to == start || (node != start && here.branch != there.branch))
                }
            };
            if !closes {
                continue;
            }
            // From a node back to the start, which is left out.
            let way = |from: u32| {
                let step = |node: &u32| known(&reached, *node).map(|reached| reached.from);
                std::iter::successors(Some(from), step).take_while(|node| *node != start)
            };
            let cycle: Vec<u32> = if to == node {
                vec![node]
            } else {
                let mut cycle: Vec<u32> = way(node).collect();
                cycle.push(start);
                cycle.reverse();
                cycle.extend(way(to));
                cycle
            };
            if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
                best = Some(cycle);
            }
            if ring.directed {
                break;
            }
        }
        if ring.directed && best.is_some() {
            break;
        }
    }
    let named = |cycle: Vec<u32>| (cycle.len(), if cycle.len() <= NAMED_MAX { cycle } else { Vec::new() });
    Ok(best.map(named))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analytics::Unwatched;
    use crate::mcp::Server;

    /// Which nodes lie on a cycle, by trying: an edge does when its ends are still connected without it.
    fn on_cycles(nodes: usize, edges: &[(u32, u32)], directed: bool) -> Vec<bool> {
        let mut on = vec![false; nodes];
        for (left_out, (from, to)) in edges.iter().enumerate() {
            let mut met = vec![false; nodes];
            let mut open = vec![*to];
            while let Some(node) = open.pop() {
                if std::mem::replace(&mut met[node as usize], true) {
                    continue;
                }
                for (edge, (a, b)) in edges.iter().enumerate() {
                    if edge != left_out {
                        open.extend((*a == node).then_some(*b));
                        open.extend((!directed && *b == node).then_some(*a));
                    }
                }
            }
            if met[*from as usize] {
                (on[*from as usize], on[*to as usize]) = (true, true);
            }
        }
        on
    }

    proptest! {
        #[test]
        fn rings_are_where_cycles_are(
            nodes in 1usize..9,
            pairs in proptest::collection::vec((0u32..9, 0u32..9), 0..16),
            directed in any::<bool>(),
        ) {
            let edges: Vec<(u32, u32)> =
                pairs.into_iter().filter(|(a, b)| (*a as usize) < nodes && (*b as usize) < nodes).collect();
            let server = Server::new("1", [0; 32], &["core"]).unwrap();
            let bounds = Bounds::new(&server, "me", &Unwatched, || 0);
            let rows = Rows::new(nodes, &edges, directed);
            let rings = rings(&rows, directed, &bounds).unwrap();
            let mut on = vec![false; nodes];
            for ring in &rings {
                for member in &ring.members {
                    prop_assert!(!std::mem::replace(&mut on[*member as usize], true), "a node is in one ring");
                }
                let (length, cycle) = shortest(&rows, ring, &bounds).unwrap().unwrap();
                prop_assert_eq!(length, cycle.len());
                let mut left = edges.clone();
                for (place, from) in cycle.iter().enumerate() {
                    let to = cycle[(place + 1) % length];
                    let found = left.iter().position(|(a, b)| {
                        (a, b) == (from, &to) || (!directed && (b, a) == (from, &to))
                    });
                    prop_assert!(found.is_some(), "{:?} uses an edge that is not there, or twice", cycle);
                    left.remove(found.unwrap());
                }
                let mut once = cycle.clone();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(once.len(), length);
            }
            prop_assert_eq!(on, on_cycles(nodes, &edges, directed));
        }
    }
}
