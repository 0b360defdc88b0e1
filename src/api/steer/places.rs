//! The places of a layout mode, and what becomes of them when the graph changes under them.

use std::sync::Arc;

use super::SteerFacts;
use crate::graph::{Graph, IdIndex, Node};

/// What places are found for.
#[derive(Clone, Debug)]
pub struct PlacesBase {
    /// Of the structure.
    pub epoch: u32,
    /// Units.
    pub facts: SteerFacts,
    /// Where its nodes are in `Places::at`.
    pub ids: Arc<IdIndex>,
}

impl PlacesBase {
    /// Of a graph as it is at `epoch`. O(nodes log nodes).
    #[must_use]
    pub fn new(graph: &Graph, epoch: u32, facts: SteerFacts) -> Self {
        Self { epoch, facts, ids: Arc::new(graph.ids()) }
    }
}

/// Where the nodes of one structure belong.
#[derive(Clone, Debug)]
pub struct Places {
    /// Found for this; of those that were carried over only the units are.
    pub base: PlacesBase,
    /// `[node_count]`, world units.
    pub at: Arc<[[f32; 3]]>,
    /// They were found for a structure before this one, and are to be found again.
    pub carried: bool,
}

impl Places {
    /// Whether they are what a search for this structure in these units finds.
    #[must_use]
    pub fn are_found_for(&self, epoch: u32, facts: &SteerFacts) -> bool {
        !self.carried && self.base.epoch == epoch && self.base.facts.has_places_of(facts)
    }

    /// The same for another structure: who was there before keeps its place, whoever is new belongs amid its neighbours of before, without
    /// one where the graph says, else in the middle. O(nodes log nodes + edges).
    #[must_use]
    pub fn carried_to(&self, graph: &Graph, epoch: u32) -> Self {
        let place = |node: &Node| self.at.get(self.base.ids.get(node.id)?.get()).copied();
        let before: Vec<Option<[f32; 3]>> = graph.nodes().iter().map(place).collect();
        let mut amid = vec![([0f32; 3], 0u32); before.len()];
        for edge in graph.edges() {
            for (node, neighbour) in [(edge.source, edge.target), (edge.target, edge.source)] {
                if let (Some(Some(place)), Some((sum, count))) = (before.get(neighbour.get()), amid.get_mut(node.get()))
                {
                    sum.iter_mut().zip(place).for_each(|(sum, axis)| *sum += *axis);
                    *count += 1;
                }
            }
        }
        let rows = graph.nodes().iter().zip(before).zip(amid);
        let at = rows.map(|((node, before), (sum, count))| match (before, count) {
            (Some(place), _) => place,
            (None, 0) => node.position.unwrap_or_default(),
            (None, count) => sum.map(|axis| axis / count as f32),
        });
        Self { base: PlacesBase::new(graph, epoch, self.base.facts), at: at.collect(), carried: true }
    }
}
