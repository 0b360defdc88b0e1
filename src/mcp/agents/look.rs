//! What the graph is to show of agents, and whether it does.
//!
//! An operation may be refused, and a batch lost with the disk. So what was asked for is looked for in the graph once its batch is over, and
//! asked for again where it is not there. Until then it is taken as done, and what is known to be there costs a look nothing.

use std::collections::VecDeque;

use super::Agent;
use super::links::{Links, found, link};
use crate::graph::{Graph, Node, NodeDraft, NodeKind, NodePatch, NodeRef, Op, Value};

/// Time between two looks for what was asked for.
const AGAIN_NS: u64 = 200_000_000;

/// The same where nothing of it could be done, at most: only another graph, or another limit, has room for it.
const AGAIN_NS_MAX: u64 = 10_000_000_000;

/// The relation from an agent to one that it has started.
const SPAWNED: &str = "spawned";

/// Batches that were taken, counted from 1.
#[derive(Debug)]
pub(super) struct Batches {
    taken: u64,
    /// Those on their way, oldest first: the number of each, and the version that it makes.
    under_way: VecDeque<(u64, u64)>,
    /// When what was asked for was looked for last, and when it is next.
    looked_ns: Option<u64>,
    again_ns: u64,
    /// Version of the graph.
    version: u64,
}

impl Default for Batches {
    fn default() -> Self {
        Self { taken: 0, under_way: VecDeque::new(), looked_ns: None, again_ns: AGAIN_NS, version: 0 }
    }
}

/// One look at all agents.
#[derive(Debug)]
pub(super) struct Look<'graph> {
    pub(super) graph: &'graph Graph,
    pub(super) now_ns: u64,
    /// Links that may be shown fainter still.
    pub(super) fades: usize,
    /// The batch that it leads to.
    pub(super) number: u64,
    /// What was asked for up to this batch is looked for; 0 is nothing.
    over: u64,
    /// What makes room.
    pub(super) removals: Vec<Op>,
    /// Everything else, in order.
    pub(super) rest: Vec<Op>,
}

impl Batches {
    /// Begins a look; of links, `fades` may be shown fainter.
    pub(super) fn look<'graph>(&mut self, graph: &'graph Graph, now_ns: u64, fades: usize) -> Look<'graph> {
        let mut over = 0;
        if self.looked_ns.is_none_or(|looked_ns| now_ns >= looked_ns + self.again_ns) {
            self.looked_ns = Some(now_ns);
            over = self.under_way.front().map_or(self.taken, |(first, _)| *first - 1);
        }
        let (removals, rest) = (Vec::new(), Vec::new());
        Look { graph, now_ns, fades, number: self.taken + 1, over, removals, rest }
    }

    /// What a look has led to. What makes room goes first, so that what comes finds it.
    pub(super) fn take(&mut self, look: Look<'_>) -> Vec<Op> {
        let mut ops = look.removals;
        ops.extend(look.rest);
        self.taken += u64::from(!ops.is_empty());
        ops
    }

    /// Nothing of the one that was taken last can be done.
    pub(super) fn refused(&mut self) {
        self.again_ns = (2 * self.again_ns).min(AGAIN_NS_MAX);
    }

    /// The one that was taken last is on its way, and makes this version.
    pub(super) fn sent(&mut self, version: u64) {
        // A version that is made again was lost before, with all after it.
        while self.under_way.pop_back_if(|(_, known)| *known >= version).is_some() {}
        self.under_way.push_back((self.taken, version));
    }

    /// The graph is at this version.
    pub(super) fn reached(&mut self, version: u64) {
        if std::mem::replace(&mut self.version, version) != version {
            self.again_ns = AGAIN_NS;
        }
        while self.under_way.pop_front_if(|(_, made)| *made <= version).is_some() {}
    }

    /// None is on its way any more.
    pub(super) fn lost(&mut self) {
        self.under_way.clear();
    }
}

