//! `upsert_nodes`, `upsert_edges`, `delete_items`, `apply_mutations`, `pin_nodes`: arguments to a [`Batch`], and what it came to back.

mod answer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::graph::{
    Batch, EdgeDraft, EdgeId, EdgePatch, EdgeRef, Graph, NodeDraft, NodeId, NodePatch, NodeRef, Op, OpError, Outcome,
    Value, colour_of,
};
use crate::mcp::args::{self, Id, ToolError, arguments, bounded, choice, counted, unknown_node};
use crate::mcp::view::View;

/// Why one item of a list is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its place: among the operations of a batch, or, in an answer, in the list that was sent.
    pub index: usize,
    /// For programs.
    pub code: Box<str>,
    /// For models.
    pub message: String,
}

impl From<&OpError> for Refusal {
    fn from(error: &OpError) -> Self {
        Self { index: error.op, code: error.reason.code().into(), message: error.reason.to_string() }
    }
}

/// The code of an item that could not be read.
const UNREADABLE: &str = "invalid_item";

/// A change of the graph that a tool asks for.
#[derive(Debug)]
pub struct Write {
    /// To be applied, unless `dry_run`: then it is staged and dropped.
    pub batch: Batch,
    /// Nothing is to change.
    pub dry_run: bool,
    /// The tool and what it was asked for, of a batch with a key; empty without.
    pub sent: Box<str>,
    shape: Shape,
    /// The item that each operation comes from, where they are not the same.
    items: Option<Vec<usize>>,
    /// Items that no operation came of, in their order.
    unread: Vec<Refusal>,
    /// Names that were not there.
    missing: Vec<Json>,
    /// Edges that go with nodes, and are not operations of their own.
    cascaded: usize,
}

/// An answer that is known before the batch is done.
#[derive(Debug, PartialEq)]
pub(in crate::mcp) struct Given {
    /// The argument that an operation comes from.
    pub(in crate::mcp) list: &'static str,
    /// The structure, without the revision.
    pub(in crate::mcp) structured: Json,
    /// What models read of it; `None` is the structure itself.
    pub(in crate::mcp) text: Option<String>,
    /// What was added, removed and changed is counted and said, with so many edges that go with their nodes.
    pub(in crate::mcp) counted: Option<usize>,
}

/// What the answer looks like.
#[derive(Debug, PartialEq)]
enum Shape {
    Upsert,
    Delete,
    Mutations,
    Pin { pinned: bool },
    Given(Given),
}

/// A property's value; null takes it out.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Property<'line> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(#[serde(borrow)] Cow<'line, str>),
}

type Props<'line> = BTreeMap<Cow<'line, str>, Option<Property<'line>>>;

/// A member that may be left out, null, or something.
#[allow(clippy::option_option, reason = "left out, null and a value mean three things")]
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// The members of a node or an edge, as they come.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::mcp) struct Item<'line> {
    #[serde(borrow)]
    op: Option<Cow<'line, str>>,
    #[serde(borrow)]
    id: Option<Id<'line>>,
    #[serde(borrow, deserialize_with = "present")]
    label: Option<Option<Cow<'line, str>>>,
    #[serde(borrow)]
    kind: Option<Cow<'line, str>>,
    #[serde(borrow, deserialize_with = "present")]
    group: Option<Option<Cow<'line, str>>>,
    weight: Option<f32>,
    #[serde(borrow, deserialize_with = "present")]
    colour: Option<Option<Cow<'line, str>>>,
    pos: Option<[f32; 3]>,
    pinned: Option<bool>,
    #[serde(borrow)]
    from: Option<Id<'line>>,
    #[serde(borrow)]
    to: Option<Id<'line>>,
    #[serde(borrow, rename = "type", deserialize_with = "present")]
    relation: Option<Option<Cow<'line, str>>>,
    directed: Option<bool>,
    #[serde(borrow)]
    props: Option<Props<'line>>,
}

