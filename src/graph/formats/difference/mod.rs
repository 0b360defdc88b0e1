//! What makes one graph out of another: for sources that are read again while people change the graph.

use std::collections::{HashMap, HashSet};

use crate::graph::{
    Attributes, Edge, EdgeDraft, EdgePatch, EdgeRef, Graph, Node, NodeDraft, NodePatch, NodeRef, Op, Value,
};
use crate::limits::COORDINATE_MAX;

/// The operations that bring into `present` what changed from `before` to `wanted`, two readings of one source.
///
/// Nodes are the same by key; edges by their ends' keys and relation, parallel ones by their order. What neither reading
/// has, as nodes that somebody else added, stays, and so does every field that both readings have alike. With
/// `present` for `before` the graph becomes `wanted`, up to ids and order. A position outside of what a batch may set
/// ([`COORDINATE_MAX`]) is left out.
///
/// Removals come first, so that a graph at its limits has room. O(nodes + edges + attributes).
#[must_use]
pub fn difference(before: &Graph, wanted: &Graph, present: &Graph) -> Vec<Op> {
    difference_until(before, wanted, present, &mut |_| true).unwrap_or_default()
}

/// The same, told how much of it is done, 0 to 1, until `goes_on` says no: then there is nothing.
#[must_use]
pub fn difference_until(
    before: &Graph,
    wanted: &Graph,
    present: &Graph,
    goes_on: &mut dyn FnMut(f64) -> bool,
) -> Option<Vec<Op>> {
    let edges = 3 * before.edges().len() + 2 * wanted.edges().len() + present.edges().len();
    let nodes = 2 * before.nodes().len() + wanted.nodes().len();
    let mut looks = Looks { goes_on, done: 0, total: edges + nodes };
    let mut ops = Vec::new();
    let old_links = ByEnds::of(before, &mut looks)?;
    let new_links = ByEnds::of(wanted, &mut looks)?;
    let links = ByEnds::of(present, &mut looks)?;
    // Sized at once here and below: a table of a million that grows is moved in one piece.
    let mut removed: HashSet<&str> = HashSet::with_capacity(before.nodes().len());
    for node in before.nodes() {
        looks.step()?;
        if wanted.by_key(&node.key).is_none() {
            removed.insert(&node.key);
        }
    }
    for (place, edge) in before.edges().iter().enumerate() {
        looks.step()?;
        let Some(ends) = old_links.begins(place, edge) else { continue };
        if removed.contains(ends.source) || removed.contains(ends.target) {
            continue;
        }
        let (left, all) = (new_links.of_ends(&ends).count(), old_links.of_ends(&ends).count());
        for edge in links.of_ends(&ends).skip(left).take(all.saturating_sub(left)) {
            looks.step()?;
            ops.push(Op::RemoveEdge { edge: EdgeRef::Id(edge.id) });
        }
    }
    for node in before.nodes() {
        looks.step()?;
        if removed.contains(&*node.key) && present.by_key(&node.key).is_some() {
            ops.push(Op::RemoveNode { node: NodeRef::Key(node.key.clone()) });
        }
    }
    let mut made: HashSet<&str> = HashSet::with_capacity(wanted.nodes().len());
    for node in wanted.nodes() {
        looks.step()?;
        let old = before.by_key(&node.key).and_then(|index| before.node(index));
        let patch = node_patch(old.unwrap_or(&Node::new(node.id, node.key.clone())), node);
        let is_same = old.is_some() && patch == NodePatch::default();
        if is_same {
            // Somebody may have removed it; the source has nothing new to say of it.
        } else if old.is_some() && present.by_key(&node.key).is_some() {
            ops.push(Op::UpdateNode { node: NodeRef::Key(node.key.clone()), patch });
        } else {
            made.insert(&node.key);
            let patch = if old.is_some() { node_patch(&Node::new(node.id, node.key.clone()), node) } else { patch };
            ops.push(Op::UpsertNode(NodeDraft { key: Some(node.key.clone()), patch }));
        }
    }
    let there = |key: &str| present.by_key(key).is_some() || made.contains(key);
    for (place, edge) in wanted.edges().iter().enumerate() {
        looks.step()?;
        let Some(ends) = new_links.begins(place, edge).filter(|ends| there(ends.source) && there(ends.target)) else {
            continue;
        };
        let mut old = old_links.of_ends(&ends);
        let again = made.contains(ends.source) || made.contains(ends.target);
        let mut there_already = links.of_ends(&ends);
        for edge in new_links.of_ends(&ends) {
            looks.step()?;
            let patch = old.next().map(|old| edge_patch(old, edge));
            match (patch, there_already.next()) {
                (patch, Some(present)) => {
                    // One that the source did not have, and somebody else made.
                    let patch = patch.unwrap_or_else(|| edge_patch(present, edge));
                    if patch != EdgePatch::default() {
                        ops.push(Op::UpdateEdge { edge: EdgeRef::Id(present.id), patch });
                    }
                }
                // Somebody removed it, and not with a node that comes back.
                (Some(patch), None) if patch == EdgePatch::default() && !again => {}
                (_, _) => ops.push(Op::AddEdge(draft(&ends, edge))),
            }
        }
    }
    Some(ops)
}

