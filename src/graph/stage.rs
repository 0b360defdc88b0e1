//! Where batches are worked out before they are true: a graph, batches on their way to the disk, and the one at hand.
//!
//! Nothing here touches the graph. A batch that fails leaves no trace; one that succeeds is a list of changes that
//! [`Graph::commit`] makes true once they are durable. Until then later batches are checked against it in [`Pending`].

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::change::{
    Batch, Change, Deed, EdgeDraft, EdgePatch, EdgeRef, NodeDraft, NodePatch, NodeRef, Op, OpError, OpProblem, Outcome,
};
use super::{Attributes, EdgeId, EdgeRow, Graph, Node, NodeId, Value, build};
use crate::limits::{ATTRIBUTES_MAX, COORDINATE_MAX, NODE_ID_MAX, TEXT_BYTES_MAX};

/// What a batch came to, before it is true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Staged {
    /// Edges that go, nodes that go, nodes, edges: ascending by id in each.
    pub changes: Vec<Change>,
    /// One for each operation that is done.
    pub outcomes: Vec<Outcome>,
    /// The others, of a batch whose operations stand alone.
    pub refused: Vec<OpError>,
}

/// Batches that were checked and are not true yet, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    layers: VecDeque<Layer>,
}

/// What batches may make of a graph at most.
#[derive(Clone, Copy, Debug)]
pub struct GraphLimits {
    /// `graph.nodes_max`.
    pub nodes: usize,
    /// `graph.edges_max`.
    pub edges: usize,
}

/// What one batch touched: the state after it, `None` for what is gone.
#[derive(Clone, Debug, Default)]
struct Layer {
    nodes: BTreeMap<NodeId, Option<Node>>,
    keys: HashMap<Box<str>, Option<NodeId>>,
    edges: BTreeMap<EdgeId, Option<EdgeRow>>,
    /// Edges that the layer made, by end.
    incident: HashMap<NodeId, Vec<EdgeId>>,
    node_count: usize,
    edge_count: usize,
    next_node: u32,
    next_edge: u32,
}

impl Pending {
    /// Batches that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Nodes and edges that the graph has once all of them are true; `None` when none waits.
    #[must_use]
    pub fn size(&self) -> Option<(usize, usize)> {
        self.layers.back().map(|layer| (layer.node_count, layer.edge_count))
    }

    /// The oldest batch is true now: the graph has it.
    pub fn settle(&mut self) {
        self.layers.pop_front();
    }

    /// Only the `count` oldest may become true.
    pub fn keep(&mut self, count: usize) {
        self.layers.truncate(count);
    }

    /// Works a batch out. What it came to is remembered, for batches after it, until [`Self::settle`].
    ///
    /// # Errors
    /// [`OpError`] names the first operation that cannot be done; nothing is remembered then. Never of a batch whose
    /// operations stand alone: [`Staged::refused`] has them.
    pub fn stage(&mut self, graph: &Graph, batch: &Batch, limits: GraphLimits) -> Result<Staged, OpError> {
        let (next_node, next_edge) = graph.next_ids();
        let empty = Layer {
            node_count: graph.nodes().len(),
            edge_count: graph.edges().len(),
            next_node,
            next_edge,
            ..Layer::default()
        };
        let top = self.layers.back().unwrap_or(&empty);
        let own = Layer {
            node_count: top.node_count,
            edge_count: top.edge_count,
            next_node: top.next_node,
            next_edge: top.next_edge,
            ..Layer::default()
        };
        let mut stage = Stage { graph, below: &self.layers, own, limits };
        let mut outcomes = Vec::with_capacity(batch.ops.len());
        let mut refused = Vec::new();
        for (op, wanted) in batch.ops.iter().enumerate() {
            let taken = if batch.each { stage.take_alone(wanted) } else { stage.take(wanted) };
            match taken.map_err(|reason| OpError { op, reason }) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if batch.each => refused.push(error),
                Err(error) => return Err(error),
            }
        }
        let changes = stage.changes();
        let own = stage.own;
        self.layers.push_back(own);
        Ok(Staged { changes, outcomes, refused })
    }
}

struct Stage<'base> {
    graph: &'base Graph,
    below: &'base VecDeque<Layer>,
    own: Layer,
    limits: GraphLimits,
}

type Step<T> = Result<T, OpProblem>;

