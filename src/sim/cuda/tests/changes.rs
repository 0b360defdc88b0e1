//! Goal: what a graph on a device keeps of its nodes through a change of structure, a reset and a lost device is what the CPU
//! backend keeps.
//! Method: the `sim` thread's turns over each of the two backends, the same commands; and the backend alone.

use super::*;
use crate::base::Handle;
use crate::graph::{IdIndex, NodeId};
use crate::handoff::{
    Consumer, Doorbell, DragPhase, Frame, FramePool, NEW_NODE, Origin, Overflow, Producer, SessionId, SimCommand,
    SimEvent, Steer, Structure, ViewCommand, lane,
};
use crate::metrics::Metrics;
use crate::sim::{Identity, Sim, SimLanes};
use std::sync::atomic::AtomicBool;

const NODES: u32 = 200;

/// A `sim` without a thread.
struct Bench {
    sim: Sim,
    control: Producer<SimCommand>,
    shard: Producer<ViewCommand>,
    latest: Consumer<Arc<Frame>>,
    events: Consumer<SimEvent>,
    metrics: Arc<Metrics>,
    now_ns: u64,
}

fn index(ids: impl Iterator<Item = u32>) -> IdIndex {
    IdIndex::new(ids.map(|id| NodeId::new(id).unwrap())).unwrap()
}

fn bench(backend: Box<dyn Backend>) -> Bench {
    let quiet = Arc::new(Doorbell::silent());
    let (latest_out, latest) = lane("latest", 1, Overflow::Conflate, Arc::clone(&quiet));
    let (events_out, events) = lane("events", 256, Overflow::Refuse, Arc::clone(&quiet));
    let (control, control_in) = lane("control", 256, Overflow::Refuse, Arc::clone(&quiet));
    let (shard, shard_in) = lane("shard", 256, Overflow::Refuse, quiet);
    let lanes = SimLanes {
        control: control_in,
        shards: vec![shard_in],
        frames: vec![],
        latest: latest_out,
        events: events_out,
    };
    let identity = Identity { epoch: 1, words: (0..NODES).collect(), index: index(0..NODES) };
    let (metrics, low) = (Arc::new(Metrics::new(1)), Arc::new(AtomicBool::new(false)));
    let sim = Sim::new(backend, identity, false, 60, FramePool::new(4), lanes, Arc::clone(&metrics), low);
    Bench { sim, control, shard, latest, events, metrics, now_ns: 1_000_000_000 }
}

impl Bench {
    fn turn(&mut self) {
        self.now_ns += 16_666_667;
        self.sim.turn(self.now_ns, self.now_ns);
    }

    fn command(&mut self, command: SimCommand) {
        assert!(self.control.push(command).is_ok());
    }

    fn steer(&mut self, order: Steer) {
        self.command(SimCommand::Steer { ticket: 1, order });
    }

    fn drag(&mut self, node: u32, to: [f32; 3]) {
        let origin = Origin { shard: 0, handle: Handle { slot: 1, generation: 0 }, session: SessionId(1) };
        let (node, phase) = (NodeId::new(node).unwrap(), DragPhase::Move(to));
        assert!(self.shard.push(ViewCommand::Drag { origin, node, phase }).is_ok());
    }

    /// What `control` sees newest.
    fn seen(&mut self) -> Vec<NodeRecord> {
        self.latest.pop().unwrap().nodes().to_vec()
    }
}

