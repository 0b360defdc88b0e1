//! Changes of a graph: what somebody asks for, and what it came to.

use serde::{Deserialize, Serialize};

use super::{Author, EdgeId, EdgeRow, Node, NodeId, NodeKind, Value};

/// One change, whole: the state after it, so that making it twice is making it once.
///
/// As JSON an object with one of `put_node`, `remove_node`, `put_edge`, `remove_edge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The node is like this now; it is new when there was none with its id.
    PutNode(Node),
    /// The node is gone; its edges went before it. Its id is not dealt again, even where the node came and went in one batch.
    RemoveNode(NodeId),
    /// The edge is like this now; it is new when there was none with its id.
    PutEdge(EdgeRow),
    /// The edge is gone, and its id is not dealt again.
    RemoveEdge(EdgeId),
}

/// Operations that are done together, and all of them or none where `each` is not set. One type for every door.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// In order; a later one may name what an earlier one made.
    pub ops: Vec<Op>,
    /// Refused unless the graph is at this version.
    pub if_version: Option<u64>,
    /// A batch with a key that was used already is not done again: its first answer is given again.
    pub idempotency_key: Option<Box<str>>,
    /// Who asks and why, for the log and for everybody who watches.
    pub author: Author,
    /// Each operation is done or refused by itself: those that cannot be done are left out, and the others are done together.
    pub each: bool,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Makes a node; refused when its key is taken.
    AddNode(NodeDraft),
    /// Makes a node, or changes the one that has its key.
    UpsertNode(NodeDraft),
    /// Changes a node.
    UpdateNode {
        /// Which.
        node: NodeRef,
        /// What of it.
        patch: NodePatch,
    },
    /// Removes a node and every edge that begins or ends there.
    RemoveNode {
        /// Which.
        node: NodeRef,
    },
    /// Makes an edge, also beside another one between the same nodes.
    AddEdge(EdgeDraft),
    /// Makes an edge, or changes the first one that has its ends and relation.
    UpsertEdge(EdgeDraft),
    /// Changes an edge.
    UpdateEdge {
        /// Which.
        edge: EdgeRef,
        /// What of it.
        patch: EdgePatch,
    },
    /// Removes an edge.
    RemoveEdge {
        /// Which.
        edge: EdgeRef,
    },
}

/// A node, by either of its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NodeRef {
    /// By its id: a number in JSON.
    Id(NodeId),
    /// By its key: a string in JSON.
    Key(Box<str>),
}

impl std::fmt::Display for NodeRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(formatter, "{}", id.get()),
            Self::Key(key) => write!(formatter, "{key:?}"),
        }
    }
}

/// An edge, by its id or by what it joins.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeRef {
    /// By its id.
    Id(EdgeId),
    /// The first one, by id, from here to there with this relation.
    Between {
        /// Where it starts.
        source: NodeRef,
        /// Where it ends.
        target: NodeRef,
        /// Its relation; `None` is an edge without one.
        relation: Option<Box<str>>,
    },
}

/// A node to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeDraft {
    /// Its key; without one, its id as a number.
    pub key: Option<Box<str>>,
    /// The rest; what is not named is as in a file that does not name it.
    pub patch: NodePatch,
}

/// What of a node is to be otherwise. `None` leaves it; an inner `None` empties it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodePatch {
    /// Another key.
    pub key: Option<Box<str>>,
    /// What a person sees.
    pub label: Option<Box<str>>,
    /// Its kind.
    pub kind: Option<NodeKind>,
    /// Not to be shown to everyone.
    pub private: Option<bool>,
    /// Group, layer or community.
    pub group: Option<Option<Box<str>>>,
    /// Importance, > 0 and finite.
    pub weight: Option<f32>,
    /// `0xRRGGBB`.
    pub colour: Option<Option<u32>>,
    /// World units; the node is put there, and moves on from there unless it is pinned.
    pub position: Option<Option<[f32; 3]>>,
    /// The simulation leaves a pinned node where it is.
    pub pinned: Option<bool>,
    /// By key; `None` takes one out.
    pub attributes: Vec<(Box<str>, Option<Value>)>,
    /// The attributes named are all that it has from now on.
    pub replace_attributes: bool,
}

