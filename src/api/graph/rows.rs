//! Rows of nodes and edges, a page at a time.

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::data::{EdgeRow, NodeRow};
use crate::api::steer::RestError;
use crate::graph::{EdgeId, Graph, NodeId, NodeIndex, NodeKind};
use crate::handoff::{Frame, Query};

/// Rows of a page unless told otherwise.
const PAGE_ROWS: usize = 100;

/// Rows of a page at most.
const PAGE_ROWS_MAX: usize = 1_000;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows behind the one with this id.
    after: Option<u32>,
    limit: usize,
}

/// Which nodes are asked for; all of them must hold.
#[derive(Clone, Debug, Default)]
pub struct NodeFilter {
    /// Of this kind.
    kind: Option<NodeKind>,
    /// In this group.
    group: Option<String>,
    /// With this key.
    key: Option<String>,
    /// With this in label or key, in whatever case.
    text: Option<String>,
}

/// Which edges are asked for; all of them must hold.
#[derive(Clone, Debug, Default)]
pub struct EdgeFilter {
    /// With this node at either end.
    node: Option<NodeId>,
    relation: Option<String>,
}

fn wrong(field: &str, message: &str) -> RestError {
    RestError::at(400, "out_of_range", field, format!("{field} must be {message}"))
}

impl Page {
    /// From `limit` and `cursor` of a query.
    ///
    /// # Errors
    /// `out_of_range`.
    pub fn of(query: &Query) -> Result<Self, RestError> {
        let limit = match query.get("limit").map(str::parse) {
            None => PAGE_ROWS,
            Some(Ok(limit @ 1..=PAGE_ROWS_MAX)) => limit,
            Some(_) => return Err(wrong("limit", "a whole number from 1 to 1000")),
        };
        let after = match query.get("cursor").map(|cursor| cursor.strip_prefix('c').map(str::parse)) {
            None => None,
            Some(Some(Ok(after))) => Some(after),
            Some(_) => return Err(wrong("cursor", "the next_cursor of an answer before")),
        };
        Ok(Self { after, limit })
    }
}

impl NodeFilter {
    /// From `class`, `group`, `key` and `q` of a query.
    ///
    /// # Errors
    /// `out_of_range`.
    pub fn of(query: &Query) -> Result<Self, RestError> {
        let kind = query.get("class").map(|name| {
            let known = "knowledge, agent, ontology_class, ontology_individual or ontology_property";
            NodeKind::from_name(name).ok_or_else(|| wrong("class", known))
        });
        let text = |name| query.get(name).map(str::to_owned);
        Ok(Self {
            kind: kind.transpose()?,
            group: text("group"),
            key: text("key"),
            text: text("q").map(|text| text.to_lowercase()),
        })
    }

    fn takes(&self, graph: &Graph, index: NodeIndex) -> bool {
        let Some(node) = graph.node(index) else { return false };
        let has = |text: &str| node.label.to_lowercase().contains(text) || node.key.to_lowercase().contains(text);
        self.kind.is_none_or(|kind| node.class.kind == kind)
            && self.group.as_deref().is_none_or(|group| node.group.as_deref() == Some(group))
            && self.key.as_deref().is_none_or(|key| &*node.key == key)
            && self.text.as_deref().is_none_or(has)
    }
}

impl EdgeFilter {
    /// From `node` and `relation` of a query.
    ///
    /// # Errors
    /// `out_of_range`.
    pub fn of(query: &Query) -> Result<Self, RestError> {
        let id = |text: &str| text.parse().ok().and_then(NodeId::new).ok_or_else(|| wrong("node", "the id of a node"));
        Ok(Self { node: query.get("node").map(id).transpose()?, relation: query.get("relation").map(str::to_owned) })
    }
}

#[derive(Serialize)]
struct Rows<Row> {
    version: u64,
    epoch: u32,
    rows: Vec<Row>,
    next_cursor: Option<String>,
}

/// A page of nodes by ascending id; `order` has the ids of all nodes, ascending. Positions are those of `frame`.
#[must_use]
pub fn node_page(
    graph: &Graph,
    order: &[NodeId],
    filter: &NodeFilter,
    page: Page,
    (version, epoch): (u64, u32),
    frame: Option<&Frame>,
) -> Vec<u8> {
    let first = page.after.map_or(0, |after| order.partition_point(|id| id.get() <= after));
    let rest = order.get(first..).unwrap_or(&[]);
    let index = |id: &NodeId| graph.index_of(*id);
    let mut found = rest.iter().filter_map(index).filter(|index| filter.takes(graph, *index));
    let taken: Vec<NodeIndex> = found.by_ref().take(page.limit).collect();
    let last = taken.last().and_then(|index| graph.node(*index)).map(|node| node.id.get());
    let next_cursor = last.filter(|_| found.next().is_some()).map(|last| format!("c{last}"));
    let rows = taken.iter().filter_map(|index| row(graph, *index, epoch, frame)).collect();
    json_of(&Rows::<NodeRow<'_>> { version, epoch, rows, next_cursor })
}

fn row<'graph>(graph: &'graph Graph, index: NodeIndex, epoch: u32, frame: Option<&Frame>) -> Option<NodeRow<'graph>> {
    let frame = frame.filter(|frame| frame.stamp().epoch == epoch);
    let position = frame.and_then(|frame| frame.nodes().get(index.get())).map(|record| record.position());
    Some(NodeRow::new(graph.node(index)?, position))
}

