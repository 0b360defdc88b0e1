//! The nine tools of the reference memory server, by their names and schemas, over the live graph: an entity is a node (its name the
//! key, its type the group, each observation a property), a relation is a typed edge.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::write::{Given, Write, given};
use super::{Done, done};
use crate::graph::{
    Edge, EdgeDraft, EdgeId, EdgePatch, EdgeRef, Graph, Node, NodeDraft, NodeIndex, NodePatch, NodeRef, Op, Value,
};
use crate::limits::{ATTRIBUTES_MAX, MCP_RESULT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::mcp::args::{ToolError, arguments, bounded, counted, short};
use crate::mcp::view::{Bounds, Budget, View};

/// What the name of a property that is an observation begins with; a number follows.
const OBSERVATION: &str = "observation.";

/// Entities or relations of one call.
const ITEMS_MAX: usize = 1_000;

/// Names that are opened at once.
const OPENED_MAX: usize = 200;

type Text<'line> = Cow<'line, str>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::mcp) struct Entity<'line> {
    #[serde(borrow)]
    name: Text<'line>,
    #[serde(borrow)]
    entity_type: Text<'line>,
    #[serde(borrow)]
    observations: Vec<Text<'line>>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::mcp) struct Relation<'line> {
    #[serde(borrow)]
    from: Text<'line>,
    #[serde(borrow)]
    to: Text<'line>,
    #[serde(borrow)]
    relation_type: Text<'line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::mcp) struct Addition<'line> {
    #[serde(borrow)]
    entity_name: Text<'line>,
    #[serde(borrow)]
    contents: Vec<Text<'line>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::mcp) struct Deletion<'line> {
    #[serde(borrow)]
    entity_name: Text<'line>,
    #[serde(borrow)]
    observations: Vec<Text<'line>>,
}

arguments!(CreateEntities { #[serde(borrow)] entities: Option<Vec<Entity<'line>>>, });
arguments!(Relations { #[serde(borrow)] relations: Option<Vec<Relation<'line>>>, });
arguments!(AddObservations { #[serde(borrow)] observations: Option<Vec<Addition<'line>>>, });
arguments!(DeleteEntities { #[serde(borrow, rename = "entityNames")] names: Option<Vec<Text<'line>>>, });
arguments!(DeleteObservations { #[serde(borrow)] deletions: Option<Vec<Deletion<'line>>>, });
arguments!(ReadGraph {});
arguments!(SearchNodes { #[serde(borrow)] query: Option<Text<'line>>, });
arguments!(OpenNodes { #[serde(borrow)] names: Option<Vec<Text<'line>>>, });

/// An entity as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    name: &'a str,
    entity_type: &'a str,
    observations: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Added<'a> {
    entity_name: &'a str,
    added_observations: Vec<&'a str>,
}

type Planned = Result<Box<Write>, ToolError>;

fn list<'a, T>(field: &str, items: Option<&'a Vec<T>>, max: usize) -> Result<&'a [T], ToolError> {
    let items = items.ok_or_else(|| ToolError::missing(field, "a list"))?;
    counted(field, items.len(), 0, max)?;
    Ok(items)
}

/// The type of an entity. What another tool made has a kind where it has no group.
fn type_of(node: &Node) -> &str {
    node.group.as_deref().unwrap_or(node.class.kind.name())
}

/// The observations of an entity by their numbers, which is the order in which they came.
fn observed(node: &Node) -> BTreeMap<u32, &str> {
    let observed = node.attributes.iter().filter_map(|(name, value)| match value {
        Value::Text(text) => Some((name.strip_prefix(OBSERVATION)?.parse().ok()?, &**text)),
        _ => None,
    });
    observed.collect()
}

fn property(number: u32, text: &str) -> (Box<str>, Option<Value>) {
    (format!("{OBSERVATION}{number}").into(), Some(Value::Text(text.into())))
}

/// Observations that fit as properties beside as many others.
fn bound_all(at: &str, others: usize, texts: &[&str]) -> Result<(), ToolError> {
    if others + texts.len() > ATTRIBUTES_MAX {
        let found = format!("{} more beside {others} that the entity has", texts.len());
        return Err(ToolError::field(at, found, format!("{ATTRIBUTES_MAX} in all, or fewer")));
    }
    for (index, text) in texts.iter().enumerate() {
        bounded(&format!("{at}[{index}]"), text, TEXT_BYTES_MAX)?;
    }
    Ok(())
}

/// What a call that writes says when it is done: the list of what is new, which the reference shows as text without its name.
fn news<T: Serialize>(name: &'static str, items: &[T]) -> Result<Given, ToolError> {
    let text = serde_json::to_string(items).map_err(|_| ToolError::new("the result could not be written"))?;
    // Said before anything is done: an answer that does not fit would leave open whether it was.
    if text.len() > MCP_RESULT_BYTES_MAX - 1_024 {
        let found = format!("more than one call can answer ({} bytes)", text.len());
        return Err(ToolError::field(name, found, "less: make several calls of it. Nothing was changed"));
    }
    Ok(Given { list: name, structured: json!({ name: items }), text: Some(text), counted: None })
}

/// The same of one that deletes, in the words of the reference.
fn gone(list: &'static str, what: &str) -> Given {
    let text = format!("{what} deleted successfully");
    Given { list, structured: json!({ "success": true, "message": text }), text: Some(text), counted: None }
}

pub(super) fn create_entities(asked: &CreateEntities<'_>, view: &View<'_>, author: &str) -> Planned {
    let entities = list("entities", asked.entities.as_ref(), ITEMS_MAX)?;
    let (mut ops, mut made, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, entity) in entities.iter().enumerate() {
        let at = format!("entities[{index}]");
        let name = &*entity.name;
        if name.is_empty() {
            return Err(ToolError::field(&format!("{at}.name"), "empty", "1 to 256 bytes long"));
        }
        bounded(&format!("{at}.name"), name, 256)?;
        bounded(&format!("{at}.entityType"), &entity.entity_type, 512)?;
        let observations: Vec<&str> = entity.observations.iter().map(AsRef::as_ref).collect();
        bound_all(&format!("{at}.observations"), 0, &observations)?;
        if view.graph.by_key(name).is_some() || !names.insert(name) {
            continue;
        }
        let patch = NodePatch {
            label: Some(name.into()),
            group: Some(Some((&*entity.entity_type).into())),
            attributes: (1..).zip(&observations).map(|(number, text)| property(number, text)).collect(),
            ..NodePatch::default()
        };
        ops.push(Op::AddNode(NodeDraft { key: Some(name.into()), patch }));
        made.push(Shown { name, entity_type: &entity.entity_type, observations });
    }
    Ok(given(ops, author, news("entities", &made)?))
}

fn is_relation(graph: &Graph, edge: &Edge, relation: &Relation<'_>) -> bool {
    let named = |index: NodeIndex, name: &str| graph.node(index).is_some_and(|node| *node.key == *name);
    edge.relation.as_deref().unwrap_or("") == relation.relation_type
        && named(edge.source, &relation.from)
        && named(edge.target, &relation.to)
}

/// The edges that are this relation.
fn edges_of<'a>(graph: &'a Graph, relation: &'a Relation<'_>) -> impl Iterator<Item = EdgeId> + 'a {
    let incident = graph.by_key(&relation.from).map_or(&[][..], |index| graph.incident(index));
    incident.iter().copied().filter(|id| graph.edge(*id).is_some_and(|edge| is_relation(graph, edge, relation)))
}

pub(super) fn create_relations(asked: &Relations<'_>, view: &View<'_>, author: &str) -> Planned {
    let relations = list("relations", asked.relations.as_ref(), ITEMS_MAX)?;
    let (mut ops, mut made) = (Vec::new(), BTreeSet::new());
    let mut shown = Vec::new();
    for (index, relation) in relations.iter().enumerate() {
        let at = format!("relations[{index}]");
        for (field, name) in [("from", &relation.from), ("to", &relation.to)] {
            if view.graph.by_key(name).is_none() {
                let name = short(name);
                let words = format!(
                    "{at}.{field}: there is no entity {name:?}: create_entities makes it. Nothing was changed."
                );
                return Err(ToolError::new(words));
            }
        }
        bounded(&format!("{at}.relationType"), &relation.relation_type, 512)?;
        if edges_of(view.graph, relation).next().is_some() || !made.insert(relation) {
            continue;
        }
        let key = |name: &str| NodeRef::Key(name.into());
        let patch = EdgePatch { relation: Some(Some((&*relation.relation_type).into())), ..EdgePatch::default() };
        let (source, target) = (key(&relation.from), key(&relation.to));
        ops.push(Op::UpsertEdge(EdgeDraft { source, target, create_ends: false, patch }));
        shown.push(relation);
    }
    Ok(given(ops, author, news("relations", &shown)?))
}

/// Entities that a call adds to, as they are after what it has added so far.
#[derive(Default)]
struct Growing<'a> {
    observations: Vec<&'a str>,
    next: u32,
    properties: usize,
}

pub(super) fn add_observations(asked: &AddObservations<'_>, view: &View<'_>, author: &str) -> Planned {
    let additions = list("observations", asked.observations.as_ref(), ITEMS_MAX)?;
    let (mut ops, mut added) = (Vec::new(), Vec::new());
    let mut growing: BTreeMap<&str, Growing<'_>> = BTreeMap::new();
    for (index, addition) in additions.iter().enumerate() {
        let (at, name) = (format!("observations[{index}]"), &*addition.entity_name);
        let node = view.graph.by_key(name).and_then(|index| view.graph.node(index)).ok_or_else(|| {
            let name = short(name);
            let words = "create_entities makes it, search_nodes finds others. Nothing was changed.";
            ToolError::new(format!("{at}.entityName: there is no entity {name:?}: {words}"))
        })?;
        let entity = growing.entry(name).or_insert_with(|| {
            let observed = observed(node);
            let next = observed.last_key_value().map_or(1, |(number, _)| number.saturating_add(1));
            Growing { observations: observed.into_values().collect(), next, properties: node.attributes.len() }
        });
        let contents = addition.contents.iter().map(AsRef::as_ref);
        let new: Vec<&str> = contents.filter(|text| !entity.observations.contains(text)).collect();
        bound_all(&format!("{at}.contents"), entity.properties, &new)?;
        if !new.is_empty() {
            let attributes = (entity.next..).zip(&new).map(|(number, text)| property(number, text)).collect();
            let patch = NodePatch { attributes, ..NodePatch::default() };
            ops.push(Op::UpdateNode { node: NodeRef::Key(name.into()), patch });
        }
        entity.next = entity.next.saturating_add(new.len() as u32);
        entity.properties += new.len();
        entity.observations.extend(&new);
        added.push(Added { entity_name: name, added_observations: new });
    }
    Ok(given(ops, author, Given { list: "observations", ..news("results", &added)? }))
}

pub(super) fn delete_entities(asked: &DeleteEntities<'_>, view: &View<'_>, author: &str) -> Planned {
    let names: BTreeSet<&Text<'_>> = list("entityNames", asked.names.as_ref(), ITEMS_MAX)?.iter().collect();
    let there = names.into_iter().filter(|name| view.graph.by_key(name).is_some());
    let ops = there.map(|name| Op::RemoveNode { node: NodeRef::Key((&**name).into()) }).collect();
    Ok(given(ops, author, gone("entityNames", "Entities")))
}

pub(super) fn delete_observations(asked: &DeleteObservations<'_>, view: &View<'_>, author: &str) -> Planned {
    let deletions = list("deletions", asked.deletions.as_ref(), ITEMS_MAX)?;
    let mut ops = Vec::new();
    for deletion in deletions {
        let name = &*deletion.entity_name;
        let Some(node) = view.graph.by_key(name).and_then(|index| view.graph.node(index)) else { continue };
        let gone = observed(node).into_iter().filter(|(_, text)| deletion.observations.iter().any(|it| it == text));
        let attributes: Vec<_> = gone.map(|(number, _)| (format!("{OBSERVATION}{number}").into(), None)).collect();
        if !attributes.is_empty() {
            let patch = NodePatch { attributes, ..NodePatch::default() };
            ops.push(Op::UpdateNode { node: NodeRef::Key(name.into()), patch });
        }
    }
    Ok(given(ops, author, gone("deletions", "Observations")))
}

pub(super) fn delete_relations(asked: &Relations<'_>, view: &View<'_>, author: &str) -> Planned {
    let relations = list("relations", asked.relations.as_ref(), ITEMS_MAX)?;
    let edges: BTreeSet<EdgeId> = relations.iter().flat_map(|relation| edges_of(view.graph, relation)).collect();
    let ops = edges.into_iter().map(|id| Op::RemoveEdge { edge: EdgeRef::Id(id) }).collect();
    Ok(given(ops, author, gone("relations", "Relations")))
}

/// Entities and the relations that begin or end at one of them, as many as fit.
fn shown(view: &View<'_>, bounds: &Bounds<'_>, nodes: &[NodeIndex]) -> Done {
    let mut budget = Budget::default();
    let (mut entities, mut relations): (Vec<Box<RawValue>>, Vec<Box<RawValue>>) = (Vec::new(), Vec::new());
    let (mut edges, mut truncated) = (BTreeSet::new(), false);
    for index in nodes {
        bounds.spend(1)?;
        let Some(node) = view.graph.node(*index) else { continue };
        edges.extend(view.graph.incident(*index));
        if truncated {
            continue;
        }
        let mut entity =
            Shown { name: &node.key, entity_type: type_of(node), observations: observed(node).into_values().collect() };
        let mut whole = budget.take(&entity);
        // One that would never fit is shown with its first observations.
        while whole.is_none() && entities.is_empty() && !entity.observations.is_empty() {
            truncated = true;
            entity.observations.truncate(entity.observations.len() / 2);
            whole = budget.take(&entity);
        }
        truncated |= whole.is_none();
        entities.extend(whole);
    }
    for edge in edges.into_iter().filter_map(|id| view.graph.edge(id)) {
        bounds.spend(1)?;
        let Some((from, to)) = view.graph.node(edge.source).zip(view.graph.node(edge.target)) else { continue };
        let relation_type = edge.relation.as_deref().unwrap_or("").into();
        let relation = Relation { from: (&*from.key).into(), to: (&*to.key).into(), relation_type };
        match budget.take(&relation) {
            Some(relation) => relations.push(relation),
            None => {
                truncated = true;
                break;
            }
        }
    }
    done(&json!({
        "entities": entities, "relations": relations, "truncated": truncated, "revision": view.revision,
    }))
}

fn all(graph: &Graph) -> impl Iterator<Item = (NodeIndex, &Node)> {
    graph.nodes().iter().enumerate().map(|(index, node)| (NodeIndex(index as u32), node))
}

pub(super) fn read_graph(_: &ReadGraph<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let nodes: Vec<NodeIndex> = all(view.graph).map(|(index, _)| index).collect();
    shown(view, bounds, &nodes)
}

pub(super) fn search_nodes(asked: &SearchNodes<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let query = asked.query.as_deref().ok_or_else(|| ToolError::missing("query", "text to look for"))?;
    let query = bounded("query", query, 512)?.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&query);
    let mut found = Vec::new();
    for (index, node) in all(view.graph) {
        bounds.spend(1 + node.attributes.len() as u64)?;
        if has(&node.key) || has(&node.label) || has(type_of(node)) || observed(node).values().any(|text| has(text)) {
            found.push(index);
        }
    }
    shown(view, bounds, &found)
}

pub(super) fn open_nodes(asked: &OpenNodes<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let names = list("names", asked.names.as_ref(), OPENED_MAX)?;
    let mut found: Vec<NodeIndex> = names.iter().filter_map(|name| view.graph.by_key(name)).collect();
    found.sort_unstable_by_key(|index| index.0);
    found.dedup();
    shown(view, bounds, &found)
}
