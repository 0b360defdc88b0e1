//! The one way to make a [`Graph`]: names in, checked graph out.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Edge, EdgeId, Graph, IdIndex, More, Node, NodeId, NodeIndex};
use crate::limits::{NODE_ID_MAX, NODE_ID_NAMED_MAX, TEXT_BYTES_MAX};

/// Why a graph could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// More nodes than the caller allows.
    #[error("the graph has more than {limit} nodes (graph.nodes_max)")]
    TooManyNodes {
        /// The limit that was set.
        limit: usize,
    },
    /// More edges than the caller allows.
    #[error("the graph has more than {limit} edges (graph.edges_max)")]
    TooManyEdges {
        /// The limit that was set.
        limit: usize,
    },
    /// A key or label is longer than the engine keeps.
    #[error("a name of {bytes} bytes is longer than {TEXT_BYTES_MAX}")]
    TextTooLong {
        /// Its length.
        bytes: usize,
    },
    /// An edge weight is negative or not finite.
    #[error("an edge weight must be a finite number >= 0, found {weight}")]
    Weight {
        /// The weight that was found.
        weight: f64,
    },
}

impl BuildError {
    /// Whether this is a limit on the whole graph, which no other record will pass either.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::TooManyNodes { .. } | Self::TooManyEdges { .. })
    }
}

/// Indices of nodes by key. The keys stand one behind the other, once more than in the nodes: what is looked up for every end of every edge
/// is then a megabyte or two and not a place of its own for each.
#[derive(Debug, Default)]
struct Keys {
    texts: String,
    /// Where each ends.
    ends: Vec<usize>,
    table: HashTable<NodeIndex>,
    hasher: RandomState,
}

impl Keys {
    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn find(&self, key: &str, hash: u64) -> Option<NodeIndex> {
        let is_it = |index: &NodeIndex| text_at(&self.texts, &self.ends, *index) == Some(key);
        self.table.find(hash, is_it).copied()
    }

    /// Adds the key of the next index.
    fn push(&mut self, key: &str, hash: u64) {
        let index = NodeIndex(self.ends.len() as u32);
        self.texts.push_str(key);
        self.ends.push(self.texts.len());
        let Self { texts, ends, table, hasher } = self;
        table.insert_unique(hash, index, |index| hasher.hash_one(text_at(texts, ends, *index).unwrap_or_default()));
    }
}

fn text_at<'keys>(texts: &'keys str, ends: &[usize], index: NodeIndex) -> Option<&'keys str> {
    let from = index.get().checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
    texts.get(from..*ends.get(index.get())?)
}

/// Collects nodes by key and edges by index, then assigns ids.
///
/// Ids: when every key is a plain decimal number up to [`NODE_ID_NAMED_MAX`], the id is that number, so a file's own
/// ids are kept, sparse or not; otherwise ids count from 0 in the order of first appearance. Either way the same
/// file gives the same ids.
#[derive(Debug)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    keys: Keys,
    nodes_max: usize,
    edges_max: usize,
}

impl GraphBuilder {
    /// An empty builder that refuses to grow past the two limits.
    #[must_use]
    pub fn new(nodes_max: usize, edges_max: usize) -> Self {
        let nodes_max = nodes_max.min(NODE_ID_MAX as usize + 1);
        Self { nodes: Vec::new(), edges: Vec::new(), keys: Keys::default(), nodes_max, edges_max }
    }

    /// The node called `key`; made, with its key as label, when it is new.
    ///
    /// # Errors
    /// [`BuildError::TooManyNodes`], [`BuildError::TextTooLong`].
    pub fn node(&mut self, key: &str) -> Result<NodeIndex, BuildError> {
        let hash = self.keys.hash(key);
        if let Some(index) = self.keys.find(key, hash) {
            return Ok(index);
        }
        if key.len() > TEXT_BYTES_MAX {
            return Err(BuildError::TextTooLong { bytes: key.len() });
        }
        if self.nodes.len() >= self.nodes_max {
            return Err(BuildError::TooManyNodes { limit: self.nodes_max });
        }
        let index = NodeIndex(self.nodes.len() as u32);
        self.nodes.push(Node::new(NodeId::UNASSIGNED, key.into()));
        self.keys.push(key, hash);
        Ok(index)
    }

