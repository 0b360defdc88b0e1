use serde_json::json;

use super::*;
use crate::graph::{GraphBuilder, More, NodeId, NodeKind, Value};
use crate::handoff::{Bounds, Demand, RuleScale, UNTYPED};

fn facts() -> SteerFacts {
    SteerFacts {
        scale: RuleScale { stiffness: 1_200.0, length: 80.0, force_cap: 1e5, flat: false },
        bounds: Bounds { fixed: 20_000.0, unit: 0.0, most: 20_000.0 },
    }
}

/// Five pages and an agent; edges 0 -> 1 "cites" .2, 1 -> 2 "cites" 1.0, 3 - 3, 2 - 4 undirected without relation, 0 -> 5.
fn graph() -> crate::graph::Graph {
    let mut builder = GraphBuilder::new(100, 100);
    let nodes: Vec<_> = ["10", "11", "12", "13", "14", "99"].iter().map(|key| builder.node(key).unwrap()).collect();
    for (node, group) in [(0, "a"), (1, "b"), (2, "a"), (4, "b")] {
        builder.node_mut(nodes[node]).unwrap().group = Some(group.into());
    }
    builder.node_mut(nodes[5]).unwrap().class.kind = NodeKind::Agent;
    let rows = [
        (0, 1, true, Some(0.2)),
        (1, 2, true, Some(1.0)),
        (3, 3, false, None),
        (2, 4, false, None),
        (0, 5, true, None),
    ];
    for (from, to, directed, value) in rows {
        let edge = builder.edge(nodes[from], nodes[to], 1.0, directed).unwrap();
        if let Some(value) = value {
            edge.relation = Some("cites".into());
            edge.more = More::new(None, vec![("score".into(), Value::Float(value))]);
        }
    }
    builder.finish()
}

#[test]
fn every_kind_is_read_shown_and_read_again() {
    let graph = graph();
    let bodies = [
        json!({ "kind": "fixed_position", "nodes": [10], "position": [1.0, 2.0, 3.0] }),
        json!({ "kind": "separation", "nodes": [10, 11], "distance": 5.0 }),
        json!({ "kind": "align_horizontal", "nodes": [10, 11], "at": null }),
        json!({ "kind": "align_vertical", "nodes": [10, 11], "at": 7.0 }),
        json!({ "kind": "align_depth", "nodes": [10, 11], "at": null }),
        json!({ "kind": "cluster", "nodes": [10, 11], "radius": 9.0 }),
        json!({ "kind": "boundary", "nodes": null, "min": [0.0, 0.0, 0.0], "max": [1.0, 1.0, 1.0] }),
        json!({ "kind": "directional_flow", "nodes": [10, 11], "direction": [0.0, 1.0, 0.0], "gap": 4.0 }),
        json!({ "kind": "radial_distance", "nodes": [10, 11], "centre_node": 99, "radius": 3.0 }),
        json!({ "kind": "layer_depth", "nodes": [10], "axis": "z", "depth": -4.0 }),
        json!({ "kind": "semantic", "nodes": null, "by": "group", "distance": 8.0 }),
    ];
    let mut book = RuleBook::default();
    for body in &bodies {
        let key = book.add(body, &graph, false).unwrap();
        let shown = book.show_constraints(Some(key), &Default::default());
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field} of {body}");
        }
        assert_eq!(
            (&shown["weight"], &shown["enabled"], &shown["violation"]),
            (&json!(1.0), &json!(true), &json!(null))
        );
    }
    assert_eq!(book.constraint_count(), 11);
    let set = book.compile(&graph, 7, &facts(), true);
    assert_eq!((set.epoch, set.constraints.len(), set.touched.len()), (7, 11, 6));
    assert_eq!(&*set.grip, [3.0, 3.0, 3.0, 1.0, 2.0, 2.0]);
    let Demand::RadialDistance { centre_node, .. } = &set.constraints[8].demand else { panic!() };
    assert_eq!(*centre_node, Some(5));
    // By group: two of a, two of b; those without a group are left alone.
    let Demand::Semantic { group_ends, .. } = &set.constraints[10].demand else { panic!() };
    assert_eq!((&*set.constraints[10].nodes, &**group_ends), (&[0, 2, 1, 4][..], &[2, 4][..]));
    book.remove(3).unwrap();
    assert_eq!(book.remove(3).unwrap_err().status, 404);
    assert_eq!(book.add(&bodies[0], &graph, false), Ok(12), "a key is not used twice");
}