/// An edge to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeDraft {
    /// Where it starts.
    pub source: NodeRef,
    /// Where it ends.
    pub target: NodeRef,
    /// Ends that are not there are made, with their keys.
    pub create_ends: bool,
    /// The rest; what is not named is as in a file that does not name it.
    pub patch: EdgePatch,
}

/// What of an edge is to be otherwise. `None` leaves it; an inner `None` empties it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgePatch {
    /// Strength, >= 0 and finite.
    pub weight: Option<f32>,
    /// Whether direction matters; true for a new edge.
    pub directed: Option<bool>,
    /// Relation type.
    pub relation: Option<Option<Box<str>>>,
    /// What a person sees.
    pub label: Option<Option<Box<str>>>,
    /// By key; `None` takes one out.
    pub attributes: Vec<(Box<str>, Option<Value>)>,
    /// The attributes named are all that it has from now on.
    pub replace_attributes: bool,
}

/// What one operation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A node was made or changed, or is as it was asked to be already.
    Node {
        /// Its id.
        id: NodeId,
        /// Whether, and how.
        deed: Deed,
    },
    /// An edge was made or changed, or is as it was asked to be already.
    Edge {
        /// Its id.
        id: EdgeId,
        /// Whether, and how.
        deed: Deed,
    },
}

impl Outcome {
    /// Whether, and how.
    #[must_use]
    pub const fn deed(&self) -> Deed {
        match self {
            Self::Node { deed, .. } | Self::Edge { deed, .. } => *deed,
        }
    }
}

/// Whether something was changed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It is new.
    Created,
    /// It is otherwise.
    Updated,
    /// It was so already.
    Unchanged,
    /// It is gone.
    Removed,
}

/// Why a batch is refused. Nothing of it is done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("operation {op}: {reason}")]
pub struct OpError {
    /// Which operation, from 0.
    pub op: usize,
    /// What is wrong with it.
    pub reason: OpProblem,
}

/// What is wrong with an operation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpProblem {
    /// No such node.
    #[error("there is no node {node}")]
    UnknownNode {
        /// The field that names it.
        field: &'static str,
        /// As it was named.
        node: NodeRef,
    },
    /// No such edge.
    #[error("there is no such edge: {edge}")]
    UnknownEdge {
        /// As it was named.
        edge: String,
    },
    /// The key belongs to another node.
    #[error("the key {key:?} is node {id}'s")]
    KeyTaken {
        /// The key.
        key: Box<str>,
        /// Whose it is.
        id: u32,
    },
    /// A value out of its range.
    #[error("{field} must be {allowed}, found {found}")]
    Range {
        /// The field.
        field: &'static str,
        /// What is allowed.
        allowed: &'static str,
        /// What was found.
        found: String,
    },
    /// A limit of the graph.
    #[error("the graph may have {limit} {what} ({setting})")]
    Full {
        /// Nodes or edges.
        what: &'static str,
        /// How many.
        limit: usize,
        /// The setting.
        setting: &'static str,
    },
    /// Of the machine.
    #[error("with it the graph takes {} more and the machine has {} available", mib(*needed), mib(*available))]
    Memory {
        /// Bytes, without labels and attributes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl OpProblem {
    /// The name of the problem for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownNode { .. } => "unknown_node",
            Self::UnknownEdge { .. } => "unknown_edge",
            Self::KeyTaken { .. } => "key_taken",
            Self::Range { .. } => "out_of_range",
            Self::Full { .. } => "graph_full",
            Self::Memory { .. } => "memory_full",
        }
    }

    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::UnknownNode { field, .. } | Self::Range { field, .. } => field,
            Self::UnknownEdge { .. } => "edge",
            Self::KeyTaken { .. } => "key",
            Self::Full { what, .. } => what,
            Self::Memory { .. } => "memory",
        }
    }
}
