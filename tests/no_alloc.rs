//! Goal: from published frame to socket and from socket to command, nothing is allocated in steady state (C1).
//! Method: the real `sim` and `shard` threads over real sockets, 100 clients of which 10 drag nodes, and an allocator that
//! counts what those two threads ask for. After a warm-up, 1,000 ticks at 120 Hz must ask for nothing: with full frames, and
//! with a compact class whose clients acknowledge and change what they want to see, half of them over WebSocket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use swarmcast::graph::{Csr, IdIndex, NodeId, NodeIndex};
use swarmcast::handoff::{
    Adopt, ChainWriter, ClassRef, Consumer, Doorbell, FramePool, Grant, Overflow, Producer, SessionId, ShardEvent,
    ShardMessage, SimCommand, Stamp, Transport, lane,
};
use swarmcast::metrics::Metrics;
use swarmcast::net::{ShardLanes, ShardLoop, ShardOptions, poll_with_bell};
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, BackendError, Identity, ParamError, Sim, SimLanes, SimParams, StepReport, Topology};
use swarmcast::wire::{BlockSet, ClassSpec, CloseCode, NodeRecord, Profile};

const CLIENTS: usize = 100;
const DRAGGERS: usize = 10;
const TICKS: u64 = 1_000;
const WARM_UP_TICKS: u64 = 240;
const CLASS: ClassRef = ClassRef { slot: 0, serial: 1 };

struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether an allocation is a failure by now, and where in our source those came from.
static WARM: AtomicBool = AtomicBool::new(false);
static SITES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// The two tests take turns: they share the counter.
static TURN: Mutex<()> = Mutex::new(());

fn count() {
    if !COUNTED.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    ASKED.fetch_add(1, Ordering::Relaxed);
    if WARM.load(Ordering::Relaxed) {
        // Writing it down allocates.
        COUNTED.set(false);
        let trace = Backtrace::force_capture().to_string();
        let ours: Vec<&str> =
            trace.lines().map(str::trim).filter(|line| line.starts_with("at ./src")).take(4).collect();
        *SITES.lock().unwrap().entry(ours.join(" ")).or_default() += 1;
        COUNTED.set(true);
    }
}

// SAFETY: every call goes to the system allocator unchanged; counting touches an atomic and a thread-local only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is being measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Full frames over TCP, laid out by the CPU backend.
    Full,
    /// A compact class over TCP and WebSocket. Its nodes stay within one box: a chain that begins anew allocates.
    Compact,
}

impl Scene {
    fn nodes(self) -> u32 {
        match self {
            Self::Full => 64,
            // Two blocks, so that there is something to choose.
            Self::Compact => 1_100,
        }
    }

    fn profile(self) -> Profile {
        match self {
            Self::Full => Profile::Own,
            Self::Compact => Profile::Compact,
        }
    }

    fn transport(self, client: usize) -> Transport {
        if self == Self::Compact && client.is_multiple_of(2) { Transport::WebSocket } else { Transport::Tcp }
    }

    fn backend(self) -> Box<dyn Backend> {
        match self {
            Self::Full => {
                let mut backend = CpuBackend::new(SimParams::default());
                backend.upload(topology(self.nodes())).unwrap();
                Box::new(backend)
            }
            Self::Compact => Box::new(Swing { tick: 0 }),
        }
    }
}

/// A ring with spokes, never settling.
fn topology(nodes: u32) -> Topology {
    let edges = (0..nodes).flat_map(|node| [(node, (node + 1) % nodes), (node, (node * 7 + 3) % nodes)]);
    let edges: Vec<_> = edges.map(|(from, to)| (NodeIndex(from), NodeIndex(to), 1.0)).collect();
    let csr = Csr::new(nodes as usize, edges.iter().copied());
    Topology { csr, start: vec![None; nodes as usize], pinned: vec![false; nodes as usize] }
}

fn identity(nodes: u32) -> Identity {
    let index = IdIndex::new((0..nodes).map(|id| NodeId::new(id).unwrap())).unwrap();
    Identity { epoch: 1, words: (0..nodes).collect(), index }
}