#[test]
fn depth_is_refused_in_the_plane_and_a_changed_constraint_has_another_revision() {
    let (graph, mut book) = (graph(), RuleBook::default());
    let depth = json!({ "kind": "align_depth", "nodes": [10, 11] });
    assert_eq!(book.add(&depth, &graph, true).unwrap_err().code, "flat");
    let layer = json!({ "kind": "layer_depth", "nodes": [10], "depth": 3 });
    let key = book.add(&layer, &graph, true).unwrap();
    let first = book.compile(&graph, 1, &facts(), true).constraints[0].clone();
    assert_eq!(first.demand, Demand::LayerDepth { axis: 1, depth: 3.0 });
    book.replace(key, &layer, &graph, true).unwrap();
    assert!(book.compile(&graph, 1, &facts(), true).constraints[0].revision > first.revision);
    book.replace(key, &json!({ "kind": "layer_depth", "nodes": [10], "depth": 3, "enabled": false }), &graph, true)
        .unwrap();
    assert_eq!(book.compile(&graph, 1, &facts(), true).constraints[0].weight, 0.0);
}

#[test]
fn semantic_forces_are_compiled_from_the_graph() {
    let (graph, mut book) = (graph(), RuleBook::default());
    let set = book.compile(&graph, 1, &facts(), true);
    assert!(set.levels.is_none() && set.types.is_none() && set.collision.is_none());
    assert_eq!(&*set.populations.unwrap().agent, [false, false, false, false, false, true]);
    let body = json!({
        "dag_levels": { "enabled": true, "vertical_spacing": 10 },
        "type_cluster": { "enabled": true, "by": "group" },
        "collision": { "enabled": true },
    });
    book.semantic.read(&body).unwrap();
    let set = book.compile(&graph, 1, &facts(), true);
    // Sources on top, the middle at 0; 13 and 14 have no directed edge.
    let levels = set.levels.unwrap();
    assert_eq!((&levels.target[..3], levels.target[5]), (&[10.0, 0.0, -10.0][..], 0.0));
    assert!(levels.target[3].is_nan() && levels.target[4].is_nan());
    let types = set.types.unwrap();
    assert_eq!((&*types.of, types.centre.len()), (&[0, 1, 0, UNTYPED, 1, UNTYPED][..], 2));
    assert_eq!(set.collision.unwrap().radius, 10.0);
}

/// Weight and rest of the half-edges of a node, by neighbour.
fn row(graph: &crate::graph::Graph, book: &RuleBook, distance: Option<&[f32]>, node: usize) -> Vec<(u32, f32, f32)> {
    let (csr, table) = (graph.csr(), book.spring_table(graph, 1, 80.0, distance));
    let row = csr.offset()[node] as usize..csr.offset()[node + 1] as usize;
    row.map(|slot| (csr.neighbour()[slot], table.weight[slot], table.rest[slot])).collect()
}

#[test]
fn relation_types_set_strength_rest_and_direction() {
    let (graph, mut book) = (graph(), RuleBook::default());
    assert!(book.springs.are_plain());
    assert_eq!(row(&graph, &book, None, 1), [(0, 1.0, 80.0), (2, 1.0, 80.0)]);
    let body = json!({ "relations": { "cites": { "strength": 3, "rest_length": 50, "directional": true } } });
    book.springs.read_relations(&body).unwrap();
    // 1 follows 0, and pulls 2: the source of an edge does not feel it.
    assert_eq!(row(&graph, &book, None, 1), [(0, 3.0, 50.0), (2, 0.0, 50.0)]);
    assert_eq!(row(&graph, &book, None, 2), [(1, 3.0, 50.0), (4, 1.0, 80.0)]);
    book.springs.read_relations(&json!({ "relations": { "cites": { "kind": "none" } } })).unwrap();
    assert_eq!(row(&graph, &book, None, 1), [(0, 0.0, 80.0), (2, 0.0, 80.0)]);
}

