//! What `control` does: one turn takes what every lane brings.
//!
//! Syscalls of a turn: one `write` or futex call per thread that it wakes. Who turns, and sleeps, is in `shared`. What it does about the graph is in
//! `mutate`, about agents in `mcp`, about the layout in `steer`, over HTTP in `pages`.

#[cfg(test)]
mod alone;
mod analytics;
mod figures;
mod files;
mod mcp;
mod mutate;
mod pages;
mod resume;
mod settings;
mod shared;
mod snapshots;
mod sources;
mod steer;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::files::FilesDesk;
use self::files::Filing;
use self::mcp::Mcp;
pub use self::mcp::{LookLanes, McpDesk};
pub use self::mutate::Room;
pub use self::mutate::StoreDesk;
use self::mutate::{Missed, Mutations, Reply};
use self::resume::{Former, Memory};
use self::settings::Settings;
pub use self::settings::{SettingsFacts, budgets, net_limits, steer_facts};
pub use self::shared::SharedControl;
use self::snapshots::Snapshots;
use self::sources::Sources;
pub use self::sources::SourcesDesk;
use self::steer::Steering;
use super::addresses::Addresses;
use super::classes::{ClassTable, Entry, Subscribed};
use super::interest::{resolve, size as interest_size};
use super::jobs::Jobs;
use super::relief::{Measure, NOTCHES_MAX, Relief};
use crate::api::steer::SteerFacts;
use crate::base::Handle;
use crate::base::clock::{monotonic_ns, unix_ms};
use crate::graph::{Graph, GraphLimits, NodeId};
use crate::handoff::{
    ChainWriter, ClassRef, Consumer, DoorReply, DoorRequest, Doorbell, Frame, Grant, HttpQuery, Interest, LaneStats,
    NetLimits, Origin, Producer, Refusal, Rung, SessionId, ShardEvent, ShardMessage, SimCommand, SimEvent,
};
use crate::metrics::{Health, Metrics};
use crate::wire::{ClassSpec, Detail, ErrorCategory, Hello, Profile, Protocol, ServerError, ServerMessage};

/// Items taken from one lane in one turn.
const ITEMS_PER_TURN_MAX: usize = 256;

/// Commands for `sim` that may be held back; beyond it clients are told to send again.
const HELD_BACK_MAX: usize = 256;

/// Sleep while commands are held back: `sim` makes room once a tick and rings no bell.
const SHORT_NAP: Duration = Duration::from_millis(1);

const JSON: &str = "application/json";

/// The lanes of `control`.
#[derive(Debug)]
pub struct ControlLanes {
    /// door → control.
    pub requests: Consumer<DoorRequest>,
    /// control → door.
    pub replies: Producer<DoorReply>,
    /// shard → control, one each.
    pub shard_events: Vec<Consumer<ShardEvent>>,
    /// control → shard, one each.
    pub shard_messages: Vec<Producer<ShardMessage>>,
    /// control → sim.
    pub sim: Producer<SimCommand>,
    /// sim → control.
    pub sim_events: Consumer<SimEvent>,
    /// sim → control: the newest frame.
    pub latest: Consumer<Arc<Frame>>,
    /// Analytics jobs, with the lanes to and from the worker.
    pub jobs: Jobs,
    /// Where changes are kept; `None` when they are not.
    pub store: Option<StoreDesk>,
    /// Files of graphs.
    pub files: FilesDesk,
    /// Agents; `None` without a door for them.
    pub mcp: Option<McpDesk>,
    /// Agents of other servers; `None` where none is asked.
    pub sources: Option<SourcesDesk>,
}

/// What came before this process.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The first epoch of this process: no client has seen it before.
    pub epoch: u32,
    /// Changes that the graph has had.
    pub version: u64,
    /// Answers by idempotency key, oldest first.
    pub answers: Vec<(Box<str>, Box<str>)>,
}

