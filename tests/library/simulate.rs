//! Goal: the turn of `sim` gives every class its frames, wakes for everybody who asks, rests when nothing moves, and owes
//! nobody a frame that was lost.
//! Method: the real turn, lanes, pool and CPU backend in one thread on a virtual clock; the test is shard and control.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use swarmcast::base::Handle;
use swarmcast::graph::{Csr, IdIndex, NodeId, NodeIndex};
use swarmcast::handoff::{
    ClassRef, Consumer, Doorbell, DragPhase, Frame, FramePool, Origin, Overflow, Producer, SessionId, SimCommand,
    SimEvent, ViewCommand, lane,
};
use swarmcast::metrics::Metrics;
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, Identity, Sim, SimLanes, SimParams, Topology};
use swarmcast::wire::{ClassSpec, FLAG_HEARTBEAT, FLAG_SETTLED, Profile};

const MS: u64 = 1_000_000;
const RATE_HZ: u64 = 60;
/// Ids are sparse and shuffled: what a client says must be found by id, never by place.
const IDS: [u32; 4] = [40, 7, 1_000_000, 12];

struct World {
    sim: Sim,
    now_ns: u64,
    frames: Consumer<Arc<Frame>>,
    latest: Consumer<Arc<Frame>>,
    events: Consumer<SimEvent>,
    control: Producer<SimCommand>,
    shard: Producer<ViewCommand>,
    metrics: Arc<Metrics>,
    pool_low: Arc<AtomicBool>,
}

fn world(pool_frames: usize) -> World {
    let quiet = Arc::new(Doorbell::silent());
    let edges = [(0, 1), (1, 2), (2, 3)].map(|(from, to)| (NodeIndex(from), NodeIndex(to), 1.0));
    let csr = Csr::new(IDS.len(), edges.into_iter());
    let mut backend = CpuBackend::new(SimParams::default());
    backend.upload(Topology { csr, start: vec![None; IDS.len()], pinned: vec![false; IDS.len()] }).unwrap();
    let index = IdIndex::new(IDS.iter().map(|id| NodeId::new(*id).unwrap())).unwrap();
    let (frames_out, frames) = lane("frames", 8, Overflow::Conflate, Arc::clone(&quiet));
    let (latest_out, latest) = lane("latest", 1, Overflow::Conflate, Arc::clone(&quiet));
    let (events_out, events) = lane("events", 256, Overflow::Refuse, Arc::clone(&quiet));
    let (control, control_in) = lane("control", 256, Overflow::Refuse, Arc::clone(&quiet));
    let (shard, shard_in) = lane("shard", 256, Overflow::Refuse, quiet);
    let lanes = SimLanes {
        control: control_in,
        shards: vec![shard_in],
        frames: vec![frames_out],
        latest: latest_out,
        events: events_out,
    };
    let (metrics, pool_low) = (Arc::new(Metrics::new(1)), Arc::new(AtomicBool::new(false)));
    let sim = Sim::new(
        Box::new(backend),
        Identity { epoch: 1, words: IDS.to_vec(), index },
        false,
        RATE_HZ as u16,
        FramePool::new(pool_frames),
        lanes,
        Arc::clone(&metrics),
        Arc::clone(&pool_low),
    );
    World { sim, now_ns: 1_000 * MS, frames, latest, events, control, shard, metrics, pool_low }
}

impl World {
    /// One tick; what was published in it.
    fn turn(&mut self) -> Option<Arc<Frame>> {
        self.now_ns += 1_000 * MS / RATE_HZ;
        self.sim.turn(self.now_ns, self.now_ns);
        self.frames.pop()
    }

    fn open(&mut self, slot: u8, profile: Profile, rate_hz: u16) -> ClassRef {
        let class = ClassRef { slot, serial: u16::from(slot) + 100 };
        let spec = ClassSpec::new(profile, rate_hz);
        self.control.push(SimCommand::OpenClass { class, spec, chain: None }).unwrap();
        class
    }

    /// Turns until the graph is at rest; the last frame of the motion.
    fn settle(&mut self) -> Arc<Frame> {
        for _ in 0..5_000 {
            if let Some(frame) = self.turn()
                && frame.stamp().flags & FLAG_SETTLED != 0
            {
                return frame;
            }
        }
        unreachable!("a path of four nodes settles");
    }

