//! What an agent has just had to do with: a link stands for a while after the last touch, and one to another agent fades meanwhile.

use std::collections::BTreeMap;

use super::look::Look;
use crate::graph::{Edge, EdgeDraft, EdgeId, EdgePatch, EdgeRef, Graph, Node, NodeIndex, NodeKind, NodeRef, Op};

/// How long a link stands after the last touch.
pub(in crate::mcp) const LINK_NS: u64 = 5_000_000_000;

/// Weights that a link between agents has one after the other, of its whole weight.
const FADE_STEPS: u64 = 4;

/// Time between two of them. All links take their steps at the same moments, so that these are few batches, however many links.
const FADE_NS: u64 = LINK_NS / FADE_STEPS;

/// Links that take a step in one batch; those beyond keep their weight until the next.
const FADES_MAX: usize = 1_000;

/// Links of one agent at once.
const LINKS_MAX: usize = 64;

/// The relation of a link to what an agent touched.
pub(super) const TOUCHES: &str = "touches";

/// The relation of a link to an agent that it has sent a message.
pub(super) const MESSAGES: &str = "messages";

/// A link: its agent, the other node, their relation.
#[derive(Clone, Copy, Debug)]
struct Ends<'key> {
    me: &'key str,
    target: &'key str,
    relation: &'key str,
}

/// For how long a link stands, and how it is shown, in steps of [`FADE_STEPS`].
#[derive(Clone, Copy, Debug)]
struct Standing {
    until_ns: u64,
    /// The weight that was asked for last; `None` when it is not to be there.
    shown: Option<u64>,
    /// The batch that asked for that; `None` when the graph is known to show it.
    asked: Option<u64>,
    /// The edge that was asked to go last.
    going: Option<EdgeId>,
}

impl Standing {
    fn new(now_ns: u64) -> Self {
        Self { until_ns: now_ns + LINK_NS, shown: None, asked: None, going: None }
    }

    /// The weight that it is to have now.
    fn wanted(self, now_ns: u64) -> u64 {
        self.until_ns.saturating_sub(now_ns).div_ceil(FADE_NS).clamp(1, FADE_STEPS)
    }

    /// Asks for the link as it is now.
    fn stay(&mut self, ends: Ends<'_>, other: &Node, look: &mut Look<'_>) {
        let wanted = self.wanted(look.now_ns);
        let Some(shown) = self.shown else {
            (self.shown, self.asked, self.going) = (Some(FADE_STEPS), Some(look.number), None);
            let [source, target] = ends.nodes();
            look.rest.push(Op::UpsertEdge(link(source, target, ends.relation)));
            return;
        };
        let fades_now = wanted < shown && look.fades > 0 && other.class.kind == NodeKind::Agent;
        if !(fades_now || wanted > shown) || ends.found(look.graph).is_none() {
            return;
        }
        look.fades -= usize::from(fades_now);
        (self.shown, self.asked) = (Some(wanted), Some(look.number));
        let weight = wanted as f32 / FADE_STEPS as f32;
        let patch = EdgePatch { weight: Some(weight), ..EdgePatch::default() };
        look.rest.push(Op::UpdateEdge { edge: ends.edge(), patch });
    }

    /// Asks for its end; true until the graph is known to be without it.
    fn end(&mut self, ends: Ends<'_>, look: &mut Look<'_>) -> bool {
        // One that is not there may be on its way.
        let there = ends.found(look.graph).map(|edge| edge.id);
        let may_be = self.shown.take().is_some() && (self.asked.is_some() || there.is_some());
        if may_be {
            (self.asked, self.going) = (Some(look.number), there);
            look.removals.push(Op::RemoveEdge { edge: there.map_or_else(|| ends.edge(), EdgeRef::Id) });
        }
        self.asked.is_some()
    }
}

impl Ends<'_> {
    fn nodes(self) -> [NodeRef; 2] {
        [self.me, self.target].map(|key| NodeRef::Key(key.into()))
    }

    fn edge(self) -> EdgeRef {
        let [source, target] = self.nodes();
        EdgeRef::Between { source, target, relation: Some(self.relation.into()) }
    }

    fn found(self, graph: &Graph) -> Option<&Edge> {
        found(graph, self.me, self.target, self.relation)
    }
}

/// The links of one agent.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By key of a node and how they are linked.
    standing: BTreeMap<(Box<str>, &'static str), Standing>,
}

/// When links took a step of time last.
#[derive(Debug, Default)]
pub(super) struct Fading {
    step: u64,
}

impl Fading {
    /// How many links may be shown fainter now.
    pub(super) fn room(&mut self, now_ns: u64) -> usize {
        let step = now_ns / FADE_NS;
        if std::mem::replace(&mut self.step, step) == step { 0 } else { FADES_MAX }
    }
}

impl Links {
    /// Its agent has just had to do with another node: the link stands for a while. One that there is no room for is left out: that there
    /// are as many shows, and one of them goes soon.
    pub(super) fn touch(&mut self, target: Box<str>, relation: &'static str, now_ns: u64) {
        let room = self.standing.len() < LINKS_MAX;
        match self.standing.get_mut(&(target.clone(), relation)) {
            Some(standing) => standing.until_ns = now_ns + LINK_NS,
            None if room => drop(self.standing.insert((target, relation), Standing::new(now_ns))),
            None => {}
        }
    }

    /// Asks for what the graph is to show of the links of the agent `me` otherwise.
    pub(super) fn show(&mut self, me: &str, look: &mut Look<'_>) {
        self.standing.retain(|(target, relation), standing| {
            let ends = Ends { me, target, relation };
            if look.is_over(standing.asked) {
                // What was asked for is there, or does not come any more: from here on it is as the graph says.
                // One like it that somebody else has made is not this agent's to take out.
                let known = match standing.going {
                    Some(going) => look.graph.edge(going),
                    None => ends.found(look.graph),
                };
                (standing.shown, standing.asked) = (known.map(steps), None);
            }
            // With its other end a link is gone, too.
            let Some(other) = look.node(target) else { return false };
            if look.now_ns >= standing.until_ns {
                return standing.end(ends, look);
            }
            standing.stay(ends, other, look);
            true
        });
    }
}

/// The weight of an edge in steps.
fn steps(edge: &Edge) -> u64 {
    ((edge.weight * FADE_STEPS as f32).round() as u64).clamp(1, FADE_STEPS)
}

/// The edge that a batch would find from here to there with this relation.
pub(super) fn found<'graph>(graph: &'graph Graph, from: &str, to: &str, relation: &str) -> Option<&'graph Edge> {
    let (from, to) = graph.by_key(from).zip(graph.by_key(to))?;
    let degree = |end: NodeIndex| graph.incident(end).len();
    // The end with fewer edges: what many agents touch has thousands.
    let end = if degree(from) <= degree(to) { from } else { to };
    let mut edges = graph.incident(end).iter().filter_map(|id| graph.edge(*id));
    edges.find(|edge| {
        let is_same = edge.source == from && edge.target == to;
        let is_back = !edge.directed && edge.source == to && edge.target == from;
        (is_same || is_back) && edge.relation.as_deref() == Some(relation)
    })
}

/// An edge of this relation.
pub(super) fn link(source: NodeRef, target: NodeRef, relation: &str) -> EdgeDraft {
    let patch = EdgePatch { weight: Some(1.0), relation: Some(Some(relation.into())), ..EdgePatch::default() };
    EdgeDraft { source, target, create_ends: false, patch }
}