#[test]
fn an_attribute_shortens_and_stiffens_springs_between_its_limits() {
    let (graph, mut book) = (graph(), RuleBook::default());
    let body = json!({ "attribute": { "enabled": true, "attribute": "score" } });
    book.springs.read(&body, &graph).unwrap();
    // The smallest value: 200 and once as firm; the largest: 30 and half as firm again. Edges without one stay.
    assert_eq!(row(&graph, &book, None, 1), [(0, 1.0, 200.0), (2, 1.5, 30.0)]);
    assert_eq!(row(&graph, &book, None, 4), [(2, 1.0, 80.0)]);
    book.springs.read(&json!({ "attribute": { "strength": 0.5 } }), &graph).unwrap();
    assert_eq!(row(&graph, &book, None, 1), [(0, 1.0, 140.0), (2, 1.25, 55.0)]);
}

#[test]
fn path_distances_lengthen_springs_and_alpha_zero_is_no_change() {
    assert_eq!(path_stretch(2.0, 10.0, 3.0, 7.5), 9.0);
    assert_eq!(path_stretch(2.0, 10.0, 50.0, 7.5), 20.0, "no more than the cap counts");
    assert_eq!(path_stretch(2.0, 10.0, f32::INFINITY, 1.0), 20.0);
    assert_eq!(path_stretch(2.0, 10.0, f32::INFINITY, f32::INFINITY), 0.0);
    let (graph, mut book) = (graph(), RuleBook::default());
    let distance = [0.0, 1.0, 2.5, f32::INFINITY, 3.0, 1.0];
    let plain = row(&graph, &book, None, 1);
    assert_eq!(row(&graph, &book, Some(&distance), 1), plain, "alpha is 0");
    book.springs.read(&json!({ "sssp": { "source": 10, "alpha": 4, "cap": 1.25 } }), &graph).unwrap();
    let found = book.distances(&graph).unwrap();
    assert_eq!(found, [0.0, 1.0, 2.0, f32::INFINITY, 3.0, 1.0]);
    assert_eq!(row(&graph, &book, Some(&distance), 1), [(0, 1.0, 84.0), (2, 1.0, 85.0)]);
    book.springs.read(&json!({ "sssp": { "alpha": 0 } }), &graph).unwrap();
    assert_eq!((book.distances(&graph), book.springs.are_plain()), (None, true));
    assert_eq!(row(&graph, &book, Some(&distance), 1), plain);
}

#[test]
fn a_refused_request_changes_nothing() {
    let (graph, mut book) = (graph(), RuleBook::default());
    let mut copy = book.clone();
    assert!(copy.semantic.read(&json!({ "collision": { "enabled": true, "radius": 0 } })).is_err());
    let before = book.springs.clone();
    assert!(book.springs.read_relations(&json!({ "relations": { "a": {}, "b": { "strength": -1 } } })).is_err());
    assert_eq!(book.springs, before);
    assert!(book.add(&json!({ "kind": "cluster", "nodes": [10, 77], "radius": 1 }), &graph, false).is_err());
    assert_eq!(book.constraint_count(), 0);
}

#[test]
fn places_follow_their_nodes_into_another_structure_with_as_many() {
    let (graph, mut book) = (graph(), RuleBook::default());
    let at: Vec<[f32; 3]> = (0..6u8).map(|node| [f32::from(node), 0.0, 0.0]).collect();
    let base = PlacesBase::new(&graph, 1, facts());
    book.layout.places = Some(Places { base, at: at.clone().into(), carried: false });
    assert_eq!(book.compile(&graph, 1, &facts(), true).targets.to.as_deref(), Some(&at[..]));
    // 11 is gone, and 77 has come: it joins 10 and 12.
    let mut builder = GraphBuilder::new(100, 100);
    let keys = ["10", "12", "13", "14", "99", "77"];
    let nodes: Vec<_> = keys.iter().map(|key| builder.node(key).unwrap()).collect();
    builder.edge(nodes[5], nodes[0], 1.0, false).unwrap();
    builder.edge(nodes[1], nodes[5], 1.0, false).unwrap();
    let after = builder.finish();
    assert_eq!(book.compile(&after, 2, &facts(), true).targets.to, None, "they are those of other nodes");
    book.layout.carry_to(&after, 2);
    let to = book.compile(&after, 2, &facts(), true).targets.to.unwrap();
    let place = |id: u32| to[after.index_of(NodeId::new(id).unwrap()).unwrap().get()][0];
    assert_eq!([10, 12, 13, 14, 99, 77].map(place), [0.0, 2.0, 3.0, 4.0, 5.0, 1.0]);
    assert!(!book.layout.places.unwrap().are_found_for(2, &facts()), "they are to be found again");
}