/// Nodes and edges between two looks at whether somebody waits still: a few milliseconds of them.
const LOOK_EVERY: usize = 1_024;

/// Looks up now and then.
struct Looks<'look> {
    goes_on: &'look mut dyn FnMut(f64) -> bool,
    done: usize,
    total: usize,
}

impl Looks<'_> {
    /// One more is done; `None` when nobody waits any more.
    fn step(&mut self) -> Option<()> {
        self.done += 1;
        if !self.done.is_multiple_of(LOOK_EVERY) {
            return Some(());
        }
        let part = self.done as f64 / self.total.max(self.done) as f64;
        (self.goes_on)(part).then_some(())
    }
}

fn draft(ends: &Ends<'_>, edge: &Edge) -> EdgeDraft {
    let attributes = edge.attributes().iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    EdgeDraft {
        source: NodeRef::Key(ends.source.into()),
        target: NodeRef::Key(ends.target.into()),
        create_ends: false,
        patch: EdgePatch {
            weight: Some(edge.weight),
            directed: Some(edge.directed),
            relation: edge.relation.clone().map(Some),
            label: edge.label().map(|label| Some(label.into())),
            attributes,
            replace_attributes: false,
        },
    }
}

/// What makes two edges the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Ends<'g> {
    source: &'g str,
    target: &'g str,
    relation: Option<&'g str>,
}

/// The edges of a graph by what makes them the same, each group in the order of the graph. Nothing in it is freed one by one.
struct ByEnds<'g> {
    graph: &'g Graph,
    /// The first edge of each group, and the last.
    groups: HashMap<Ends<'g>, (usize, usize)>,
    /// By edge, the next of its group; [`NONE`] after the last.
    next: Vec<usize>,
}

/// No edge.
const NONE: usize = usize::MAX;

impl<'g> ByEnds<'g> {
    fn of(graph: &'g Graph, looks: &mut Looks<'_>) -> Option<Self> {
        let count = graph.edges().len();
        let mut by_ends = Self { graph, groups: HashMap::with_capacity(count), next: vec![NONE; count] };
        for (place, edge) in graph.edges().iter().enumerate() {
            looks.step()?;
            let (_, last) = by_ends.groups.entry(ends(graph, edge)).or_insert((place, place));
            let before = std::mem::replace(last, place);
            if let Some(next) = by_ends.next.get_mut(before).filter(|_| before != place) {
                *next = place;
            }
        }
        Some(by_ends)
    }

    /// The ends of this edge when it is the first that has them.
    fn begins(&self, place: usize, edge: &'g Edge) -> Option<Ends<'g>> {
        let ends = ends(self.graph, edge);
        self.groups.get(&ends).is_some_and(|(first, _)| *first == place).then_some(ends)
    }

    fn of_ends(&self, ends: &Ends<'_>) -> impl Iterator<Item = &'g Edge> {
        let first = self.groups.get(ends).map(|(first, _)| *first);
        let next = |place: &usize| self.next.get(*place).copied().filter(|next| *next != NONE);
        std::iter::successors(first, next).filter_map(|place| self.graph.edges().get(place))
    }
}

fn ends<'g>(graph: &'g Graph, edge: &'g Edge) -> Ends<'g> {
    let key = |index| graph.node(index).map_or("", |node| &*node.key);
    Ends { source: key(edge.source), target: key(edge.target), relation: edge.relation.as_deref() }
}

/// A node of this key that says nothing.
fn changed<T: Clone + PartialEq>(old: &T, new: &T) -> Option<T> {
    (old != new).then(|| new.clone())
}

fn node_patch(old: &Node, new: &Node) -> NodePatch {
    let fits =
        |place: &Option<[f32; 3]>| place.is_none_or(|place| place.iter().all(|part| part.abs() <= COORDINATE_MAX));
    NodePatch {
        key: None,
        label: changed(&old.label, &new.label),
        kind: changed(&old.class.kind, &new.class.kind),
        private: changed(&old.class.private, &new.class.private),
        group: changed(&old.group, &new.group),
        weight: changed(&old.weight, &new.weight),
        colour: changed(&old.colour, &new.colour),
        position: changed(&old.position, &new.position).filter(fits),
        pinned: changed(&old.pinned, &new.pinned),
        attributes: attribute_patch(&old.attributes, &new.attributes),
        replace_attributes: false,
    }
}

fn edge_patch(old: &Edge, new: &Edge) -> EdgePatch {
    EdgePatch {
        weight: changed(&old.weight, &new.weight),
        directed: changed(&old.directed, &new.directed),
        relation: None,
        label: (old.label() != new.label()).then(|| new.label().map(Into::into)),
        attributes: attribute_patch(old.attributes(), new.attributes()),
        replace_attributes: false,
    }
}

/// Attributes that go, then those that change or come, each by name.
fn attribute_patch(old: &Attributes, new: &Attributes) -> Vec<(Box<str>, Option<Value>)> {
    let find =
        |list: &Attributes, name: &str| list.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone());
    let gone = old.iter().filter(|(name, _)| find(new, name).is_none()).map(|(name, _)| (name.clone(), None));
    let come = new.iter().filter(|(name, value)| find(old, name).as_ref() != Some(value));
    gone.chain(come.map(|(name, value)| (name.clone(), Some(value.clone())))).collect()
}

#[cfg(test)]
mod tests;
