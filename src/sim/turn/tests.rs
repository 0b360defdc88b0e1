//! Goal: a change of the structure leaves a cold layout cold, with rules in force too, unless they pull all nodes elsewhere.
//! Method: the turn of `sim` over the CPU backend; the test is `control`.

use super::*;
use crate::graph::Csr;
use crate::handoff::{Constraint, Demand, Overflow, Populations, RuleScale, RuleSet, Structure, lane};
use crate::sim::cpu::CpuBackend;
use crate::sim::{SimParams, Topology};
use crate::wire::NodeRecord;

const NODES: u32 = 60;

/// A ring with chords.
fn csr() -> Csr {
    let edges: Vec<(u32, u32)> =
        (0..NODES).flat_map(|node| [(node, (node + 1) % NODES), (node, (node * 7 + 5) % NODES)]).collect();
    Csr::new(NODES as usize, edges.iter().map(|(from, to)| (NodeIndex(*from), NodeIndex(*to), 1.0)))
}

fn index() -> IdIndex {
    IdIndex::new((0..NODES).map(|id| NodeId::new(id).unwrap())).unwrap()
}

/// The same nodes and edges, of another epoch.
fn structure(epoch: u32) -> Box<Structure> {
    let nodes = NODES as usize;
    Box::new(Structure {
        epoch,
        words: (0..NODES).collect(),
        index: index(),
        csr: csr(),
        from: (0..NODES).collect(),
        place: vec![None; nodes],
        pinned: vec![false; nodes],
        touched: vec![NodeIndex(3)],
        adrift: vec![],
        chains: vec![],
        home: vec![[0.0; 3]; nodes].into(),
        records: vec![NodeRecord::default(); nodes],
        velocity: vec![[0.0; 3]; nodes],
    })
}

/// One constraint.
fn rules(epoch: u32) -> RuleSet {
    let params = SimParams::default();
    let scale =
        RuleScale { stiffness: params.spring_k, length: params.rest_length, force_cap: params.max_force, flat: false };
    let constraint = Constraint {
        key: 1,
        revision: 1,
        weight: 1.0,
        nodes: vec![7, 20].into(),
        demand: Demand::LayerDepth { axis: 0, depth: 9.0 },
        age: 0,
        quiet: 0,
        violation: f32::NAN,
    };
    let set = RuleSet::none(epoch, scale, vec![5.0; NODES as usize].into()).with_constraints(vec![constraint]);
    RuleSet { stirs_all: false, ..set }
}

struct Bench {
    sim: Sim,
    control: Producer<SimCommand>,
    events: Consumer<SimEvent>,
    now_ns: u64,
    epoch: u32,
}

/// A layout that has cooled down.
fn bench() -> Bench {
    let quiet = Arc::new(Doorbell::silent());
    let (latest, _) = lane("latest", 1, Overflow::Conflate, Arc::clone(&quiet));
    let (events_out, events) = lane("events", 256, Overflow::Refuse, Arc::clone(&quiet));
    let (control, control_in) = lane("control", 256, Overflow::Refuse, quiet);
    let lanes = SimLanes { control: control_in, shards: vec![], frames: vec![], latest, events: events_out };
    let mut backend = CpuBackend::new(SimParams::default());
    let nodes = NODES as usize;
    backend.upload(Topology { csr: csr(), start: vec![None; nodes], pinned: vec![false; nodes] }).unwrap();
    for _ in 0..700 {
        backend.step();
    }
    let identity = Identity { epoch: 1, words: (0..NODES).collect(), index: index() };
    let (metrics, low) = (Arc::new(Metrics::new(1)), Arc::new(AtomicBool::new(false)));
    let sim = Sim::new(Box::new(backend), identity, false, 60, FramePool::new(4), lanes, metrics, low);
    Bench { sim, control, events, now_ns: 1_000_000_000, epoch: 1 }
}

impl Bench {
    fn turn(&mut self) {
        self.now_ns += 16_666_667;
        self.sim.turn(self.now_ns, self.now_ns);
        while self.events.pop().is_some() {}
    }

    fn steer(&mut self, set: RuleSet) {
        let order = Steer::Rules(Box::new(set));
        assert!(self.control.push(SimCommand::Steer { ticket: 1, order }).is_ok());
    }

    /// Another structure with these rules behind it, and a step.
    fn restructure(&mut self, rules: impl FnOnce(u32) -> RuleSet) {
        self.epoch += 1;
        let structure = structure(self.epoch);
        assert!(self.control.push(SimCommand::Restructure { structure }).is_ok());
        self.steer(rules(self.epoch));
        self.turn();
        assert_eq!(self.sim.identity.epoch, self.epoch);
        assert_eq!(self.sim.rules.set().map(|set| set.epoch), Some(self.epoch));
    }

    fn temperature(&self) -> f32 {
        self.sim.report.temperature
    }
}

#[test]
fn a_structure_after_each_step_leaves_the_layout_cold_and_a_constraint_grows_on() {
    let mut bench = bench();
    bench.steer(rules(1));
    bench.turn();
    assert!(bench.temperature() < 0.01, "{}", bench.temperature());
    for steps in 2..80 {
        bench.restructure(rules);
        assert!(bench.temperature() < 0.01, "step {steps}: {}", bench.temperature());
        assert_eq!(bench.sim.rules.set().unwrap().constraints[0].age, steps);
    }
}

#[test]
fn rules_that_pull_all_nodes_elsewhere_warm_them_with_a_structure() {
    let mut bench = bench();
    bench.steer(rules(1));
    bench.turn();
    bench.restructure(|epoch| RuleSet { stirs_all: true, ..rules(epoch) });
    assert_eq!(bench.temperature(), 1.0, "they say so");
    for _ in 0..700 {
        bench.sim.backend.step();
    }
    let apart = |epoch| {
        let populations = Populations { agent: (0..NODES).map(|node| node == 0).collect(), distance: 600.0 };
        RuleSet { populations: Some(populations), ..rules(epoch) }
    };
    bench.restructure(apart);
    assert_eq!(bench.temperature(), 1.0, "a force begins");
    for _ in 0..700 {
        bench.sim.backend.step();
    }
    bench.restructure(apart);
    assert!(bench.temperature() < 0.01, "it goes on: {}", bench.temperature());
}
