//! Measures of every node that `analytics` does not have: k-cores, triangles, betweenness.
#![allow(clippy::indexing_slicing, reason = "every index is a node of the graph, or lies in its rows")]

use std::collections::VecDeque;

use crate::graph::Csr;
use crate::limits::MCP_EXPANSIONS_MAX;
use crate::mcp::args::ToolError;
use crate::mcp::view::Bounds;

/// Neighbours without repetition, ascending.
fn distinct(csr: &Csr, bounds: &Bounds<'_>) -> Result<Vec<Vec<u32>>, ToolError> {
    let mut rows = Vec::with_capacity(csr.node_count());
    for node in 0..csr.node_count() {
        let mut row: Vec<u32> = csr.row(node).map(|(other, _)| other).collect();
        bounds.spend(1 + row.len() as u64)?;
        row.sort_unstable();
        row.dedup();
        rows.push(row);
    }
    Ok(rows)
}

/// The largest k for which a node is in a part where each has k neighbours. O(nodes + edges). Source: Batagelj and Zaversnik 2003.
pub(super) fn core_numbers(csr: &Csr, bounds: &Bounds<'_>) -> Result<Vec<f64>, ToolError> {
    let rows = distinct(csr, bounds)?;
    let mut degree: Vec<usize> = rows.iter().map(Vec::len).collect();
    let mut buckets: Vec<Vec<u32>> = vec![Vec::new(); degree.iter().max().map_or(0, |max| max + 1)];
    for (node, degree) in degree.iter().enumerate() {
        buckets[*degree].push(node as u32);
    }
    let mut core = vec![0.0; rows.len()];
    let mut done = vec![false; rows.len()];
    let (mut k, mut at) = (0, 0);
    while at < buckets.len() {
        let Some(node) = buckets[at].pop().map(|node| node as usize) else {
            at += 1;
            continue;
        };
        if done[node] || degree[node] != at {
            continue;
        }
        done[node] = true;
        k = k.max(at);
        core[node] = k as f64;
        bounds.spend(1 + rows[node].len() as u64)?;
        for other in &rows[node] {
            let other = *other as usize;
            if !done[other] && degree[other] > at {
                degree[other] -= 1;
                buckets[degree[other]].push(other as u32);
            }
        }
    }
    Ok(core)
}

/// Triangles at every node. O(edges * sqrt(edges)): each edge is looked at from its end of fewer neighbours.
pub(super) fn triangles(csr: &Csr, bounds: &Bounds<'_>) -> Result<Vec<f64>, ToolError> {
    let rows = distinct(csr, bounds)?;
    let rank = |node: u32| (rows[node as usize].len(), node);
    let ahead: Vec<Vec<u32>> = rows
        .iter()
        .enumerate()
        .map(|(node, row)| row.iter().copied().filter(|other| rank(*other) > rank(node as u32)).collect())
        .collect();
    let mut count = vec![0.0; rows.len()];
    for (node, row) in ahead.iter().enumerate() {
        for middle in row {
            let (mut left, mut right) = (row.iter().peekable(), ahead[*middle as usize].iter().peekable());
            bounds.spend(row.len() as u64)?;
            while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
                match a.cmp(b) {
                    std::cmp::Ordering::Less => drop(left.next()),
                    std::cmp::Ordering::Greater => drop(right.next()),
                    std::cmp::Ordering::Equal => {
                        for corner in [node, *middle as usize, **a as usize] {
                            count[corner] += 1.0;
                        }
                        left.next();
                        right.next();
                    }
                }
            }
        }
    }
    Ok(count)
}

/// How often a node lies between others.
pub(super) struct Betweenness {
    /// `[node_count]`: shortest paths through it, over ordered pairs; scaled up where not every node was a source.
    pub(super) score: Vec<f64>,
    /// Nodes that paths were followed from.
    pub(super) sources: usize,
}

/// Betweenness by hops, from every node, or from as many, evenly spread, as the work limit allows. Source: Brandes 2001.
pub(super) fn betweenness(csr: &Csr, bounds: &Bounds<'_>) -> Result<Betweenness, ToolError> {
    let nodes = csr.node_count();
    let each = (nodes + csr.half_edge_count()).max(1) as u64 * 2;
    let sources = ((MCP_EXPANSIONS_MAX * 10 / each).max(1) as usize).min(nodes);
    let mut score = vec![0.0; nodes];
    let (mut distance, mut paths, mut share) = (vec![u32::MAX; nodes], vec![0.0f64; nodes], vec![0.0f64; nodes]);
    for turn in 0..sources {
        let source = turn * nodes / sources;
        bounds.spend(each)?;
        distance.fill(u32::MAX);
        paths.fill(0.0);
        share.fill(0.0);
        distance[source] = 0;
        paths[source] = 1.0;
        let (mut order, mut queue) = (Vec::new(), VecDeque::from([source as u32]));
        while let Some(node) = queue.pop_front() {
            order.push(node);
            for (next, _) in csr.row(node as usize) {
                if distance[next as usize] == u32::MAX {
                    distance[next as usize] = distance[node as usize] + 1;
                    queue.push_back(next);
                }
                if distance[next as usize] == distance[node as usize] + 1 {
                    paths[next as usize] += paths[node as usize];
                }
            }
        }
        for node in order.iter().rev().map(|node| *node as usize) {
            for (before, _) in csr.row(node) {
                if distance[before as usize] + 1 == distance[node] {
                    share[before as usize] += paths[before as usize] / paths[node] * (1.0 + share[node]);
                }
            }
            if node != source {
                score[node] += share[node];
            }
        }
    }
    let scale = nodes as f64 / sources.max(1) as f64;
    score.iter_mut().for_each(|score| *score *= scale);
    Ok(Betweenness { score, sources })
}