arguments!(UpsertNodes {
    #[serde(borrow)]
    nodes: Vec<Item<'line>>,
    #[serde(borrow)]
    mode: Option<Cow<'line, str>>,
    if_revision: Option<u64>,
    #[serde(borrow)]
    key: Option<Cow<'line, str>>,
    dry_run: bool,
    atomic: Option<bool>,
});

arguments!(UpsertEdges {
    #[serde(borrow)]
    edges: Vec<Item<'line>>,
    #[serde(borrow)]
    mode: Option<Cow<'line, str>>,
    create_missing: bool,
    if_revision: Option<u64>,
    #[serde(borrow)]
    key: Option<Cow<'line, str>>,
    dry_run: bool,
    atomic: Option<bool>,
});

arguments!(DeleteItems {
    #[serde(borrow)]
    nodes: Vec<Id<'line>>,
    edges: Vec<u32>,
    cascade: Option<bool>,
    if_revision: Option<u64>,
    #[serde(borrow)]
    key: Option<Cow<'line, str>>,
    dry_run: bool,
});

arguments!(Mutations {
    #[serde(borrow)]
    ops: Vec<Item<'line>>,
    if_revision: Option<u64>,
    #[serde(borrow)]
    key: Option<Cow<'line, str>>,
    dry_run: bool,
    atomic: Option<bool>,
});

arguments!(PinNodes {
    #[serde(borrow)]
    ids: Vec<Id<'line>>,
    pinned: Option<bool>,
    pos: Option<[f32; 3]>,
});

/// Properties by name; `None` takes one out.
type Attributes = Vec<(Box<str>, Option<Value>)>;

type Planned = Result<Box<Write>, ToolError>;

fn write(
    shape: Shape,
    ops: Vec<Op>,
    author: &str,
    if_version: Option<u64>,
    key: Option<&str>,
    dry_run: bool,
) -> Planned {
    let idempotency_key = key.map(|key| bounded("key", key, 128)).transpose()?.map(Into::into);
    let batch = Batch { ops, if_version, idempotency_key, author: author.into(), each: false };
    Ok(Box::new(Write::of(batch, shape, dry_run)))
}

/// Keeps what was sent, where there is a key: a retry is known by it, and not by what it comes to in the graph of the moment.
fn known_by(planned: Planned, sent: &dyn fmt::Debug) -> Planned {
    let mut write = planned?;
    if write.batch.idempotency_key.is_some() {
        write.sent = format!("{sent:?}").into();
    }
    Ok(write)
}

/// Operations of a list of items: those that can be read, and what is wrong with the others.
struct Listed {
    ops: Vec<Op>,
    items: Vec<usize>,
    unread: Vec<Refusal>,
}

impl Listed {
    fn of(list: impl Iterator<Item = Result<Op, ToolError>>) -> Self {
        let mut listed = Self { ops: Vec::new(), items: Vec::new(), unread: Vec::new() };
        for (index, item) in list.enumerate() {
            match item {
                Ok(op) => {
                    listed.ops.push(op);
                    listed.items.push(index);
                }
                Err(ToolError(message)) => listed.unread.push(Refusal { index, code: UNREADABLE.into(), message }),
            }
        }
        listed
    }

    /// `terms` are the author, the revision asked for and the key.
    fn write(
        self,
        shape: Shape,
        (author, if_revision, key): (&str, Option<u64>, Option<&str>),
        dry_run: bool,
        atomic: Option<bool>,
    ) -> Planned {
        let mut write = write(shape, self.ops, author, if_revision, key, dry_run)?;
        write.batch.each = atomic == Some(false);
        (write.items, write.unread) = (Some(self.items), self.unread);
        Ok(write)
    }
}

/// A batch whose answer is known before.
pub(in crate::mcp) fn given(ops: Vec<Op>, author: &str, given: Given) -> Box<Write> {
    let batch = Batch { ops, author: author.into(), ..Batch::default() };
    Box::new(Write::of(batch, Shape::Given(given), false))
}