    /// The node called `key`, if it is there already.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<NodeIndex> {
        self.keys.find(key, self.keys.hash(key))
    }

    /// The node at `index`, to fill in. Its `id` is assigned by [`Self::finish`]; its `key` must stay.
    pub fn node_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(index.get())
    }

    /// Adds an edge and returns it for filling in.
    ///
    /// # Errors
    /// [`BuildError::TooManyEdges`], [`BuildError::Weight`].
    ///
    /// # Panics
    /// When an end did not come from [`Self::node`].
    pub fn edge(
        &mut self,
        source: NodeIndex,
        target: NodeIndex,
        weight: f64,
        directed: bool,
    ) -> Result<&mut Edge, BuildError> {
        assert!(source.get().max(target.get()) < self.nodes.len(), "both ends come from `node`");
        if self.edges.len() >= self.edges_max.min(u32::MAX as usize) {
            return Err(BuildError::TooManyEdges { limit: self.edges_max });
        }
        let narrow = weight as f32;
        if !(narrow.is_finite() && narrow >= 0.0) {
            return Err(BuildError::Weight { weight });
        }
        let id = EdgeId(self.edges.len() as u32);
        let edge = Edge { id, source, target, weight: narrow, directed, relation: None, more: More::default() };
        Ok(self.edges.push_mut(edge))
    }

    /// Nodes so far.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Edges so far.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// Assigns ids and hands the graph over.
    #[must_use]
    pub fn finish(mut self) -> Graph {
        let numeric: Option<Vec<NodeId>> = self.nodes.iter().map(|node| decimal_id(&node.key)).collect();
        let ids = numeric.filter(|ids| IdIndex::new(ids.iter().copied()).is_ok());
        let ids = ids.unwrap_or_else(|| (0..self.nodes.len() as u32).filter_map(NodeId::new).collect());
        assert_eq!(ids.len(), self.nodes.len(), "nodes_max keeps every counted id within the id space");
        for (node, id) in self.nodes.iter_mut().zip(ids) {
            node.id = id;
        }
        Graph::built(self.nodes, self.edges)
    }
}

/// `key` as the id that a new node gets by it: a plain number up to [`NODE_ID_NAMED_MAX`].
pub(super) fn decimal_id(key: &str) -> Option<NodeId> {
    plain_number(key).filter(|number| *number <= NODE_ID_NAMED_MAX).and_then(NodeId::new)
}

/// `key` as a number when it is written the way that number is written: no sign, no leading zero.
pub(super) fn plain_number(key: &str) -> Option<u32> {
    let plain = key.bytes().all(|byte| byte.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    if plain { key.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph_of(keys: &[&str]) -> Graph {
        let mut builder = GraphBuilder::new(100, 100);
        for key in keys {
            builder.node(key).unwrap();
        }
        builder.finish()
    }

    fn raw_ids(graph: &Graph) -> Vec<u32> {
        graph.nodes().iter().map(|node| node.id.get()).collect()
    }

    #[test]
    fn numeric_keys_keep_their_numbers() {
        let graph = graph_of(&["900", "7", "0", "33554431"]);
        assert_eq!(raw_ids(&graph), [900, 7, 0, 33_554_431]);
        assert_eq!(graph.index_of(NodeId::new(7).unwrap()), Some(NodeIndex(1)));
    }

    #[test]
    fn any_other_key_makes_ids_count_from_zero() {
        assert_eq!(raw_ids(&graph_of(&["9", "x"])), [0, 1]);
        assert_eq!(raw_ids(&graph_of(&["9", "33554432"])), [0, 1], "the ids above are for nodes without a number");
        assert_eq!(raw_ids(&graph_of(&["1", "01"])), [0, 1], "01 and 1 are two names");
    }

    #[test]
    fn limits_and_weights_are_refused_by_name() {
        let mut builder = GraphBuilder::new(2, 1);
        let (a, b) = (builder.node("a").unwrap(), builder.node("b").unwrap());
        assert_eq!(builder.node("c").unwrap_err(), BuildError::TooManyNodes { limit: 2 });
        assert_eq!(builder.node("a").unwrap(), a);
        for weight in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(matches!(builder.edge(a, b, weight, false), Err(BuildError::Weight { .. })));
        }
        builder.edge(a, b, 0.0, false).unwrap();
        assert_eq!(builder.edge(a, b, 1.0, false).unwrap_err(), BuildError::TooManyEdges { limit: 1 });
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert!(matches!(GraphBuilder::new(9, 9).node(&long), Err(BuildError::TextTooLong { .. })));
    }
}
