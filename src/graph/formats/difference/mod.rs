//! What makes one graph out of another: for sources that are read again while people change the graph.

use std::collections::{HashMap, HashSet};

use crate::graph::{
    Attributes, Edge, EdgeDraft, EdgeId, EdgePatch, EdgeRef, Graph, Node, NodeDraft, NodePatch, NodeRef, Op, Value,
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
    let mut ops = Vec::new();
    let gone = |key: &str| wanted.by_key(key).is_none();
    let (old_links, new_links, links) = (by_ends(before), by_ends(wanted), by_ends(present));
    let removed: HashSet<&str> = before.nodes().iter().map(|node| &*node.key).filter(|key| gone(key)).collect();
    let kept = |ends: &Ends<'_>| !removed.contains(ends.source) && !removed.contains(ends.target);
    for (ends, edges) in in_order(&old_links).into_iter().filter(|(ends, _)| kept(ends)) {
        let left = new_links.get(ends).map_or(0, Vec::len);
        for id in ids(&links, ends).skip(left).take(edges.len().saturating_sub(left)) {
            ops.push(Op::RemoveEdge { edge: EdgeRef::Id(id) });
        }
    }
    for node in before.nodes().iter().filter(|node| gone(&node.key) && present.by_key(&node.key).is_some()) {
        ops.push(Op::RemoveNode { node: NodeRef::Key(node.key.clone()) });
    }
    let mut made: HashSet<&str> = HashSet::new();
    for node in wanted.nodes() {
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
    for (ends, edges) in in_order(&new_links).into_iter().filter(|(ends, _)| there(ends.source) && there(ends.target)) {
        let old = old_links.get(ends).map_or(&[][..], Vec::as_slice);
        let again = made.contains(ends.source) || made.contains(ends.target);
        let mut there_already = links.get(ends).map_or(&[][..], Vec::as_slice).iter();
        for (place, edge) in edges.iter().enumerate() {
            let patch = old.get(place).map(|old| edge_patch(old, edge));
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
                (_, _) => ops.push(Op::AddEdge(draft(ends, edge))),
            }
        }
    }
    ops
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

type ByEnds<'g> = HashMap<Ends<'g>, Vec<&'g Edge>>;

fn ids<'a>(by_ends: &'a ByEnds<'a>, ends: &Ends<'a>) -> impl Iterator<Item = EdgeId> + 'a {
    by_ends.get(ends).into_iter().flatten().map(|edge| edge.id)
}

fn by_ends(graph: &Graph) -> ByEnds<'_> {
    let mut by_ends = ByEnds::new();
    for edge in graph.edges() {
        let key = |index| graph.node(index).map_or("", |node| &*node.key);
        let ends = Ends { source: key(edge.source), target: key(edge.target), relation: edge.relation.as_deref() };
        by_ends.entry(ends).or_default().push(edge);
    }
    by_ends
}

/// In the order of their first edges, so that the same graphs give the same operations.
fn in_order<'a, 'g>(by_ends: &'a ByEnds<'g>) -> Vec<(&'a Ends<'g>, &'a Vec<&'g Edge>)> {
    let mut list: Vec<_> = by_ends.iter().collect();
    list.sort_by_key(|(_, edges)| edges.first().map(|edge| edge.id));
    list
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