/// The graph without its fifth node and with two more, in a room of `before` nodes.
fn structure(before: &Topology) -> Box<Structure> {
    let from: Vec<u32> = (0..NODES).filter(|node| *node != 5).chain([NEW_NODE, NEW_NODE]).collect();
    let now_of = |node: u32| from.iter().position(|before| *before == node).map(|now| NodeIndex(now as u32));
    let old = (0..NODES as usize)
        .flat_map(|node| before.csr.row(node).map(move |(other, weight)| (node as u32, other, weight)));
    let kept = old.filter(|(node, other, _)| node <= other);
    let kept: Vec<_> = kept.filter_map(|(node, other, weight)| Some((now_of(node)?, now_of(other)?, weight))).collect();
    let count = from.len() as u32;
    let new = [(NodeIndex(count - 2), NodeIndex(3), 1.0), (NodeIndex(count - 1), NodeIndex(4), 1.0)];
    let csr = Csr::new(from.len(), kept.iter().copied().chain(new));
    let words: Vec<u32> =
        from.iter().zip(NODES..).map(|(before, new)| if *before == NEW_NODE { new } else { *before }).collect();
    Box::new(Structure {
        epoch: 2,
        index: index(words.iter().copied()),
        words,
        csr,
        place: vec![None; from.len()],
        pinned: vec![false; from.len()],
        touched: vec![NodeIndex(3), NodeIndex(4)],
        adrift: vec![],
        chains: vec![],
        home: vec![[0.0; 3]; from.len()].into(),
        records: vec![NodeRecord::default(); NODES as usize],
        velocity: vec![[0.0; 3]; from.len()],
        from,
    })
}