    fn drag(&mut self, session: u64, node: u32, phase: DragPhase) {
        let handle = Handle { slot: session as u32, generation: 0 };
        let origin = Origin { shard: 0, handle, session: SessionId(session) };
        self.shard.push(ViewCommand::Drag { origin, node: NodeId::new(node).unwrap(), phase }).unwrap();
    }

    fn position(&mut self, node: u32) -> [f32; 3] {
        let place = IDS.iter().position(|id| *id == node).unwrap();
        self.latest.pop().unwrap().nodes()[place].position()
    }
}

fn sequence(frame: &Option<Arc<Frame>>, class: ClassRef) -> Option<u64> {
    frame.as_ref()?.head(class).map(|head| head.sequence())
}

#[test]
fn classes_count_their_own_frames_and_ticks_never_go_back() {
    let mut world = world(12);
    let (fast, slow) = (world.open(0, Profile::Own, 60), world.open(1, Profile::V2, 20));
    let (mut expected_fast, mut expected_slow, mut tick) = (0, 0, 0);
    for _ in 0..120 {
        let frame = world.turn();
        let stamp = frame.as_ref().unwrap().stamp();
        assert_eq!(stamp.tick, tick + 1);
        tick = stamp.tick;
        expected_fast += 1;
        assert_eq!(sequence(&frame, fast), Some(expected_fast));
        if let Some(found) = sequence(&frame, slow) {
            expected_slow += 1;
            assert_eq!(found, expected_slow);
        }
    }
    assert_eq!(expected_slow, 41, "20 of 60 Hz, the first at once");
}

#[test]
fn a_settled_graph_sends_a_heartbeat_every_five_seconds_to_every_class() {
    let mut world = world(12);
    let (fast, slow) = (world.open(0, Profile::Own, 60), world.open(1, Profile::V3, 1));
    let last = world.settle();
    assert!(last.head(fast).is_some() && last.head(slow).is_some(), "the last state goes to all, due or not");
    assert_eq!(last.stamp().flags & FLAG_HEARTBEAT, 0);
    let mut beats = 0;
    for _ in 0..RATE_HZ * 21 {
        if let Some(frame) = world.turn() {
            beats += 1;
            assert_eq!(frame.stamp().flags & (FLAG_SETTLED | FLAG_HEARTBEAT), FLAG_SETTLED | FLAG_HEARTBEAT);
            assert_eq!(frame.stamp().tick, last.stamp().tick, "nothing was simulated");
            assert!(frame.head(fast).is_some() && frame.head(slow).is_some());
        }
    }
    assert_eq!(beats, 4);
}

#[test]
fn who_joins_a_settled_graph_gets_a_frame_next_tick_and_postpones_nobody() {
    let mut world = world(12);
    let old = world.open(0, Profile::Own, 1);
    world.settle();
    let mut heard = 0;
    for turn in 0..RATE_HZ * 11 {
        // Somebody new every four seconds: with a clock reset by each, no heartbeat would ever come.
        let joined = turn % (RATE_HZ * 4) == 0;
        if joined {
            let class = world.open(1, Profile::V2, 30);
            let frame = world.turn();
            assert_eq!(sequence(&frame, class), Some(1));
            assert_eq!(sequence(&frame, old), None, "nothing new for the others");
            assert_eq!(frame.unwrap().stamp().flags & FLAG_HEARTBEAT, 0);
        } else if sequence(&world.turn(), old).is_some() {
            heard += 1;
        }
    }
    assert_eq!(heard, 2);
}

#[test]
fn a_drag_wakes_a_settled_graph_within_a_tick_and_it_settles_again() {
    let mut world = world(12);
    let class = world.open(0, Profile::Own, 60);
    world.settle();
    world.drag(1, 1_000_000, DragPhase::Move([500.0, 0.0, 0.0]));
    let frame = world.turn();
    assert!(sequence(&frame, class).is_some());
    assert_eq!(frame.unwrap().stamp().flags & FLAG_SETTLED, 0);
    assert_eq!(world.position(1_000_000), [500.0, 0.0, 0.0]);
    world.drag(1, 1_000_000, DragPhase::End { pin: false });
    world.settle();
    assert!(world.position(1_000_000) != [500.0, 0.0, 0.0], "let go, it went back to its neighbours");
}

