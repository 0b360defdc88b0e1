//! Goal: from published frame to socket and from socket to command, nothing is allocated in steady state (C1).
//! Method: the real `sim` and `shard` threads over real sockets, 100 clients of which 10 drag nodes, and an allocator that
//! counts what those two threads ask for. After a warm-up, 1,000 ticks at 120 Hz must ask for nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use swarmcast::graph::{Csr, IdIndex, NodeId, NodeIndex};
use swarmcast::handoff::{
    Adopt, ClassRef, Doorbell, FramePool, Grant, Overflow, SessionId, ShardMessage, SimCommand, Stamp, Transport, lane,
};
use swarmcast::metrics::Metrics;
use swarmcast::net::{ShardLanes, ShardLoop, ShardOptions, poll_with_bell};
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, Identity, Sim, SimLanes, SimParams, Topology};
use swarmcast::wire::{ClassSpec, CloseCode, Profile};

const CLIENTS: usize = 100;
const DRAGGERS: usize = 10;
const NODES: u32 = 64;
const TICKS: u64 = 1_000;
const WARM_UP_TICKS: u64 = 120;
const CLASS: ClassRef = ClassRef { slot: 0, serial: 1 };

struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        ASKED.fetch_add(1, Ordering::Relaxed);
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

/// A ring with spokes, never settling.
fn topology() -> (Topology, Identity) {
    let edges = (0..NODES).flat_map(|node| [(node, (node + 1) % NODES), (node, (node * 7 + 3) % NODES)]);
    let edges: Vec<_> = edges.map(|(from, to)| (NodeIndex(from), NodeIndex(to), 1.0)).collect();
    let csr = Csr::new(NODES as usize, edges.iter().copied());
    let topology = Topology { csr, start: vec![None; NODES as usize], pinned: vec![false; NODES as usize] };
    let index = IdIndex::new((0..NODES).map(|id| NodeId::new(id).unwrap())).unwrap();
    (topology, Identity { epoch: 1, words: (0..NODES).collect(), index })
}

fn adopt(listener: &TcpListener, number: u64) -> (TcpStream, Adopt) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    stream.set_nodelay(true).unwrap();
    let grant = Grant {
        session: SessionId(number),
        class: CLASS,
        profile: Profile::Own,
        demand_bytes: 1,
        greeting: "{}".into(),
    };
    (client, Adopt { stream, peer, transport: Transport::Tcp, grant, first: Vec::new(), received: Vec::new() })
}

/// Reads whatever came to every client; the first ten also drag a node each.
fn play(clients: &mut [TcpStream], stop: &AtomicBool, received: &AtomicU64) {
    let mut scratch = vec![0; 1 << 20];
    let mut turn = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for client in clients.iter_mut() {
            match client.read(&mut scratch) {
                Ok(bytes) => drop(received.fetch_add(bytes as u64, Ordering::Relaxed)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        if turn.is_multiple_of(10) {
            for (number, client) in clients.iter_mut().take(DRAGGERS).enumerate() {
                let x = (turn % 100) as f32;
                let line = format!("{{\"type\":\"nodeDragUpdate\",\"nodeId\":{number},\"position\":[{x},1,2]}}\n");
                client.write_all(line.as_bytes()).unwrap();
            }
        }
        turn += 1;
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_thousand_ticks_to_a_hundred_clients_allocate_nothing() {
    let metrics = Arc::new(Metrics::new(1));
    let (poll, bell) = poll_with_bell().unwrap();
    let quiet = Arc::new(Doorbell::silent());
    let (frames, frames_in) = lane("sim->shard.frame", 8, Overflow::Conflate, Arc::clone(&bell));
    let (mut adopt_out, adopt_in) = lane("door->shard.connection", 256, Overflow::Refuse, Arc::clone(&bell));
    let (mut message_out, message_in) = lane("control->shard.message", 16, Overflow::Refuse, Arc::clone(&bell));
    let (commands, commands_in) = lane("shard->sim.command", 1_024, Overflow::Refuse, Arc::clone(&quiet));
    let (events, _events_in) = lane("shard->control.event", 4_096, Overflow::Refuse, Arc::clone(&quiet));
    let (mut control_out, control_in) = lane("control->sim.command", 16, Overflow::Refuse, Arc::clone(&quiet));
    let (latest, _latest_in) = lane("sim->control.frame", 1, Overflow::Conflate, Arc::clone(&quiet));
    let (sim_events, _sim_events_in) = lane("sim->control.event", 256, Overflow::Refuse, quiet);
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
    let (topology, identity) = topology();
    let mut backend = CpuBackend::new(SimParams::default());
    backend.upload(topology).unwrap();
    let lanes =
        SimLanes { control: control_in, shards: vec![commands_in], frames: vec![frames], latest, events: sim_events };
    // A late shard would bring the later frames of the pool into use after the warm-up: here they have all been used.
    let mut pool = FramePool::new(16);
    let used: Vec<_> = (0..pool.len())
        .map(|_| {
            pool.publish(|frame| {
                frame.begin(Stamp { epoch: identity.epoch, ..Stamp::default() }, &identity.words);
                frame.encode(CLASS, Profile::Own, 1);
                frame.publish_at(1);
            })
        })
        .collect();
    drop(used);
    let sim = Sim::new(Box::new(backend), identity, false, 120, pool, lanes, Arc::clone(&metrics), pool_low);
    let spec = ClassSpec::new(Profile::Own, 120);
    control_out.push(SimCommand::OpenClass { class: CLASS, spec, chain: None }).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut clients = Vec::new();
    for number in 0..CLIENTS as u64 {
        let (client, adopt) = adopt(&listener, number + 1);
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
        sim.run(&stop);
    });
    let (stop, bytes) = (Arc::clone(&stop_clients), Arc::clone(&received));
    let player = thread::spawn(move || play(&mut clients, &stop, &bytes));

    let wait_for_tick = |tick: u64| {
        let started = Instant::now();
        while metrics.sim.ticks.get() < tick {
            assert!(started.elapsed() < Duration::from_secs(120), "ticks stand still at {}", metrics.sim.ticks.get());
            thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for_tick(WARM_UP_TICKS);
    let warm = ASKED.load(Ordering::Relaxed);
    let (frames_before, commands_before) = (block.frames_sent.get(), metrics.sim.commands.get());
    wait_for_tick(WARM_UP_TICKS + TICKS);
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
    assert_eq!(asked, 0, "allocations of sim and shard in {TICKS} ticks");
}
