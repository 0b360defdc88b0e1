//! `snapshot_graph`, `restore_snapshot`, `diff_graph`, `clear_graph`, `import_graph`, `export_graph`: what they ask for, and what two graphs
//! and a file come to. Reading and writing files is their caller's.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::part::{Scope, Selection};
use super::survey::commonest;
use super::write::{Given, Write, given};
use super::{Done, done};
use crate::graph::formats::export::ExportFormat;
use crate::graph::formats::{Format, difference_until};
use crate::graph::{Batch, EdgePatch, EdgeRef, Graph, NodePatch, NodeRef, Op};
use crate::mcp::Server;
use crate::mcp::agents::is_shown_agent;
use crate::mcp::args::{ToolError, arguments, bounded, choice, short, whole};
use crate::mcp::session::Ask;
use crate::mcp::uri::{Uri, parse};
use crate::mcp::view::{Budget, View};

/// The only graph, whose name confirms what cannot be undone.
const MAIN: &str = "main";

arguments!(SnapshotGraph { #[serde(borrow)] name: Option<Cow<'line, str>>, });
arguments!(RestoreSnapshot {
    #[serde(borrow)]
    snapshot: Option<Cow<'line, str>>,
    #[serde(borrow)]
    confirm: Option<Cow<'line, str>>,
    dry_run: bool,
    if_revision: Option<u64>,
});
arguments!(DiffGraph {
    #[serde(borrow)]
    from: Option<Cow<'line, str>>,
    #[serde(borrow)]
    to: Option<Cow<'line, str>>,
    limit: Option<i64>,
});
arguments!(ClearGraph {
    #[serde(borrow)]
    confirm: Option<Cow<'line, str>>,
    dry_run: bool,
    if_revision: Option<u64>,
});
arguments!(EngineStats {});
arguments!(ImportGraph {
    #[serde(borrow)]
    format: Option<Cow<'line, str>>,
    #[serde(borrow)]
    data: Option<Cow<'line, str>>,
    #[serde(borrow)]
    upload: Option<Cow<'line, str>>,
    more: bool,
    #[serde(borrow)]
    mode: Option<Cow<'line, str>>,
    skip_bad: bool,
    if_revision: Option<u64>,
    dry_run: bool,
});
arguments!(ExportGraph {
    #[serde(borrow)]
    format: Option<Cow<'line, str>>,
    positions: Option<bool>,
    #[serde(borrow)]
    scope: Option<Scope<'line>>,
});

/// What a call wants of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A copy of the store.
    Snapshot {
        /// What it is to be called.
        name: Option<Box<str>>,
    },
    /// The graph as it is in a snapshot.
    Restore {
        /// Which.
        snapshot: Box<str>,
        /// Nothing is to change.
        dry_run: bool,
        /// Refused unless the graph is at this revision.
        if_revision: Option<u64>,
    },
    /// How two graphs differ.
    Diff {
        /// A snapshot.
        from: Box<str>,
        /// Another one; `None` is the graph that is there.
        to: Option<Box<str>>,
        /// Nodes and edges that are listed, of each kind.
        limit: usize,
    },
    /// A file into the graph.
    Import {
        /// What it is.
        format: Format,
        /// All of it, or, of an upload, its last part.
        data: Box<str>,
        /// Where the parts before are.
        upload: Option<Box<str>>,
        /// What the file does not have goes.
        replace: bool,
        /// Bad records are left out.
        skip_bad: bool,
        /// Refused unless the graph is at this revision.
        if_revision: Option<u64>,
        /// Nothing is to change.
        dry_run: bool,
    },
    /// The graph as a file.
    Export {
        /// As what.
        format: ExportFormat,
        /// With the places of the nodes.
        positions: bool,
        /// A part of it.
        part: Option<Selection>,
    },
    /// A part of a file that is to come into the graph, and is not whole yet.
    Upload {
        /// Of the parts before; `None` is the first.
        upload: Option<Box<str>>,
        /// The part.
        data: Box<str>,
    },
    /// What is in a snapshot, as the resource of this URI.
    Describe {
        /// Which.
        snapshot: Box<str>,
        /// As it was asked for.
        uri: Box<str>,
    },
    /// Names of snapshots that begin so.
    Names {
        /// The beginning.
        typed: Box<str>,
    },
}

fn named(field: &str, name: Option<&Cow<'_, str>>) -> Result<Box<str>, ToolError> {
    let name = name.ok_or_else(|| ToolError::missing(field, "the name of a snapshot; snapshot_graph makes one"))?;
    bounded(field, name, 64).map(Into::into)
}

fn confirmed(confirm: Option<&Cow<'_, str>>) -> Result<(), ToolError> {
    match confirm.map(AsRef::as_ref) {
        Some(MAIN) => Ok(()),
        Some(other) => Err(ToolError::field("confirm", format!("{:?}", short(other)), "the name of the graph: main")),
        None => Err(ToolError::missing("confirm", "the name of the graph: main. dry_run says before what would go")),
    }
}

pub(super) fn snapshot_graph(asked: &SnapshotGraph<'_>) -> Result<Errand, ToolError> {
    let name = asked.name.as_deref().map(|name| bounded("name", name, 64)).transpose()?;
    Ok(Errand::Snapshot { name: name.map(Into::into) })
}

pub(super) fn restore_snapshot(asked: &RestoreSnapshot<'_>) -> Result<Errand, ToolError> {
    let snapshot = named("snapshot", asked.snapshot.as_ref())?;
    if !asked.dry_run {
        confirmed(asked.confirm.as_ref())?;
    }
    Ok(Errand::Restore { snapshot, dry_run: asked.dry_run, if_revision: asked.if_revision })
}

pub(super) fn diff_graph(asked: &DiffGraph<'_>) -> Result<Errand, ToolError> {
    let to = asked.to.as_ref().map(|to| named("to", Some(to))).transpose()?;
    let limit = whole("limit", asked.limit, (0, 500), 25)?;
    Ok(Errand::Diff { from: named("from", asked.from.as_ref())?, to, limit })
}

pub(super) fn import_graph(asked: &ImportGraph<'_>) -> Result<Errand, ToolError> {
    let wrong = |error: &dyn std::fmt::Display| ToolError::new(format!("format: {error}"));
    let format = asked.format.as_deref().map(str::parse).transpose().map_err(|error| wrong(&error))?;
    let data =
        asked.data.as_deref().ok_or_else(|| ToolError::missing("data", "the text of a file, or a part of it"))?;
    let upload = asked.upload.as_deref().map(|name| bounded("upload", name, 64)).transpose()?.map(Into::into);
    if asked.more {
        return Ok(Errand::Upload { upload, data: data.into() });
    }
    let replace = choice("mode", asked.mode.as_deref(), &[("merge", false), ("replace", true)], false)?;
    Ok(Errand::Import {
        format: format.unwrap_or(Format::Auto),
        data: data.into(),
        upload,
        replace,
        skip_bad: asked.skip_bad,
        if_revision: asked.if_revision,
        dry_run: asked.dry_run,
    })
}

pub(super) fn export_graph(asked: &ExportGraph<'_>, view: &View<'_>) -> Result<Errand, ToolError> {
    let wrong = |error: &dyn std::fmt::Display| ToolError::new(format!("format: {error}"));
    let format = asked.format.as_deref().map(str::parse).transpose().map_err(|error| wrong(&error))?;
    let part = asked.scope.as_ref().map(|scope| scope.selection(view.graph)).transpose()?;
    let format = format.unwrap_or(ExportFormat::Json);
    Ok(Errand::Export { format, positions: asked.positions.unwrap_or(true), part })
}

/// What a call wants to know of snapshots that is no tool: `graph://snapshot/{name}`, and the completion of that name. They are of the set
/// of the snapshots' tools.
pub(super) fn asked_of_snapshots(server: &Server, ask: &Ask<'_>) -> Option<Errand> {
    if !server.catalogue.is_on("admin") {
        return None;
    }
    match ask {
        Ask::Resource { uri } => match parse(uri)? {
            Uri::Snapshot { name } => Some(Errand::Describe { snapshot: (&*name).into(), uri: (&**uri).into() }),
            _ => None,
        },
        Ask::Complete { of, name, value } if of.starts_with("graph://snapshot/") && name == "name" => {
            Some(Errand::Names { typed: (&**value).into() })
        }
        _ => None,
    }
}

/// What is in a snapshot, for `graph://snapshot/{name}`. `version` is the graph's when it was made, `written_ms` when, unix ms.
#[must_use]
pub fn snapshot_shown(name: &str, graph: &Graph, version: u64, bytes: u64, written_ms: u64) -> String {
    let nodes = graph.nodes();
    json!({
        "name": name, "revision": version, "written": written_ms, "bytes": bytes, "nodes": nodes.len(),
        "edges": graph.edges().len(), "kinds": commonest(nodes.iter().map(|node| node.class.kind.name()), "kind"),
        "groups": commonest(nodes.iter().filter_map(|node| node.group.as_deref()), "group"),
        "edge_types": commonest(graph.edges().iter().filter_map(|edge| edge.relation.as_deref()), "type"),
    })
    .to_string()
}

/// Everything goes but agents that live: these would be there again at once.
pub(super) fn clear_graph(asked: &ClearGraph<'_>, view: &View<'_>, author: &str) -> Result<Box<Write>, ToolError> {
    if !asked.dry_run {
        confirmed(asked.confirm.as_ref())?;
    }
    let nodes = view.graph.nodes().iter();
    let ops: Vec<Op> =
        nodes.filter(|it| !is_shown_agent(it)).map(|it| Op::RemoveNode { node: NodeRef::Id(it.id) }).collect();
    let tally = Tally::of(view.graph, &ops);
    let structured = json!({ "deleted": tally.removed, "dry_run": asked.dry_run });
    let mut write = given(ops, author, Given { list: "graph", structured, text: None, counted: None });
    (write.dry_run, write.batch.if_version) = (asked.dry_run, asked.if_revision);
    Ok(write)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    nodes: usize,
    edges: usize,
}

/// How much operations come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Tally {
    added: Count,
    removed: Count,
    changed: Count,
}

