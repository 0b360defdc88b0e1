//! The engine without threads, sockets and clock: `sim`, `control` and the shards take their turns as the seed says.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use swarmcast::api::steer::SteerFacts;
use swarmcast::base::Handle;
use swarmcast::control::{Control, ControlFacts, ControlLanes, FilesDesk, Jobs, Past, Room, SettingsFacts, net_limits};
use swarmcast::graph::{GraphBuilder, GraphLimits, NodeClass, NodeKind};
use swarmcast::handoff::{
    Adopt, Bounds, Consumer, DoorReply, DoorRequest, Doorbell, FramePool, Grant, Overflow, Producer, RuleScale,
    Transport, lane,
};
use swarmcast::metrics::{Health, Metrics};
use swarmcast::net::{Patience, Shard, ShardLanes, ShardOptions};
use swarmcast::settings::NetOptions;
use swarmcast::sim::{Identity, Sim, SimLanes};
use swarmcast::wire::compact::BLOCK_NODES;
use swarmcast::wire::{Detail, Hello, Profile};

use super::chance::Chance;
use super::client::{Client, Truth, UPGRADE, id_of};
use super::script::{Mode, Script, Scripted};
use super::socket::{Socket, Virtual};

pub const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const EPOCH: u32 = 1;

/// How long anything may take once nothing is wrong any more.
const PATIENCE_NS: u64 = 6 * SECOND;

/// A shard as its loop holds it.
struct Desk {
    shard: Shard<Virtual>,
    bell: Arc<Doorbell>,
    rung: Arc<AtomicBool>,
    asleep_until_ns: Option<u64>,
    /// It does not look before this.
    late_until_ns: u64,
    adopt: Producer<Adopt<Socket>>,
}

pub struct World {
    chance: Chance,
    clock: Rc<Cell<u64>>,
    script: Arc<Mutex<Script>>,
    words: Vec<u32>,
    rate_hz: u64,
    sim: Sim,
    next_tick_ns: u64,
    control: Control,
    control_late_until_ns: u64,
    requests: Producer<DoorRequest>,
    replies: Consumer<DoorReply>,
    desks: Vec<Desk>,
    /// Let in, and not yet with a shard.
    granted: VecDeque<(Client, Grant)>,
    asking: Vec<Client>,
    pub clients: Vec<Client>,
    joined: u64,
    clients_max: usize,
    pub metrics: Arc<Metrics>,
    faults: bool,
    pool_frames: usize,
}

