//! The live graph: rows in index order, found by id and by key, and what is incident to what.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::{Change, Csr, Edge, EdgeId, EdgeRow, IdIndex, More, Node, NodeId, NodeIndex};
use crate::limits::NODE_ID_MAX;

/// A whole graph. Built by [`super::GraphBuilder`] or [`Graph::from_rows`], changed by [`Graph::commit`].
///
/// Invariants: ids and keys are unique; every edge's ends are indices of the nodes; edges ascend by id; every id ever
/// dealt is below the next one.
#[derive(Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// `[node_count]`: ids of the edges that begin or end there, ascending; a loop once.
    incident: Vec<Vec<EdgeId>>,
    /// Indices, by id and by key.
    by_id: HashTable<NodeIndex>,
    by_key: HashTable<NodeIndex>,
    hasher: RandomState,
    next_node: u32,
    next_edge: u32,
    /// The keys are the ids, written as numbers.
    numbered: bool,
}

impl std::fmt::Debug for Graph {
    /// The rows: the tables beside them differ from run to run.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Graph").field("nodes", &self.nodes).field("edges", &self.edges).finish_non_exhaustive()
    }
}

/// What a commit did to the structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restructured {
    /// Nodes came, went, or are of another class: indices and id words are dealt anew.
    pub nodes: bool,
    /// Edges came, went, or have another weight or other ends.
    pub edges: bool,
}

impl Restructured {
    /// Whether the simulation has to hear of it.
    #[must_use]
    pub const fn any(self) -> bool {
        self.nodes || self.edges
    }
}

/// Why rows are not a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Two nodes have one id.
    #[error("two nodes have id {0}")]
    NodeTwice(u32),
    /// Two nodes have one key.
    #[error("two nodes have the key {0:?}")]
    KeyTwice(Box<str>),
    /// Two edges have one id.
    #[error("two edges have id {0}")]
    EdgeTwice(u32),
    /// An edge ends nowhere.
    #[error("edge {edge} names node {node}, which is not there")]
    NoEnd {
        /// Its id.
        edge: u32,
        /// The end.
        node: u32,
    },
}

impl Graph {
    /// The graph of these rows; ids below `next` (of nodes, of edges) are never dealt again.
    ///
    /// # Errors
    /// [`RowsError`] names the first row that does not fit.
    pub fn from_rows(nodes: Vec<Node>, edges: Vec<EdgeRow>, next: (u32, u32)) -> Result<Self, RowsError> {
        let mut graph = Self { next_node: next.0, next_edge: next.1, numbered: !nodes.is_empty(), ..Self::default() };
        graph.nodes.reserve_exact(nodes.len());
        graph.reserve(nodes.len());
        for node in nodes {
            if graph.index_of(node.id).is_some() {
                return Err(RowsError::NodeTwice(node.id.get()));
            }
            if graph.by_key(&node.key).is_some() {
                return Err(RowsError::KeyTwice(node.key));
            }
            graph.numbered &= super::build::plain_number(&node.key) == Some(node.id.get());
            graph.push_node(node);
        }
        let mut edges = edges;
        edges.sort_by_key(|edge| edge.id);
        graph.edges.reserve_exact(edges.len());
        for row in edges {
            if graph.edges.last().is_some_and(|last| last.id == row.id) {
                return Err(RowsError::EdgeTwice(row.id.0));
            }
            let end = |id: NodeId| graph.index_of(id).ok_or(RowsError::NoEnd { edge: row.id.0, node: id.get() });
            let ends = (end(row.source)?, end(row.target)?);
            graph.push_edge(row, ends);
        }
        graph.fit();
        Ok(graph)
    }