/// Keys of nodes that operations remove.
fn removed<'a>(graph: &'a Graph, ops: &'a [Op]) -> HashSet<&'a str> {
    let keys = ops.iter().filter_map(|op| match op {
        Op::RemoveNode { node: NodeRef::Key(key) } => Some(&**key),
        Op::RemoveNode { node: NodeRef::Id(id) } => Some(&*graph.node(graph.index_of(*id)?)?.key),
        _ => None,
    });
    keys.collect()
}

impl Tally {
    /// `ops` are of [`difference`] or remove nodes; edges go with their nodes.
    fn of(graph: &Graph, ops: &[Op]) -> Self {
        let mut tally = Self::default();
        let gone = removed(graph, ops);
        for op in ops {
            match op {
                Op::AddNode(_) | Op::UpsertNode(_) => tally.added.nodes += 1,
                Op::UpdateNode { .. } => tally.changed.nodes += 1,
                Op::RemoveNode { .. } => tally.removed.nodes += 1,
                Op::AddEdge(_) | Op::UpsertEdge(_) => tally.added.edges += 1,
                Op::UpdateEdge { .. } => tally.changed.edges += 1,
                Op::RemoveEdge { .. } => tally.removed.edges += 1,
            }
        }
        tally.removed.edges += cascaded(graph, &gone).count();
        tally
    }
}