/// A page of edges by ascending id.
#[must_use]
pub fn edge_page(graph: &Graph, filter: &EdgeFilter, page: Page, (version, epoch): (u64, u32)) -> Vec<u8> {
    let node = filter.node.map(|id| graph.index_of(id));
    let all = graph.edges();
    let first = page.after.map_or(0, |after| all.partition_point(|edge| edge.id.0 <= after));
    let takes = |relation: Option<&str>| filter.relation.as_deref().is_none_or(|wanted| relation == Some(wanted));
    let touches = |edge: &crate::graph::Edge| match node {
        None => true,
        Some(None) => false,
        Some(Some(index)) => edge.source == index || edge.target == index,
    };
    let rest = all.get(first..).unwrap_or(&[]);
    let mut found = rest.iter().filter(|edge| touches(edge) && takes(edge.relation.as_deref()));
    let taken: Vec<_> = found.by_ref().take(page.limit).collect();
    let last = taken.last().map(|edge| edge.id.0);
    let next_cursor = last.filter(|_| found.next().is_some()).map(|last| format!("c{last}"));
    let id = |index: NodeIndex| graph.node(index).map(|node| node.id.get());
    let rows = taken.into_iter().map(|edge| EdgeRow::new(edge, id(edge.source), id(edge.target))).collect();
    json_of(&Rows::<EdgeRow<'_>> { version, epoch, rows, next_cursor })
}

/// Part of the whole, by number: for clients that ask for pages rather than follow a cursor.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    /// From 1.
    page: usize,
    /// Nodes of a page.
    size: usize,
}

impl Numbered {
    /// From `page` and `page_size` of a query.
    ///
    /// # Errors
    /// `out_of_range`.
    pub fn of(query: &Query) -> Result<Self, RestError> {
        let whole = |name: &'static str, otherwise: usize, most: usize| match query.get(name).map(str::parse) {
            None => Ok(otherwise),
            Some(Ok(found)) if (1..=most).contains(&found) => Ok(found),
            Some(_) => Err(wrong(name, &format!("a whole number from 1 to {most}"))),
        };
        Ok(Self { page: whole("page", 1, u32::MAX as usize)?, size: whole("page_size", PAGE_ROWS, PAGE_ROWS_MAX)? })
    }
}

#[derive(Serialize)]
struct Part<'graph> {
    version: u64,
    epoch: u32,
    page: usize,
    page_size: usize,
    total_pages: usize,
    node_count: usize,
    edge_count: usize,
    nodes: Vec<NodeRow<'graph>>,
    edges: Vec<EdgeRow<'graph>>,
}

/// Nodes of one page by ascending id, and the edges that begin at them: all pages together have each edge once. A page behind the last
/// one is empty.
#[must_use]
pub fn numbered_page(
    graph: &Graph,
    order: &[NodeId],
    Numbered { page, size }: Numbered,
    (version, epoch): (u64, u32),
    frame: Option<&Frame>,
) -> Vec<u8> {
    let first = page.saturating_sub(1).saturating_mul(size).min(order.len());
    let indices = order.iter().skip(first).take(size).filter_map(|id| graph.index_of(*id));
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    let id = |index: NodeIndex| graph.node(index).map(|node| node.id.get());
    for index in indices {
        nodes.extend(row(graph, index, epoch, frame));
        let starting =
            graph.incident(index).iter().filter_map(|id| graph.edge(*id)).filter(|edge| edge.source == index);
        edges.extend(starting.map(|edge| EdgeRow::new(edge, id(edge.source), id(edge.target))));
    }
    json_of(&Part {
        version,
        epoch,
        page,
        page_size: size,
        total_pages: order.len().div_ceil(size),
        node_count: graph.nodes().len(),
        edge_count: graph.edges().len(),
        nodes,
        edges,
    })
}

/// One node, with its degree.
#[must_use]
pub fn one_node(graph: &Graph, id: NodeId, (version, epoch): (u64, u32), frame: Option<&Frame>) -> Option<Value> {
    let index = graph.index_of(id)?;
    let mut row = serde_json::to_value(row(graph, index, epoch, frame)?).ok()?;
    if let Value::Object(row) = &mut row {
        row.extend([("degree".to_owned(), json!(graph.incident(index).len())), ("version".to_owned(), json!(version))]);
    }
    Some(row)
}

/// One edge.
#[must_use]
pub fn one_edge(graph: &Graph, id: EdgeId, version: u64) -> Option<Value> {
    let edge = graph.edge(id)?;
    let end = |index: NodeIndex| graph.node(index).map(|node| node.id.get());
    let mut row = serde_json::to_value(EdgeRow::new(edge, end(edge.source), end(edge.target))).ok()?;
    if let Value::Object(row) = &mut row {
        row.insert("version".to_owned(), json!(version));
    }
    Some(row)
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
