//! `get_neighborhood` and `find_paths`: walking the graph, by loops and not by recursion.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use foldhash::HashMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::show::{self, Fields, take_node};
use super::{Done, done};
use crate::analytics::Lengths;
use crate::graph::{Edge, EdgeId, Graph, NodeIndex};
use crate::mcp::args::{Id, ToolError, arguments, choice, counted, need, whole};
use crate::mcp::reply::{Content, ToolResult, printable};
use crate::mcp::view::{Bounds, Budget, View};

/// Which way edges are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Either way.
    Both,
    /// From source to target; an undirected edge either way.
    Out,
    /// From target to source; an undirected edge either way.
    In,
}

/// The other end of an edge, when it may be walked from `from`.
#[must_use]
pub fn other_end(edge: &Edge, from: NodeIndex, direction: Direction) -> Option<NodeIndex> {
    let free = direction == Direction::Both || !edge.directed;
    if edge.source == from && (free || direction == Direction::Out) {
        Some(edge.target)
    } else if edge.target == from && (free || direction == Direction::In) {
        Some(edge.source)
    } else {
        None
    }
}

fn is_of(edge: &Edge, relations: &[Cow<'_, str>]) -> bool {
    relations.is_empty() || edge.relation.as_deref().is_some_and(|relation| relations.iter().any(|it| it == relation))
}

/// Nodes around one, nearest first.
pub struct Walk {
    /// Nodes and how far they are; the centre first.
    pub order: Vec<(NodeIndex, usize)>,
    /// Nodes that were met when there was no more room.
    pub left_out: usize,
}

/// Breadth-first search from `centre`, of at most `nodes_max` nodes.
///
/// # Errors
/// It was stopped.
pub fn walk(
    view: &View<'_>,
    bounds: &Bounds<'_>,
    centre: NodeIndex,
    hops: usize,
    direction: Direction,
    relations: &[Cow<'_, str>],
    nodes_max: usize,
) -> Result<Walk, ToolError> {
    let graph = view.graph;
    let mut walk = Walk { order: vec![(centre, 0)], left_out: 0 };
    let mut met: HashMap<NodeIndex, bool> = HashMap::from_iter([(centre, true)]);
    let mut at = 0;
    while let Some((node, distance)) = walk.order.get(at).copied().filter(|(_, distance)| *distance < hops) {
        at += 1;
        for id in graph.incident(node) {
            bounds.spend(1)?;
            let Some(edge) = graph.edge(*id).filter(|edge| is_of(edge, relations)) else { continue };
            let Some(next) = other_end(edge, node, direction) else { continue };
            let room = walk.order.len() < nodes_max && !bounds.is_exhausted();
            if met.insert(next, room).is_none() {
                match room {
                    true => walk.order.push((next, distance + 1)),
                    false => walk.left_out += 1,
                }
            }
        }
        if bounds.is_exhausted() {
            break;
        }
    }
    Ok(walk)
}

arguments!(GetNeighborhood {
    #[serde(borrow)]
    id: Option<Id<'line>>,
    hops: Option<i64>,
    #[serde(borrow)]
    direction: Option<Cow<'line, str>>,
    #[serde(borrow)]
    edge_types: Vec<Cow<'line, str>>,
    limit: Option<i64>,
    #[serde(borrow)]
    format: Option<Cow<'line, str>>,
});

const DIRECTIONS: [(&str, Direction); 3] = [("both", Direction::Both), ("out", Direction::Out), ("in", Direction::In)];

#[derive(Serialize)]
struct Neighborhood<'a> {
    center: &'a str,
    nodes: Vec<Box<RawValue>>,
    edges: Vec<Box<RawValue>>,
    truncated: bool,
    frontier: usize,
    tick: Option<u64>,
    revision: u64,
}

pub(super) fn get_neighborhood(asked: &GetNeighborhood<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let graph = view.graph;
    let centre = need(graph, "id", asked.id.as_ref())?;
    let hops = whole("hops", asked.hops, (1, 4), 1)?;
    let limit = whole("limit", asked.limit, (1, 500), 100)?;
    let direction = choice("direction", asked.direction.as_deref(), &DIRECTIONS, Direction::Both)?;
    let as_text = choice("format", asked.format.as_deref(), &[("graph", false), ("text", true)], false)?;
    counted("edge_types", asked.edge_types.len(), 0, 64)?;
    let walk = walk(view, bounds, centre, hops, direction, &asked.edge_types, limit)?;
    let (mut nodes, mut edges, mut budget) = (Vec::new(), Vec::new(), Budget::default());
    let mut shown: HashMap<NodeIndex, usize> = HashMap::default();
    for (index, distance) in &walk.order {
        if !take_node(&mut budget, view, *index, Fields::brief(), &mut nodes) {
            break;
        }
        shown.insert(*index, *distance);
    }
    let mut truncated = walk.left_out > 0 || shown.len() < walk.order.len();
    // Each edge once: at the end that is met first.
    let mut kept: Vec<&Edge> = Vec::new();
    'nodes: for (index, _) in walk.order.iter().take(shown.len()) {
        for id in graph.incident(*index) {
            bounds.spend(1)?;
            let Some(edge) = graph.edge(*id).filter(|edge| is_of(edge, &asked.edge_types)) else { continue };
            let first = edge.source == *index || !shown.contains_key(&edge.source);
            if !first || !shown.contains_key(&edge.source) || !shown.contains_key(&edge.target) {
                continue;
            }
            let Some(json) = budget.take(&show::edge(graph, edge)) else {
                truncated = true;
                break 'nodes;
            };
            edges.push(json);
            kept.push(edge);
        }
    }
    let text = as_text.then(|| as_lines(view, &walk, &shown, &kept));
    let mut result = done(&Neighborhood {
        center: show::key(graph, centre),
        nodes,
        edges,
        truncated,
        frontier: walk.order.len() - shown.len() + walk.left_out,
        tick: view.tick,
        revision: view.revision,
    })?;
    result.content.extend(text.map(Content::Text));
    Ok(ToolResult { ..result })
}

