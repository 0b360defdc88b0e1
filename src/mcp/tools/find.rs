//! `find_nodes`, `get_nodes`, `find_edges`: looking things up.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::show::{self, Fields, take_node};
use super::{Done, around, done};
use crate::graph::{Attributes, Edge, EdgeId, Node, NodeIndex, NodeKind, Value};
use crate::mcp::args::{self, Id, ToolError, arguments, bounded, choice, counted, need, whole};
use crate::mcp::view::{Bounds, Budget, View};

/// A condition on a property.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct Condition<'line> {
    #[serde(borrow)]
    key: Cow<'line, str>,
    #[serde(borrow)]
    op: Cow<'line, str>,
    #[serde(borrow)]
    value: Option<Plain<'line>>,
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
enum Plain<'line> {
    Bool(bool),
    Number(f64),
    Text(#[serde(borrow)] Cow<'line, str>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Contains,
    StartsWith,
    Exists,
}

const OPERATORS: [(&str, Operator); 9] = [
    ("eq", Operator::Equal),
    ("ne", Operator::Unequal),
    ("lt", Operator::Less),
    ("le", Operator::AtMost),
    ("gt", Operator::More),
    ("ge", Operator::AtLeast),
    ("contains", Operator::Contains),
    ("starts_with", Operator::StartsWith),
    ("exists", Operator::Exists),
];

/// Which nodes a view shows: all that it says must hold. As JSON it is as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Box<str>>,
    #[serde(rename = "where", skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Kept>,
}

/// A condition that is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Kept {
    key: Box<str>,
    op: &'static str,
    #[serde(skip)]
    operator: Operator,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Plain<'static>>,
}

/// What `set_view` takes as a filter: a part of what `find_nodes` takes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::mcp) struct FilterAsked<'line> {
    #[serde(borrow)]
    kind: Option<Cow<'line, str>>,
    #[serde(borrow)]
    group: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "where")]
    conditions: Vec<Condition<'line>>,
}

/// Bytes of a filter as JSON: it stands in the address of a page.
const FILTER_BYTES_MAX: usize = 1_024;

impl Filter {
    /// What is asked for, checked.
    ///
    /// # Errors
    /// The field and what is allowed.
    pub(super) fn read(asked: &FilterAsked<'_>) -> Result<Self, ToolError> {
        let of_filter = |error: ToolError| ToolError::new(format!("filter.{}", error.0));
        let kept = |test: Test<'_>| {
            let op = OPERATORS.iter().find(|(_, operator)| *operator == test.operator).map_or("eq", |(name, _)| name);
            let value = test.value.map(|value| match value {
                Plain::Bool(it) => Plain::Bool(*it),
                Plain::Number(it) => Plain::Number(*it),
                Plain::Text(it) => Plain::Text(Cow::Owned(it.to_string())),
            });
            Kept { key: test.key.into(), op, operator: test.operator, value }
        };
        let filter = Self {
            kind: kind(asked.kind.as_deref()).map_err(of_filter)?.map(NodeKind::name),
            group: asked.group.as_deref().map(Into::into),
            conditions: tests(&asked.conditions).map_err(of_filter)?.into_iter().map(kept).collect(),
        };
        if filter.kind.is_none() && filter.group.is_none() && filter.conditions.is_empty() {
            return Err(ToolError::new("filter: it says nothing: pass at least one of kind, group, where"));
        }
        let bytes = serde_json::to_string(&filter).map_or(0, |json| json.len());
        match bytes <= FILTER_BYTES_MAX {
            true => Ok(filter),
            false => Err(ToolError::field("filter", format!("{bytes} bytes long"), "at most 1024 bytes long")),
        }
    }

    /// Whether a node is shown.
    pub(super) fn takes(&self, view: &View<'_>, index: usize) -> bool {
        let Some(node) = view.graph.nodes().get(index) else { return false };
        let holds = |Kept { key, operator, value, .. }: &Kept| {
            let test = Test { key, operator: *operator, value: value.as_ref() };
            test.holds(of_node(view, index, node, key))
        };
        self.kind.is_none_or(|kind| node.class.kind.name() == kind)
            && self.group.as_deref().is_none_or(|group| node.group.as_deref() == Some(group))
            && self.conditions.iter().all(holds)
    }
}

