//! Layout modes: where every node belongs, by the graph alone. No clock, no thread, no randomness: the same graph gives the same places.
//!
//! Connected components are laid out one by one and packed side by side; the whole is centred and fits into the bounds.

mod clustered;
mod hierarchical;
mod levels;
mod pack;
mod radial;
mod spectral;
#[cfg(test)]
mod tests;

pub use levels::{NO_LEVEL, levels};

use super::{AnalyticsError, StressOptions, Unwatched, majorise};
use crate::graph::Csr;
use pack::{Packing, pack};

/// How places are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nowhere in particular: the basic forces alone.
    #[default]
    ForceDirected,
    /// Layers by the direction of the edges.
    Hierarchical,
    /// Rings around the middle of each component.
    Radial,
    /// By the slowest vibrations of the graph.
    Spectral,
    /// Communities apart from each other.
    Clustered,
    /// Distances in space as distances along the graph, from where the nodes are.
    Stress,
}

/// What places are found from.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// Who is joined to whom.
    pub csr: Csr,
    /// Source and target of every directed edge.
    pub directed: Vec<(u32, u32)>,
    /// Length of an edge, world units.
    pub length: f32,
    /// The layout is a plane.
    pub flat: bool,
    /// Half-side of the cube that holds every node, world units.
    pub bound: f32,
    /// `[node_count]`: where the nodes are, world units; empty when that is not known, and then [`Mode::Stress`] has no places.
    pub position: Vec<[f32; 3]>,
}

/// Part of the bounds that places fill at most.
const FILL_MAX: f32 = 0.9;

/// `[node_count]`: the place of every node, world units; `None` when the mode has none. About O(nodes + edges), spectral and stress 300 times
/// that.
#[must_use]
pub fn places(mode: Mode, ground: &Ground) -> Option<Vec<[f32; 3]>> {
    let components = components(&ground.csr);
    let (mut places, packing) = match mode {
        Mode::ForceDirected => return None,
        Mode::Stress => return Some(fit(stress(ground)?, ground)),
        Mode::Hierarchical => (hierarchical::draw(ground, &components), Packing::Floor),
        Mode::Radial => (radial::draw(ground, &components), Packing::Space),
        Mode::Spectral => (spectral::draw(ground, &components), Packing::Space),
        Mode::Clustered => {
            let (places, communities) = clustered::draw(ground);
            return Some(fit(packed(ground, places, &communities, Packing::Space), ground));
        }
    };
    places.resize(ground.csr.node_count(), [0.0; 3]);
    Some(fit(packed(ground, places, &components, packing), ground))
}

/// The places of least stress near where the nodes are.
fn stress(ground: &Ground) -> Option<Vec<[f32; 3]>> {
    let mut options = StressOptions::default();
    // The table of distances from pivots has a limit: a graph of millions of nodes has fewer pivots.
    while options.pivots > 1 {
        match majorise(&ground.csr, &ground.position, &options, &Unwatched) {
            Ok(found) => return Some(found.position),
            Err(AnalyticsError::Table { .. }) => options.pivots /= 2,
            Err(_) => return None,
        }
    }
    None
}

/// Sets groups of nodes that were drawn around places of their own side by side.
fn packed(ground: &Ground, mut places: Vec<[f32; 3]>, groups: &[Vec<u32>], packing: Packing) -> Vec<[f32; 3]> {
    let of = |node: &u32| places.get(*node as usize).copied().unwrap_or_default();
    let boxes: Vec<([f32; 3], [f32; 3])> = groups.iter().map(|group| bounding_box(group.iter().map(of))).collect();
    // Half an edge of room on each side.
    let sizes: Vec<[f32; 3]> = boxes.iter().map(|(low, high)| sum(minus(*high, *low), [ground.length; 3])).collect();
    let centres = pack(&sizes, if ground.flat { Packing::Plane } else { packing });
    for ((group, (low, high)), centre) in groups.iter().zip(&boxes).zip(centres) {
        let shift = minus(centre, times(sum(*low, *high), 0.5));
        for node in group {
            if let Some(place) = places.get_mut(*node as usize) {
                *place = sum(*place, shift);
            }
        }
    }
    places
}