/// Nodes indented by their distance, then edges as arrows.
fn as_lines(view: &View<'_>, walk: &Walk, shown: &HashMap<NodeIndex, usize>, edges: &[&Edge]) -> String {
    let name = |index: NodeIndex| printable(show::key(view.graph, index), 80);
    let mut out = String::new();
    for (index, distance) in walk.order.iter().filter(|(index, _)| shown.contains_key(index)) {
        let label = view.graph.node(*index).map_or("", |node| &*node.label);
        let label = printable(label, 80);
        out.push_str(&format!("{}{} {label:?}\n", "  ".repeat(*distance), name(*index)));
    }
    for edge in edges {
        let relation = printable(edge.relation.as_deref().unwrap_or(""), 40);
        let arrow = if edge.directed { "->" } else { "-" };
        out.push_str(&format!("{} -{relation}{arrow} {}\n", name(edge.source), name(edge.target)));
    }
    out.push_str(&format!("revision {}\n", view.revision));
    out
}

arguments!(FindPaths {
    #[serde(borrow)]
    from: Option<Id<'line>>,
    #[serde(borrow)]
    to: Option<Id<'line>>,
    k: Option<i64>,
    max_hops: Option<i64>,
    #[serde(borrow)]
    weight: Option<Cow<'line, str>>,
    directed: bool,
    #[serde(borrow)]
    edge_types: Vec<Cow<'line, str>>,
});

#[derive(Serialize)]
struct FoundPath<'a> {
    nodes: Vec<&'a str>,
    edges: Vec<u32>,
    cost: f64,
}

#[derive(Serialize)]
struct FoundPaths<'a> {
    paths: Vec<FoundPath<'a>>,
    exhausted: bool,
    revision: u64,
}

const LENGTHS: [(&str, Lengths); 3] =
    [("hops", Lengths::Hops), ("weights", Lengths::Weights), ("inverse", Lengths::Inverse)];

/// A way begun: its last step, and what it costs at least to the end.
struct Way {
    /// Cost so far and least cost of the rest.
    bound: f64,
    cost: f64,
    hops: usize,
    /// Place of the last step in the steps.
    step: usize,
}

/// One step of some ways; ways share their beginnings.
struct Step {
    node: NodeIndex,
    edge: Option<EdgeId>,
    before: Option<usize>,
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Way {}

impl PartialOrd for Way {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The cheapest, then the one begun first, is the greatest.
impl Ord for Way {
    fn cmp(&self, other: &Self) -> Ordering {
        other.bound.total_cmp(&self.bound).then(other.hops.cmp(&self.hops)).then(other.step.cmp(&self.step))
    }
}

/// Cost and hops from every node that can reach the end within `hops`.
struct Rest {
    hops: HashMap<NodeIndex, usize>,
    cost: HashMap<NodeIndex, f64>,
}

/// What a walk may use.
struct Rules<'a> {
    graph: &'a Graph,
    lengths: Lengths,
    direction: Direction,
    relations: &'a [Cow<'a, str>],
}