/// A condition that was checked.
struct Test<'line> {
    key: &'line str,
    operator: Operator,
    value: Option<&'line Plain<'line>>,
}

/// What a property is, borrowed.
#[derive(Clone, Copy)]
enum Found<'a> {
    Bool(bool),
    Number(f64),
    Text(&'a str),
}

fn tests<'line>(conditions: &'line [Condition<'line>]) -> Result<Vec<Test<'line>>, ToolError> {
    counted("where", conditions.len(), 0, 16)?;
    let checked = conditions.iter().enumerate().map(|(index, condition)| {
        let field = format!("where[{index}].op");
        let operator = choice(&field, Some(&condition.op), &OPERATORS, Operator::Exists)?;
        if (operator == Operator::Exists) == condition.value.is_some() {
            let words = "where: exists takes no value, and every other op takes one";
            return Err(ToolError::new(words));
        }
        Ok(Test { key: &condition.key, operator, value: condition.value.as_ref() })
    });
    checked.collect()
}

fn attribute<'a>(attributes: &'a Attributes, key: &str) -> Option<Found<'a>> {
    attributes.iter().find(|(name, _)| &**name == key).map(|(_, value)| match value {
        Value::Bool(it) => Found::Bool(*it),
        Value::Int(it) => Found::Number(*it as f64),
        Value::Float(it) => Found::Number(*it),
        Value::Text(it) => Found::Text(it),
    })
}

fn of_node<'a>(view: &View<'a>, index: usize, node: &'a Node, key: &str) -> Option<Found<'a>> {
    Some(match key {
        "id" => Found::Text(&node.key),
        "label" => Found::Text(&node.label),
        "kind" => Found::Text(node.class.kind.name()),
        "group" => Found::Text(node.group.as_deref()?),
        "weight" => Found::Number(f64::from(node.weight)),
        "degree" => Found::Number(view.graph.incident(NodeIndex(index as u32)).len() as f64),
        _ => return attribute(&node.attributes, key),
    })
}

fn of_edge<'a>(edge: &'a Edge, key: &str) -> Option<Found<'a>> {
    Some(match key {
        "type" => Found::Text(edge.relation.as_deref()?),
        "label" => Found::Text(edge.label()?),
        "weight" => Found::Number(f64::from(edge.weight)),
        "directed" => Found::Bool(edge.directed),
        _ => return attribute(edge.attributes(), key),
    })
}

impl Test<'_> {
    fn holds(&self, found: Option<Found<'_>>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let Some(found) = found else { return self.operator == Operator::Unequal };
        let Some(value) = self.value else { return true };
        let order = match (found, value) {
            (Found::Number(found), Plain::Number(value)) => found.partial_cmp(value),
            (Found::Bool(found), Plain::Bool(value)) => Some(found.cmp(value)),
            (Found::Text(found), Plain::Text(value)) => match self.operator {
                Operator::Contains => return found.contains(&**value),
                Operator::StartsWith => return found.starts_with(&**value),
                _ => Some(found.cmp(value)),
            },
            _ => None,
        };
        match self.operator {
            Operator::Equal => order == Some(Equal),
            Operator::Unequal => order != Some(Equal),
            Operator::Less => order == Some(Less),
            Operator::AtMost => matches!(order, Some(Less | Equal)),
            Operator::More => order == Some(Greater),
            Operator::AtLeast => matches!(order, Some(Greater | Equal)),
            Operator::Contains | Operator::StartsWith => false,
            Operator::Exists => true,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct Near<'line> {
    #[serde(borrow)]
    id: Option<Id<'line>>,
    hops: Option<i64>,
    pos: Option<[f32; 3]>,
    radius: Option<f32>,
}

arguments!(FindNodes {
    #[serde(borrow)]
    text: Option<Cow<'line, str>>,
    #[serde(borrow)]
    kind: Option<Cow<'line, str>>,
    #[serde(borrow)]
    group: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "where")]
    conditions: Vec<Condition<'line>>,
    #[serde(borrow)]
    near: Option<Near<'line>>,
    #[serde(borrow)]
    order_by: Option<Cow<'line, str>>,
    #[serde(borrow)]
    fields: Option<Vec<Cow<'line, str>>>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
});

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Relevance,
    Degree,
    Weight,
    Label,
    Id,
}

