//! Goal: the operations make one graph into the other, and leave alone what neither reading has. Method: random graphs
//! over a few keys, so that most nodes and edges are in both; the operations staged and committed as anybody's.

use proptest::prelude::*;

use super::*;
use crate::graph::formats::tests::facts;
use crate::graph::{Batch, EdgeId, GraphBuilder, GraphLimits, More, NodeIndex, NodeKind, Pending};

const LIMITS: GraphLimits = GraphLimits { nodes: 1_000, edges: 1_000 };

/// A node by the number of its key, and what it says; an edge by those of its ends.
type Parts = (Vec<(u8, u8)>, Vec<(u8, u8, u8)>);

fn parts() -> impl Strategy<Value = Parts> {
    (
        prop::collection::vec((0_u8..8, any::<u8>()), 0..10),
        prop::collection::vec((0_u8..8, 0_u8..8, any::<u8>()), 0..14),
    )
}

fn graph((nodes, edges): &Parts, prefix: &str) -> Graph {
    let mut builder = GraphBuilder::new(100, 100);
    for (key, says) in nodes {
        let index = builder.node(&format!("{prefix}{key}")).unwrap();
        let node = builder.node_mut(index).unwrap();
        let bit = |place: u8| says >> place & 1 == 1;
        node.label = if bit(0) { "x" } else { "y" }.into();
        node.group = bit(1).then(|| "g".into());
        node.class.private = bit(2);
        node.class.kind = if bit(3) { NodeKind::Agent } else { NodeKind::Knowledge };
        node.weight = if bit(4) { 2.0 } else { 1.0 };
        node.colour = bit(5).then_some(7);
        node.position = bit(6).then_some([1.0, 2.0, 3.0]);
        node.pinned = bit(7);
        node.attributes =
            (0..says % 4).map(|name| (format!("a{name}").into(), Value::Int(i64::from(says / 64)))).collect();
    }
    let count = builder.node_count();
    for (source, target, says) in edges.iter().filter(|_| count > 0) {
        let end = |key: u8| NodeIndex(u32::from(key) % count as u32);
        let edge = builder.edge(end(*source), end(*target), f64::from(says % 3), says & 8 == 8).unwrap();
        edge.relation = (says & 16 == 16).then(|| "r".into());
        let label = (says & 32 == 32).then(|| "l".into());
        edge.more = More::new(label, vec![("a".into(), Value::Bool(says & 64 == 64))]);
    }
    builder.finish()
}

fn apply(graph: &mut Graph, ops: Vec<Op>) {
    let batch = Batch { ops, ..Batch::default() };
    let staged = Pending::default().stage(graph, &batch, LIMITS).unwrap_or_else(|error| panic!("{error}: {batch:?}"));
    graph.commit(&staged.changes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn one_graph_becomes_the_other(before in parts(), wanted in parts()) {
        let (before, wanted) = (graph(&before, "k"), graph(&wanted, "k"));
        let mut present = before.clone();
        let ops = difference(&before, &wanted, &present);
        apply(&mut present, ops);
        prop_assert_eq!(facts(&present), facts(&wanted));
        prop_assert!(difference(&wanted, &wanted, &present).is_empty());
    }

    #[test]
    fn what_somebody_else_added_stays(before in parts(), wanted in parts(), own in parts(), between in any::<u8>()) {
        let (before, wanted, own) = (graph(&before, "k"), graph(&wanted, "k"), graph(&own, "own"));
        let mut present = before.clone();
        apply(&mut present, difference(&Graph::default(), &own, &Graph::default()));
        // An edge of theirs to a node of the source; it goes when that node does.
        let mut theirs = facts(&own);
        if let (Some(end), Some(start)) = (before.nodes().get(usize::from(between) % 8), own.nodes().first()) {
            let ends = Ends { source: &start.key, target: &end.key, relation: Some("theirs") };
            let edge = Edge { id: EdgeId(0), source: NodeIndex(0), target: NodeIndex(0), weight: 1.0, directed: true,
                relation: Some("theirs".into()), more: More::default() };
            apply(&mut present, vec![Op::AddEdge(draft(&ends, &edge))]);
            if wanted.by_key(&end.key).is_some() {
                theirs.push(format!("{} {} {:?} ", start.key, end.key, (1.0, true, Some("theirs"), None::<&str>)));
            }
        }
        let ops = difference(&before, &wanted, &present);
        apply(&mut present, ops);
        let mut expected: Vec<String> = facts(&wanted).into_iter().chain(theirs).collect();
        expected.sort();
        prop_assert_eq!(facts(&present), expected);
    }
}

#[test]
fn what_somebody_changed_stays_until_the_source_says_otherwise() {
    let source = graph(&(vec![(0, 0), (1, 0)], vec![(0, 1, 0)]), "k");
    let mut present = source.clone();
    let patch = NodePatch { label: Some("mine".into()), pinned: Some(true), ..NodePatch::default() };
    apply(&mut present, vec![Op::UpdateNode { node: NodeRef::Key("k0".into()), patch }]);
    apply(&mut present, vec![Op::RemoveNode { node: NodeRef::Key("k1".into()) }]);
    assert!(difference(&source, &source, &present).is_empty());
    let changed = graph(&(vec![(0, 2), (1, 1)], vec![(0, 1, 0)]), "k");
    let ops = difference(&source, &changed, &present);
    apply(&mut present, ops);
    let node = present.node(present.by_key("k0").unwrap()).unwrap();
    assert_eq!((&*node.label, node.pinned, node.group.as_deref()), ("mine", true, Some("g")));
    assert_eq!((present.nodes().len(), present.edges().len()), (2, 1), "a page that changed comes back with its links");
}

#[test]
fn removals_come_first() {
    let (before, wanted) = (graph(&(vec![(0, 0)], vec![]), "a"), graph(&(vec![(0, 0)], vec![]), "b"));
    let ops = difference(&before, &wanted, &before);
    assert!(matches!(ops.as_slice(), [Op::RemoveNode { .. }, Op::UpsertNode(_)]));
    let full = GraphLimits { nodes: 1, edges: 0 };
    assert!(Pending::default().stage(&before, &Batch { ops, ..Batch::default() }, full).is_ok());
}

#[test]
fn a_position_that_no_batch_may_set_is_left_out() {
    let mut builder = GraphBuilder::new(1, 1);
    let index = builder.node("a").unwrap();
    builder.node_mut(index).unwrap().position = Some([COORDINATE_MAX * 2.0, 0.0, 0.0]);
    let mut present = Graph::default();
    apply(&mut present, difference(&Graph::default(), &builder.finish(), &Graph::default()));
    assert_eq!(present.nodes()[0].position, None);
}