impl Rules<'_> {
    fn steps(&self, from: NodeIndex, against: bool) -> impl Iterator<Item = (EdgeId, NodeIndex, f64)> {
        let direction = match (self.direction, against) {
            (Direction::Out, true) => Direction::In,
            (direction, _) => direction,
        };
        self.graph.incident(from).iter().filter_map(move |id| {
            let edge = self.graph.edge(*id).filter(|edge| is_of(edge, self.relations))?;
            let next = other_end(edge, from, direction)?;
            Some((*id, next, self.lengths.of(edge.weight)?))
        })
    }

    /// Backwards from the end: the fewest hops, and the least cost, of the rest of a way.
    fn rest(&self, end: NodeIndex, hops_max: usize, bounds: &Bounds<'_>) -> Result<Rest, ToolError> {
        let mut rest = Rest { hops: HashMap::from_iter([(end, 0)]), cost: HashMap::default() };
        let mut queue = VecDeque::from([(end, 0)]);
        while let Some((node, hops)) = queue.pop_front() {
            for (_, before, _) in self.steps(node, true) {
                bounds.spend(1)?;
                if hops < hops_max && !rest.hops.contains_key(&before) {
                    rest.hops.insert(before, hops + 1);
                    queue.push_back((before, hops + 1));
                }
            }
        }
        let mut heap = BinaryHeap::from([Way { bound: 0.0, cost: 0.0, hops: 0, step: end.get() }]);
        while let Some(Way { cost, step, .. }) = heap.pop() {
            let node = NodeIndex(step as u32);
            if rest.cost.contains_key(&node) {
                continue;
            }
            rest.cost.insert(node, cost);
            for (_, before, length) in self.steps(node, true) {
                bounds.spend(1)?;
                if rest.hops.contains_key(&before) && !rest.cost.contains_key(&before) {
                    heap.push(Way { bound: cost + length, cost: cost + length, hops: 0, step: before.get() });
                }
            }
        }
        Ok(rest)
    }
}

/// The k cheapest ways that meet no node twice, cheapest first: best-first over the beginnings of ways, with the exact cost of
/// the rest (repetitions and hops aside) as the bound, so that nothing is begun that cannot arrive.
pub(super) fn find_paths(asked: &FindPaths<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let graph = view.graph;
    let (from, to) = (need(graph, "from", asked.from.as_ref())?, need(graph, "to", asked.to.as_ref())?);
    let k = whole("k", asked.k, (1, 10), 1)?;
    let hops_max = whole("max_hops", asked.max_hops, (1, 16), 6)?;
    let lengths = choice("weight", asked.weight.as_deref(), &LENGTHS, Lengths::Hops)?;
    counted("edge_types", asked.edge_types.len(), 0, 64)?;
    let direction = if asked.directed { Direction::Out } else { Direction::Both };
    let rules = Rules { graph, lengths, direction, relations: &asked.edge_types };
    let rest = rules.rest(to, hops_max, bounds)?;
    let mut steps = vec![Step { node: from, edge: None, before: None }];
    let bound = rest.cost.get(&from).copied();
    let mut heap: BinaryHeap<Way> = bound.map(|bound| Way { bound, cost: 0.0, hops: 0, step: 0 }).into_iter().collect();
    let (mut paths, mut gave_up) = (Vec::new(), false);
    while let Some(way) = heap.pop() {
        let Some(last) = steps.get(way.step).map(|step| step.node) else { break };
        if last == to {
            paths.push(found(graph, &steps, way.step, way.cost));
            if paths.len() == k {
                break;
            }
            continue;
        }
        if bounds.is_exhausted() || steps.len() > STEPS_MAX {
            gave_up = true;
            break;
        }
        for (edge, next, length) in rules.steps(last, false) {
            bounds.spend(1)?;
            let fits = rest.hops.get(&next).is_some_and(|left| way.hops + 1 + left <= hops_max);
            let Some(least) = rest.cost.get(&next).filter(|_| fits && !meets(&steps, way.step, next)) else { continue };
            steps.push(Step { node: next, edge: Some(edge), before: Some(way.step) });
            let cost = way.cost + length;
            heap.push(Way { bound: cost + least, cost, hops: way.hops + 1, step: steps.len() - 1 });
        }
    }
    let exhausted = !gave_up && paths.len() < k;
    done(&FoundPaths { paths, exhausted, revision: view.revision })
}

/// Steps that are kept: 64 MiB of them and their ways.
const STEPS_MAX: usize = 1 << 20;

fn trail(steps: &[Step], last: usize) -> impl Iterator<Item = &Step> {
    std::iter::successors(steps.get(last), |step| step.before.and_then(|before| steps.get(before)))
}

fn meets(steps: &[Step], last: usize, node: NodeIndex) -> bool {
    trail(steps, last).any(|step| step.node == node)
}

fn found<'a>(graph: &'a Graph, steps: &[Step], last: usize, cost: f64) -> FoundPath<'a> {
    let mut nodes: Vec<&str> = trail(steps, last).map(|step| show::key(graph, step.node)).collect();
    let mut edges: Vec<u32> = trail(steps, last).filter_map(|step| step.edge).map(|edge| edge.0).collect();
    nodes.reverse();
    edges.reverse();
    FoundPath { nodes, edges, cost }
}