/// What `control` is told at start; some of it follows the settings from then on.
#[derive(Clone, Debug)]
pub struct ControlFacts {
    /// Name of the graph.
    pub name: String,
    /// Hz.
    pub tick_rate: u16,
    /// 2 or 3.
    pub dimensions: u8,
    /// Name of the backend.
    pub backend: &'static str,
    /// Streaming sessions at once.
    pub connections_max: usize,
    /// Of those, from one address; `None` is `connections_per_address_automatic`, and no limit on loopback.
    pub connections_per_address_max: Option<usize>,
    /// See there.
    pub connections_per_address_automatic: usize,
    /// Units of the rules that steer the layout.
    pub steer: SteerFacts,
    /// What the graph may grow to.
    pub limits: GraphLimits,
    /// What memory has room for.
    pub room: Room,
    /// What the engine is set to.
    pub settings: SettingsFacts,
    /// What network threads hold connections to.
    pub net_limits: Arc<NetLimits>,
}

/// Everything that the one writer of graph, sessions and classes owns.
pub struct Control {
    /// Shared with whoever looks for longer; a change copies it only then.
    graph: Arc<Graph>,
    epoch: u32,
    facts: ControlFacts,
    lanes: ControlLanes,
    bell: Arc<Doorbell>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    lane_stats: Vec<Arc<LaneStats>>,
    sessions: HashMap<SessionId, Session>,
    /// What clients had that may come back.
    memory: Memory,
    addresses: Addresses,
    classes: ClassTable,
    last_session: u64,
    latest: Option<Arc<Frame>>,
    /// Commands that did not fit into the lane to `sim` yet, in order.
    held_back: VecDeque<SimCommand>,
    data: Option<pages::RenderedData>,
    relief: Relief,
    steering: Steering,
    settings: Settings,
    mutations: Mutations,
    mcp: Mcp,
    sources: Sources,
    filing: Filing,
    snapshots: Snapshots,
    /// The thread looks again after a short while, whether it is woken or not.
    naps_shortly: bool,
    /// Requests that wait for a frame of the present structure, and since when.
    early: Vec<(Handle, HttpQuery, u64)>,
}

/// What a streaming session has, and what it asked for.
#[derive(Clone, Copy, Debug)]
struct Session {
    class: ClassRef,
    asked: ClassSpec,
    /// How much of it is given, because it could not keep up.
    rung: Rung,
    /// Where it comes from.
    address: IpAddr,
}

/// Bits of a position, where that is a choice.
fn bits(spec: &ClassSpec) -> Option<u8> {
    spec.profile.is_chain().then_some(spec.detail.bits)
}

impl Control {
    /// Over a graph at its first epoch, and before its first turn.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "everything it owns, named once")]
    pub fn new(
        graph: Graph,
        past: Past,
        facts: ControlFacts,
        lanes: ControlLanes,
        bell: Arc<Doorbell>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        lane_stats: Vec<Arc<LaneStats>>,
    ) -> Self {
        let classes = ClassTable::new(facts.tick_rate);
        let addresses = Addresses::new(facts.connections_per_address_max, facts.connections_per_address_automatic);
        let steering = Steering::new(facts.steer);
        let settings = Settings::new(facts.settings.clone());
        let epoch = past.epoch;
        let mcp = Mcp::new(past.version, lanes.mcp.as_ref());
        let sources = Sources::new(lanes.sources.as_ref());
        let mutations = Mutations::new(facts.limits, facts.room.clone(), &graph, past);
        let mut control = Self {
            graph: Arc::new(graph),
            epoch,
            facts,
            lanes,
            bell,
            metrics,
            health,
            lane_stats,
            sessions: HashMap::new(),
            memory: Memory::default(),
            addresses,
            classes,
            // Sessions of an engine before this one are nobody's here, also where it kept no store. Exact as a number of JSON.
            last_session: unix_ms() << 10,
            latest: None,
            held_back: VecDeque::new(),
            data: None,
            relief: Relief::new(),
            steering,
            settings,
            mutations,
            mcp,
            sources,
            filing: Filing::default(),
            snapshots: Snapshots::default(),
            naps_shortly: false,
            early: Vec::new(),
        };
        control.steer_anew(true);
        control.clear_left_over_agents();
        control
    }

    fn nothing_waits(&self) -> bool {
        self.lanes.jobs.is_quiet()
            && self.mcp_is_quiet()
            && self.sources_are_quiet()
            && self.files_are_quiet()
            && self.lanes.store.as_ref().is_none_or(|store| store.reports.is_empty())
            && self.lanes.requests.is_empty()
            && self.lanes.sim_events.is_empty()
            && self.lanes.shard_events.iter().all(Consumer::is_empty)
    }