    /// Gives back the room that the lists of incident edges grew by.
    fn fit(&mut self) {
        self.incident.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// What a builder made: ids and keys are unique, edges are numbered in order.
    pub(super) fn built(nodes: Vec<Node>, edges: Vec<Edge>) -> Self {
        let numbered =
            !nodes.is_empty() && nodes.iter().all(|node| super::build::plain_number(&node.key) == Some(node.id.get()));
        let mut degrees = vec![0usize; nodes.len()];
        for end in edges.iter().flat_map(|edge| ends(edge.source, edge.target)) {
            if let Some(degree) = degrees.get_mut(end.get()) {
                *degree += 1;
            }
        }
        let next_node = nodes.iter().map(|node| node.id.get() + 1).max().unwrap_or(0);
        let incident = degrees.into_iter().map(Vec::with_capacity).collect();
        let mut graph = Self { numbered, nodes, incident, next_node, ..Self::default() };
        graph.reserve(graph.nodes.len());
        (0..graph.nodes.len() as u32).for_each(|index| graph.enter(NodeIndex(index)));
        for edge in &edges {
            graph.note_edge(edge.id, (edge.source, edge.target));
        }
        graph.edges = edges;
        graph
    }

    /// Makes room for so many more nodes in the tables.
    fn reserve(&mut self, more: usize) {
        let Self { nodes, by_id, by_key, hasher, .. } = self;
        by_id.reserve(more, |index| id_hash(nodes, hasher, *index));
        by_key.reserve(more, |index| key_hash(nodes, hasher, *index));
    }

    /// Nodes in index order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Edges, ascending by id.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The node at `index`.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.get())
    }

    /// The index of the node with this id. O(1).
    #[must_use]
    pub fn index_of(&self, id: NodeId) -> Option<NodeIndex> {
        let nodes = &self.nodes;
        let found = self.by_id.find(self.hasher.hash_one(id), |index| has(nodes, *index, |node| node.id == id));
        found.copied()
    }

    /// The index of the node with this key. O(1).
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<NodeIndex> {
        let nodes = &self.nodes;
        let found = self.by_key.find(self.hasher.hash_one(key), |index| has(nodes, *index, |node| &*node.key == key));
        found.copied()
    }

    /// The edge with this id. O(log n).
    #[must_use]
    pub fn edge(&self, id: EdgeId) -> Option<&Edge> {
        let place = self.edges.binary_search_by_key(&id, |edge| edge.id).ok()?;
        self.edges.get(place)
    }

    /// The edge with this id, its ends named by id.
    #[must_use]
    pub fn edge_row(&self, id: EdgeId) -> Option<EdgeRow> {
        self.edge(id).and_then(|edge| self.row_of(edge))
    }

    /// An edge of this graph, its ends named by id.
    #[must_use]
    pub fn row_of(&self, edge: &Edge) -> Option<EdgeRow> {
        Some(EdgeRow {
            id: edge.id,
            source: self.node(edge.source)?.id,
            target: self.node(edge.target)?.id,
            weight: edge.weight,
            directed: edge.directed,
            relation: edge.relation.clone(),
            label: edge.label().map(Into::into),
            attributes: edge.attributes().to_vec(),
        })
    }

    /// Ids of the edges that begin or end at a node, ascending; a loop once.
    #[must_use]
    pub fn incident(&self, index: NodeIndex) -> &[EdgeId] {
        self.incident.get(index.get()).map_or(&[], Vec::as_slice)
    }

    /// The map from ids to indices, for a thread of its own.
    #[must_use]
    pub fn ids(&self) -> IdIndex {
        IdIndex::new(self.nodes.iter().map(|node| node.id)).unwrap_or_default()
    }

    /// Largest id in use; `None` in an empty graph.
    #[must_use]
    pub fn id_max(&self) -> Option<NodeId> {
        self.nodes.iter().map(|node| node.id).max()
    }

    /// The ids that the next new node and edge get: above all that were ever dealt.
    #[must_use]
    pub fn next_ids(&self) -> (u32, u32) {
        (self.next_node, self.next_edge)
    }

    /// Whether keys are ids written as numbers, as in files that number their nodes.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.numbered
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