fn replaces(mode: Option<&str>) -> Result<bool, ToolError> {
    choice("mode", mode, &[("merge", false), ("replace", true)], false)
}

/// A property's bounds are the graph's; names and texts are bounded here so that the error names the argument.
fn attributes(at: &str, props: Option<&Props<'_>>) -> Result<Attributes, ToolError> {
    let Some(props) = props else { return Ok(Vec::new()) };
    counted(&format!("{at}.props"), props.len(), 0, crate::limits::ATTRIBUTES_MAX)?;
    let read = props.iter().map(|(name, value)| {
        let value = match value {
            None => None,
            Some(Property::Bool(it)) => Some(Value::Bool(*it)),
            Some(Property::Int(it)) => Some(Value::Int(*it)),
            Some(Property::Float(it)) => Some(Value::Float(*it)),
            Some(Property::Text(it)) => {
                let field = format!("{at}.props.{}", args::short(name));
                Some(Value::Text(bounded(&field, it, crate::limits::TEXT_BYTES_MAX)?.into()))
            }
        };
        Ok((bounded(&format!("{at}.props"), name, 256)?.into(), value))
    });
    read.collect()
}

#[allow(clippy::option_option, reason = "left out, null and a value mean three things")]
fn inner(at: &str, field: &str, text: Option<&Option<Cow<'_, str>>>) -> Result<Option<Option<Box<str>>>, ToolError> {
    let Some(text) = text else { return Ok(None) };
    let text = text.as_deref().map(|text| bounded(&format!("{at}.{field}"), text, 512)).transpose()?;
    Ok(Some(text.map(Into::into)))
}

impl Item<'_> {
    /// Refuses members that mean nothing here.
    fn without(&self, at: &str, members: &[(&str, bool)]) -> Result<(), ToolError> {
        match members.iter().find(|(_, there)| *there) {
            None => Ok(()),
            Some((name, _)) => Err(ToolError::new(format!("{at}.{name} has no meaning here: leave it out"))),
        }
    }

    fn node_patch(&self, at: &str, replace: bool) -> Result<NodePatch, ToolError> {
        self.without(
            at,
            &[
                ("from", self.from.is_some()),
                ("to", self.to.is_some()),
                ("type", self.relation.is_some()),
                ("directed", self.directed.is_some()),
            ],
        )?;
        let colour = match &self.colour {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => {
                let wrong = || ToolError::field(&format!("{at}.colour"), format!("{text:?}"), "#rrggbb");
                Some(Some(colour_of(text).ok_or_else(wrong)?))
            }
        };
        let label = inner(at, "label", self.label.as_ref())?;
        let kind = super::find::kind(self.kind.as_deref()).map_err(|error| ToolError(format!("{at}.{error}")))?;
        Ok(NodePatch {
            key: None,
            label: label.map(Option::unwrap_or_default),
            kind,
            private: None,
            group: inner(at, "group", self.group.as_ref())?,
            weight: self.weight,
            colour,
            position: self.pos.map(Some),
            pinned: self.pinned,
            attributes: attributes(at, self.props.as_ref())?,
            replace_attributes: replace,
        })
    }

    fn edge_patch(&self, at: &str, replace: bool) -> Result<EdgePatch, ToolError> {
        self.without(
            at,
            &[
                ("kind", self.kind.is_some()),
                ("group", self.group.is_some()),
                ("colour", self.colour.is_some()),
                ("pos", self.pos.is_some()),
                ("pinned", self.pinned.is_some()),
            ],
        )?;
        Ok(EdgePatch {
            weight: self.weight,
            directed: self.directed,
            relation: inner(at, "type", self.relation.as_ref())?,
            label: inner(at, "label", self.label.as_ref())?,
            attributes: attributes(at, self.props.as_ref())?,
            replace_attributes: replace,
        })
    }

    fn edge_draft(&self, at: &str, graph: &Graph, replace: bool, create_ends: bool) -> Result<EdgeDraft, ToolError> {
        let end = |field: &str, id: &Option<Id<'_>>| {
            let field = format!("{at}.{field}");
            let id = id.as_ref().ok_or_else(|| ToolError::missing(&field, "the id of a node"))?;
            reference(graph, &field, id)
        };
        let (source, target) = (end("from", &self.from)?, end("to", &self.to)?);
        Ok(EdgeDraft { source, target, create_ends, patch: self.edge_patch(at, replace)? })
    }

    fn edge_id(&self, at: &str) -> Result<EdgeId, ToolError> {
        match &self.id {
            Some(Id::Number(id)) => u32::try_from(*id).map(EdgeId).map_err(|_| no_edge(at, *id)),
            Some(Id::Text(text)) => text.parse().map(EdgeId).map_err(|_| no_edge(at, text)),
            None => Err(ToolError::missing(&format!("{at}.id"), "the number of an edge")),
        }
    }
}

