//! Patterns to matches: one step for each node to look for and each edge to follow, and a stack of what is left to try.

use super::ast::{EdgePattern, Expr, NodePattern, Operator, Query, Way};
use super::eval::{Bound, of_edge, of_node, value};
use crate::graph::{Edge, EdgeId, Graph, NodeIndex};
use crate::mcp::args::ToolError;
use crate::mcp::view::{Bounds, View};

/// Ways that one step may leave open at once.
const OPEN_MAX: usize = 1 << 20;

/// One step.
#[derive(Debug)]
pub(super) enum Step<'q> {
    /// Look for a node, among all, or by its id.
    Scan {
        node: &'q NodePattern,
        /// What its id must be.
        id: Option<&'q Expr>,
    },
    /// Follow edges from a node that is bound.
    Follow { edge: &'q EdgePattern, from: usize, to: &'q NodePattern, way: Way },
}

impl Step<'_> {
    /// The variables that are bound behind it.
    fn binds(&self) -> [usize; 2] {
        match self {
            Self::Scan { node, .. } => [node.variable, node.variable],
            Self::Follow { edge, to, .. } => [edge.variable, to.variable],
        }
    }
}

/// Steps and the conditions that can be checked behind each.
#[derive(Debug)]
pub(super) struct Steps<'q> {
    steps: Vec<Step<'q>>,
    checks: Vec<Vec<&'q Expr>>,
}

/// The expression that a node's id must be, where the query says so.
fn wanted_id<'q>(query: &'q Query, node: &'q NodePattern) -> Option<&'q Expr> {
    let pattern = node.props.iter().find(|(name, _)| name == "id").map(|(_, value)| value);
    let constant = |expr: &Expr| matches!(expr, Expr::Text(_) | Expr::Int(_));
    let is_id = |expr: &Expr| match expr {
        Expr::Property(variable, name) => *variable == node.variable && name == "id",
        _ => false,
    };
    pattern.filter(|expr| constant(expr)).or_else(|| {
        query.filter.iter().find_map(|condition| match condition {
            Expr::Two(Operator::Equal, left, right) if is_id(left) && constant(right) => Some(&**right),
            Expr::Two(Operator::Equal, left, right) if is_id(right) && constant(left) => Some(&**left),
            _ => None,
        })
    })
}

/// Orders the patterns: each path begins at a node that is bound or whose id is known, where it has one.
pub(super) fn steps(query: &Query) -> Steps<'_> {
    let mut steps = Vec::new();
    let mut bound: Vec<usize> = Vec::new();
    for path in &query.paths {
        let known = path.nodes.iter().position(|node| bound.contains(&node.variable));
        let by_id = || path.nodes.iter().position(|node| wanted_id(query, node).is_some());
        let by_label = || path.nodes.iter().position(|node| !node.labels.is_empty() || !node.props.is_empty());
        let anchor = known.or_else(by_id).or_else(by_label).unwrap_or(0);
        let Some(first) = path.nodes.get(anchor) else { continue };
        // A node that is bound is looked at again: the pattern may say more of it.
        steps.push(Step::Scan { node: first, id: wanted_id(query, first) });
        bound.push(first.variable);
        let right = path.edges.iter().zip(path.nodes.windows(2)).skip(anchor);
        for (edge, pair) in right {
            let [from, to] = pair else { continue };
            steps.push(Step::Follow { edge, from: from.variable, to, way: edge.way });
            bound.push(to.variable);
        }
        let left = path.edges.iter().zip(path.nodes.windows(2)).take(anchor).rev();
        for (edge, pair) in left {
            let [to, from] = pair else { continue };
            steps.push(Step::Follow { edge, from: from.variable, to, way: edge.way.turned() });
            bound.push(to.variable);
        }
    }
    let mut checks: Vec<Vec<&Expr>> = steps.iter().map(|_| Vec::new()).collect();
    for condition in &query.filter {
        let mut last = 0;
        condition.visit(&mut |inner| {
            if let Expr::Variable(variable) | Expr::Property(variable, _) = inner {
                let at = steps.iter().position(|step| step.binds().contains(variable)).unwrap_or(0);
                last = last.max(at);
            }
        });
        if let Some(checks) = checks.get_mut(last) {
            checks.push(condition);
        }
    }
    Steps { steps, checks }
}