#[derive(Serialize)]
struct FoundNodes {
    nodes: Vec<Box<RawValue>>,
    total: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    tick: Option<u64>,
    revision: u64,
}

/// The kind of that name.
pub(super) fn kind(name: Option<&str>) -> Result<Option<NodeKind>, ToolError> {
    let Some(name) = name else { return Ok(None) };
    let known = [
        NodeKind::Knowledge,
        NodeKind::Agent,
        NodeKind::OntologyClass,
        NodeKind::OntologyIndividual,
        NodeKind::OntologyProperty,
    ];
    choice("kind", Some(name), &known.map(|kind| (kind.name(), kind)), NodeKind::Knowledge).map(Some)
}

/// Which of `text`, in lower case, a node matches: 4 its id or label, 3 the beginning, 2 a part, 1 a property; 0 none.
pub(in crate::mcp) fn relevance(node: &Node, text: &str) -> u32 {
    let matches = |found: &str| match found.len() >= text.len() && text.is_ascii() && found.is_ascii() {
        true if found.eq_ignore_ascii_case(text) => 4,
        true if found.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text)) => 3,
        true if text.is_empty() => 2,
        true => u32::from(found.as_bytes().windows(text.len()).any(|it| it.eq_ignore_ascii_case(text.as_bytes()))) * 2,
        false => match found.to_lowercase() {
            found if found == text => 4,
            found if found.starts_with(text) => 3,
            found if found.contains(text) => 2,
            _ => 0,
        },
    };
    let named = matches(&node.label).max(matches(&node.key));
    let property = || {
        let hit = |value: &Value| matches!(value, Value::Text(found) if matches(found) > 0);
        u32::from(node.attributes.iter().any(|(_, value)| hit(value)))
    };
    if named > 0 { named } else { property() }
}