/// Nodes that swing about their places for ever.
struct Swing {
    tick: u32,
}

impl Swing {
    fn at(&self, node: usize) -> [f32; 3] {
        [0, 1, 2].map(|axis| {
            let home = ((node * 7_919 + axis * 104_729) % 1_000) as f32;
            home + (self.tick as f32 * 0.1 + node as f32).sin() * 20.0
        })
    }
}

impl Backend for Swing {
    fn name(&self) -> &'static str {
        "swing"
    }
    fn upload(&mut self, _: Topology) -> Result<(), BackendError> {
        Ok(())
    }
    fn apply(&mut self, _: &SimParams) -> Result<(), ParamError> {
        Ok(())
    }
    fn params(&self) -> SimParams {
        SimParams::default()
    }
    fn step(&mut self) -> StepReport {
        self.tick += 1;
        StepReport::default()
    }
    fn hold(&mut self, _: NodeIndex, _: [f32; 3]) {}
    fn release(&mut self, _: NodeIndex) {}
    fn pin(&mut self, _: NodeIndex, _: bool) {}
    fn is_pinned(&self, _: NodeIndex) -> bool {
        false
    }
    fn warm(&mut self, _: &[NodeIndex]) {}
    fn reheat(&mut self) {}
    fn write_into(&self, records: &mut [NodeRecord]) {
        for (node, record) in records.iter_mut().enumerate() {
            record.set_motion(self.at(node), [0.0; 3]);
        }
    }
    fn position(&self, node: NodeIndex) -> Option<[f32; 3]> {
        Some(self.at(node.get()))
    }
    fn read_positions(&self, out: &mut [[f32; 3]]) {
        out.iter_mut().enumerate().for_each(|(node, out)| *out = self.at(node));
    }
    fn set_extra_forces(&mut self, _: &[[f32; 4]]) {}
    fn set_springs(&mut self, _: &[f32], _: &[f32]) {}
    fn repulsion_error(&mut self, _: usize) -> Option<f32> {
        None
    }
    fn footprint(_: usize, _: usize) -> usize {
        0
    }
}

fn adopt(listener: &TcpListener, number: u64, scene: Scene) -> (TcpStream, Adopt) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    stream.set_nodelay(true).unwrap();
    let grant = Grant {
        session: SessionId(number + 1),
        class: CLASS,
        profile: scene.profile(),
        demand_bytes: 1,
        greeting: "{}".into(),
        interest: None,
        missed: None,
        version: 0,
    };
    let transport = scene.transport(number as usize);
    (client, Adopt { stream, peer, transport, grant, first: Vec::new(), received: Vec::new() })
}

/// A message as its transport carries it.
fn said(transport: Transport, opcode: u8, message: &[u8]) -> Vec<u8> {
    match transport {
        Transport::Tcp => [message, b"\n"].concat(),
        Transport::WebSocket => {
            let mask = [1, 2, 3, 4];
            let masked = message.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
            let length = message.len() as u8;
            assert!(length < 126);
            [0x80 | opcode, 0x80 | length].into_iter().chain(mask).chain(masked).collect()
        }
    }
}