/// Edges that go with their nodes.
fn cascaded<'a>(graph: &'a Graph, gone: &'a HashSet<&str>) -> impl Iterator<Item = Link<'a>> + 'a {
    let is_gone = |link: &Link<'_>| gone.contains(link.from) || gone.contains(link.to);
    let links = (!gone.is_empty()).then(|| graph.edges().iter().filter_map(|edge| link(graph, edge)));
    links.into_iter().flatten().filter(move |link| is_gone(link))
}

#[derive(Serialize)]
struct Link<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(rename = "type")]
    relation: Option<&'a str>,
}

fn link<'a>(graph: &'a Graph, edge: &'a crate::graph::Edge) -> Option<Link<'a>> {
    let (from, to) = graph.node(edge.source).zip(graph.node(edge.target))?;
    Some(Link { from: &from.key, to: &to.key, relation: edge.relation.as_deref() })
}

fn stopped() -> ToolError {
    ToolError::new("it was stopped: nothing was done")
}

/// The batch that makes the graph that is there the one of a snapshot, up to ids. Agents are left as they are: those that live show
/// themselves, and those of the snapshot are gone. `goes_on` hears how far it is, 0 to 1.
///
/// # Errors
/// `goes_on` has said no.
pub fn restored(
    snapshot: &str,
    present: &Graph,
    wanted: &Graph,
    author: &str,
    version: u64,
    dry_run: bool,
    goes_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Box<Write>, ToolError> {
    let mut ops = difference_until(present, wanted, present, goes_on).ok_or_else(stopped)?;
    let is_agent =
        |graph: &Graph, key: &str| graph.by_key(key).and_then(|index| graph.node(index)).is_some_and(is_shown_agent);
    let of_agent = |node: &NodeRef| match node {
        NodeRef::Key(key) => is_agent(present, key) || is_agent(wanted, key),
        NodeRef::Id(_) => false,
    };
    ops.retain(|op| match op {
        Op::AddNode(draft) | Op::UpsertNode(draft) => !draft.key.as_ref().is_some_and(|key| is_agent(wanted, key)),
        Op::UpdateNode { node, .. } | Op::RemoveNode { node } => !of_agent(node),
        Op::AddEdge(draft) | Op::UpsertEdge(draft) => !of_agent(&draft.source) && !of_agent(&draft.target),
        Op::UpdateEdge { .. } | Op::RemoveEdge { .. } => true,
    });
    let cascaded = cascaded(present, &removed(present, &ops)).count();
    let structured = json!({ "snapshot": snapshot, "dry_run": dry_run });
    let mut write = given(ops, author, Given { list: "snapshot", structured, text: None, counted: Some(cascaded) });
    (write.dry_run, write.batch.if_version) = (dry_run, Some(version));
    Ok(write)
}

/// The batch that a file came to, and what was made of the file, as members of an object.
#[must_use]
pub fn imported(batch: Batch, present: &Graph, about: serde_json::Value, dry_run: bool) -> Box<Write> {
    let cascaded = cascaded(present, &removed(present, &batch.ops)).count();
    let mut structured = json!({ "dry_run": dry_run });
    if let (Some(members), serde_json::Value::Object(about)) = (structured.as_object_mut(), about) {
        members.extend(about);
    }
    let mut write = given(
        Vec::new(),
        &batch.author.principal,
        Given { list: "data", structured, text: None, counted: Some(cascaded) },
    );
    (write.dry_run, write.batch) = (dry_run, batch);
    write
}

#[derive(Serialize)]
struct ChangedNode<'a> {
    id: &'a str,
    fields: Vec<Cow<'a, str>>,
}