/// Shrinks what does not fit into the bounds, and flattens what has to be flat.
fn fit(mut places: Vec<[f32; 3]>, ground: &Ground) -> Vec<[f32; 3]> {
    let far = places.iter().flatten().fold(0f32, |far, axis| far.max(axis.abs()));
    let scale = if far > FILL_MAX * ground.bound { FILL_MAX * ground.bound / far } else { 1.0 };
    for place in &mut places {
        *place = times(*place, scale).map(|axis| if axis.is_finite() { axis } else { 0.0 });
        if ground.flat {
            *place = [place[0], place[1], 0.0];
        }
    }
    places
}

/// The nodes of each connected component, in the order of their smallest node; within one in the order of a search from it.
fn components(csr: &Csr) -> Vec<Vec<u32>> {
    let mut seen = vec![false; csr.node_count()];
    let mut components = Vec::new();
    for first in 0..csr.node_count() as u32 {
        if seen.get(first as usize).is_none_or(|seen| *seen) {
            continue;
        }
        let mut component = vec![first];
        mark(&mut seen, first);
        let mut next = 0;
        while let Some(node) = component.get(next).copied() {
            next += 1;
            for (other, _) in csr.row(node as usize) {
                if mark(&mut seen, other) {
                    component.push(other);
                }
            }
        }
        components.push(component);
    }
    components
}

/// Marks a node; whether it was not marked before.
fn mark(seen: &mut [bool], node: u32) -> bool {
    seen.get_mut(node as usize).is_some_and(|seen| !std::mem::replace(seen, true))
}

/// Steps of a breadth-first search.
#[derive(Debug)]
struct Search {
    /// By node; [`NO_LEVEL`] for one that was not reached.
    depth: Vec<u32>,
    /// By node: from where it was reached; the first node is its own.
    parent: Vec<u32>,
    /// In the order of the search.
    order: Vec<u32>,
}

impl Search {
    /// For graphs of this size.
    fn new(node_count: usize) -> Self {
        Self { depth: vec![NO_LEVEL; node_count], parent: vec![0; node_count], order: Vec::new() }
    }

    /// Searches from `first`, having forgotten the search before. O(what is reached).
    fn run(&mut self, csr: &Csr, first: u32) {
        for node in std::mem::take(&mut self.order) {
            if let Some(depth) = self.depth.get_mut(node as usize) {
                *depth = NO_LEVEL;
            }
        }
        self.reach(first, first, 0);
        let mut next = 0;
        while let Some(node) = self.order.get(next).copied() {
            next += 1;
            let depth = self.depth(node) + 1;
            for (other, _) in csr.row(node as usize) {
                self.reach(other, node, depth);
            }
        }
    }

    fn reach(&mut self, node: u32, parent: u32, depth: u32) {
        if let (Some(known), Some(from)) = (self.depth.get_mut(node as usize), self.parent.get_mut(node as usize))
            && *known == NO_LEVEL
        {
            (*known, *from) = (depth, parent);
            self.order.push(node);
        }
    }

    fn depth(&self, node: u32) -> u32 {
        self.depth.get(node as usize).copied().unwrap_or(NO_LEVEL)
    }

    fn parent(&self, node: u32) -> u32 {
        self.parent.get(node as usize).copied().unwrap_or(node)
    }

    fn last(&self) -> u32 {
        self.order.last().copied().unwrap_or(0)
    }

    /// The node in the middle of a long way through the component of `first`: by two searches to what is furthest. In a tree it is the
    /// middle of the longest way. Leaves the search from the way's end behind.
    fn middle(&mut self, csr: &Csr, first: u32) -> u32 {
        self.run(csr, first);
        let end = self.last();
        self.run(csr, end);
        let mut node = self.last();
        for _ in 0..self.depth(node) / 2 {
            node = self.parent(node);
        }
        node
    }
}

fn bounding_box(points: impl Iterator<Item = [f32; 3]>) -> ([f32; 3], [f32; 3]) {
    let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for point in points {
        for ((low, high), axis) in low.iter_mut().zip(&mut high).zip(point) {
            (*low, *high) = (low.min(axis), high.max(axis));
        }
    }
    if low[0] > high[0] { ([0.0; 3], [0.0; 3]) } else { (low, high) }
}

fn sum(left: [f32; 3], right: [f32; 3]) -> [f32; 3] {
    [left[0] + right[0], left[1] + right[1], left[2] + right[2]]
}

fn minus(left: [f32; 3], right: [f32; 3]) -> [f32; 3] {
    [left[0] - right[0], left[1] - right[1], left[2] - right[2]]
}

fn times(vector: [f32; 3], by: f32) -> [f32; 3] {
    vector.map(|axis| axis * by)
}