pub(super) fn find_nodes(asked: &FindNodes<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let graph = view.graph;
    let limit = whole("limit", asked.limit, (1, 500), 25)?;
    let offset = bounds.offset("find_nodes", asked.cursor.as_deref())?;
    let fields = Fields::read(asked.fields.as_deref())?;
    let tests = tests(&asked.conditions)?;
    let kind = kind(asked.kind.as_deref())?;
    let text = asked.text.as_deref().map(|text| bounded("text", text, 512)).transpose()?.map(str::to_lowercase);
    let orders = [
        ("relevance", Order::Relevance),
        ("degree", Order::Degree),
        ("weight", Order::Weight),
        ("label", Order::Label),
        ("id", Order::Id),
    ];
    let order = choice("order_by", asked.order_by.as_deref(), &orders, Order::Relevance)?;
    let (reach, ball) = nearness(asked.near.as_ref(), view, bounds)?;
    let candidates: Box<dyn Iterator<Item = usize>> = match &reach {
        Some(reached) => Box::new(reached.iter().copied()),
        None => Box::new(0..graph.nodes().len()),
    };
    let mut found: Vec<(u32, usize)> = Vec::new();
    for index in candidates {
        bounds.spend(1)?;
        let Some(node) = graph.nodes().get(index) else { continue };
        let far = ball.is_some_and(|(centre, radius)| {
            view.position(index).is_none_or(|at| distance_squared(at, centre) > radius * radius)
        });
        let fits = !far
            && kind.is_none_or(|kind| node.class.kind == kind)
            && asked.group.as_deref().is_none_or(|group| node.group.as_deref() == Some(group))
            && tests.iter().all(|test| test.holds(of_node(view, index, node, test.key)));
        let score = if fits { text.as_deref().map_or(1, |text| relevance(node, text)) } else { 0 };
        if score > 0 {
            found.push((score, index));
        }
    }
    let degree = |index: usize| graph.incident(NodeIndex(index as u32)).len();
    let label = |index: usize| graph.nodes().get(index).map(|node| &*node.label);
    let weight = |index: usize| graph.nodes().get(index).map_or(0.0, |node| node.weight);
    match order {
        Order::Relevance if text.is_none() => {}
        Order::Relevance => found.sort_by_key(|(score, index)| std::cmp::Reverse((*score, degree(*index)))),
        Order::Degree => found.sort_by_key(|(_, index)| std::cmp::Reverse(degree(*index))),
        Order::Weight => found.sort_by(|left, right| weight(right.1).total_cmp(&weight(left.1))),
        Order::Label => found.sort_by_key(|(_, index)| label(*index)),
        Order::Id => found.sort_by_key(|(_, index)| graph.nodes().get(*index).map(|node| node.id)),
    }
    let (mut nodes, mut budget) = (Vec::new(), Budget::default());
    for (_, index) in found.iter().skip(offset).take(limit) {
        if !take_node(&mut budget, view, NodeIndex(*index as u32), fields, &mut nodes) {
            break;
        }
    }
    let next = offset + nodes.len();
    let truncated = next < found.len();
    done(&FoundNodes {
        total: found.len(),
        truncated,
        next_cursor: (truncated && !nodes.is_empty()).then(|| bounds.cursor("find_nodes", next)),
        nodes,
        tick: view.tick,
        revision: view.revision,
    })
}

fn distance_squared(left: [f32; 3], right: [f32; 3]) -> f32 {
    left.iter().zip(right).map(|(left, right)| (left - right) * (left - right)).sum()
}

type Nearness = (Option<Vec<usize>>, Option<([f32; 3], f32)>);

/// Nodes within so many hops, in that order; or a ball.
fn nearness(near: Option<&Near<'_>>, view: &View<'_>, bounds: &Bounds<'_>) -> Result<Nearness, ToolError> {
    match near {
        None => Ok((None, None)),
        Some(Near { id: Some(id), hops, pos: None, radius: None }) => {
            let centre = need(view.graph, "near.id", Some(id))?;
            let hops = whole("near.hops", *hops, (1, 4), 1)?;
            let walk = around::walk(view, bounds, centre, hops, around::Direction::Both, &[], usize::MAX)?;
            Ok((Some(walk.order.iter().map(|(index, _)| index.get()).collect()), None))
        }
        Some(Near { id: None, hops: None, pos: Some(pos), radius: Some(radius) }) if *radius >= 0.0 => {
            match view.positions {
                Some(_) => Ok((None, Some((*pos, *radius)))),
                None => Err(ToolError::new("near.pos: there are no positions yet; try again in a second")),
            }
        }
        Some(_) => Err(ToolError::new("near takes either id and hops, or pos and radius (0 or more)")),
    }
}

arguments!(GetNodes {
    #[serde(borrow)]
    ids: Vec<Id<'line>>,
    #[serde(borrow)]
    fields: Option<Vec<Cow<'line, str>>>,
    edges: bool,
});

/// Edges of one node that `get_nodes` shows.
const EDGES_OF_NODE_MAX: usize = 100;

