//! Another structure of the graph, on its way from `control` to `sim` between two ticks.

use super::{ChainWriter, ClassRef, RuleSet, SidePlanes};
use crate::graph::{Csr, IdIndex, NodeIndex};
use crate::wire::NodeRecord;

use std::sync::Arc;

/// What stands in [`Structure::from`] for a node that was not there before.
pub const NEW_NODE: u32 = u32::MAX;

/// A new structure, with the memory that taking it needs. Made by `control`; what it replaces goes back there.
#[derive(Debug)]
pub struct Structure {
    /// Its epoch.
    pub epoch: u32,
    /// `[node_count]`: id words with class flags.
    pub words: Vec<u32>,
    /// From ids to indices.
    pub index: IdIndex,
    /// Who is joined to whom.
    pub csr: Csr,
    /// `[node_count]`: the node's index in the structure before, or [`NEW_NODE`].
    pub from: Vec<u32>,
    /// `[node_count]`, world units: where a node is to be. A node that was there before stays where it is without one, a new one
    /// is placed among its neighbours.
    pub place: Vec<Option<[f32; 3]>>,
    /// `[node_count]`: pins of new nodes; one that was there before keeps its own.
    pub pinned: Vec<bool>,
    /// Nodes next to a change, which look for new places.
    pub touched: Vec<NodeIndex>,
    /// Nodes that were there before, alone, and are not any more: they are placed anew, among their neighbours, unless somebody holds
    /// them where they are.
    pub adrift: Vec<NodeIndex>,
    /// Encoders for the compact classes that live.
    pub chains: Vec<(ClassRef, Box<ChainWriter>)>,
    /// `[node_count]`: room for where the nodes are to start from at a reset.
    pub home: Box<[[f32; 3]]>,
    /// `[node_count before]`: room for where the nodes are.
    pub records: Vec<NodeRecord>,
    /// `[node_count]`: room for how they move.
    pub velocity: Vec<[f32; 3]>,
}

/// What a structure has replaced, on its way back to be freed.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Id words.
    pub words: Vec<u32>,
    /// From ids to indices.
    pub index: IdIndex,
    /// Encoders.
    pub chains: Vec<Box<ChainWriter>>,
    /// Rules, which are of one structure.
    pub rules: Option<Box<RuleSet>>,
    /// Values beside the motion, likewise.
    pub side: Option<Arc<SidePlanes>>,
    /// Where nodes started from before.
    pub home: Box<[[f32; 3]]>,
    /// Room that was used.
    pub records: Vec<NodeRecord>,
    /// Room that was used.
    pub velocity: Vec<[f32; 3]>,
    /// Processor time that the change took `sim`, ns.
    pub busy_ns: u64,
}
