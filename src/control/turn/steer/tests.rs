//! Goal: whoever asks for a layout mode is answered, however fast the graph changes, and places in force are of this graph in these units.
//! Method: `control` alone; the test changes what a search began with before what it found is taken.

use std::time::{Duration, Instant};

use crate::analytics::layout::Mode;
use crate::base::Handle;
use crate::control::turn::alone::{control, ends, facts, lanes, roomy, units};
use crate::control::{Control, ControlLanes};
use crate::graph::GraphBuilder;
use crate::handoff::{Consumer, DoorReply, SimCommand, Steer};

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    control: Control,
    replies: Consumer<DoorReply>,
    orders: Consumer<SimCommand>,
}

fn token(slot: u32) -> Handle {
    Handle { slot, generation: 0 }
}

fn bench() -> Bench {
    let mut builder = GraphBuilder::new(3, 2);
    let nodes: Vec<_> = ["0", "1", "2"].iter().map(|key| builder.node(key).unwrap()).collect();
    builder.edge(nodes[0], nodes[1], 1.0, false).unwrap();
    builder.edge(nodes[1], nodes[2], 1.0, false).unwrap();
    let ((replies_out, replies), (sim, orders)) = (ends(), ends());
    let lanes = ControlLanes { replies: replies_out, sim, ..lanes() };
    Bench { control: control(builder.finish(), facts(roomy()), lanes), replies, orders }
}

impl Bench {
    /// Takes what the search at work finds, when it has found it.
    fn take_found(&mut self) {
        let began = Instant::now();
        while self.control.steering.found.is_empty() {
            assert!(began.elapsed() < PATIENCE, "nothing is found");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.control.take_places(), 1);
    }

    /// Who has been refused, and how.
    fn refused(&mut self) -> Vec<(u32, u16)> {
        let status = |reply| match reply {
            DoorReply::Http { token, status, .. } | DoorReply::Headed { token, status, .. } => (token.slot, status),
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| self.replies.pop()).map(status).collect()
    }

    /// Whether the rules that `sim` was sent last have places.
    fn are_places_sent(&mut self) -> Option<bool> {
        let rules = |order| match order {
            SimCommand::Steer { order: Steer::Rules(set), .. } => Some(set.targets.to.is_some()),
            _ => None,
        };
        std::iter::from_fn(|| self.orders.pop()).filter_map(rules).last()
    }
}

#[test]
fn a_mode_without_places_takes_the_place_of_one_that_is_being_found() {
    let mut bench = bench();
    bench.control.begin_mode(Some(token(1)), Mode::Radial, None).unwrap();
    bench.control.begin_mode(Some(token(2)), Mode::ForceDirected, None).unwrap();
    assert_eq!(bench.refused(), [(1, 409)]);
    assert_eq!(bench.are_places_sent(), Some(false));
    // One search at a time: the next one waits, and what was found for the first is nobody's.
    bench.control.begin_mode(Some(token(3)), Mode::Hierarchical, None).unwrap();
    assert!(bench.control.steering.searching && bench.control.steering.is_finding_places());
    bench.take_found();
    assert_eq!(bench.control.layout_name(), "force_directed");
    bench.take_found();
    assert_eq!((bench.control.layout_name(), bench.are_places_sent()), ("hierarchical", Some(true)));
    assert!(!bench.control.steering.searching && bench.refused().is_empty());
}

#[test]
fn places_in_units_of_before_do_not_come_in_force() {
    let mut bench = bench();
    bench.control.begin_mode(Some(token(1)), Mode::Radial, None).unwrap();
    bench.control.steer_by(units(160.0));
    bench.take_found();
    assert_eq!(bench.control.layout_name(), "force_directed");
    bench.take_found();
    assert_eq!((bench.control.layout_name(), bench.are_places_sent()), ("radial", Some(true)));
    let places = bench.control.steering.book.layout.places.clone().unwrap();
    assert!(places.are_found_for(1, &units(160.0)));

    // In force, they are found again in other units, and not when a rule is as strong as another.
    let mut stronger = units(160.0);
    stronger.scale.stiffness *= 2.0;
    bench.control.steer_by(stronger);
    assert!(bench.control.steering.job.is_none());
    bench.control.steer_by(units(40.0));
    assert_eq!(bench.control.take_places(), 0);
    bench.take_found();
    assert!(bench.control.steering.book.layout.places.clone().unwrap().are_found_for(1, &units(40.0)));
    assert!(!bench.control.steering.is_finding_places() && bench.refused().is_empty());
}

#[test]
fn where_the_graph_changes_faster_than_places_are_found_they_are_carried_over() {
    let mut bench = bench();
    bench.control.begin_mode(Some(token(1)), Mode::Radial, None).unwrap();
    for epoch in 2..5 {
        assert_eq!(bench.control.layout_name(), "force_directed");
        bench.control.epoch = epoch;
        bench.take_found();
    }
    assert_eq!((bench.control.layout_name(), bench.are_places_sent()), ("radial", Some(true)));
    // They are still in force in the next structure, and those of the structure come when they are found.
    bench.control.epoch = 5;
    bench.control.steer_anew(true);
    assert_eq!(bench.are_places_sent(), Some(true));
    bench.take_found();
    bench.take_found();
    let layout = &bench.control.steering.book.layout;
    assert!(layout.places.as_ref().unwrap().are_found_for(5, &units(80.0)));
    assert_eq!((layout.version, bench.refused()), (2, vec![]));
}

#[test]
fn stress_waits_for_the_first_frame() {
    let mut bench = bench();
    bench.control.begin_mode(Some(token(1)), Mode::Stress, None).unwrap();
    assert_eq!(bench.control.take_places(), 0);
    assert!(bench.control.steering.is_finding_places() && !bench.control.steering.searching);
    assert!(bench.refused().is_empty());
}