fn no_edge(at: &str, id: impl std::fmt::Display) -> ToolError {
    ToolError::new(format!("{at}: there is no edge {}. Use find_edges to get ids.", args::short(&id.to_string())))
}

/// A node as a batch names it. A text is its key, whether it is there or not: what an earlier operation makes is found then.
fn reference(graph: &Graph, field: &str, id: &Id<'_>) -> Result<NodeRef, ToolError> {
    match id {
        Id::Text(text) => {
            let text = bounded(field, text, 256)?;
            let by_label =
                || args::find(graph, id).and_then(|index| graph.node(index)).map(|node| NodeRef::Id(node.id));
            match graph.by_key(text) {
                Some(_) => Ok(NodeRef::Key(text.into())),
                None => Ok(by_label().unwrap_or_else(|| NodeRef::Key(text.into()))),
            }
        }
        Id::Number(number) => {
            let known = u32::try_from(*number).ok().and_then(NodeId::new);
            known.map(NodeRef::Id).ok_or_else(|| unknown_node(graph, field, id))
        }
    }
}

pub(super) fn upsert_nodes(asked: &UpsertNodes<'_>, author: &str) -> Planned {
    counted("nodes", asked.nodes.len(), 1, 1_000)?;
    let replace = replaces(asked.mode.as_deref())?;
    let ops = asked.nodes.iter().enumerate().map(|(index, node)| {
        let at = format!("nodes[{index}]");
        node.without(&at, &[("op", node.op.is_some())])?;
        let patch = node.node_patch(&at, replace)?;
        Ok(match &node.id {
            Some(Id::Number(number)) => {
                let id = u32::try_from(*number).ok().and_then(NodeId::new);
                let wrong = || ToolError::field(&format!("{at}.id"), number, "a node_id that is there, or a string");
                Op::UpdateNode { node: NodeRef::Id(id.ok_or_else(wrong)?), patch }
            }
            Some(Id::Text(key)) => {
                Op::UpsertNode(NodeDraft { key: Some(bounded(&format!("{at}.id"), key, 256)?.into()), patch })
            }
            None => Op::AddNode(NodeDraft { key: None, patch }),
        })
    });
    let terms = (author, asked.if_revision, asked.key.as_deref());
    let planned = Listed::of(ops).write(Shape::Upsert, terms, asked.dry_run, asked.atomic);
    known_by(planned, &("upsert_nodes", &asked.nodes, &asked.mode, asked.if_revision, asked.atomic))
}