    /// Takes a bounded number of items from every lane; returns how many there were.
    pub fn turn(&mut self) -> usize {
        let mut taken = 0;
        self.mcp.is_left = false;
        while let Some(command) = self.held_back.pop_front() {
            if let Err(command) = self.lanes.sim.push(command) {
                self.held_back.push_front(command);
                break;
            }
        }
        for shard in 0..self.lanes.shard_events.len() {
            for _ in 0..ITEMS_PER_TURN_MAX {
                let Some(event) = self.lanes.shard_events.get_mut(shard).and_then(Consumer::pop) else { break };
                self.shard_event(event);
                taken += 1;
            }
        }
        for _ in 0..ITEMS_PER_TURN_MAX {
            let Some(event) = self.lanes.sim_events.pop() else { break };
            self.sim_event(event);
            taken += 1;
        }
        for _ in 0..ITEMS_PER_TURN_MAX {
            let Some(request) = self.lanes.requests.pop() else { break };
            self.door_request(request);
            taken += 1;
        }
        let now_ns = monotonic_ns();
        taken += self.take_jobs(now_ns);
        taken += self.take_sources(now_ns);
        taken += self.take_mcp(now_ns);
        taken += self.take_files(now_ns);
        taken += self.take_store_reports();
        self.keep_layout(now_ns);
        taken += self.take_mutations(now_ns);
        self.take_early(now_ns);
        self.relieve(now_ns);
        taken + self.take_places()
    }

    /// Acts on stages of `sim` that are over their budget.
    fn relieve(&mut self, now_ns: u64) {
        if !self.relief.is_due(now_ns) || self.held_back.len() >= HELD_BACK_MAX {
            return;
        }
        let sim = &self.metrics.sim;
        let (step, encode) = (sim.step.breached(now_ns), sim.encode.breached(now_ns));
        for measure in self.relief.look(step, encode, &self.classes, now_ns).into_iter().flatten() {
            tracing::info!(?measure, step, encode, "a stage is over its budget, or well within it again");
            self.command(match measure {
                Measure::Accuracy(notches) => SimCommand::Accuracy { notches },
                Measure::Halve(class) => SimCommand::Divide { class, divisor: 2 },
                Measure::Restore(class) => SimCommand::Divide { class, divisor: 1 },
            });
        }
    }

    fn door_request(&mut self, request: DoorRequest) {
        match request {
            DoorRequest::Open { token, hello, address } => {
                let reply = match self.open(hello, address) {
                    Ok(grant) => DoorReply::Granted { token, grant },
                    Err(refusal) => DoorReply::Refused { token, refusal },
                };
                self.reply(reply);
            }
            DoorRequest::Abandon { session } => self.end_session(session),
            DoorRequest::Http { token, query } => self.http(token, query),
        }
    }

    fn reply(&mut self, reply: DoorReply) {
        // A connection whose answer finds the lane full runs into its own deadline.
        if let Err(DoorReply::Granted { grant, .. }) = self.lanes.replies.push(reply) {
            self.end_session(grant.session);
        }
    }

    /// Lets a stream in, or says why not.
    fn open(&mut self, hello: Hello, address: IpAddr) -> Result<Grant, Refusal> {
        let limit = self.facts.connections_max;
        if self.sessions.len() >= limit {
            return Err(Refusal::Full { limit });
        }
        self.addresses.admit(address)?;
        let former = hello.session.and_then(|session| self.former(SessionId(session), address));
        let asked = match &former {
            Some(Former { asked: before, .. }) if hello.profile.is_none_or(|profile| profile == before.profile) => {
                self.spec(before.profile, hello.rate_hz.or(Some(before.rate_hz)), before.detail)
            }
            _ => self.spec(hello.profile.unwrap_or(Profile::Own), hello.rate_hz, hello.detail),
        };
        let profile = asked.profile;
        let limit = profile.id_max();
        if let Some(id) = self.graph.id_max().filter(|id| id.get() > limit) {
            return Err(Refusal::IdRange { profile: profile.name(), limit, found: id.get() });
        }
        let entry = self.subscribe(asked)?;
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.sessions.insert(session, Session { class: entry.class, asked, rung: Rung::Full, address });
        self.addresses.enter(address);
        let ask = former.as_ref().and_then(|former| former.interest.as_deref()).filter(|_| profile.is_chain());
        let interest = ask.map(|ask| {
            self.memory.wants(session, ask);
            // The shard has it resolved, as if the wire order were another one.
            Box::new(Interest { ask: ask.clone(), ..Interest::default() })
        });
        // Versions count in one life of the engine and its store; a session that is known is of this one.
        let since = hello.version.filter(|_| former.is_some());
        let missed = since.map(|since| self.missed(since));
        let resumed = (former.is_some(), matches!(missed, Some(Missed::Nothing | Missed::Told(_))));
        Ok(Grant {
            session,
            class: entry.class,
            profile,
            demand_bytes: self.demand_bytes(&entry),
            greeting: self.greeting(session, &entry, resumed),
            missed: missed.and_then(Missed::into_text),
            version: self.mutations.version(),
            interest,
        })
    }