fn fields_of(patch: &NodePatch) -> Vec<Cow<'_, str>> {
    let named = [
        ("label", patch.label.is_some()),
        ("kind", patch.kind.is_some()),
        ("private", patch.private.is_some()),
        ("group", patch.group.is_some()),
        ("weight", patch.weight.is_some()),
        ("colour", patch.colour.is_some()),
        ("pos", patch.position.is_some()),
        ("pinned", patch.pinned.is_some()),
    ];
    let named = named.into_iter().filter(|(_, there)| *there).map(|(name, _)| Cow::Borrowed(name));
    named.chain(patch.attributes.iter().map(|(name, _)| format!("props.{name}").into())).collect()
}

fn edge_fields_of(patch: &EdgePatch) -> Vec<Cow<'_, str>> {
    let named = [
        ("weight", patch.weight.is_some()),
        ("directed", patch.directed.is_some()),
        ("type", patch.relation.is_some()),
        ("label", patch.label.is_some()),
    ];
    let named = named.into_iter().filter(|(_, there)| *there).map(|(name, _)| Cow::Borrowed(name));
    named.chain(patch.attributes.iter().map(|(name, _)| format!("props.{name}").into())).collect()
}

#[derive(Serialize)]
struct ChangedEdge<'a> {
    #[serde(flatten)]
    link: Link<'a>,
    fields: Vec<Cow<'a, str>>,
}