impl<'graph> Look<'graph> {
    /// The node with this key.
    pub(super) fn node(&self, key: &str) -> Option<&'graph Node> {
        self.graph.by_key(key).and_then(|index| self.graph.node(index))
    }

    /// Whether the graph says by now what has become of something that this batch asked for.
    pub(super) fn is_over(&self, asked: Option<u64>) -> bool {
        asked.is_some_and(|batch| batch <= self.over)
    }
}

impl Agent {
    /// Asks for what the graph is to show of this agent otherwise.
    pub(super) fn show(&mut self, look: &mut Look<'_>) {
        let node = look.node(&self.row.agent_id);
        self.row.node_id = node.map(|node| node.id.get());
        if look.is_over(self.asked) {
            self.settle(node);
        }
        if look.is_over(self.parent_asked) {
            self.parent_asked = None;
            let parent = self.row.parent.as_deref();
            self.parent_shown =
                parent.is_some_and(|parent| found(look.graph, parent, &self.row.agent_id, SPAWNED).is_some());
        }
        match self.row.live {
            true => self.come(node.is_some(), look),
            false => self.go(node.is_some(), look),
        }
    }

    /// What was asked for is there, or does not come any more: from here on it is as the graph says.
    fn settle(&mut self, node: Option<&Node>) {
        self.asked = None;
        let is_right = match node {
            Some(node) if self.row.live => is_made(node, &self.patch()),
            // One that somebody has made since is not this agent's.
            Some(node) => self.going.is_some_and(|going| going != node.id.get()),
            None => !self.row.live,
        };
        self.changed |= !is_right;
    }

    fn come(&mut self, is_there: bool, look: &mut Look<'_>) {
        // New, or somebody else has taken it out.
        let is_gone = !is_there && self.asked.is_none();
        if std::mem::take(&mut self.changed) || is_gone {
            look.rest.push(Op::UpsertNode(NodeDraft { key: Some(self.row.agent_id.clone()), patch: self.patch() }));
            self.asked = Some(look.number);
            self.parent_shown &= !is_gone;
        }
        // Of a list the parent may come behind its child: the edge waits until both are there.
        if !self.parent_shown
            && let Some(parent) = self.row.parent.clone().filter(|parent| look.node(parent).is_some())
        {
            look.rest.push(Op::UpsertEdge(link(NodeRef::Key(parent), self.me(), SPAWNED)));
            (self.parent_shown, self.parent_asked) = (true, Some(look.number));
        }
        self.links.show(&self.row.agent_id, look);
    }

    /// Its node goes, and its links with it.
    fn go(&mut self, is_there: bool, look: &mut Look<'_>) {
        (self.links, self.parent_shown, self.parent_asked) = (Links::default(), false, None);
        // One that is not there may be on its way.
        let may_be = is_there || self.asked.is_some();
        if std::mem::take(&mut self.changed) && may_be {
            look.removals.push(Op::RemoveNode { node: self.me() });
            (self.asked, self.going) = (Some(look.number), self.row.node_id);
        }
    }

    fn me(&self) -> NodeRef {
        NodeRef::Key(self.row.agent_id.clone())
    }

    /// What makes a node show this agent.
    fn patch(&self) -> NodePatch {
        let text = |text: &str| Some(Value::Text(text.into()));
        NodePatch {
            label: Some(self.row.name.clone()),
            kind: Some(NodeKind::Agent),
            attributes: vec![
                ("status".into(), self.row.status.and_then(text)),
                ("role".into(), self.row.role.as_deref().and_then(text)),
                ("task".into(), self.row.task.as_deref().and_then(text)),
                ("agent_by".into(), text(&self.row.by)),
                ("source".into(), self.row.source.as_deref().and_then(text)),
            ],
            ..NodePatch::default()
        }
    }
}

/// Whether a node is what this patch would make of it.
fn is_made(node: &Node, patch: &NodePatch) -> bool {
    let is_so = |(name, wanted): &(Box<str>, Option<Value>)| {
        let known = node.attributes.iter().find(|(known, _)| known == name);
        known.map(|(_, value)| value) == wanted.as_ref()
    };
    patch.label.as_ref() == Some(&node.label)
        && patch.kind == Some(node.class.kind)
        && patch.attributes.iter().all(is_so)
}