fn bell() -> (Arc<Doorbell>, Arc<AtomicBool>) {
    let rung = Arc::new(AtomicBool::new(false));
    let ring = Arc::clone(&rung);
    (Arc::new(Doorbell::new(Box::new(move || ring.store(true, Ordering::Relaxed)))), rung)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let nodes = match chance.range(0, 9) {
            0..6 => chance.size(1, 60),
            6..8 => chance.size(BLOCK_NODES - 1, BLOCK_NODES + 2),
            _ => chance.size(BLOCK_NODES + 1, 2 * BLOCK_NODES + 300),
        };
        let rate_hz = chance.pick(&[60, 60, 60, 20, 120]);
        let shard_count = chance.size(1, 3);
        let small = chance.one_in(3);
        let slots = |large: usize, least: usize| if small { least } else { large };
        let metrics = Arc::new(Metrics::new(shard_count));
        let pool_low = Arc::new(AtomicBool::new(false));
        let quiet = Arc::new(Doorbell::silent());
        let clock = Rc::new(Cell::new(SECOND + chance.range(0, SECOND)));

        let mut builder = GraphBuilder::new(nodes, 0);
        for index in 0..nodes as u32 {
            let node = builder.node(&id_of(index).to_string()).unwrap();
            let kind = if index % 50 == 7 { NodeKind::Agent } else { NodeKind::Knowledge };
            builder.node_mut(node).unwrap().class = NodeClass { kind, private: index % 11 == 0 };
        }
        let graph = builder.finish();
        let words: Vec<u32> = graph.nodes().iter().map(|node| node.id.get() | node.class.wire_bits()).collect();
        let identity = Identity { epoch: EPOCH, words: words.clone(), index: graph.ids() };

        let (latest_out, latest_in) = lane("sim->control.frame", 1, Overflow::Conflate, Arc::clone(&quiet));
        let (sim_events_out, sim_events_in) =
            lane("sim->control.event", slots(256, 2), Overflow::Refuse, Arc::clone(&quiet));
        let (sim_out, sim_in) = lane("control->sim.command", slots(256, 1), Overflow::Refuse, Arc::clone(&quiet));
        let (requests, requests_in) = lane("door->control.request", 64, Overflow::Refuse, Arc::clone(&quiet));
        let (replies_out, replies) = lane("control->door.reply", 64, Overflow::Refuse, Arc::clone(&quiet));
        let options = ShardOptions {
            lease_ns_max: chance.pick(&[50 * MS, 300 * MS, SECOND]),
            stall_ns_max: chance.pick(&[SECOND, 5 * SECOND]),
            copy_bytes_max: chance.pick(&[2_000, 100_000, 64 << 20]),
            connections_max: 64,
            patience: Patience {
                ping_ns: chance.pick(&[30 * SECOND, 500 * MS]),
                pong_ns: chance.pick(&[10 * SECOND, 300 * MS]),
            },
            ..ShardOptions::default()
        };
        let (mut frames, mut commands, mut events, mut messages, mut desks) = (vec![], vec![], vec![], vec![], vec![]);
        for index in 0..shard_count {
            let (bell, rung) = bell();
            let (frames_out, frames_in) = lane("sim->shard.frame", 8, Overflow::Conflate, Arc::clone(&bell));
            let (adopt, adopt_in) = lane("door->shard.connection", 8, Overflow::Refuse, Arc::clone(&bell));
            let (message_out, message_in) =
                lane("control->shard.message", slots(256, 2), Overflow::Refuse, Arc::clone(&bell));
            let (command_out, command_in) =
                lane("shard->sim.command", slots(256, 1), Overflow::Refuse, Arc::clone(&quiet));
            let (event_out, event_in) =
                lane("shard->control.event", slots(256, 2), Overflow::Refuse, Arc::clone(&quiet));
            let lanes = ShardLanes {
                frames: frames_in,
                adopt: adopt_in,
                messages: message_in,
                commands: command_out,
                events: event_out,
            };
            let platform = Virtual::new(Rc::clone(&clock));
            let block = Arc::clone(&metrics.shards[index]);
            let shard = Shard::new(index as u8, platform, lanes, options, block, Arc::clone(&pool_low));
            frames.push(frames_out);
            commands.push(command_in);
            events.push(event_in);
            messages.push(message_out);
            desks.push(Desk { shard, bell, rung, asleep_until_ns: None, late_until_ns: 0, adopt });
        }
        let pool_frames = 8 * shard_count + chance.size(4, 24);
        let script = Arc::new(Mutex::new(Script::new(chance.split(), nodes)));
        let lanes = SimLanes { control: sim_in, shards: commands, frames, latest: latest_out, events: sim_events_out };
        let sim = Sim::new(
            Box::new(Scripted(Arc::clone(&script))),
            identity,
            false,
            rate_hz as u16,
            FramePool::new(pool_frames),
            lanes,
            Arc::clone(&metrics),
            pool_low,
        );
        let scale = RuleScale { stiffness: 1_200.0, length: 80.0, force_cap: 1e5, flat: false };
        let facts = ControlFacts {
            name: "model".to_owned(),
            tick_rate: rate_hz as u16,
            dimensions: 3,
            backend: "script",
            connections_max: 64,
            connections_per_address_max: None,
            connections_per_address_automatic: 64,
            steer: SteerFacts { scale, bounds: Bounds { fixed: 10_000.0, unit: 0.0, most: 10_000.0 } },
            limits: GraphLimits { nodes: 1_000_000, edges: 1_000_000 },
            room: Room { needed: Arc::new(|_, _| 0), available: || None },
            settings: SettingsFacts::default(),
            net_limits: Arc::new(net_limits(&NetOptions::default())),
        };
        let lanes = ControlLanes {
            requests: requests_in,
            replies: replies_out,
            shard_events: events,
            shard_messages: messages,
            sim: sim_out,
            sim_events: sim_events_in,
            latest: latest_in,
            jobs: Jobs::new(
                lane("control->worker.order", 1, Overflow::Refuse, Arc::clone(&quiet)).0,
                lane("worker->control.report", 2, Overflow::Refuse, Arc::clone(&quiet)).1,
            ),
            store: None,
            files: FilesDesk {
                orders: lane("control->files.order", 1, Overflow::Refuse, Arc::clone(&quiet)).0,
                reports: lane("files->control.report", 1, Overflow::Refuse, Arc::clone(&quiet)).1,
                follow_ns: None,
            },
            mcp: None,
            sources: None,
        };
        let health = Arc::new(Health::default());
        let control = Control::new(
            graph,
            Past { epoch: EPOCH, ..Past::default() },
            facts,
            lanes,
            quiet,
            Arc::clone(&metrics),
            health,
            Vec::new(),
        );
        let next_tick_ns = clock.get();
        let clients_max = if nodes > 100 { 4 } else { 10 };
        Self {
            chance,
            clock,
            script,
            words,
            rate_hz,
            sim,
            next_tick_ns,
            control,
            control_late_until_ns: 0,
            requests,
            replies,
            desks,
            granted: VecDeque::new(),
            asking: Vec::new(),
            clients: Vec::new(),
            joined: 0,
            clients_max,
            metrics,
            faults: true,
            pool_frames,
        }
    }

    pub fn node_count(&self) -> usize {
        self.words.len()
    }

    /// A little time passes, and everyone who is due takes a turn.
    pub fn step(&mut self) {
        let passed = if self.faults { self.chance.range(MS / 5, 4 * MS) } else { 2 * MS };
        self.clock.set(self.clock.get() + passed);
        let now_ns = self.clock.get();
        if self.faults {
            self.misfortune(now_ns);
        }
        if now_ns >= self.next_tick_ns {
            self.sim.turn(self.next_tick_ns, now_ns);
            while self.next_tick_ns <= now_ns {
                self.next_tick_ns += SECOND / self.rate_hz;
            }
        }
        if now_ns >= self.control_late_until_ns {
            self.control.turn();
        }
        self.door();
        for desk in &mut self.desks {
            desk.turn(now_ns);
        }
        let script = self.script.lock().unwrap();
        let truth = Truth { history: &script.history, words: &self.words };
        for client in &mut self.clients {
            client.turn(now_ns, &truth, self.faults);
        }
    }

    fn misfortune(&mut self, now_ns: u64) {
        let joins = self.clients.iter().filter(|client| client.is_connected()).count() + self.asking.len();
        match self.chance.range(0, 399) {
            0..12 if joins < self.clients_max => self.join(),
            12..14 => {
                let desk = self.chance.size(0, self.desks.len() - 1);
                let longest = if self.chance.one_in(4) { 900 } else { 100 };
                self.desks[desk].late_until_ns = now_ns + self.chance.range(5, longest) * MS;
            }
            14 => self.control_late_until_ns = now_ns + self.chance.range(5, 200) * MS,
            15 => self.next_tick_ns += self.chance.range(1, 60) * MS,
            16..19 => {
                let mode = self.chance.pick(&[Mode::Swing, Mode::Swing, Mode::Noise, Mode::Drift, Mode::Rest]);
                self.script.lock().unwrap().mode = mode;
            }
            19 => {
                let jump = self.chance.one_in(2);
                self.script.lock().unwrap().deal(jump);
            }
            20 => {
                let scale = self.chance.pick(&[0.0, 0.1, 0.6, 1.0, 3.0, 40.0]);
                self.script.lock().unwrap().scale = scale;
            }
            _ => {}
        }
    }

    /// A client asks to be let in.
    fn join(&mut self) {
        self.joined += 1;
        let transport = self.chance.pick(&[Transport::WebSocket, Transport::Tcp]);
        let profile =
            self.chance.pick(&[Profile::Compact, Profile::Compact, Profile::Compact, Profile::Own, Profile::V2]);
        let rate_hz = self.chance.pick(&[None, None, None, Some(20), Some(7), Some(1)]);
        let detail = match profile {
            Profile::Compact => Detail { bits: self.chance.pick(&[14, 14, 16, 10]), flat: self.chance.one_in(6) },
            _ => Detail::default(),
        };
        let hello = Hello { profile: Some(profile), rate_hz, detail, ..Hello::default() };
        let shard = self.chance.size(0, self.desks.len() - 1);
        let client = Client::new(self.joined, shard, self.chance.split(), transport, profile, self.node_count());
        let token = Handle { slot: self.joined as u32, generation: 0 };
        if self.requests.push(DoorRequest::Open { token, hello, address: [127, 0, 0, 1].into() }).is_ok() {
            self.asking.push(client);
        }
    }

    /// What the door does for a stream: asks, and hands it over.
    fn door(&mut self) {
        while let Some(reply) = self.replies.pop() {
            let (token, grant) = match reply {
                DoorReply::Granted { token, grant } => (token, Some(grant)),
                DoorReply::Refused { token, .. } => (token, None),
                DoorReply::Http { .. } | DoorReply::Headed { .. } => panic!("nobody asked"),
            };
            let place = self.asking.iter().position(|client| client.number == u64::from(token.slot)).unwrap();
            let client = self.asking.swap_remove(place);
            if let Some(grant) = grant {
                self.granted.push_back((client, grant));
            }
        }
        while let Some((client, grant)) = self.granted.pop_front() {
            if self.faults && self.chance.one_in(30) {
                let abandoned = self.requests.push(DoorRequest::Abandon { session: grant.session });
                assert!(abandoned.is_ok(), "the door waits when control is that busy");
                continue;
            }
            let first = match client.is_web_socket() {
                true => UPGRADE.to_vec(),
                false => Vec::new(),
            };
            let adopt = Adopt {
                stream: Socket(Rc::clone(&client.pipe)),
                peer: ([127, 0, 0, 1], 1).into(),
                transport: client.transport(),
                grant: grant.clone(),
                first,
                received: Vec::new(),
            };
            match self.desks[client.shard].adopt.push(adopt) {
                Ok(_) => self.clients.push(client),
                Err(_) => {
                    self.granted.push_front((client, grant));
                    break;
                }
            }
        }
    }

    /// Runs for so long, until `done` says so.
    fn run(&mut self, longest_ns: u64, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end_ns = self.clock.get() + longest_ns;
        while self.clock.get() < end_ns {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    /// Nothing goes wrong any more: everyone who is connected comes to be live and up to date, first while the nodes move,
    /// then at rest; and when all have gone nothing is held for them.
    pub fn recover(&mut self) {
        self.faults = false;
        self.control_late_until_ns = 0;
        self.desks.iter_mut().for_each(|desk| desk.late_until_ns = 0);
        self.script.lock().unwrap().mode = Mode::Swing;
        for client in &mut self.clients {
            client.recover();
        }
        // A drag or a change of pins wakes a simulation at rest; here nobody may be left to do it.
        self.wake();
        if !self.run(PATIENCE_NS, |world| world.asking.is_empty() && world.granted.is_empty() && world.all_fresh()) {
            self.complain("while nodes move");
        }
        self.count();
        let waits = |metrics: &Metrics| (metrics.sim.chain_waits.get(), metrics.sim.pool_waits.get());
        let before = waits(&self.metrics);
        self.run(SECOND, |_| false);
        if !self.all_fresh() {
            self.complain("a second after they were");
        }
        assert_eq!(before, waits(&self.metrics), "ticks found a pool dry although everyone reads: chains, frames");
        self.script.lock().unwrap().mode = Mode::Rest;
        let settled = |world: &Self| world.metrics.sim.settled.get() == 1.0;
        assert!(
            self.run(PATIENCE_NS, |world| settled(world) && world.all_at(world.tick())),
            "at rest{}",
            self.late_ones(self.tick())
        );
        self.run(SECOND / 2, |_| false);
        self.check_followed();
        self.count();
        self.clients.iter_mut().filter(|client| client.is_connected()).for_each(Client::leave);
        assert!(self.run(PATIENCE_NS, |world| world.everyone_gone()), "{:?} are still there", self.connections());
        self.count();
        let (classes, drags) = (self.metrics.sim.classes.get(), self.metrics.sim.drags.get());
        assert_eq!((classes, drags), (0.0, 0.0), "classes and drags of nobody");
    }

    fn wake(&mut self) {
        // The script moves when it is stepped; a heartbeat's worth of rest ends with the first new drag.
        let node = id_of(0);
        if let Some(client) = self.clients.iter_mut().find(|client| client.is_connected()) {
            client.say(&serde_json::json!({"type": "nodeDragUpdate", "nodeId": node, "position": [1, 2, 3]}));
        } else {
            self.join();
        }
    }

    fn tick(&self) -> u64 {
        self.script.lock().unwrap().tick()
    }

    /// Everyone has a state that is as new as the rate of the class allows.
    fn all_fresh(&self) -> bool {
        let tick = self.tick();
        let connected = self.clients.iter().filter(|client| client.is_connected());
        connected.into_iter().all(|client| client.tick + self.age_max(client) >= tick)
    }

    fn age_max(&self, client: &Client) -> u64 {
        let rate = if client.rung == "snapshots" { 1 } else { client.rate.max(1) };
        self.rate_hz.div_ceil(rate) * 3 / 2 + 4
    }

    fn all_at(&self, tick: u64) -> bool {
        self.clients.iter().filter(|client| client.is_connected()).all(|client| client.tick == tick)
    }

    fn late_ones(&self, tick: u64) -> String {
        let late = self.clients.iter().filter(|client| client.is_connected() && client.tick != tick);
        late.map(|client| client.story(tick)).collect()
    }

    fn complain(&self, when: &str) -> ! {
        let tick = self.tick();
        let late =
            self.clients.iter().filter(|client| client.is_connected() && client.tick + self.age_max(client) < tick);
        let stories: String = late.map(|client| client.story(tick)).collect();
        panic!("{when} {} are asking, and some are late:\n{stories}", self.asking.len() + self.granted.len());
    }

    fn check_followed(&self) {
        let blocks = self.node_count().div_ceil(BLOCK_NODES);
        for client in self.clients.iter().filter(|client| client.is_connected() && client.profile.is_chain()) {
            let followed: Vec<usize> = (0..blocks).filter(|block| client.follower.follows(*block)).collect();
            assert_eq!(followed, client.wanted(blocks), "blocks that are followed{}", client.story(self.tick()));
        }
    }

    fn connections(&self) -> Vec<f64> {
        self.metrics.shards.iter().map(|shard| shard.connections.get()).collect()
    }

    fn everyone_gone(&self) -> bool {
        self.connections().iter().all(|count| *count == 0.0) && self.metrics.sim.classes.get() == 0.0
    }

    /// Counters of each shard are what its clients' sockets show.
    fn count(&mut self) {
        let script = self.script.lock().unwrap();
        let truth = Truth { history: &script.history, words: &self.words };
        self.clients.iter_mut().for_each(|client| client.drain(&truth));
        for (index, shard) in self.metrics.shards.iter().enumerate() {
            let of_shard = || self.clients.iter().filter(|client| client.shard == index);
            let bytes: usize = of_shard().map(|client| client.pipe.borrow().taken.len()).sum();
            let frames: u64 = of_shard().map(|client| client.frames).sum();
            let left_out: u64 = of_shard().map(|client| client.left_out).sum();
            let (counted, spared) = ((shard.bytes_sent.get(), shard.frames_sent.get()), shard.frames_conflated.get());
            assert_eq!(counted, (bytes as u64, frames), "bytes and frames of shard {index}");
            // Legacy frames have no sequence to see it by.
            let blind = of_shard().any(|client| client.profile.is_legacy());
            assert!(
                spared == left_out || (blind && spared > left_out),
                "{spared} left out of shard {index}: {left_out} seen"
            );
            assert_eq!(shard.panics.get(), 0);
            assert_eq!(shard.protocol_errors.get(), 0);
            assert_eq!(shard.adopted.get() as usize, of_shard().count());
            let dropped: Vec<&Client> = of_shard().filter(|client| client.was_dropped() && !client.flooded).collect();
            let counted = shard.stalled.get() + shard.dead.get();
            let stories: String = dropped.iter().map(|client| client.story(0)).collect();
            assert!(dropped.len() as u64 <= counted, "{counted} of those dropped were stalled or silent: {stories}");
        }
        assert!(self.metrics.sim.pool_free.get() <= self.pool_frames as f64);
    }
}

impl Desk {
    /// The loop of a shard's thread: wakes for its bell, for edges and in time, unless something keeps it.
    fn turn(&mut self, now_ns: u64) {
        if now_ns < self.late_until_ns {
            return;
        }
        let woken = self.rung.swap(false, Ordering::Relaxed);
        let due = self.asleep_until_ns.is_some_and(|until_ns| now_ns >= until_ns);
        if woken || due || self.shard.platform_mut().any_edge() || self.asleep_until_ns.is_none() {
            self.bell.disarm();
            let edges = self.shard.platform_mut().edges();
            self.shard.end_turn(edges.into_iter());
            assert!(self.shard.begin_turn(), "nobody shuts down");
            self.bell.arm();
            let never = u64::MAX / 2;
            let nap_ns = self.shard.nap().map_or(never, |nap| nap.as_nanos() as u64);
            self.asleep_until_ns = Some(now_ns + nap_ns);
        }
    }
}
