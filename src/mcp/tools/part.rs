//! A part of the graph: some nodes and the edges between them.

use std::borrow::Cow;

use serde::Deserialize;

use super::show::{cut, key};
use crate::graph::{Csr, Graph, Node, NodeId, NodeIndex, NodeKind};
use crate::mcp::args::{Id, ToolError, bounded, counted, need};
use crate::mcp::view::{Bounds, View};

/// Nodes of a scope that are named one by one.
const IDS_MAX: usize = 5_000;

/// A part, as it is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::mcp) struct Scope<'line> {
    #[serde(borrow)]
    ids: Option<Vec<Id<'line>>>,
    #[serde(borrow)]
    kind: Option<Cow<'line, str>>,
    #[serde(borrow)]
    group: Option<Cow<'line, str>>,
}

/// Which nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These; those that are gone are passed over.
    Nodes(Vec<NodeId>),
    /// All of a kind.
    Kind(NodeKind),
    /// All of a group.
    Group(Box<str>),
}

/// A part as a graph of its own, and where its nodes are, `[node_count]` in index order, world units.
pub type CutOut = (Graph, Option<Vec<[f32; 3]>>);

impl Scope<'_> {
    pub(super) fn selection(&self, graph: &Graph) -> Result<Selection, ToolError> {
        let kind = super::find::kind(self.kind.as_deref()).map_err(|error| ToolError(format!("scope.{error}")))?;
        match (&self.ids, kind, self.group.as_deref()) {
            (Some(ids), None, None) => {
                counted("scope.ids", ids.len(), 1, IDS_MAX)?;
                let id = |id: &Id<'_>| {
                    let index = need(graph, "scope.ids", Some(id))?;
                    graph.node(index).map(|node| node.id).ok_or_else(|| ToolError::new("scope.ids: a node is gone"))
                };
                Ok(Selection::Nodes(ids.iter().map(id).collect::<Result<_, _>>()?))
            }
            (None, Some(kind), None) => Ok(Selection::Kind(kind)),
            (None, None, Some(group)) => Ok(Selection::Group(bounded("scope.group", group, 512)?.into())),
            _ => Err(ToolError::new("scope takes one of ids, kind, group")),
        }
    }
}

impl Selection {
    /// The nodes, ascending.
    fn members(&self, graph: &Graph) -> Vec<NodeIndex> {
        let all = || (0..graph.nodes().len() as u32).map(NodeIndex);
        let of = |fits: &dyn Fn(&Node) -> bool| all().filter(|index| graph.node(*index).is_some_and(fits)).collect();
        let mut members: Vec<NodeIndex> = match self {
            Self::Nodes(ids) => ids.iter().filter_map(|id| graph.index_of(*id)).collect(),
            Self::Kind(kind) => of(&|node| node.class.kind == *kind),
            Self::Group(group) => of(&|node| node.group == Some(group.clone())),
        };
        members.sort_unstable();
        members.dedup();
        members
    }

    /// The nodes and the edges between them as a graph of their own, with the same ids, and where its nodes are.
    ///
    /// # Errors
    /// No node is in it.
    pub fn cut_out(&self, graph: &Graph, positions: Option<&[[f32; 3]]>) -> Result<CutOut, ToolError> {
        let members = self.members(graph);
        if members.is_empty() {
            return Err(nobody());
        }
        let nodes = members.iter().filter_map(|index| graph.node(*index)).cloned().collect();
        let is_in = |index: NodeIndex| members.binary_search(&index).is_ok();
        let edges = graph.edges().iter().filter(|edge| is_in(edge.source) && is_in(edge.target));
        let rows = edges.filter_map(|edge| graph.row_of(edge)).collect();
        let part = Graph::from_rows(nodes, rows, graph.next_ids())
            .map_err(|error| ToolError::new(format!("the part could not be cut out: {error}")))?;
        let place = |node: &Node| {
            let index = graph.index_of(node.id)?;
            positions?.get(index.get()).copied()
        };
        let places = positions.map(|_| part.nodes().iter().map(|node| place(node).unwrap_or_default()).collect());
        Ok((part, places))
    }
}

#[cold]
fn nobody() -> ToolError {
    ToolError::new("scope: no node is in it; graph_overview names kinds and groups")
}

/// A node that is in no part.
const OUTSIDE: u32 = u32::MAX;

/// What is measured: the whole graph, or a part of it. A place is a node's number in it.
pub(super) struct Part {
    /// Its adjacency, by place.
    pub(super) csr: Csr,
    /// By place; `None` is the whole graph.
    members: Option<Vec<NodeIndex>>,
}

impl Part {
    pub(super) fn of(asked: Option<&Scope<'_>>, view: &View<'_>, bounds: &Bounds<'_>) -> Result<Self, ToolError> {
        let graph = view.graph;
        bounds.spend((graph.nodes().len() + graph.edges().len()) as u64)?;
        let Some(scope) = asked else { return Ok(Self { csr: graph.csr(), members: None }) };
        let members = scope.selection(graph)?.members(graph);
        if members.is_empty() {
            return Err(nobody());
        }
        let count = members.len();
        let mut part = Self { csr: Csr::default(), members: Some(members) };
        let places = part.places(graph);
        let local =
            |index: NodeIndex| places.get(index.get()).copied().filter(|place| *place != OUTSIDE).map(NodeIndex);
        let edges = graph.edges().iter();
        let edges = edges.filter_map(|edge| Some((local(edge.source)?, local(edge.target)?, edge.weight)));
        part.csr = Csr::new(count, edges);
        Ok(part)
    }

    /// Places by index in the graph.
    fn places(&self, graph: &Graph) -> Vec<u32> {
        let Some(members) = &self.members else { return (0..graph.nodes().len() as u32).collect() };
        let mut places = vec![OUTSIDE; graph.nodes().len()];
        for (place, member) in (0..).zip(members) {
            if let Some(slot) = places.get_mut(member.get()) {
                *slot = place;
            }
        }
        places
    }

    fn index(&self, place: usize) -> NodeIndex {
        match &self.members {
            None => NodeIndex(place as u32),
            Some(members) => members.get(place).copied().unwrap_or(NodeIndex(OUTSIDE)),
        }
    }

    pub(super) fn node<'a>(&self, view: &View<'a>, place: usize) -> Option<&'a Node> {
        view.graph.node(self.index(place))
    }

    pub(super) fn key<'a>(&self, view: &View<'a>, place: usize) -> &'a str {
        cut(key(view.graph, self.index(place)), 64)
    }

    /// Directed edges, or undirected ones, between its nodes, as places.
    pub(super) fn pairs(&self, graph: &Graph, directed: bool) -> Vec<(u32, u32)> {
        let places = self.places(graph);
        let local = |index: NodeIndex| places.get(index.get()).copied().filter(|place| *place != OUTSIDE);
        let edges = graph.edges().iter().filter(|edge| edge.directed == directed);
        edges.filter_map(|edge| Some((local(edge.source)?, local(edge.target)?))).collect()
    }
}