pub(super) fn upsert_edges(asked: &UpsertEdges<'_>, view: &View<'_>, author: &str) -> Planned {
    counted("edges", asked.edges.len(), 1, 1_000)?;
    let replace = replaces(asked.mode.as_deref())?;
    let ops = asked.edges.iter().enumerate().map(|(index, edge)| {
        let at = format!("edges[{index}]");
        edge.without(&at, &[("op", edge.op.is_some())])?;
        if edge.id.is_some() {
            edge.without(&at, &[("from", edge.from.is_some()), ("to", edge.to.is_some())])?;
            let (edge_id, patch) = (edge.edge_id(&at)?, edge.edge_patch(&at, replace)?);
            return Ok(Op::UpdateEdge { edge: EdgeRef::Id(edge_id), patch });
        }
        edge.edge_draft(&at, view.graph, replace, asked.create_missing).map(Op::UpsertEdge)
    });
    let terms = (author, asked.if_revision, asked.key.as_deref());
    let planned = Listed::of(ops).write(Shape::Upsert, terms, asked.dry_run, asked.atomic);
    let how = (&asked.mode, asked.create_missing, asked.if_revision, asked.atomic);
    known_by(planned, &("upsert_edges", &asked.edges, how))
}

pub(super) fn delete_items(asked: &DeleteItems<'_>, view: &View<'_>, author: &str) -> Planned {
    counted("nodes", asked.nodes.len(), 0, 1_000)?;
    counted("edges", asked.edges.len(), 0, 1_000)?;
    counted("nodes and edges together", asked.nodes.len() + asked.edges.len(), 1, 2_000)?;
    let graph = view.graph;
    let (mut ops, mut missing) = (Vec::new(), Vec::new());
    let (mut gone_nodes, mut gone_edges): (Vec<NodeId>, Vec<EdgeId>) = (Vec::new(), Vec::new());
    for id in asked.edges.iter().map(|id| EdgeId(*id)) {
        match graph.edge(id) {
            None => missing.push(json!(id.0)),
            Some(_) if gone_edges.contains(&id) => {}
            Some(_) => {
                gone_edges.push(id);
                ops.push(Op::RemoveEdge { edge: EdgeRef::Id(id) });
            }
        }
    }
    let named = gone_edges.len();
    for id in &asked.nodes {
        let Some((index, node)) = args::find(graph, id).and_then(|index| Some((index, graph.node(index)?))) else {
            missing.push(json!(id));
            continue;
        };
        if gone_nodes.contains(&node.id) {
            continue;
        }
        let left: Vec<EdgeId> =
            graph.incident(index).iter().copied().filter(|edge| !gone_edges.contains(edge)).collect();
        if asked.cascade == Some(false) && !left.is_empty() {
            let words = format!("nodes: {id} has {} edges; pass cascade true, or delete them first", left.len());
            return Err(ToolError::new(words));
        }
        gone_edges.extend(left);
        gone_nodes.push(node.id);
        ops.push(Op::RemoveNode { node: NodeRef::Id(node.id) });
    }
    let mut write = write(Shape::Delete, ops, author, asked.if_revision, asked.key.as_deref(), asked.dry_run)?;
    write.missing = missing;
    write.cascaded = gone_edges.len() - named;
    known_by(Ok(write), &("delete_items", &asked.nodes, &asked.edges, asked.cascade, asked.if_revision))
}

const OPS: [(&str, u8); 6] =
    [("add_node", 0), ("update_node", 1), ("remove_node", 2), ("add_edge", 3), ("update_edge", 4), ("remove_edge", 5)];