#[test]
fn the_last_of_two_writers_has_the_node_and_both_are_told() {
    let mut world = world(12);
    world.open(0, Profile::Own, 60);
    world.drag(1, 7, DragPhase::Move([100.0, 0.0, 0.0]));
    world.turn();
    world.drag(2, 7, DragPhase::Move([0.0, 200.0, 0.0]));
    world.turn();
    assert!(matches!(world.events.pop(), Some(SimEvent::DragTaken { from, to, .. })
        if from.session == SessionId(1) && to.session == SessionId(2)));
    assert_eq!(world.position(7), [0.0, 200.0, 0.0]);
    // The first one's end ends nothing.
    world.drag(1, 7, DragPhase::End { pin: false });
    world.turn();
    assert_eq!(world.metrics.sim.drags.get(), 1.0);
    world.drag(2, 7, DragPhase::End { pin: true });
    world.turn();
    assert!(
        matches!(world.events.pop(), Some(SimEvent::Pinned { node, .. }) if node.get() == IDS[1]) || {
            // Pins are told at the start of the next turn.
            world.turn();
            matches!(world.events.pop(), Some(SimEvent::Pinned { node, .. }) if node.get() == IDS[1])
        }
    );
    for _ in 0..100 {
        world.turn();
    }
    assert_eq!(world.position(7), [0.0, 200.0, 0.0], "pinned");
}

#[test]
fn silent_gone_and_unknown_drags_are_let_go() {
    let mut world = world(12);
    world.drag(1, 7, DragPhase::Move([100.0, 0.0, 0.0]));
    world.drag(2, 12, DragPhase::Move([0.0, 100.0, 0.0]));
    world.drag(3, 999, DragPhase::Move([0.0; 3]));
    world.turn();
    assert!(matches!(world.events.pop(), Some(SimEvent::DragRefused { unknown: true, .. })));
    world.shard.push(ViewCommand::ReleaseAll { session: SessionId(2) }).unwrap();
    world.turn();
    assert_eq!(world.metrics.sim.drags.get(), 1.0);
    for _ in 0..32 {
        world.turn();
    }
    assert_eq!(world.metrics.sim.drags.get(), 0.0, "silent for over 500 ms");
    assert!(matches!(world.events.pop(), Some(SimEvent::DragReleased { .. })));
}

#[test]
fn a_pool_that_is_leased_out_costs_frames_but_not_the_simulation_nor_the_last_state() {
    let mut world = world(8);
    let class = world.open(0, Profile::Own, 60);
    let mut leased: Vec<_> = (0..6).filter_map(|_| world.turn()).collect();
    assert!(!world.pool_low.load(Ordering::Relaxed) || leased.len() == 6);
    leased.extend((0..3).filter_map(|_| world.turn()));
    assert!(world.pool_low.load(Ordering::Relaxed), "shards are asked to give leases back");
    let ticks = world.metrics.sim.ticks.get();
    // Everything is leased now (`latest` holds one too); the graph settles without anybody seeing it.
    for _ in 0..2_000 {
        leased.extend(world.turn());
    }
    assert!(world.metrics.sim.ticks.get() > ticks, "the simulation goes on");
    assert!(world.metrics.sim.pool_waits.get() > 0);
    assert_eq!(world.metrics.sim.settled.get(), 1.0);
    let seen = leased.last().unwrap().stamp().tick;
    leased.clear();
    let frame = world.turn();
    assert!(sequence(&frame, class).is_some(), "what was lost is made good at once");
    let stamp = frame.unwrap().stamp();
    assert!(stamp.tick > seen && stamp.flags & FLAG_HEARTBEAT == 0, "and it is news, not a heartbeat");
}

#[test]
fn the_same_seed_and_the_same_commands_give_the_same_bytes() {
    let run = || {
        let mut world = world(12);
        let class = world.open(0, Profile::V3, 60);
        let mut bytes = Vec::new();
        for turn in 0..500 {
            if turn == 100 {
                world.drag(1, 40, DragPhase::Move([-90.0, 20.0, 5.0]));
            }
            if let Some(frame) = world.turn()
                && frame.head(class).is_some()
            {
                bytes.extend_from_slice(frame.body(Profile::V3));
            }
        }
        bytes
    };
    let first = run();
    assert!(first.len() > 100 * 48 * IDS.len());
    assert!(first == run());
}