/// A list of at most so many items that also fit.
struct Listing<'budget> {
    items: Vec<Box<RawValue>>,
    total: usize,
    limit: usize,
    budget: &'budget std::cell::RefCell<Budget>,
}

impl Listing<'_> {
    fn push<T: Serialize>(&mut self, item: &T) {
        self.total += 1;
        if self.items.len() < self.limit && self.items.len() + 1 == self.total {
            self.items.extend(self.budget.borrow_mut().take(item));
        }
    }
}

/// How two graphs differ: nodes by key, edges by their ends' keys and type. Places that the simulation gave are no difference.
///
/// # Errors
/// Never in practice: lists end before they are too long.
pub fn compared(
    names: (&str, &str),
    before: &Graph,
    after: &Graph,
    limit: usize,
    revision: u64,
    goes_on: &mut dyn FnMut(f64) -> bool,
) -> Done {
    let ops = difference_until(before, after, before, goes_on).ok_or_else(stopped)?;
    let (tally, gone) = (Tally::of(before, &ops), removed(before, &ops));
    let budget = std::cell::RefCell::new(Budget::default());
    let list = || Listing { items: Vec::new(), total: 0, limit, budget: &budget };
    let (mut added, mut taken, mut changed) = ((list(), list()), (list(), list()), (list(), list()));
    let of = |edge: &EdgeRef| match edge {
        EdgeRef::Id(id) => before.edge(*id).and_then(|edge| link(before, edge)),
        EdgeRef::Between { .. } => None,
    };
    let key = |node: &NodeRef| match node {
        NodeRef::Key(key) => key.to_string(),
        NodeRef::Id(id) => id.get().to_string(),
    };
    for op in &ops {
        match op {
            Op::AddNode(draft) | Op::UpsertNode(draft) => added.0.push(&draft.key),
            Op::RemoveNode { node } => taken.0.push(&key(node)),
            Op::UpdateNode { node, patch } => changed.0.push(&ChangedNode { id: &key(node), fields: fields_of(patch) }),
            Op::AddEdge(draft) | Op::UpsertEdge(draft) => {
                let (from, to) = (key(&draft.source), key(&draft.target));
                let relation = draft.patch.relation.as_ref().and_then(Option::as_deref);
                added.1.push(&Link { from: &from, to: &to, relation });
            }
            Op::RemoveEdge { edge } => of(edge).iter().for_each(|link| taken.1.push(link)),
            Op::UpdateEdge { edge, patch } => {
                let fields = edge_fields_of(patch);
                of(edge).into_iter().for_each(|link| changed.1.push(&ChangedEdge { link, fields: fields.clone() }));
            }
        }
    }
    cascaded(before, &gone).for_each(|link| taken.1.push(&link));
    let lists = [&added.0, &added.1, &taken.0, &taken.1, &changed.0, &changed.1];
    let truncated = lists.iter().any(|list| list.items.len() < list.total);
    let pair = |(nodes, edges): (Listing<'_>, Listing<'_>)| json!({ "nodes": nodes.items, "edges": edges.items });
    done(&json!({
        "from": names.0, "to": names.1, "counts": tally, "added": pair(added), "removed": pair(taken),
        "changed": pair(changed), "truncated": truncated, "revision": revision,
    }))
}