impl Stage<'_> {
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.own).chain(self.below.iter().rev())
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        let touched = self.layers().find_map(|layer| layer.nodes.get(&id));
        match touched {
            Some(state) => state.as_ref(),
            None => self.graph.index_of(id).and_then(|index| self.graph.node(index)),
        }
    }

    fn by_key(&self, key: &str) -> Option<NodeId> {
        let touched = self.layers().find_map(|layer| layer.keys.get(key));
        match touched {
            Some(state) => *state,
            None => self.graph.by_key(key).and_then(|index| self.graph.node(index)).map(|node| node.id),
        }
    }

    fn edge(&self, id: EdgeId) -> Option<EdgeRow> {
        let touched = self.layers().find_map(|layer| layer.edges.get(&id));
        match touched {
            Some(state) => state.clone(),
            None => self.graph.edge_row(id),
        }
    }

    /// Edges that begin or end at a node, ascending.
    fn incident(&self, id: NodeId) -> Vec<EdgeId> {
        let mut all = self.graph.index_of(id).map_or_else(Vec::new, |index| self.graph.incident(index).to_vec());
        for layer in self.layers() {
            all.extend(layer.incident.get(&id).into_iter().flatten());
        }
        all.sort_unstable();
        all.dedup();
        let gone = |id: &EdgeId| self.layers().find_map(|layer| layer.edges.get(id)).is_some_and(Option::is_none);
        all.retain(|id| !gone(id));
        all
    }

    /// As [`Self::take`]; what fails leaves nothing behind. That could only be ends that were made for an edge.
    fn take_alone(&mut self, op: &Op) -> Step<Outcome> {
        let ends = match op {
            Op::AddEdge(draft) | Op::UpsertEdge(draft) if draft.create_ends => vec![&draft.source, &draft.target],
            _ => Vec::new(),
        };
        let fresh = ends.into_iter().filter_map(|end| match end {
            NodeRef::Key(key) if self.by_key(key).is_none() => Some((key.clone(), self.own.keys.get(key).copied())),
            _ => None,
        });
        let fresh: Vec<(Box<str>, Option<Option<NodeId>>)> = fresh.collect();
        let next_node = self.own.next_node;
        let taken = self.take(op);
        if taken.is_err() {
            for (key, before) in fresh {
                self.unmake(&key, before);
            }
            self.own.next_node = next_node;
        }
        taken
    }

    /// Takes a node back that this batch has made under a key of which it knew `before`.
    fn unmake(&mut self, key: &str, before: Option<Option<NodeId>>) {
        let Some(id) = self.own.keys.get(key).copied().flatten() else { return };
        match before {
            Some(before) => self.own.keys.insert(key.into(), before),
            None => self.own.keys.remove(key),
        };
        self.own.nodes.insert(id, None);
        self.own.node_count -= 1;
    }

    fn take(&mut self, op: &Op) -> Step<Outcome> {
        match op {
            Op::AddNode(draft) => {
                if let Some((key, id)) = draft.key.as_deref().and_then(|key| Some((key, self.by_key(key)?))) {
                    return Err(OpProblem::KeyTaken { key: key.into(), id: id.get() });
                }
                self.make_node(draft)
            }
            Op::UpsertNode(draft) => match draft.key.as_deref().and_then(|key| self.by_key(key)) {
                Some(id) => self.patch_node(id, &draft.patch),
                None => self.make_node(draft),
            },
            Op::UpdateNode { node, patch } => {
                let id = self.find(node, "node")?;
                self.patch_node(id, patch)
            }
            Op::RemoveNode { node } => {
                let id = self.find(node, "node")?;
                for edge in self.incident(id) {
                    self.own.edges.insert(edge, None);
                    self.own.edge_count -= 1;
                }
                if let Some(key) = self.node(id).map(|node| node.key.clone()) {
                    self.own.keys.insert(key, None);
                }
                self.own.nodes.insert(id, None);
                self.own.node_count -= 1;
                Ok(Outcome::Node { id, deed: Deed::Removed })
            }
            Op::AddEdge(draft) => {
                let ends = self.ends(draft)?;
                self.make_edge(ends, &draft.patch)
            }
            Op::UpsertEdge(draft) => {
                let (source, target) = self.ends(draft)?;
                let relation = draft.patch.relation.clone().flatten();
                match self.between(source, target, relation.as_deref()) {
                    Some(id) => self.patch_edge(id, &draft.patch),
                    None => self.make_edge((source, target), &draft.patch),
                }
            }
            Op::UpdateEdge { edge, patch } => {
                let id = self.find_edge(edge)?;
                self.patch_edge(id, patch)
            }
            Op::RemoveEdge { edge } => {
                let id = self.find_edge(edge)?;
                self.own.edges.insert(id, None);
                self.own.edge_count -= 1;
                Ok(Outcome::Edge { id, deed: Deed::Removed })
            }
        }
    }

    fn find(&self, node: &NodeRef, field: &'static str) -> Step<NodeId> {
        let found = match node {
            NodeRef::Id(id) => self.node(*id).map(|node| node.id),
            NodeRef::Key(key) => self.by_key(key),
        };
        found.ok_or_else(|| OpProblem::UnknownNode { field, node: node.clone() })
    }

    fn find_edge(&self, edge: &EdgeRef) -> Step<EdgeId> {
        match edge {
            EdgeRef::Id(id) => {
                let known = self.edge(*id).is_some();
                known.then_some(*id).ok_or_else(|| OpProblem::UnknownEdge { edge: id.0.to_string() })
            }
            EdgeRef::Between { source, target, relation } => {
                let (from, to) = (self.find(source, "source")?, self.find(target, "target")?);
                self.between(from, to, relation.as_deref()).ok_or_else(|| {
                    let relation = relation.as_deref().map_or_else(String::new, |name| format!(" ({name:?})"));
                    OpProblem::UnknownEdge { edge: format!("{source} to {target}{relation}") }
                })
            }
        }
    }

    /// The first edge from here to there with this relation.
    fn between(&self, source: NodeId, target: NodeId, relation: Option<&str>) -> Option<EdgeId> {
        let degree = |id: NodeId| self.graph.index_of(id).map_or(0, |index| self.graph.incident(index).len());
        // The end with fewer edges: a hub has thousands.
        let end = if degree(source) <= degree(target) { source } else { target };
        let is_it = |row: &EdgeRow| {
            let same = row.source == source && row.target == target;
            let back = !row.directed && row.source == target && row.target == source;
            (same || back) && row.relation.as_deref() == relation
        };
        self.incident(end).into_iter().find(|id| self.edge(*id).is_some_and(|row| is_it(&row)))
    }

    fn ends(&mut self, draft: &EdgeDraft) -> Step<(NodeId, NodeId)> {
        let mut end = |node: &NodeRef, field| match (self.find(node, field), node) {
            (Err(_), NodeRef::Key(key)) if draft.create_ends => {
                let draft = NodeDraft { key: Some(key.clone()), patch: NodePatch::default() };
                match self.make_node(&draft)? {
                    Outcome::Node { id, .. } => Ok(id),
                    Outcome::Edge { .. } => unreachable!("a node was made"),
                }
            }
            (found, _) => found,
        };
        Ok((end(&draft.source, "source")?, end(&draft.target, "target")?))
    }

    /// The id that the next node gets; where it is the key as well, the first that is nobody's key.
    fn next_free(&self, is_key: bool) -> Step<NodeId> {
        let is_free = |id: &NodeId| !is_key || self.by_key(&id.get().to_string()).is_none();
        (self.own.next_node..=NODE_ID_MAX).filter_map(NodeId::new).find(is_free).ok_or(OpProblem::Full {
            what: "node ids",
            limit: NODE_ID_MAX as usize + 1,
            setting: "an id has 26 bits",
        })
    }

    fn make_node(&mut self, draft: &NodeDraft) -> Step<Outcome> {
        if self.own.node_count >= self.limits.nodes {
            let limit = self.limits.nodes;
            return Err(OpProblem::Full { what: "nodes", limit, setting: "graph.nodes_max" });
        }
        let number = draft.key.as_deref().filter(|_| self.graph.is_numbered()).and_then(build::decimal_id);
        let id = match number.filter(|id| self.node(*id).is_none()) {
            Some(id) => id,
            None => self.next_free(draft.key.is_none())?,
        };
        let key = match &draft.key {
            Some(key) => key.clone(),
            None => id.get().to_string().into(),
        };
        if let Some(other) = self.by_key(&key) {
            return Err(OpProblem::KeyTaken { key, id: other.get() });
        }
        let node = patched_node(Node::new(id, key), &draft.patch)?;
        text("key", &node.key)?;
        self.own.next_node = self.own.next_node.max(id.get() + 1);
        self.own.node_count += 1;
        self.own.keys.insert(node.key.clone(), Some(id));
        self.own.nodes.insert(id, Some(node));
        Ok(Outcome::Node { id, deed: Deed::Created })
    }

    fn patch_node(&mut self, id: NodeId, patch: &NodePatch) -> Step<Outcome> {
        let Some(before) = self.node(id) else {
            return Err(OpProblem::UnknownNode { field: "node", node: NodeRef::Id(id) });
        };
        let after = patched_node(before.clone(), patch)?;
        if *before == after {
            return Ok(Outcome::Node { id, deed: Deed::Unchanged });
        }
        if before.key != after.key {
            if let Some(other) = self.by_key(&after.key) {
                return Err(OpProblem::KeyTaken { key: after.key, id: other.get() });
            }
            let old = before.key.clone();
            self.own.keys.insert(old, None);
            self.own.keys.insert(after.key.clone(), Some(id));
        }
        self.own.nodes.insert(id, Some(after));
        Ok(Outcome::Node { id, deed: Deed::Updated })
    }

    fn make_edge(&mut self, (source, target): (NodeId, NodeId), patch: &EdgePatch) -> Step<Outcome> {
        if self.own.edge_count >= self.limits.edges {
            let limit = self.limits.edges;
            return Err(OpProblem::Full { what: "edges", limit, setting: "graph.edges_max" });
        }
        let id = EdgeId(self.own.next_edge);
        let row = EdgeRow {
            id,
            source,
            target,
            weight: 1.0,
            directed: true,
            relation: None,
            label: None,
            attributes: Vec::new(),
        };
        let row = patched_edge(row, patch)?;
        self.own.next_edge = id.0.checked_add(1).ok_or(OpProblem::Full {
            what: "edge ids",
            limit: u32::MAX as usize,
            setting: "an id has 32 bits",
        })?;
        self.own.edge_count += 1;
        self.own.edges.insert(id, Some(row));
        for end in [source, target] {
            self.own.incident.entry(end).or_default().push(id);
        }
        Ok(Outcome::Edge { id, deed: Deed::Created })
    }

    fn patch_edge(&mut self, id: EdgeId, patch: &EdgePatch) -> Step<Outcome> {
        let Some(before) = self.edge(id) else {
            return Err(OpProblem::UnknownEdge { edge: id.0.to_string() });
        };
        let after = patched_edge(before.clone(), patch)?;
        if before == after {
            return Ok(Outcome::Edge { id, deed: Deed::Unchanged });
        }
        self.own.edges.insert(id, Some(after));
        Ok(Outcome::Edge { id, deed: Deed::Updated })
    }

    /// The difference that the batch makes to what is below it. Where the last id that it dealt is gone again its end is named all the
    /// same: a graph and a store know by it that the id was dealt.
    fn changes(&self) -> Vec<Change> {
        let below = Stage { graph: self.graph, below: self.below, own: Layer::default(), limits: self.limits };
        let mut changes = Vec::with_capacity(self.own.nodes.len() + self.own.edges.len());
        let (next_node, next_edge) = (self.own.next_node, self.own.next_edge);
        let told = |id: EdgeId| below.edge(id).is_some() || id.0 + 1 == next_edge;
        let gone = self.own.edges.iter().filter(|(id, after)| after.is_none() && told(**id));
        changes.extend(gone.map(|(id, _)| Change::RemoveEdge(*id)));
        let told = |id: NodeId| below.node(id).is_some() || id.get() + 1 == next_node;
        let gone = self.own.nodes.iter().filter(|(id, after)| after.is_none() && told(**id));
        changes.extend(gone.map(|(id, _)| Change::RemoveNode(*id)));
        let put = self.own.nodes.iter().filter_map(|(id, after)| after.as_ref().map(|after| (id, after)));
        let put = put.filter(|(id, after)| below.node(**id) != Some(*after));
        changes.extend(put.map(|(_, after)| Change::PutNode(after.clone())));
        let put = self.own.edges.iter().filter_map(|(id, after)| after.as_ref().map(|after| (id, after)));
        let put = put.filter(|(id, after)| below.edge(**id).as_ref() != Some(*after));
        changes.extend(put.map(|(_, after)| Change::PutEdge(after.clone())));
        changes
    }
}