/// The steps in words.
pub(super) fn describe(query: &Query, steps: &Steps<'_>) -> Vec<String> {
    let name = |variable: usize| match query.variables.get(variable).map(String::as_str) {
        None | Some("") => format!("_{variable}"),
        Some(name) => name.to_owned(),
    };
    let rows = steps.steps.iter().zip(&steps.checks).map(|(step, checks)| {
        let what = match step {
            Step::Scan { node, id: Some(_) } => format!("look up {} by its id", name(node.variable)),
            Step::Scan { node, id: None } => format!("scan all nodes for {}", name(node.variable)),
            Step::Follow { edge, from, to, way } => {
                let (least, most) = edge.span.unwrap_or((1, 1));
                let way = match way {
                    Way::Right => "out of",
                    Way::Left => "into",
                    Way::Either => "at",
                };
                let types = if edge.types.is_empty() { "any type".to_owned() } else { edge.types.join("|") };
                format!("follow {least} to {most} edges of {types} {way} {} to {}", name(*from), name(to.variable))
            }
        };
        format!("{what}, then check {} conditions", checks.len())
    });
    rows.collect()
}

/// What one way on binds.
enum Way1 {
    Node(NodeIndex),
    One(EdgeId, NodeIndex),
    Many(Vec<EdgeId>, NodeIndex),
}

/// A step that is being tried.
struct Open {
    ways: Vec<Way1>,
    /// What its variables were before.
    before: [Bound; 2],
}

/// Calls `found` with every match, until it says false.
pub(super) fn run(
    query: &Query,
    steps: &Steps<'_>,
    view: &View<'_>,
    bounds: &Bounds<'_>,
    found: &mut dyn FnMut(&[Bound]) -> Result<bool, ToolError>,
) -> Result<(), ToolError> {
    let mut bound = vec![Bound::Nothing; query.variables.len()];
    let mut stack: Vec<Open> = Vec::new();
    loop {
        let depth = stack.len();
        if let Some(step) = steps.steps.get(depth) {
            let ways = open(step, &bound, view, bounds)?;
            let [first, second] = step.binds();
            let held = |variable: usize| bound.get(variable).cloned().unwrap_or(Bound::Nothing);
            stack.push(Open { ways, before: [held(first), held(second)] });
        } else if !found(&bound)? {
            return Ok(());
        }
        // The next way of the deepest step that has one.
        loop {
            if bounds.is_exhausted() {
                return Ok(());
            }
            let depth = stack.len();
            let Some(top) = stack.last_mut() else { return Ok(()) };
            let at = depth - 1;
            let Some(step) = steps.steps.get(at) else { return Ok(()) };
            let variables = step.binds();
            for (variable, before) in variables.iter().zip(&top.before) {
                bind(&mut bound, *variable, before.clone());
            }
            let Some(way) = top.ways.pop() else {
                stack.pop();
                continue;
            };
            bounds.spend(1)?;
            let [first, second] = variables;
            match way {
                Way1::Node(node) => bind(&mut bound, first, Bound::Node(node)),
                Way1::One(edge, node) => {
                    bind(&mut bound, first, Bound::Edge(edge));
                    bind(&mut bound, second, Bound::Node(node));
                }
                Way1::Many(edges, node) => {
                    bind(&mut bound, first, Bound::Edges(edges));
                    bind(&mut bound, second, Bound::Node(node));
                }
            }
            let checks = steps.checks.get(at).map(Vec::as_slice).unwrap_or_default();
            if checks.iter().all(|check| value(check, view.graph, &bound).truth() == Some(true)) {
                break;
            }
        }
    }
}

fn bind(bound: &mut [Bound], variable: usize, to: Bound) {
    if let Some(place) = bound.get_mut(variable) {
        *place = to;
    }
}

