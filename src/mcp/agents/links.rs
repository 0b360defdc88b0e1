//! What an agent has just had to do with: a link stands for a while after the last touch, and one to another agent fades meanwhile.

use std::collections::BTreeMap;

use crate::graph::{EdgeDraft, EdgePatch, EdgeRef, Graph, NodeKind, NodeRef, Op};

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

/// A link, in steps of [`FADE_STEPS`].
#[derive(Clone, Copy, Debug)]
struct Standing {
    until_ns: u64,
    /// The weight that it has in the graph; `None` when it is not there.
    shown: Option<u64>,
}

impl Standing {
    fn new(now_ns: u64) -> Self {
        Self { until_ns: now_ns + LINK_NS, shown: None }
    }

    /// The weight that it is to have now.
    fn wanted(self, now_ns: u64) -> u64 {
        self.until_ns.saturating_sub(now_ns).div_ceil(FADE_NS).clamp(1, FADE_STEPS)
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

    /// Operations that make the graph show the links of the agent `me` as they are; `fades` of them may be shown fainter.
    pub(super) fn show(&mut self, me: &str, graph: &Graph, now_ns: u64, fades: &mut usize, ops: &mut Vec<Op>) {
        let own = || NodeRef::Key(me.into());
        let mut ended = Vec::new();
        for ((target, relation), standing) in &mut self.standing {
            let other = graph.by_key(target).and_then(|index| graph.node(index));
            let Some(other) = other.filter(|_| now_ns < standing.until_ns) else {
                ended.push((target.clone(), *relation));
                continue;
            };
            let wanted = standing.wanted(now_ns);
            let Some(shown) = standing.shown else {
                standing.shown = Some(FADE_STEPS);
                ops.push(Op::UpsertEdge(link(own(), NodeRef::Key(target.clone()), relation)));
                continue;
            };
            let fades_now = wanted < shown && *fades > 0 && other.class.kind == NodeKind::Agent;
            if !(fades_now || wanted > shown) || !is_linked(graph, me, target, relation) {
                continue;
            }
            *fades -= usize::from(fades_now);
            standing.shown = Some(wanted);
            let weight = wanted as f32 / FADE_STEPS as f32;
            let relation = Some((*relation).into());
            let edge = EdgeRef::Between { source: own(), target: NodeRef::Key(target.clone()), relation };
            ops.push(Op::UpdateEdge { edge, patch: EdgePatch { weight: Some(weight), ..EdgePatch::default() } });
        }
        for (target, relation) in ended {
            let was_shown = self.standing.remove(&(target.clone(), relation)).is_some_and(|link| link.shown.is_some());
            if was_shown && is_linked(graph, me, &target, relation) {
                let relation = Some(relation.into());
                ops.push(Op::RemoveEdge {
                    edge: EdgeRef::Between { source: own(), target: NodeRef::Key(target), relation },
                });
            }
        }
    }
}

fn is_linked(graph: &Graph, from: &str, to: &str, relation: &str) -> bool {
    let Some((from, to)) = graph.by_key(from).zip(graph.by_key(to)) else { return false };
    let edges = graph.incident(from).iter().filter_map(|id| graph.edge(*id));
    edges.into_iter().any(|edge| edge.source == from && edge.target == to && edge.relation.as_deref() == Some(relation))
}

/// An edge of this relation.
pub(super) fn link(source: NodeRef, target: NodeRef, relation: &str) -> EdgeDraft {
    let patch = EdgePatch { weight: Some(1.0), relation: Some(Some(relation.into())), ..EdgePatch::default() };
    EdgeDraft { source, target, create_ends: false, patch }
}