fn text(field: &'static str, text: &str) -> Step<()> {
    if text.len() > TEXT_BYTES_MAX {
        let found = format!("{} bytes", text.len());
        return Err(OpProblem::Range { field, allowed: "at most 4096 bytes", found });
    }
    Ok(())
}

fn patched_node(mut node: Node, patch: &NodePatch) -> Step<Node> {
    if let Some(key) = &patch.key {
        text("key", key)?;
        node.key = key.clone();
    }
    if let Some(label) = &patch.label {
        text("label", label)?;
        node.label = label.clone();
    }
    if let Some(group) = &patch.group {
        text("group", group.as_deref().unwrap_or_default())?;
        node.group = group.clone();
    }
    if let Some(weight) = patch.weight {
        if !(weight.is_finite() && weight > 0.0) {
            let found = weight.to_string();
            return Err(OpProblem::Range { field: "weight", allowed: "a finite number > 0", found });
        }
        node.weight = weight;
    }
    if let Some(position) = patch.position {
        let fits = |x: f32| x.abs() <= COORDINATE_MAX;
        if let Some(found) = position.filter(|xyz| !xyz.iter().all(|x| fits(*x))) {
            let found = format!("{found:?}");
            return Err(OpProblem::Range { field: "position", allowed: "three numbers within +-10000", found });
        }
        node.position = position;
    }
    if let Some(Some(colour)) = patch.colour.filter(|colour| colour.is_some_and(|rgb| rgb > 0x00FF_FFFF)) {
        let found = format!("{colour:#x}");
        return Err(OpProblem::Range { field: "colour", allowed: "#rrggbb", found });
    }
    node.colour = patch.colour.unwrap_or(node.colour);
    node.class.kind = patch.kind.unwrap_or(node.class.kind);
    node.class.private = patch.private.unwrap_or(node.class.private);
    node.pinned = patch.pinned.unwrap_or(node.pinned);
    patch_attributes(&mut node.attributes, &patch.attributes, patch.replace_attributes)?;
    Ok(node)
}