/// Everything a step can bind, the last to be tried first in the list.
fn open(step: &Step<'_>, bound: &[Bound], view: &View<'_>, bounds: &Bounds<'_>) -> Result<Vec<Way1>, ToolError> {
    let graph = view.graph;
    match step {
        Step::Scan { node, id } => {
            if let Some(Bound::Node(index)) = bound.get(node.variable) {
                let fits = fits_node(graph, node, *index);
                return Ok(if fits { vec![Way1::Node(*index)] } else { Vec::new() });
            }
            if let Some(id) = id {
                let found = match id {
                    Expr::Text(key) => graph.by_key(key),
                    _ => None,
                };
                return Ok(found.filter(|index| fits_node(graph, node, *index)).map(Way1::Node).into_iter().collect());
            }
            let mut ways = Vec::new();
            for index in (0..graph.nodes().len() as u32).rev().map(NodeIndex) {
                bounds.spend(1)?;
                if fits_node(graph, node, index) {
                    ways.push(Way1::Node(index));
                }
            }
            Ok(ways)
        }
        Step::Follow { edge, from, to, way } => {
            let Some(Bound::Node(from)) = bound.get(*from) else { return Ok(Vec::new()) };
            follow(edge, *from, to, *way, bound, view, bounds)
        }
    }
}

/// The ways along edges, none of which is used twice in a match.
fn follow(
    pattern: &EdgePattern,
    from: NodeIndex,
    to: &NodePattern,
    way: Way,
    bound: &[Bound],
    view: &View<'_>,
    bounds: &Bounds<'_>,
) -> Result<Vec<Way1>, ToolError> {
    let graph = view.graph;
    let (least, most) = pattern.span.unwrap_or((1, 1));
    let target = match bound.get(to.variable) {
        Some(Bound::Node(index)) => Some(*index),
        _ => None,
    };
    let mut ways = Vec::new();
    let mut trails: Vec<(Vec<EdgeId>, NodeIndex)> = vec![(Vec::new(), from)];
    while let Some((trail, at)) = trails.pop() {
        let arrives = trail.len() >= least && target.is_none_or(|target| target == at) && fits_node(graph, to, at);
        if arrives {
            ways.push(match (pattern.span, trail.first()) {
                (None, Some(edge)) => Way1::One(*edge, at),
                _ => Way1::Many(trail.clone(), at),
            });
        }
        if trail.len() == most || bounds.is_exhausted() {
            continue;
        }
        for id in graph.incident(at) {
            bounds.spend(1)?;
            let Some(edge) = graph.edge(*id) else { continue };
            let Some(next) = other(edge, at, way).filter(|_| !trail.contains(id) && !is_used(bound, *id)) else {
                continue;
            };
            if fits_edge(graph, pattern, edge) {
                let mut longer = trail.clone();
                longer.push(*id);
                trails.push((longer, next));
            }
        }
        if ways.len() + trails.len() > OPEN_MAX {
            let words = "the pattern leaves more than a million ways open: name types or ids, or shorten *";
            return Err(ToolError::new(format!("query: {words}")));
        }
    }
    ways.reverse();
    Ok(ways)
}

fn is_used(bound: &[Bound], edge: EdgeId) -> bool {
    bound.iter().any(|held| match held {
        Bound::Edge(used) => *used == edge,
        Bound::Edges(used) => used.contains(&edge),
        Bound::Node(_) | Bound::Nothing => false,
    })
}

/// The other end of an edge, when it points the way that is asked for. An undirected edge points both ways.
fn other(edge: &Edge, at: NodeIndex, way: Way) -> Option<NodeIndex> {
    if edge.source == at && (way != Way::Left || !edge.directed) {
        Some(edge.target)
    } else if edge.target == at && (way != Way::Right || !edge.directed) {
        Some(edge.source)
    } else {
        None
    }
}

fn fits_node(graph: &Graph, pattern: &NodePattern, index: NodeIndex) -> bool {
    let Some(node) = graph.node(index) else { return false };
    let labelled = pattern.labels.is_empty()
        || pattern.labels.iter().any(|label| {
            label.eq_ignore_ascii_case(node.class.kind.name()) || node.group.as_deref() == Some(label.as_str())
        });
    labelled && pattern.props.iter().all(|(name, wanted)| is(&of_node(graph, index, name), wanted, graph))
}

fn fits_edge(graph: &Graph, pattern: &EdgePattern, edge: &Edge) -> bool {
    let typed = pattern.types.is_empty()
        || edge.relation.as_deref().is_some_and(|relation| pattern.types.iter().any(|wanted| wanted == relation));
    typed && pattern.props.iter().all(|(name, wanted)| is(&of_edge(graph, edge.id, name), wanted, graph))
}

fn is(found: &super::eval::Val<'_>, wanted: &Expr, graph: &Graph) -> bool {
    found.compare(&value(wanted, graph, &[])) == Some(std::cmp::Ordering::Equal)
}
