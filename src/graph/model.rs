//! The graph's data, as it was imported: nodes and edges with their attributes.

use super::{Csr, IdIndex, NodeClass, NodeId, NodeIndex};

/// A typed attribute value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text of at most [`crate::limits::TEXT_BYTES_MAX`] bytes.
    Text(Box<str>),
}

/// Attributes in the order of the file, at most [`crate::limits::ATTRIBUTES_MAX`], keys unique.
pub type Attributes = Vec<(Box<str>, Value)>;

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Stable id, unique in the graph.
    pub id: NodeId,
    /// The name the source file uses for it, unique in the graph.
    pub key: Box<str>,
    /// What a person sees; the key where the source has no label.
    pub label: Box<str>,
    /// Kind and privacy.
    pub class: NodeClass,
    /// Group, layer or community of the source file.
    pub group: Option<Box<str>>,
    /// Importance, > 0 and finite; 1 where the source has none.
    pub weight: f32,
    /// Colour as `0xRRGGBB`, where the source has one.
    pub colour: Option<u32>,
    /// Position the source asks for, in world units; `[x, y, z]`, finite.
    pub position: Option<[f32; 3]>,
    /// The simulation leaves a pinned node where it is.
    pub pinned: bool,
    /// Everything else.
    pub attributes: Attributes,
}

/// One edge between two nodes of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Where it starts.
    pub source: NodeIndex,
    /// Where it ends.
    pub target: NodeIndex,
    /// Strength, >= 0 and finite; 1 where the source has none. 0 exerts no force.
    pub weight: f32,
    /// Whether direction matters; the simulation treats both alike.
    pub directed: bool,
    /// Relation type, where the source has one.
    pub relation: Option<Box<str>>,
    /// What a person sees, where the source has one.
    pub label: Option<Box<str>>,
    /// Everything else.
    pub attributes: Attributes,
}

/// A whole graph. Built by [`super::GraphBuilder`], which keeps the invariants below.
///
/// Invariants: ids and keys are unique; every edge's ends are indices of `nodes`.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    pub(super) ids: IdIndex,
}

impl Graph {
    /// Nodes in index order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Edges in the order of the source.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The node at `index`.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.get())
    }

    /// The index of the node with this id. O(log n).
    #[must_use]
    pub fn index_of(&self, id: NodeId) -> Option<NodeIndex> {
        self.ids.get(id)
    }

    /// The map from ids to indices.
    #[must_use]
    pub fn ids(&self) -> &IdIndex {
        &self.ids
    }

    /// Largest id in use; `None` in an empty graph.
    #[must_use]
    pub fn id_max(&self) -> Option<NodeId> {
        self.nodes.iter().map(|node| node.id).max()
    }

    /// Marks a node as pinned or free; `false` when there is no such node.
    pub fn set_pinned(&mut self, index: NodeIndex, pinned: bool) -> bool {
        self.nodes.get_mut(index.get()).map(|node| node.pinned = pinned).is_some()
    }

    /// The undirected adjacency that the simulation works on.
    #[must_use]
    pub fn csr(&self) -> Csr {
        Csr::new(self.nodes.len(), self.edges.iter().map(|edge| (edge.source, edge.target, edge.weight)))
    }
}