#[derive(Serialize)]
struct GotNodes<'a> {
    nodes: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edges: Option<Vec<Box<RawValue>>>,
    missing: Vec<&'a Id<'a>>,
    truncated: bool,
    tick: Option<u64>,
    revision: u64,
}

pub(super) fn get_nodes(asked: &GetNodes<'_>, view: &View<'_>) -> Done {
    counted("ids", asked.ids.len(), 1, 200)?;
    let fields = Fields::read(asked.fields.as_deref())?;
    let (mut nodes, mut edges, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let (mut budget, mut truncated) = (Budget::default(), false);
    let mut seen: Vec<EdgeId> = Vec::new();
    for id in &asked.ids {
        let Some(index) = args::find(view.graph, id) else {
            missing.push(id);
            continue;
        };
        if !take_node(&mut budget, view, index, fields, &mut nodes) {
            truncated = true;
            break;
        }
        let incident = view.graph.incident(index);
        truncated |= asked.edges && incident.len() > EDGES_OF_NODE_MAX;
        for id in incident.iter().take(EDGES_OF_NODE_MAX).filter(|_| asked.edges) {
            let Some(edge) = view.graph.edge(*id).filter(|_| !seen.contains(id)) else { continue };
            match budget.take(&show::edge(view.graph, edge)) {
                Some(json) => edges.push(json),
                None => truncated = true,
            }
            seen.push(*id);
        }
    }
    let edges = asked.edges.then_some(edges);
    done(&GotNodes { nodes, edges, missing, truncated, tick: view.tick, revision: view.revision })
}

arguments!(FindEdges {
    #[serde(borrow)]
    from: Option<Id<'line>>,
    #[serde(borrow)]
    to: Option<Id<'line>>,
    #[serde(borrow, rename = "type")]
    relation: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "where")]
    conditions: Vec<Condition<'line>>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
});

#[derive(Serialize)]
struct FoundEdges {
    edges: Vec<Box<RawValue>>,
    total: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    revision: u64,
}

pub(super) fn find_edges(asked: &FindEdges<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let graph = view.graph;
    let limit = whole("limit", asked.limit, (1, 500), 25)?;
    let offset = bounds.offset("find_edges", asked.cursor.as_deref())?;
    let tests = tests(&asked.conditions)?;
    let end = |field: &str, id: &Option<Id<'_>>| id.as_ref().map(|id| need(graph, field, Some(id))).transpose();
    let (from, to) = (end("from", &asked.from)?, end("to", &asked.to)?);
    let fits = |edge: &Edge| {
        from.is_none_or(|from| edge.source == from || (!edge.directed && edge.target == from))
            && to.is_none_or(|to| edge.target == to || (!edge.directed && edge.source == to))
            && asked.relation.as_deref().is_none_or(|relation| edge.relation.as_deref() == Some(relation))
            && tests.iter().all(|test| test.holds(of_edge(edge, test.key)))
    };
    // The shorter of the two ends' lists, or all.
    let ends = [from, to].into_iter().flatten().map(|end| graph.incident(end)).min_by_key(|ids| ids.len());
    let candidates: Box<dyn Iterator<Item = &Edge>> = match ends {
        Some(ids) => Box::new(ids.iter().filter_map(|id| graph.edge(*id))),
        None => Box::new(graph.edges().iter()),
    };
    let (mut edges, mut budget, mut total, mut full) = (Vec::new(), Budget::default(), 0, false);
    for edge in candidates {
        bounds.spend(1)?;
        if !fits(edge) {
            continue;
        }
        total += 1;
        if total > offset && edges.len() < limit && !full {
            match budget.take(&show::edge(graph, edge)) {
                Some(json) => edges.push(json),
                None => full = true,
            }
        }
    }
    let next = offset + edges.len();
    let truncated = next < total;
    let next_cursor = (truncated && !edges.is_empty()).then(|| bounds.cursor("find_edges", next));
    done(&FoundEdges { edges, total, truncated, next_cursor, revision: view.revision })
}
