//! Scale-normalised stress.

use swarmcast::graph::Csr;

use crate::points::distance;
use crate::random::Random;

/// Visits of nodes and half-edges that a score may cost: about four seconds. All sources fit up to about 5,000 nodes.
const VISITS_MAX: usize = 400_000_000;

/// However large the graph.
const SOURCES_MIN: usize = 50;

/// The stress and from how many sources it was taken; NaN without a pair.
pub(super) fn scale_normalised(rows: &Csr, at: &[[f64; 3]]) -> (f64, usize) {
    let visits = rows.node_count() + rows.half_edge_count();
    let sources = Random::new(2).sample(at.len() as u32, (VISITS_MAX / visits.max(1)).max(SOURCES_MIN) as u32);
    // Over ordered pairs: how many, and the sums of x/d and of its square.
    let (mut pairs, mut ratios, mut squares) = (0u64, 0f64, 0f64);
    let mut walk = Walk::new(at.len());
    for source in &sources {
        let Some(here) = at.get(*source as usize) else { continue };
        walk.from(rows, *source, |node, hops| {
            let ratio = at.get(node as usize).map_or(0.0, |there| distance(*here, *there)) / f64::from(hops);
            pairs += 1;
            ratios += ratio;
            squares += ratio * ratio;
        });
    }
    // With the scale s = ratios / squares, the sum of (s * ratio - 1)^2 is pairs - ratios^2 / squares.
    let explained = if squares > 0.0 { ratios * ratios / squares } else { 0.0 };
    ((pairs as f64 - explained) / pairs as f64, sources.len())
}

/// Breadth-first search that can be repeated without clearing.
struct Walk {
    turn: u32,
    seen: Vec<u32>,
    queue: Vec<(u32, u32)>,
}

impl Walk {
    fn new(nodes: usize) -> Self {
        Self { turn: 0, seen: vec![0; nodes], queue: Vec::with_capacity(nodes) }
    }

    /// Calls `visit` with every node that `source` reaches, and the hops to it.
    fn from(&mut self, rows: &Csr, source: u32, mut visit: impl FnMut(u32, u32)) {
        self.turn += 1;
        self.queue.clear();
        self.queue.push((source, 0));
        if let Some(seen) = self.seen.get_mut(source as usize) {
            *seen = self.turn;
        }
        let mut next = 0;
        while let Some((node, hops)) = self.queue.get(next).copied() {
            next += 1;
            for (other, _) in rows.row(node as usize) {
                let Some(seen) = self.seen.get_mut(other as usize).filter(|seen| **seen != self.turn) else { continue };
                *seen = self.turn;
                visit(other, hops + 1);
                self.queue.push((other, hops + 1));
            }
        }
    }
}
