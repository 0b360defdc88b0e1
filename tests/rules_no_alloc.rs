//! Goal: a step with every rule in force allocates nothing, and neither does taking other rules in their place.
//! Method: an allocator that counts; 1,000 steps of positions that move, with constraints of all kinds, every semantic force and a layout mode.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use swarmcast::handoff::{
    Collision, Constraint, Demand, LevelPull, Populations, RuleScale, RuleSet, Targets, TypeCluster, Violations,
};
use swarmcast::sim::rules::Rules;

struct Counting;

thread_local! {
    /// Of this thread: the one that runs the tests has business of its own.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a cell of the thread only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NODES: usize = 2_000;

fn every_rule(version: u32) -> Box<RuleSet> {
    let demands = [
        Demand::FixedPosition { at: [1.0; 3] },
        Demand::Separation { distance: 90.0 },
        Demand::Align { axis: 1, at: None },
        Demand::Align { axis: 0, at: Some(4.0) },
        Demand::Align { axis: 2, at: None },
        Demand::Cluster { radius: 5.0 },
        Demand::Boundary { min: [-9.0; 3], max: [9.0; 3] },
        Demand::DirectionalFlow { direction: [0.0, 1.0, 0.0], gap: 12.0 },
        Demand::RadialDistance { centre: [0.0; 3], centre_node: Some(1_999), radius: 30.0 },
        Demand::LayerDepth { axis: 2, depth: 7.0 },
        Demand::Semantic { group_ends: [20, 40].into(), distance: 3.0 },
    ];
    let constraints = (1u32..).zip(demands).map(|(key, demand)| Constraint {
        key,
        revision: version,
        weight: 1.0,
        nodes: (0..40).map(|node| node * key).collect(),
        demand,
        age: 0,
        quiet: 0,
        violation: f32::NAN,
    });
    let scale = RuleScale { stiffness: 1_200.0, length: 80.0, force_cap: 1e5, flat: false };
    let set = RuleSet::none(1, scale, vec![2.0; NODES].into()).with_constraints(constraints.collect());
    let places: Arc<[[f32; 3]]> = (0..NODES).map(|node| [node as f32, 0.0, 1.0]).collect();
    Box::new(RuleSet {
        levels: Some(LevelPull { target: vec![5.0; NODES].into(), axis: 1, strength: 0.5 }),
        types: Some(TypeCluster {
            of: (0..NODES as u32).map(|node| node % 7).collect(),
            strength: 0.4,
            distance: 15.0,
            centre: vec![[0.0; 4]; 7].into(),
        }),
        collision: Some(Collision::new(10.0, 1.0, NODES)),
        populations: Some(Populations { agent: (0..NODES).map(|node| node < 10).collect(), distance: 600.0 }),
        targets: Targets { version, to: Some(places), ..set.targets },
        ..set
    })
}

#[test]
fn a_thousand_steps_with_every_rule_allocate_nothing() {
    let mut rules = Rules::default();
    let at = |step: u32, position: &mut [[f32; 3]]| {
        for (node, at) in position.iter_mut().enumerate() {
            let angle = (node as f32).mul_add(0.37, step as f32 * 0.01);
            *at = [300.0 * angle.sin(), 200.0 * (angle * 1.7).cos(), 100.0 * (angle * 0.3).sin()];
        }
    };
    assert!(rules.take(every_rule(1), NODES, |position| at(0, position)).is_ok());
    let second = every_rule(2);
    let mut second = Some(second);
    let mut measured = Violations { rows: Vec::with_capacity(11) };
    let mut spent = None;
    let before = ASKED.get();
    let mut sum = 0.0;
    for step in 0..1_000 {
        let extra = rules.exert(|position| at(step, position));
        assert_eq!(extra.len(), NODES);
        sum += extra[7][0];
        assert!(extra.iter().flatten().all(|axis| axis.is_finite()));
        rules.measure(&mut measured, |position| at(step, position));
        if let Some(second) = second.take_if(|_| step == 500) {
            spent = rules.take(second, NODES, |position| at(step, position)).unwrap_or(None);
        }
    }
    assert_eq!(ASKED.get() - before, 0, "nothing is allocated");
    assert!(sum != 0.0 && measured.rows.len() == 11 && spent.is_some());
    assert!(measured.rows.iter().all(|(_, violation, _)| *violation > 0.0));
}