    /// Whether [`Self::commit`] of these changes would alter what the simulation knows.
    #[must_use]
    pub fn is_restructured_by(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| match change {
            Change::RemoveNode(id) => self.index_of(*id).is_some(),
            Change::RemoveEdge(id) => self.edge(*id).is_some(),
            Change::PutNode(node) => {
                let before = self.index_of(node.id).and_then(|index| self.node(index));
                before.is_none_or(|before| before.class != node.class)
            }
            Change::PutEdge(row) => self.edge(row.id).is_none_or(|before| before.weight != row.weight),
        })
    }

    /// Makes changes that [`super::Pending::stage`] has checked against this graph true. Nodes that stay keep their order, new ones
    /// come last. O(changes), and O(nodes + edges) when something is removed.
    ///
    /// Changes that do not fit (an edge without its ends) are left out: a stage makes none.
    pub fn commit(&mut self, changes: &[Change]) -> Restructured {
        let mut done = Restructured::default();
        self.remove(changes, &mut done);
        for change in changes {
            match change {
                Change::PutNode(node) => match self.index_of(node.id) {
                    Some(index) => done.nodes |= self.replace_node(index, node.clone()),
                    None => {
                        done.nodes = true;
                        self.push_node(node.clone());
                    }
                },
                Change::PutEdge(row) => self.put_edge(row.clone(), &mut done),
                Change::RemoveNode(_) | Change::RemoveEdge(_) => {}
            }
        }
        done
    }

    fn remove(&mut self, changes: &[Change], done: &mut Restructured) {
        let mut gone_edges: Vec<EdgeId> = Vec::new();
        let mut gone_nodes = Vec::new();
        for change in changes {
            match change {
                Change::RemoveEdge(id) => {
                    self.next_edge = self.next_edge.max(id.0.saturating_add(1));
                    gone_edges.extend(self.edge(*id).map(|edge| edge.id));
                }
                Change::RemoveNode(id) => {
                    self.next_node = self.next_node.max(id.get() + 1);
                    gone_nodes.extend(self.index_of(*id));
                }
                _ => {}
            }
        }
        for node in &gone_nodes {
            gone_edges.extend(self.incident(*node));
        }
        gone_edges.sort_unstable();
        gone_edges.dedup();
        if !gone_edges.is_empty() {
            done.edges = true;
            let gone = |id: &EdgeId| gone_edges.binary_search(id).is_ok();
            for id in &gone_edges {
                let Some((source, target)) = self.edge(*id).map(|edge| (edge.source, edge.target)) else { continue };
                for end in [source, target] {
                    if let Some(ids) = self.incident.get_mut(end.get())
                        && ids.iter().any(|other| other == id)
                    {
                        ids.retain(|id| !gone(id));
                    }
                }
            }
            self.edges.retain(|edge| !gone(&edge.id));
        }
        if !gone_nodes.is_empty() {
            done.nodes = true;
            gone_nodes.sort_unstable();
            self.compact(&gone_nodes);
        }
    }

    /// Takes nodes without edges out; `gone` is sorted.
    fn compact(&mut self, gone: &[NodeIndex]) {
        let mut index = 0u32..;
        let mut stays = || index.next().is_some_and(|index| gone.binary_search(&NodeIndex(index)).is_err());
        let place: Vec<bool> = self.nodes.iter().map(|_| stays()).collect();
        let mut kept = place.iter().copied();
        self.nodes.retain(|_| kept.next().unwrap_or(true));
        let mut kept = place.iter().copied();
        self.incident.retain(|_| kept.next().unwrap_or(true));
        let mut next = 0;
        let to: Vec<u32> = place
            .iter()
            .map(|stays| {
                let to = next;
                next += u32::from(*stays);
                to
            })
            .collect();
        let moved = |index: NodeIndex| NodeIndex(to.get(index.get()).copied().unwrap_or(index.0));
        for edge in &mut self.edges {
            edge.source = moved(edge.source);
            edge.target = moved(edge.target);
        }
        self.by_id.clear();
        self.by_key.clear();
        for index in (0..self.nodes.len() as u32).map(NodeIndex) {
            self.enter(index);
        }
    }

    pub(super) fn push_node(&mut self, node: Node) {
        let index = NodeIndex(self.nodes.len() as u32);
        self.next_node = self.next_node.max(node.id.get() + 1);
        self.nodes.push(node);
        self.incident.push(Vec::new());
        self.enter(index);
    }

    /// Says whether what stands in frames beside the motion is otherwise.
    fn replace_node(&mut self, index: NodeIndex, node: Node) -> bool {
        let reclassed = self.node(index).is_some_and(|before| before.class != node.class);
        let renamed = self.node(index).is_some_and(|before| before.key != node.key);
        if renamed {
            let (nodes, hasher) = (&self.nodes, &self.hasher);
            if let Ok(entry) = self.by_key.find_entry(key_hash(nodes, hasher, index), |other| *other == index) {
                entry.remove();
            }
        }
        if let Some(place) = self.nodes.get_mut(index.get()) {
            *place = node;
        }
        if renamed {
            self.enter_key(index);
        }
        reclassed
    }

    /// Makes a node of the rows known by id and key.
    fn enter(&mut self, index: NodeIndex) {
        let Some(node) = self.nodes.get(index.get()) else { return };
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.by_id.insert_unique(hasher.hash_one(node.id), index, |index| id_hash(nodes, hasher, *index));
        self.enter_key(index);
    }

    fn enter_key(&mut self, index: NodeIndex) {
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let hash = |index: &NodeIndex| key_hash(nodes, hasher, *index);
        self.by_key.insert_unique(hash(&index), index, hash);
    }

    fn put_edge(&mut self, row: EdgeRow, done: &mut Restructured) {
        let (Some(source), Some(target)) = (self.index_of(row.source), self.index_of(row.target)) else {
            debug_assert!(false, "a stage names ends that are there");
            return;
        };
        match self.edges.binary_search_by_key(&row.id, |edge| edge.id) {
            Ok(place) => {
                let Some(edge) = self.edges.get_mut(place) else { return };
                debug_assert!((edge.source, edge.target) == (source, target), "an edge keeps its ends");
                done.edges |= edge.weight != row.weight;
                *edge = edge_of(row, (edge.source, edge.target));
            }
            Err(place) => {
                done.edges = true;
                if place == self.edges.len() {
                    self.push_edge(row, (source, target));
                    return;
                }
                // Only a graph whose edges come back from elsewhere has these; ids ascend otherwise.
                self.note_edge(row.id, (source, target));
                self.edges.insert(place, edge_of(row, (source, target)));
            }
        }
    }

    pub(super) fn push_edge(&mut self, row: EdgeRow, ends: (NodeIndex, NodeIndex)) {
        self.note_edge(row.id, ends);
        self.edges.push(edge_of(row, ends));
    }

    fn note_edge(&mut self, id: EdgeId, (source, target): (NodeIndex, NodeIndex)) {
        self.next_edge = self.next_edge.max(id.0.saturating_add(1));
        for end in ends(source, target) {
            if let Some(ids) = self.incident.get_mut(end.get()) {
                // Ids ascend, but for those that come back from elsewhere.
                let place = if ids.last() < Some(&id) { ids.len() } else { ids.partition_point(|other| *other < id) };
                ids.insert(place, id);
            }
        }
    }
}

/// The nodes that an edge is incident to: one, where it is a loop.
fn ends(source: NodeIndex, target: NodeIndex) -> impl Iterator<Item = NodeIndex> {
    [Some(source), (source != target).then_some(target)].into_iter().flatten()
}

/// Under which a node stands in the table of ids.
fn id_hash(nodes: &[Node], hasher: &RandomState, index: NodeIndex) -> u64 {
    nodes.get(index.get()).map_or(0, |node| hasher.hash_one(node.id))
}

/// Under which it stands in the table of keys.
fn key_hash(nodes: &[Node], hasher: &RandomState, index: NodeIndex) -> u64 {
    nodes.get(index.get()).map_or(0, |node| hasher.hash_one(&*node.key))
}

fn has(nodes: &[Node], index: NodeIndex, is: impl Fn(&Node) -> bool) -> bool {
    nodes.get(index.get()).is_some_and(is)
}

fn edge_of(row: EdgeRow, (source, target): (NodeIndex, NodeIndex)) -> Edge {
    let EdgeRow { id, weight, directed, relation, label, attributes, .. } = row;
    Edge { id, source, target, weight, directed, relation, more: More::new(label, attributes) }
}

const _: () = assert!(NODE_ID_MAX < u32::MAX, "the next id is a number");