    /// What a client at this address had in a session that goes on, perhaps because nobody has noticed that its connection is dead, or
    /// that ended not long ago.
    fn former(&self, session: SessionId, address: IpAddr) -> Option<Former> {
        if let Some(found) = self.sessions.get(&session) {
            let former = || Former { asked: found.asked, interest: self.memory.interest(session) };
            return (found.address == address).then(former);
        }
        self.memory.find(session, address, monotonic_ns())
    }

    /// What a client asks for, as a class: a rate above the simulation's is lowered to it.
    fn spec(&self, profile: Profile, rate_hz: Option<u16>, detail: Detail) -> ClassSpec {
        let rate_hz = rate_hz.unwrap_or(self.facts.tick_rate).min(self.facts.tick_rate);
        ClassSpec { profile, rate_hz, detail }
    }

    /// Joins or opens the class.
    fn subscribe(&mut self, spec: ClassSpec) -> Result<Entry, Refusal> {
        let Subscribed { entry, opened } = self.classes.subscribe(spec)?;
        if opened {
            let chain = match spec.profile.is_chain() {
                true => {
                    Some(Box::new(ChainWriter::new(entry.class, spec, self.graph.nodes().len()).map_err(|error| {
                        self.classes.unsubscribe(entry.class);
                        Refusal::Codec { reason: error.to_string() }
                    })?))
                }
                false => None,
            };
            self.command(SimCommand::OpenClass { class: entry.class, spec, chain });
        }
        Ok(entry)
    }

    fn demand_bytes(&self, entry: &Entry) -> u64 {
        u64::from(entry.spec.rate_hz) * entry.spec.profile.frame_bytes(self.graph.nodes().len()) as u64
    }

    fn greeting(&self, session: SessionId, entry: &Entry, (is_reconnection, state_sync_sent): (bool, bool)) -> Bytes {
        ServerMessage::ConnectionEstablished {
            timestamp: unix_ms(),
            session: session.0,
            class: entry.class.serial,
            profile: entry.spec.profile.name(),
            rate: entry.spec.rate_hz,
            tick_rate: self.facts.tick_rate,
            dimensions: if entry.spec.detail.flat { 2 } else { self.facts.dimensions },
            bits: bits(&entry.spec),
            epoch: self.epoch,
            version: self.mutations.version(),
            node_count: self.graph.nodes().len() as u32,
            edge_count: self.graph.edges().len() as u32,
            is_reconnection,
            state_sync_sent,
            repulsion_error_max: self.settings.in_force_now().sim.params.repulsion_error_max(NOTCHES_MAX),
            settings: self.settings.state(),
            protocol: Protocol::default(),
        }
        .to_vec()
        .into()
    }

    fn end_session(&mut self, session: SessionId) {
        self.settings.forget(session);
        self.mcp.unwatch(session);
        if let Some(Session { class, asked, address, .. }) = self.sessions.remove(&session) {
            self.addresses.leave(address);
            self.leave(class);
            self.memory.end(session, asked, address, monotonic_ns());
        }
    }

    fn leave(&mut self, class: ClassRef) {
        if self.classes.unsubscribe(class) {
            self.command(SimCommand::CloseClass { class });
        }
    }

    /// In order, behind what the lane had no room for before.
    fn command(&mut self, command: SimCommand) {
        if !self.held_back.is_empty() {
            self.held_back.push_back(command);
        } else if let Err(command) = self.lanes.sim.push(command) {
            self.held_back.push_back(command);
        }
    }