/// Reads whatever came to every client. The first ten also drag a node each; those of a compact class acknowledge ten times
/// a second, and twice a second they want to see something else.
fn play(clients: &mut [TcpStream], scene: Scene, stop: &AtomicBool, received: &AtomicU64) {
    let mut scratch = vec![0; 1 << 20];
    let mut turn = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for (number, client) in clients.iter_mut().enumerate() {
            match client.read(&mut scratch) {
                Ok(bytes) => drop(received.fetch_add(bytes as u64, Ordering::Relaxed)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let transport = scene.transport(number);
            let mut say = |opcode, message: &[u8]| client.write_all(&said(transport, opcode, message)).unwrap();
            if number < DRAGGERS && turn.is_multiple_of(10) {
                let x = (turn % 100) as f32;
                let line = format!("{{\"type\":\"nodeDragUpdate\",\"nodeId\":{number},\"position\":[{x},1,2]}}");
                say(1, line.as_bytes());
            }
            // Everyone at another time.
            let turn = turn + number as u64 * 5 / 2;
            if scene == Scene::Compact && turn.is_multiple_of(50) {
                // More than was sent cannot have arrived: all of it has.
                let binary: Vec<u8> = [0x34].into_iter().chain(u64::MAX.to_le_bytes()).chain([0; 12]).collect();
                match transport {
                    Transport::WebSocket => say(2, &binary),
                    Transport::Tcp => say(1, br#"{"type":"ack","sequence":9007199254740991}"#),
                }
            }
            if scene == Scene::Compact && turn.is_multiple_of(250) {
                match turn / 250 % 3 {
                    0 => say(1, br#"{"type":"interest","blocks":[0]}"#),
                    1 => say(1, br#"{"type":"interest","blocks":[1]}"#),
                    _ => say(1, br#"{"type":"interest","blocks":[0,1]}"#),
                }
            }
        }
        turn += 1;
        thread::sleep(Duration::from_millis(2));
    }
}

/// The part of `control`: finds the blocks that clients want, which here they name themselves.
fn resolve(events: &mut Consumer<ShardEvent>, messages: &mut Producer<ShardMessage>, resolved: &AtomicU64) {
    while let Some(event) = events.pop() {
        if let ShardEvent::Interest { origin, mut interest, asked } = event {
            interest.order = 1;
            interest.wanted = BlockSet::default();
            interest.wanted.add_all(&interest.ask.blocks);
            let text = Some(r#"{"type":"interest_confirmed"}"#.into());
            messages.push(ShardMessage::Interest { handle: origin.handle, interest, text, asked }).unwrap();
            resolved.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_thousand_ticks_of_full_frames_to_a_hundred_clients_allocate_nothing() {
    measure(Scene::Full);
}

#[test]
fn a_thousand_ticks_of_a_compact_class_to_a_hundred_clients_allocate_nothing() {
    measure(Scene::Compact);
}

fn measure(scene: Scene) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let metrics = Arc::new(Metrics::new(1));
    let (poll, bell) = poll_with_bell().unwrap();
    let quiet = Arc::new(Doorbell::silent());
    let (frames, frames_in) = lane("sim->shard.frame", 8, Overflow::Conflate, Arc::clone(&bell));
    let (mut adopt_out, adopt_in) = lane("door->shard.connection", 256, Overflow::Refuse, Arc::clone(&bell));
    let (mut message_out, message_in) = lane("control->shard.message", 256, Overflow::Refuse, Arc::clone(&bell));
    let (commands, commands_in) = lane("shard->sim.command", 1_024, Overflow::Refuse, Arc::clone(&quiet));
    let (events, mut events_in) = lane("shard->control.event", 4_096, Overflow::Refuse, Arc::clone(&quiet));
    let (mut control_out, control_in) = lane("control->sim.command", 16, Overflow::Refuse, Arc::clone(&quiet));
    let (latest, _latest_in) = lane("sim->control.frame", 1, Overflow::Conflate, Arc::clone(&quiet));
    let (sim_events, _sim_events_in) = lane("sim->control.event", 256, Overflow::Refuse, Arc::clone(&quiet));
    let pool_low = Arc::new(AtomicBool::new(false));

    let options = ShardOptions {
        lease_ns_max: 1_000_000_000,
        stall_ns_max: 10_000_000_000,
        copy_bytes_max: 1 << 20,
        connections_max: CLIENTS,
        ..ShardOptions::default()
    };
    let lanes = ShardLanes { frames: frames_in, adopt: adopt_in, messages: message_in, commands, events };
    let block = Arc::clone(&metrics.shards[0]);
    let shard = ShardLoop::new(0, poll, bell, lanes, options, Arc::clone(&block), Arc::clone(&pool_low));
    let identity = identity(scene.nodes());
    let lanes =
        SimLanes { control: control_in, shards: vec![commands_in], frames: vec![frames], latest, events: sim_events };
    // A late shard would bring the later frames of the pool into use after the warm-up: here they have all been used.
    let mut pool = FramePool::new(16);
    let used: Vec<_> = (0..pool.len())
        .map(|_| {
            pool.publish(|frame| {
                frame.begin(Stamp { epoch: identity.epoch, ..Stamp::default() }, &identity.words);
                if scene == Scene::Full {
                    frame.encode(CLASS, Profile::Own, 1);
                }
                frame.publish_at(1);
            })
        })
        .collect();
    drop(used);
    let sim = Sim::new(scene.backend(), identity, false, 120, pool, lanes, Arc::clone(&metrics), pool_low);
    let spec = ClassSpec::new(scene.profile(), 120);
    let chain =
        (scene == Scene::Compact).then(|| Box::new(ChainWriter::new(CLASS, spec, scene.nodes() as usize).unwrap()));
    control_out.push(SimCommand::OpenClass { class: CLASS, spec, chain }).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut clients = Vec::new();
    for number in 0..CLIENTS as u64 {
        let (client, adopt) = adopt(&listener, number, scene);
        clients.push(client);
        adopt_out.push(adopt).unwrap();
    }
    let (stop_sim, stop_clients) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let received = Arc::new(AtomicU64::new(0));

    let counted_shard = thread::spawn(move || {
        COUNTED.set(true);
        shard.run().unwrap()
    });
    let stop = Arc::clone(&stop_sim);
    let counted_sim = thread::spawn(move || {
        COUNTED.set(true);
        sim.run(&quiet, &Parker::new(), &stop);
    });
    let (stop, bytes) = (Arc::clone(&stop_clients), Arc::clone(&received));
    let resolved = Arc::new(AtomicU64::new(0));
    let player = thread::spawn(move || play(&mut clients, scene, &stop, &bytes));

    let mut wait_for_tick = |tick: u64, changes: u64| {
        let started = Instant::now();
        while metrics.sim.ticks.get() < tick || resolved.load(Ordering::Relaxed) < changes {
            assert!(started.elapsed() < Duration::from_secs(120), "ticks stand still at {}", metrics.sim.ticks.get());
            resolve(&mut events_in, &mut message_out, &resolved);
            thread::sleep(Duration::from_millis(5));
        }
    };
    // Everyone has asked for something twice, so that memory for it is there.
    let asked_twice = if scene == Scene::Compact { 2 * CLIENTS as u64 } else { 0 };
    wait_for_tick(WARM_UP_TICKS, asked_twice);
    let warm = ASKED.load(Ordering::Relaxed);
    let (frames_before, commands_before) = (block.frames_sent.get(), metrics.sim.commands.get());
    let resolved_before = resolved.load(Ordering::Relaxed);
    WARM.store(true, Ordering::Relaxed);
    wait_for_tick(metrics.sim.ticks.get() + TICKS, 0);
    WARM.store(false, Ordering::Relaxed);
    let asked = ASKED.load(Ordering::Relaxed) - warm;
    let (sent, commands) = (block.frames_sent.get() - frames_before, metrics.sim.commands.get() - commands_before);

    stop_clients.store(true, Ordering::Relaxed);
    player.join().unwrap();
    message_out.push(ShardMessage::Shutdown { code: CloseCode::Away, reason: "the test is over" }).unwrap();
    counted_shard.join().unwrap();
    stop_sim.store(true, Ordering::Relaxed);
    counted_sim.join().unwrap();

    assert!(warm > 0, "the allocator counts: adopting connections allocates");
    assert!(sent > TICKS * CLIENTS as u64 / 2, "{sent} frames were sent, so this measured something");
    assert!(commands > 100, "{commands} drags arrived, so the way in was measured too");
    assert!(received.load(Ordering::Relaxed) > 0);
    let changes = resolved.load(Ordering::Relaxed) - resolved_before;
    assert!(scene == Scene::Full || changes > 3 * CLIENTS as u64, "{changes} interests were changed");
    let sites = std::mem::take(&mut *SITES.lock().unwrap());
    assert_eq!(asked, 0, "allocations of sim and shard in {TICKS} ticks: {sites:#?}");
}