pub(super) fn mutations(asked: &Mutations<'_>, view: &View<'_>, author: &str) -> Planned {
    counted("ops", asked.ops.len(), 1, 5_000)?;
    let ops = asked.ops.iter().enumerate().map(|(index, item)| {
        let at = format!("ops[{index}]");
        let op =
            item.op.as_deref().ok_or_else(|| ToolError::missing(&format!("{at}.op"), "the name of an operation"))?;
        let known = choice(&format!("{at}.op"), Some(op), &OPS, 0)?;
        let node = || {
            let field = format!("{at}.id");
            let id = item.id.as_ref().ok_or_else(|| ToolError::missing(&field, "the id of a node"))?;
            reference(view.graph, &field, id)
        };
        Ok(match known {
            0 => {
                let key = match &item.id {
                    None => None,
                    Some(Id::Text(key)) => Some(bounded(&format!("{at}.id"), key, 256)?.into()),
                    Some(Id::Number(number)) => {
                        return Err(ToolError::field(&format!("{at}.id"), number, "a string for a new node"));
                    }
                };
                Op::AddNode(NodeDraft { key, patch: item.node_patch(&at, false)? })
            }
            1 => Op::UpdateNode { node: node()?, patch: item.node_patch(&at, false)? },
            2 => Op::RemoveNode { node: node()? },
            3 => Op::AddEdge(item.edge_draft(&at, view.graph, false, false)?),
            4 => Op::UpdateEdge { edge: EdgeRef::Id(item.edge_id(&at)?), patch: item.edge_patch(&at, false)? },
            _ => Op::RemoveEdge { edge: EdgeRef::Id(item.edge_id(&at)?) },
        })
    });
    let terms = (author, asked.if_revision, asked.key.as_deref());
    let planned = Listed::of(ops).write(Shape::Mutations, terms, asked.dry_run, asked.atomic);
    known_by(planned, &("apply_mutations", &asked.ops, asked.if_revision, asked.atomic))
}

pub(super) fn pin_nodes(asked: &PinNodes<'_>, view: &View<'_>, author: &str) -> Planned {
    counted("ids", asked.ids.len(), 1, 1_000)?;
    let pinned = asked.pinned.unwrap_or(true);
    if asked.pos.is_some() && asked.ids.len() > 1 {
        return Err(ToolError::new("pos puts one node somewhere: give one id, or leave pos out"));
    }
    let ops = asked.ids.iter().map(|id| {
        let index = args::need(view.graph, "ids", Some(id))?;
        let node = view.graph.node(index).ok_or_else(|| unknown_node(view.graph, "ids", id))?;
        // A node that is fixed without a place is fixed where people see it.
        let here = view.position(index.get()).filter(|_| pinned && !node.pinned);
        let position = asked.pos.or(here).map(Some);
        Ok(Op::UpdateNode {
            node: NodeRef::Id(node.id),
            patch: NodePatch { pinned: Some(pinned), position, ..NodePatch::default() },
        })
    });
    let ops = ops.collect::<Result<Vec<_>, ToolError>>()?;
    write(Shape::Pin { pinned }, ops, author, None, None, false)
}

impl Write {
    fn of(batch: Batch, shape: Shape, dry_run: bool) -> Self {
        let sent = Box::default();
        Self { batch, dry_run, sent, shape, items: None, unread: Vec::new(), missing: Vec::new(), cascaded: 0 }
    }

    /// What the answer has to say beside what its operations come to; for [`Self::recall`].
    #[must_use]
    pub fn beside(&self) -> Json {
        match self.shape {
            Shape::Delete => json!({ "missing": self.missing, "cascaded": self.cascaded }),
            _ => json!({}),
        }
    }

    /// Makes a deletion what it was the first time, for its answer to be the same: by what was [`Self::beside`] its outcomes then.
    /// Others are it already.
    pub fn recall(&mut self, first: &Json, outcomes: &[Outcome]) {
        if self.shape != Shape::Delete {
            return;
        }
        let op = |outcome: &Outcome| match outcome {
            Outcome::Node { id, .. } => Op::RemoveNode { node: NodeRef::Id(*id) },
            Outcome::Edge { id, .. } => Op::RemoveEdge { edge: EdgeRef::Id(*id) },
        };
        self.batch.ops = outcomes.iter().map(op).collect();
        self.missing = first.get("missing").and_then(Json::as_array).cloned().unwrap_or_default();
        let cascaded = first.get("cascaded").and_then(Json::as_u64).unwrap_or_default();
        self.cascaded = usize::try_from(cascaded).unwrap_or_default();
    }
}