    fn shard_event(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Ended { session } => self.end_session(session),
            ShardEvent::Subscribe { origin, rate_hz } => self.resubscribe(origin, rate_hz),
            ShardEvent::Interest { origin, interest, asked } => self.interest(origin, interest, asked),
            ShardEvent::Rung { origin, rung } => self.change_rung(origin, rung),
            ShardEvent::Settings { origin, said } => self.settings_said(origin, said),
            ShardEvent::Agents { origin, heard } => self.watch_agents(origin, heard),
            ShardEvent::Actions { origin, message } => self.relay_actions(origin, &message),
            ShardEvent::Pin { origin, node, pinned } => self.pin(origin, node, pinned),
        }
    }

    /// Moves a session to the class of another rate; its profile stays.
    fn resubscribe(&mut self, origin: Origin, rate_hz: Option<u16>) {
        let Some(session) = self.sessions.get(&origin.session).copied() else { return };
        if self.held_back.len() >= HELD_BACK_MAX {
            return self.refuse_origin(origin, "busy", "the simulation has too much to do; send it again", &[], true);
        }
        let asked = self.spec(session.asked.profile, rate_hz, session.asked.detail);
        // A client that cannot keep up does not do so for asking: it stays on its rung.
        let entry = match self.subscribe(asked.coarser(session.rung.coarser())) {
            Ok(entry) => entry,
            Err(refusal) => return self.refuse_origin(origin, refusal.code(), &refusal.to_string(), &["rate"], true),
        };
        let text = ServerMessage::SubscriptionConfirmed {
            interval: (1_000.0 / f64::from(entry.spec.rate_hz)).round() as u32,
            rate: entry.spec.rate_hz,
            binary: true,
            class: entry.class.serial,
            profile: entry.spec.profile.name(),
        };
        self.move_session(origin, Session { class: entry.class, asked, ..session }, &entry, &text);
    }

    /// Moves a session to the class that its rung means, and tells the client where it stands.
    fn change_rung(&mut self, origin: Origin, rung: Rung) {
        let Some(session) = self.sessions.get(&origin.session).copied().filter(|session| session.rung != rung) else {
            return;
        };
        // Refused, it stays where it is; the shard asks again when it goes on like this.
        if self.held_back.len() >= HELD_BACK_MAX {
            return;
        }
        let Ok(entry) = self.subscribe(session.asked.coarser(rung.coarser())) else { return };
        let down = rung > session.rung;
        let text = ServerMessage::StreamQuality {
            rung: rung.name(),
            reason: if down { "frames come faster than this client takes them" } else { "this client keeps up again" },
            rate: entry.spec.rate_hz,
            bits: bits(&entry.spec),
            class: entry.class.serial,
        };
        self.move_session(origin, Session { class: entry.class, rung, ..session }, &entry, &text);
    }

    /// The session moves only if the shard hears of it: a connection left in a closed class would get no frame.
    fn move_session(&mut self, origin: Origin, to: Session, entry: &Entry, text: &ServerMessage<'_>) {
        let Some(before) = self.sessions.get(&origin.session).map(|session| session.class) else { return };
        let moved = ShardMessage::Reclass {
            handle: origin.handle,
            class: entry.class,
            demand_bytes: self.demand_bytes(entry),
            text: text.to_vec().into(),
        };
        if before == to.class {
            // The same class under another name: only the words are new.
            self.leave(to.class);
            self.sessions.insert(origin.session, to);
            self.send(origin, ShardMessage::Text { handle: origin.handle, text: text.to_vec().into() });
        } else if self.send(origin, moved) {
            self.sessions.insert(origin.session, to);
            self.leave(before);
        } else {
            self.leave(to.class);
        }
    }

    /// Finds the blocks that hold what a client wants. Before the first compact frame there are none: the interest goes back as it
    /// is, and the shard asks again when it has one.
    fn interest(&mut self, origin: Origin, mut interest: Box<Interest>, asked: bool) {
        self.take_latest();
        if asked && self.sessions.contains_key(&origin.session) {
            self.memory.wants(origin.session, &interest.ask);
        }
        let latest = self.latest.as_ref();
        let text = match latest.filter(|frame| resolve(&mut interest, frame, &self.graph)) {
            Some(frame) => {
                let (nodes, of) = interest_size(&interest, frame);
                let runs = interest.wanted.runs().map(|(first, last)| [first as u32, last as u32]);
                let (blocks, order) = (runs.collect::<Vec<_>>(), interest.order);
                Some(ServerMessage::InterestConfirmed { blocks: &blocks, of, nodes, order }.to_vec().into())
            }
            None => {
                interest.order = 0;
                interest.wanted.clear();
                None
            }
        };
        self.send(origin, ShardMessage::Interest { handle: origin.handle, interest, text, asked });
    }

    fn pin(&mut self, origin: Origin, node: u32, pinned: bool) {
        let Some(index) = NodeId::new(node).and_then(|id| self.graph.index_of(id)) else {
            let message = format!("the graph has no node {node}");
            return self.refuse_origin(origin, "unknown_node", &message, &["nodeId"], false);
        };
        self.take_latest();
        let frame = self.latest.as_deref().filter(|frame| frame.stamp().epoch == self.epoch);
        let position = frame.and_then(|frame| frame.nodes().get(index.get())).map(|record| record.position());
        let reply = Reply::Pin { origin, node, pinned };
        if let Err(error) = self.pin_at(index, pinned, position.filter(|_| pinned), reply) {
            self.refuse_origin(origin, error.code, &error.message, &["nodeId"], error.status == 503);
        }
    }

    /// A drag ended with a pin: `sim` has it already, the graph must have it too.
    fn pinned_by_drag(&mut self, node: NodeId, position: [f32; 3], origin: Origin) {
        let Some(index) = self.graph.index_of(node) else { return };
        if let Err(error) = self.pin_at(index, true, Some(position), Reply::Drag { origin, node }) {
            self.refuse_drag(origin, node, &error);
        }
    }

    fn sim_event(&mut self, event: SimEvent) {
        match event {
            SimEvent::DragTaken { node, from, to } => {
                self.say(from, &ServerMessage::DragTaken { node_id: node.get(), by: "another" });
                self.say(to, &ServerMessage::DragTaken { node_id: node.get(), by: "you" });
            }
            SimEvent::DragReleased { node, origin } => {
                self.say(origin, &ServerMessage::DragReleased { node_id: node.get(), reason: "silence" });
            }
            SimEvent::DragRefused { node, origin, unknown: true } => {
                let message = format!("the graph has no node {}", node.get());
                self.refuse_origin(origin, "unknown_node", &message, &["nodeId"], false);
            }
            SimEvent::DragRefused { origin, unknown: false, .. } => {
                self.refuse_origin(origin, "too_many_drags", "too many nodes are being dragged", &["nodeId"], true);
            }
            SimEvent::Pinned { node, position, origin } => self.pinned_by_drag(node, position, origin),
            SimEvent::Restructured { epoch, replaced, .. } => self.restructured(epoch, *replaced),
            SimEvent::StructureRefused { epoch, reason, spent } => self.structure_refused(epoch, &reason, *spent),
            // Freed here, where nothing waits for it.
            SimEvent::ChainClosed { chain } => drop(chain),
            SimEvent::SideReplaced { planes } => drop(planes),
            SimEvent::Steered { ticket, tick, paused, outcome } => self.steered(ticket, tick, paused, outcome),
        }
    }

    fn refuse_origin(&mut self, origin: Origin, code: &str, message: &str, affected_paths: &[&str], retryable: bool) {
        let category = if retryable { ErrorCategory::Server } else { ErrorCategory::Validation };
        let retry_after = retryable.then_some(1.0);
        let error = ServerError { code, message, category, retryable, retry_after, affected_paths };
        self.say(origin, &ServerMessage::Error(error));
    }

    fn say(&mut self, origin: Origin, message: &ServerMessage<'_>) {
        // An answer that finds the lane full is lost; the lane counts it.
        self.send(origin, ShardMessage::Text { handle: origin.handle, text: message.to_vec().into() });
    }

    /// False when the shard's lane is full.
    fn send(&mut self, origin: Origin, message: ShardMessage) -> bool {
        let lane = self.lanes.shard_messages.get_mut(usize::from(origin.shard));
        lane.is_some_and(|lane| lane.push(message).is_ok())
    }

    fn take_latest(&mut self) {
        if let Some(frame) = self.lanes.latest.pop() {
            self.latest = Some(frame);
        }
    }
}