/// What this thread logs meanwhile.
fn logged(of: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let page = Page::default();
    let writer = page.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(log, of);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn both(topology: &Topology) -> [(Bench, u32); 2] {
    // What a device shows is a step old.
    let (on_cuda, _) = cuda(SimParams::default(), topology, false, false);
    [(bench(Box::new(cpu(SimParams::default(), topology))), 0), (bench(Box::new(on_cuda)), 1)]
}

fn assert_alike(wanted: &[NodeRecord], found: &[NodeRecord], most: f64, what: &str) {
    let positions = |records: &[NodeRecord]| records.iter().map(NodeRecord::position).collect::<Vec<_>>();
    let difference = relative_difference(&positions(found), &positions(wanted));
    assert!(difference < 1e-3, "{what}: positions {difference}");
    let difference = relative_difference(&velocities(found), &velocities(wanted));
    assert!(difference < most, "{what}: velocities {difference}");
}

#[test]
fn nodes_that_stay_go_on_as_on_the_cpu() {
    let before = topology(Shape::Random, NODES, Dimensions::Three);
    let [wanted, found] = both(&before).map(|(mut bench, late)| {
        for _ in 0..4 {
            bench.turn();
        }
        bench.drag(10, [900.0, 20.0, -30.0]);
        bench.command(SimCommand::Pin { node: NodeIndex(7), pinned: true });
        bench.command(SimCommand::Pin { node: NodeIndex(16), pinned: false });
        bench.turn();
        let mut kept = bench.seen();
        // No step between this and the structure.
        bench.command(SimCommand::Place { node: NodeIndex(20), position: [-400.0, 0.0, 55.0] });
        bench.command(SimCommand::Restructure { structure: structure(&before) });
        bench.sim.turn(bench.now_ns, bench.now_ns);
        for _ in 0..late {
            // Nothing has been stepped in what is seen now.
            kept = bench.seen();
            bench.turn();
        }
        let first = bench.seen();
        bench.turn();
        let told = std::iter::from_fn(|| bench.events.pop())
            .any(|event| matches!(event, SimEvent::Restructured { epoch: 2, .. }));
        assert!(told);
        (kept, [first, bench.seen()])
    });
    let at = |node: u32| if node < 5 { node as usize } else { node as usize - 1 };
    let ((before, wanted), (kept, found)) = (wanted, found);
    let stays = (0..NODES).filter(|node| ![5, 20].contains(node));
    let (before, kept): (Vec<_>, Vec<_>) = stays.map(|node| (before[node as usize], kept[at(node)])).unzip();
    // What had lost its speed would be off by all of it.
    assert_alike(&before, &kept, 1e-2, "at the change");
    for (wanted, found) in wanted.iter().zip(&found) {
        assert_eq!(wanted.len(), NODES as usize + 1);
        assert_eq!(wanted[at(10)].position(), [900.0, 20.0, -30.0], "still in that hand");
        assert_eq!(found[at(10)].position(), [900.0, 20.0, -30.0]);
        assert_eq!((wanted[at(7)].velocity(), found[at(7)].velocity()), ([0.0; 3], [0.0; 3]), "still pinned");
        let near = |records: &[NodeRecord]| (records[at(20)].position()[0] + 400.0).abs();
        assert!(near(wanted) < 40.0 && near(found) < 40.0, "{} {}", near(wanted), near(found));
        let fast = wanted.iter().filter(|record| record.velocity().iter().any(|axis| axis.abs() > 10.0)).count();
        assert!(fast > 100, "something moves: {fast}");
        // New nodes begin next to others, where the last bit of a place makes another push.
        assert_alike(wanted, found, 0.05, "after the change");
    }
}

#[test]
fn what_is_asked_while_paused_is_seen_at_once() {
    let before = topology(Shape::Random, NODES, Dimensions::Three);
    for (mut bench, late) in both(&before) {
        for _ in 0..3 {
            bench.turn();
        }
        bench.steer(Steer::Pause);
        bench.turn();
        bench.drag(10, [900.0, 20.0, -30.0]);
        bench.turn();
        let shown = bench.seen();
        assert_eq!((shown[10].position(), shown[10].velocity()), ([900.0, 20.0, -30.0], [0.0; 3]));
        bench.steer(Steer::Step { count: 1 });
        bench.turn();
        assert_eq!(bench.seen()[10].position(), [900.0, 20.0, -30.0], "also in the step that had not heard of it");
        bench.steer(Steer::Reset);
        bench.turn();
        let home = bench.seen();
        let at_home = |record: &NodeRecord, start: &Option<[f32; 3]>| {
            let start = start.unwrap();
            (0..3).all(|axis| (record.position()[axis] - start[axis]).abs() < 1e-3) && record.velocity() == [0.0; 3]
        };
        assert!(home.iter().zip(&before.start).all(|(record, start)| at_home(record, start)), "late {late}");
        // Nothing is held any more, so the steps are those of a graph just taken.
        bench.steer(Steer::Step { count: 3 });
        for _ in 0..3 {
            bench.turn();
        }
        assert_ne!(bench.seen()[10].position(), home[10].position());
    }
}

#[test]
fn the_steps_after_a_reset_are_those_after_the_upload() {
    // Nobody comes placed: a graph that does is not at full temperature at first.
    let topology = Topology { start: vec![None; 500], ..topology(Shape::Clustered, 500, Dimensions::Three) };
    for tree in [false, true] {
        let (mut backend, _) = cuda(SimParams::default(), &topology, tree, false);
        let run = |backend: &mut CudaBackend| {
            steps(backend, 0..6);
            backend.finish().unwrap();
            records(backend, 500)
        };
        let first = run(&mut backend);
        backend.hold(NodeIndex(4), [1.0, 2.0, 3.0]);
        steps(&mut backend, 0..2);
        backend.hold(NodeIndex(6), [1.0, 2.0, 3.0]);
        backend.set_velocities(&[[5.0; 3]; 500]);
        assert!(backend.reset());
        assert!(records(&backend, 500).iter().all(|record| record.velocity() == [0.0; 3]));
        assert_eq!(run(&mut backend), first, "tree {tree}");
        // A pin is no motion: it stays, as on the processor.
        backend.pin(NodeIndex(9), true);
        assert!(backend.reset() && backend.is_pinned(NodeIndex(9)));
        let home = backend.position(NodeIndex(9));
        run(&mut backend);
        assert_eq!(backend.position(NodeIndex(9)), home);
    }
}

#[test]
fn new_bounds_and_a_reset_go_together_as_on_the_cpu() {
    let topology = topology(Shape::Random, 100, Dimensions::Three);
    let flat = SimParams { dimensions: Dimensions::Two, bounds: 120.0, ..SimParams::default() };
    let deep = SimParams { bounds: 130.0, ..SimParams::default() };
    for reset_first in [false, true] {
        let (mut found, _) = cuda(SimParams::default(), &topology, false, false);
        let mut wanted = cpu(SimParams::default(), &topology);
        for backend in [&mut found as &mut dyn Backend, &mut wanted] {
            backend.apply(&flat).unwrap();
            backend.step();
            if reset_first {
                backend.reset();
            }
            backend.apply(&deep).unwrap();
            if !reset_first {
                backend.reset();
            }
            backend.step();
        }
        found.finish().unwrap();
        assert_alike(&records(&wanted, 100), &records(&found, 100), 1e-2, "reset and lifted");
    }
}

#[test]
fn what_is_warm_stays_warm_through_a_change() {
    let topology = topology(Shape::Random, NODES, Dimensions::Three);
    let params = SimParams { cooling: 0.2, warmup_iterations: 0, ..SimParams::default() };
    let (mut found, strings) = cuda(params, &topology, false, false);
    let mut wanted = cpu(params, &topology);
    let mut warm = Vec::new();
    for backend in [&mut found as &mut dyn Backend, &mut wanted] {
        for _ in 0..80 {
            backend.step();
        }
        assert_eq!(backend.warmth(), [], "all are cold");
        backend.hold(NodeIndex(9), [0.0; 3]);
        backend.release(NodeIndex(9));
        backend.step();
        backend.catch_up();
        let before = backend.warmth();
        assert!(before.iter().any(|(node, warmth)| *node == NodeIndex(9) && *warmth > 0.2) && before.len() > 1);
        let mut records = vec![NodeRecord::default(); NODES as usize];
        backend.write_into(&mut records);
        let start = records.iter().map(|record| Some(record.position())).collect();
        backend.upload(Topology { start, ..topology.clone() }).unwrap();
        assert_eq!(backend.warmth(), [], "an upload forgets it");
        backend.set_warmth(&before);
        backend.set_warmth(&[(NodeIndex(9_999), 1.0)]);
        let sorted = |mut warmth: Vec<(NodeIndex, f32)>| {
            warmth.sort_by_key(|(node, _)| *node);
            warmth
        };
        assert_eq!(sorted(backend.warmth()), sorted(before.clone()));
        backend.step();
        backend.catch_up();
        let after = backend.warmth();
        assert!(before.iter().all(|(node, _)| after.iter().any(|(other, _)| other == node)));
        warm.push(sorted(before).into_iter().map(|(node, _)| node).collect::<Vec<_>>());
    }
    assert_eq!(warm[0], warm[1], "the same nodes on both");
    backend_fails_quietly(&mut found, &strings);
}

/// A device that cannot say how warm nodes are costs that and nothing else.
fn backend_fails_quietly(backend: &mut CudaBackend, strings: &Arc<Mutex<Strings>>) {
    backend.warm(&[NodeIndex(3)]);
    strings.lock().unwrap().broken = true;
    assert_eq!(backend.warmth(), []);
    strings.lock().unwrap().broken = false;
    assert_eq!(backend.condition().errors, 1);
    assert!(backend.warmth().iter().any(|(node, _)| *node == NodeIndex(3)), "asked again");
}

#[test]
fn the_cpu_takes_over_motion_and_home() {
    let topology = topology(Shape::Random, NODES, Dimensions::Three);
    let (mut backend, strings) = cuda(SimParams::default(), &topology, false, false);
    let mut wanted = cpu(SimParams::default(), &topology);
    for _ in 0..5 {
        backend.step();
        wanted.step();
    }
    backend.finish().unwrap();
    strings.lock().unwrap().broken = true;
    for _ in 0..5 {
        backend.step();
    }
    assert_eq!(backend.name(), "cpu");
    wanted.step();
    assert_alike(&records(&wanted, NODES as usize), &records(&backend, NODES as usize), 1e-2, "the sixth step");
    assert!(backend.reset());
    wanted.reset();
    assert_eq!(records(&backend, NODES as usize), records(&wanted, NODES as usize));
}

#[test]
fn a_structure_that_the_device_cannot_take_goes_to_the_cpu() {
    let before = topology(Shape::Random, NODES, Dimensions::Three);
    for memory in [false, true] {
        let (on_cuda, strings) = cuda(SimParams::default(), &before, false, false);
        let mut bench = bench(Box::new(on_cuda));
        for _ in 0..3 {
            bench.turn();
        }
        let last = bench.seen();
        let (held, page) = (strings.lock().unwrap().held_bytes, bench.metrics.text(vec![]));
        assert!(held > 0 && page.contains(&format!("swarmcast_device_used_bytes {held}.0")), "{page}");
        assert!(page.contains("swarmcast_backend_cuda 1.0") && page.contains("swarmcast_device_free_bytes "), "{page}");
        {
            let mut strings = strings.lock().unwrap();
            (strings.broken, strings.allocations_left) = (!memory, memory.then_some(3));
        }
        bench.command(SimCommand::Restructure { structure: structure(&before) });
        let log = logged(|| bench.sim.turn(bench.now_ns, bench.now_ns));
        let told = std::iter::from_fn(|| bench.events.pop())
            .any(|event| matches!(event, SimEvent::Restructured { epoch: 2, .. }));
        assert!(told, "whoever asked is answered");
        let why = if memory { "bytes" } else { "a test" };
        assert!(log.contains("ERROR") && log.contains("the processor takes over") && log.contains(why), "{log}");
        let page = bench.metrics.text(vec![]);
        for line in ["swarmcast_backend_cuda 0.0", "swarmcast_backend_fell_back 1.0"] {
            assert!(page.contains(line), "{line} is missing in {page}");
        }
        assert!(!page.contains("swarmcast_device_used_bytes") && !page.contains("device_errors_total 0"), "{page}");
        assert_eq!(strings.lock().unwrap().held_bytes, 0, "the device's memory is given back");
        let sim = &bench.metrics.sim;
        assert_eq!((sim.fell_back.get(), sim.on_device.get()), (1.0, 0.0));
        assert!(sim.device_errors.get() >= 1, "it says so");
        let now = bench.seen();
        assert_eq!(now.len(), NODES as usize + 1);
        let moved = |node: usize| {
            (0..3).map(|axis| (now[node].position()[axis] - last[node].position()[axis]).abs()).fold(0.0, f32::max)
        };
        assert!((0..5).all(|node| moved(node) < 60.0), "it goes on from there");
    }
}

#[test]
fn a_structure_that_nobody_can_take_is_refused_and_the_next_one_is_taken() {
    let before = topology(Shape::Random, NODES, Dimensions::Three);
    for (mut bench, _) in both(&before) {
        bench.turn();
        // Its parts disagree.
        let mut broken = structure(&before);
        broken.pinned.pop();
        bench.command(SimCommand::Restructure { structure: broken });
        // Of a graph that it does not have.
        bench.command(SimCommand::Pin { node: NodeIndex(0), pinned: true });
        bench.command(SimCommand::Place { node: NodeIndex(1), position: [5e3, 0.0, 0.0] });
        bench.turn();
        let said = bench.events.pop();
        let Some(SimEvent::StructureRefused { epoch: 2, reason, spent }) = said else { panic!("{said:?}") };
        assert!(reason.contains("201 nodes") && spent.words.len() == 201, "{reason}");
        for _ in 0..3 {
            bench.turn();
        }
        let shown = bench.seen();
        assert_eq!(shown.len(), NODES as usize, "it goes on with the graph before");
        assert!(shown[0].velocity() != [0.0; 3] && shown[1].position()[0] < 4e3, "and nobody else was pinned or moved");
        bench.command(SimCommand::Restructure { structure: structure(&before) });
        bench.command(SimCommand::Pin { node: NodeIndex(0), pinned: true });
        for _ in 0..3 {
            bench.turn();
        }
        assert!(matches!(bench.events.pop(), Some(SimEvent::Restructured { epoch: 2, .. })));
        let shown = bench.seen();
        assert_eq!((shown.len(), shown[0].velocity()), (NODES as usize + 1, [0.0; 3]));
    }
}