fn patched_edge(mut edge: EdgeRow, patch: &EdgePatch) -> Step<EdgeRow> {
    if let Some(weight) = patch.weight {
        if !(weight.is_finite() && weight >= 0.0) {
            let found = weight.to_string();
            return Err(OpProblem::Range { field: "weight", allowed: "a finite number >= 0", found });
        }
        edge.weight = weight;
    }
    if let Some(relation) = &patch.relation {
        text("relation", relation.as_deref().unwrap_or_default())?;
        edge.relation = relation.clone();
    }
    if let Some(label) = &patch.label {
        text("label", label.as_deref().unwrap_or_default())?;
        edge.label = label.clone();
    }
    edge.directed = patch.directed.unwrap_or(edge.directed);
    patch_attributes(&mut edge.attributes, &patch.attributes, patch.replace_attributes)?;
    Ok(edge)
}

fn patch_attributes(all: &mut Attributes, patch: &[(Box<str>, Option<Value>)], replace: bool) -> Step<()> {
    if replace {
        all.clear();
    }
    for (key, value) in patch {
        text("attributes", key)?;
        match value {
            Some(Value::Text(value)) => text("attributes", value)?,
            Some(Value::Float(value)) if !value.is_finite() => {
                let found = format!("{key}: {value}");
                return Err(OpProblem::Range { field: "attributes", allowed: "finite numbers", found });
            }
            _ => {}
        }
        let place = all.iter().position(|(known, _)| known == key);
        match (place, value) {
            (Some(place), None) => {
                all.remove(place);
            }
            (Some(place), Some(value)) => {
                if let Some(slot) = all.get_mut(place) {
                    slot.1 = value.clone();
                }
            }
            (None, None) => {}
            (None, Some(value)) => all.push((key.clone(), value.clone())),
        }
    }
    if all.len() > ATTRIBUTES_MAX {
        let found = all.len().to_string();
        return Err(OpProblem::Range { field: "attributes", allowed: "at most 256", found });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
