use proptest::prelude::*;

use super::super::{EdgeRef, GraphBuilder, NodeIndex};
use super::*;

const LIMITS: GraphLimits = GraphLimits { nodes: 40, edges: 60 };

fn key(text: &str) -> NodeRef {
    NodeRef::Key(text.into())
}

fn add(text: &str) -> Op {
    Op::AddNode(NodeDraft { key: Some(text.into()), patch: NodePatch::default() })
}

fn link(source: &str, target: &str) -> Op {
    Op::AddEdge(EdgeDraft { source: key(source), target: key(target), create_ends: false, patch: EdgePatch::default() })
}

fn batch(ops: Vec<Op>) -> Batch {
    Batch { ops, ..Batch::default() }
}

/// Stages and commits at once.
fn done(graph: &mut Graph, ops: Vec<Op>) -> Result<Staged, OpError> {
    let staged = Pending::default().stage(graph, &batch(ops), LIMITS)?;
    graph.commit(&staged.changes);
    Ok(staged)
}

/// Everything that a graph must be to itself.
fn check(graph: &Graph) {
    let (next_node, next_edge) = graph.next_ids();
    for (index, node) in (0..).map(NodeIndex).zip(graph.nodes()) {
        assert_eq!((graph.index_of(node.id), graph.by_key(&node.key)), (Some(index), Some(index)));
        assert!(node.id.get() < next_node);
        let incident = graph.edges().iter().filter(|edge| edge.source == index || edge.target == index);
        assert!(incident.map(|edge| edge.id).eq(graph.incident(index).iter().copied()));
    }
    assert!(graph.edges().windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(graph.edges().iter().all(|edge| edge.id.0 < next_edge));
    let rows = graph.edges().iter().map(|edge| graph.row_of(edge).unwrap()).collect();
    let again = Graph::from_rows(graph.nodes().to_vec(), rows, graph.next_ids()).unwrap();
    assert_eq!((again.nodes(), again.edges()), (graph.nodes(), graph.edges()));
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    let mut graph = Graph::default();
    let staged = done(&mut graph, vec![add("a"), add("b"), link("a", "b"), link("b", "b")]).unwrap();
    assert_eq!(staged.changes.len(), 4);
    assert_eq!(staged.outcomes[2], Outcome::Edge { id: EdgeId(0), deed: Deed::Created });
    let refused = done(&mut graph, vec![add("c"), link("c", "nobody")]).unwrap_err();
    assert_eq!((refused.op, refused.reason.code(), refused.reason.field()), (1, "unknown_node", "target"));
    assert_eq!(refused.to_string(), "operation 1: there is no node \"nobody\"");
    assert_eq!((graph.nodes().len(), graph.edges().len()), (2, 2));
    assert_eq!(done(&mut graph, vec![add("a")]).unwrap_err().reason.code(), "key_taken");
    check(&graph);
}

#[test]
fn a_node_takes_its_edges_along_and_its_id_is_not_dealt_again() {
    let mut graph = Graph::default();
    done(&mut graph, vec![add("a"), add("b"), add("c"), link("a", "b"), link("b", "c"), link("b", "b")]).unwrap();
    let staged = done(&mut graph, vec![Op::RemoveNode { node: key("b") }, add("b")]).unwrap();
    let gone = [0, 1, 2].map(|id| Change::RemoveEdge(EdgeId(id)));
    assert_eq!(staged.changes[..3], gone);
    assert_eq!(staged.changes[3], Change::RemoveNode(NodeId::new(1).unwrap()));
    let keys: Vec<_> = graph.nodes().iter().map(|node| (node.id.get(), &*node.key)).collect();
    assert_eq!((keys, graph.edges().len()), (vec![(0, "a"), (2, "c"), (3, "b")], 0));
    check(&graph);
}

#[test]
fn an_id_that_came_and_went_in_one_batch_is_not_dealt_again() {
    let (mut graph, mut pending) = (Graph::default(), Pending::default());
    let staged = pending.stage(&graph, &batch(vec![add("a"), Op::RemoveNode { node: key("a") }]), LIMITS).unwrap();
    assert_eq!(staged.changes, [Change::RemoveNode(NodeId::new(0).unwrap())]);
    let later = pending.stage(&graph, &batch(vec![add("b")]), LIMITS).unwrap();
    assert_eq!(later.outcomes, [Outcome::Node { id: NodeId::new(1).unwrap(), deed: Deed::Created }]);
    assert!(!graph.is_restructured_by(&staged.changes) && !graph.commit(&staged.changes).any());
    assert_eq!(done(&mut graph, vec![add("b")]).unwrap(), later);
    let looped = done(&mut graph, vec![add("a"), link("a", "a"), Op::RemoveNode { node: key("a") }]).unwrap();
    assert_eq!(looped.changes, [Change::RemoveEdge(EdgeId(0)), Change::RemoveNode(NodeId::new(2).unwrap())]);
    assert_eq!(graph.next_ids(), (3, 1));
    check(&graph);
}

#[test]
fn numbers_stay_ids_where_keys_are_numbers() {
    let mut builder = GraphBuilder::new(9, 9);
    builder.node("900").unwrap();
    builder.node("7").unwrap();
    let mut graph = builder.finish();
    let draft = NodeDraft::default();
    let staged = done(&mut graph, vec![add("42"), add("x"), Op::AddNode(draft)]).unwrap();
    let ids = staged.outcomes.iter().map(|outcome| match outcome {
        Outcome::Node { id, .. } => id.get(),
        Outcome::Edge { id, .. } => id.0,
    });
    assert!(ids.eq([42, 901, 902]));
    assert_eq!(&*graph.nodes()[4].key, "902");
    check(&graph);
}

#[test]
fn later_batches_see_those_that_wait_and_nothing_is_left_of_those_that_fail() {
    let graph = Graph::default();
    let mut pending = Pending::default();
    pending.stage(&graph, &batch(vec![add("a"), add("b"), link("a", "b")]), LIMITS).unwrap();
    let again = pending.stage(&graph, &batch(vec![add("a")]), LIMITS).unwrap_err();
    assert_eq!(again.reason, OpProblem::KeyTaken { key: "a".into(), id: 0 });
    let second = pending.stage(&graph, &batch(vec![link("b", "a"), Op::RemoveNode { node: key("a") }]), LIMITS);
    let second = second.unwrap();
    let gone = [0, 1].map(|id| Change::RemoveEdge(EdgeId(id)));
    assert_eq!(second.changes[..2], gone);
    assert_eq!(second.changes[2..], [Change::RemoveNode(NodeId::new(0).unwrap())]);
    pending.keep(0);
    assert!(pending.stage(&graph, &batch(vec![link("b", "b")]), LIMITS).is_err());
}

#[test]
fn limits_and_values_are_refused_by_name() {
    let mut graph = Graph::default();
    let many = (0..41).map(|n| add(&format!("n{n}"))).collect();
    let full = done(&mut graph, many).unwrap_err();
    assert_eq!((full.op, full.reason.to_string()), (40, "the graph may have 40 nodes (graph.nodes_max)".to_owned()));
    done(&mut graph, vec![add("a")]).unwrap();
    let patch = |patch| vec![Op::UpdateNode { node: key("a"), patch }];
    let wrong = [
        NodePatch { weight: Some(0.0), ..NodePatch::default() },
        NodePatch { weight: Some(f32::NAN), ..NodePatch::default() },
        NodePatch { position: Some(Some([0.0, f32::INFINITY, 0.0])), ..NodePatch::default() },
        NodePatch { label: Some("x".repeat(4_097).into()), ..NodePatch::default() },
        NodePatch { attributes: vec![("x".into(), Some(Value::Float(f64::NAN)))], ..NodePatch::default() },
        NodePatch {
            attributes: (0..257).map(|n| (n.to_string().into(), Some(Value::Int(n)))).collect(),
            ..NodePatch::default()
        },
    ];
    for wrong in wrong {
        assert_eq!(done(&mut graph, patch(wrong)).unwrap_err().reason.code(), "out_of_range");
    }
    let same = NodePatch { label: Some("a".into()), ..NodePatch::default() };
    assert_eq!(done(&mut graph, patch(same)).unwrap().changes, []);
}

#[test]
fn a_node_without_a_key_is_never_refused_for_the_one_that_it_gets() {
    let mut graph = Graph::default();
    let keyless = || Op::AddNode(NodeDraft::default());
    done(&mut graph, vec![add("a"), add("3"), add("4")]).unwrap();
    done(&mut graph, vec![keyless(), keyless()]).unwrap();
    let keys: Vec<_> = graph.nodes().iter().map(|node| (node.id.get(), &*node.key)).collect();
    assert_eq!(keys, [(0, "a"), (1, "3"), (2, "4"), (5, "5"), (6, "6")]);
    check(&graph);
}

#[test]
fn a_large_number_as_a_key_leaves_ids_for_others() {
    let mut graph = start(true);
    done(&mut graph, vec![add("33554432"), add("67108863"), add("x")]).unwrap();
    let ids: Vec<_> = graph.nodes().iter().map(|node| node.id.get()).collect();
    assert_eq!(ids, [7, 8, 9, 10]);
}

#[test]
fn what_an_edge_had_to_make_leaves_the_ends_of_others_as_they_were() {
    let graph = start(true);
    let lost = Op::AddEdge(EdgeDraft {
        source: key("900"),
        target: NodeRef::Id(NodeId::new(77).unwrap()),
        create_ends: true,
        patch: EdgePatch::default(),
    });
    let all = Batch { each: true, ..batch(vec![add("900"), Op::RemoveNode { node: key("900") }, lost]) };
    let mut pending = Pending::default();
    let staged = pending.stage(&graph, &all, LIMITS).unwrap();
    let mut ahead = graph.clone();
    ahead.commit(&staged.changes);
    let later = pending.stage(&graph, &batch(vec![add("x")]), LIMITS).unwrap();
    assert_eq!((staged.refused.len(), done(&mut ahead, vec![add("x")]).unwrap()), (1, later));
}

fn any_op() -> impl Strategy<Value = Op> {
    let name = || (0..12_u8).prop_map(|n| format!("k{n}"));
    let node = move || {
        prop_oneof![
            name().prop_map(|name| key(&name)),
            (0..20_u32).prop_map(|id| NodeRef::Id(NodeId::new(id).unwrap()))
        ]
    };
    let weight = proptest::option::of(prop_oneof![Just(-1.0_f32), 0.0..9.0_f32]);
    let edge = move || {
        prop_oneof![
            (0..30_u32).prop_map(|id| EdgeRef::Id(EdgeId(id))),
            (node(), node()).prop_map(|(source, target)| EdgeRef::Between { source, target, relation: None })
        ]
    };
    let named = move || prop_oneof![4 => name().prop_map(Some), 1 => (0..50_u8).prop_map(|n| Some(n.to_string())), 1 => Just(None)];
    let draft = move || {
        (named(), weight.clone()).prop_map(|(key, weight)| NodeDraft {
            key: key.map(String::into),
            patch: NodePatch { weight, ..NodePatch::default() },
        })
    };
    let edge_draft = move || {
        (node(), node(), any::<bool>(), 0.0..3.0_f32).prop_map(|(source, target, create_ends, weight)| EdgeDraft {
            source,
            target,
            create_ends,
            patch: EdgePatch { weight: Some(weight), ..EdgePatch::default() },
        })
    };
    prop_oneof![
        draft().prop_map(Op::AddNode),
        draft().prop_map(Op::UpsertNode),
        (node(), name()).prop_map(|(node, key)| Op::UpdateNode {
            node,
            patch: NodePatch { key: Some(key.into()), ..NodePatch::default() }
        }),
        node().prop_map(|node| Op::RemoveNode { node }),
        edge_draft().prop_map(Op::AddEdge),
        edge_draft().prop_map(Op::UpsertEdge),
        (edge(), 0.0..3.0_f32).prop_map(|(edge, weight)| Op::UpdateEdge {
            edge,
            patch: EdgePatch { weight: Some(weight), ..EdgePatch::default() }
        }),
        edge().prop_map(|edge| Op::RemoveEdge { edge }),
    ]
}

/// A graph whose keys are numbers and ids, or an empty one.
fn start(numbered: bool) -> Graph {
    let mut builder = GraphBuilder::new(9, 9);
    if numbered {
        builder.node("7").unwrap();
    }
    builder.finish()
}

/// The same as sets, without an order.
fn contents(graph: &Graph) -> (Vec<Node>, Vec<EdgeRow>) {
    let mut nodes = graph.nodes().to_vec();
    nodes.sort_by_key(|node| node.id);
    (nodes, graph.edges().iter().map(|edge| graph.row_of(edge).unwrap()).collect())
}

proptest! {
    /// Batches staged on each other and committed later come to the same as each one committed before the next is staged,
    /// and a follower that applies the changes twice has the same graph.
    #[test]
    fn histories_come_to_one_graph(
        numbered in any::<bool>(),
        histories in proptest::collection::vec(proptest::collection::vec(any_op(), 1..8), 1..12),
    ) {
        let mut ahead = start(numbered);
        let (mut graph, mut follower) = (ahead.clone(), ahead.clone());
        let mut pending = Pending::default();
        let mut waiting = Vec::new();
        for (turn, ops) in histories.into_iter().enumerate() {
            let one = done(&mut ahead, ops.clone());
            let other = pending.stage(&graph, &batch(ops), LIMITS);
            prop_assert_eq!(&one, &other);
            if let Ok(staged) = other {
                waiting.push(staged.changes);
            }
            if turn % 3 == 2 {
                for changes in waiting.drain(..) {
                    graph.commit(&changes);
                    pending.settle();
                    follower.commit(&changes);
                    follower.commit(&changes);
                }
                prop_assert!(pending.is_empty());
                check(&graph);
            }
        }
        for changes in waiting {
            graph.commit(&changes);
            follower.commit(&changes);
        }
        check(&ahead);
        prop_assert_eq!(contents(&graph), contents(&ahead));
        prop_assert_eq!(contents(&follower), contents(&ahead));
        prop_assert_eq!(graph.nodes(), ahead.nodes());
    }

    /// Operations that stand alone come to what batches of one operation come to, those that are refused left out.
    #[test]
    fn operations_that_stand_alone_are_batches_of_one(
        numbered in any::<bool>(),
        before in proptest::collection::vec(any_op(), 0..12),
        ops in proptest::collection::vec(any_op(), 1..24),
    ) {
        let mut graph = start(numbered);
        for op in before {
            let _ = done(&mut graph, vec![op]);
        }
        let mut one_by_one = graph.clone();
        let (mut outcomes, mut refused) = (Vec::new(), Vec::new());
        for (place, op) in ops.iter().enumerate() {
            match done(&mut one_by_one, vec![op.clone()]) {
                Ok(staged) => outcomes.extend(staged.outcomes),
                Err(error) => refused.push(OpError { op: place, reason: error.reason }),
            }
        }
        let staged = Pending::default().stage(&graph, &Batch { each: true, ..batch(ops) }, LIMITS).unwrap();
        prop_assert_eq!(&staged.refused, &refused);
        prop_assert_eq!(&staged.outcomes, &outcomes);
        graph.commit(&staged.changes);
        check(&graph);
        prop_assert_eq!(contents(&graph), contents(&one_by_one));
    }
}
