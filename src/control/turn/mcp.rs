//! Agents by MCP: their sessions, and what their calls do. The same doors lead to the graph as REST's.
//!
//! Short looks are answered at once, from the live graph; long ones by a thread of their own, over a snapshot. Everything else waits for
//! what it asked for, and nothing waits here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::mutate::Reply as Told;
use super::{Control, SHORT_NAP};
use crate::analytics::{AnalyticsError, Watch};
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::base::clock::{MILLISECOND_NS, monotonic_ns, unix_ms};
use crate::graph::{Batch, Change, Outcome};
use crate::handoff::{Consumer, McpEvent, McpReply, Producer, Steer};
use crate::limits::MCP_READS_MAX;
use crate::mcp::{
    Agents, Bounds, Call, CallKey, Done, Plan, Principal, Recent, Reply, RpcError, Server, Session, SimFacts,
    SimulationChange, Step, ToolError, Touched, View, Write, plan, read, reply, steered,
};
use crate::worker::{LookOrder, LookReport, Ticket};

/// How long a short look may take: it is stopped far above what it should.
const SHORT_LOOK_NS_MAX: u64 = 20 * MILLISECOND_NS;

/// Time between two looks at agents that fell silent.
const AGENTS_NS: u64 = 200 * MILLISECOND_NS;

/// Lines taken in one turn before others have theirs.
const EVENTS_PER_TURN_MAX: usize = 64;

/// Lines of one connection, before others have theirs.
const LINES_PER_TURN_MAX: usize = 16;

/// Time for lines in one turn.
const LINES_NS_MAX: u64 = 2 * MILLISECOND_NS;

/// How long an order to the simulation is waited for.
const STEER_NS_MAX: u64 = 1_000 * MILLISECOND_NS;

/// The lanes of the agents' side, and who may come in.
#[derive(Debug)]
pub struct McpDesk {
    /// mcp → control.
    pub events: Consumer<McpEvent>,
    /// control → mcp.
    pub replies: Producer<McpReply>,
    /// control → look.
    pub looks: Producer<LookOrder>,
    /// look → control.
    pub looked: Consumer<LookReport>,
    /// What is offered, and who is known.
    pub server: Arc<Server>,
    /// Who comes by the Unix socket.
    pub own_user: Principal,
    /// Who comes by TCP without a token; `None` is nobody.
    pub anonymous: Option<Principal>,
}

/// One connection.
struct Talk {
    session: Session,
    out: BytesMut,
    /// Lines that nothing was made of yet.
    rest: Bytes,
    /// The door waits to hear that its lines were taken.
    untold: bool,
    /// The other end has said its last.
    ended: bool,
    close: bool,
}

/// A call that waits.
struct Pending {
    conn: Handle,
    key: CallKey,
    what: Awaited,
}

enum Awaited {
    /// A batch.
    Write { write: Box<Write>, outcomes: Vec<Outcome>, version: u64 },
    /// A change after a revision, or the end of the time.
    Change { since: u64, until_ns: u64, call: Box<(crate::mcp::Ask<'static>, Principal)> },
    /// An order of the simulation.
    Steer { ticket: u64, until_ns: u64 },
    /// A long look.
    Look { ticket: Arc<Ticket> },
}

/// Everything that has to do with agents.
pub(super) struct Mcp {
    talks: HashMap<Handle, Talk>,
    pending: Vec<Pending>,
    agents: Agents,
    recent: Recent,
    /// Keys of nodes that changed since the last notice.
    touched: Touched,
    /// Positions of the newest frame, and its tick and epoch.
    positions: (u64, u32, Vec<[f32; 3]>),
    agents_ns: u64,
    /// Connections with lines, first come first served.
    queue: VecDeque<Handle>,
    /// Connections with something to send.
    busy: HashSet<Handle>,
    /// Batches of agents that are done, or are not, since the pending calls were looked at.
    written: Vec<(Handle, CallKey, Option<RestError>)>,
    /// Replies that found the lane full.
    unsent: Vec<McpReply>,
    looks: usize,
}

impl Mcp {
    pub(super) fn new(revision: u64) -> Self {
        Self {
            talks: HashMap::new(),
            pending: Vec::new(),
            agents: Agents::default(),
            recent: Recent::at(revision),
            touched: Touched::default(),
            positions: (0, 0, Vec::new()),
            agents_ns: 0,
            queue: VecDeque::new(),
            busy: HashSet::new(),
            written: Vec::new(),
            unsent: Vec::new(),
            looks: 0,
        }
    }

    /// Whether something is due before a lane rings.
    pub(super) fn is_busy(&self) -> bool {
        !(self.unsent.is_empty() && self.written.is_empty())
            || self.pending.iter().any(|pending| matches!(pending.what, Awaited::Steer { .. }))
            || self.talks.values().any(|talk| talk.session.has_notices())
    }

    /// A batch has become true.
    pub(super) fn note(&mut self, version: u64, author: &str, changes: &[Change]) {
        self.recent.push(version, author, changes);
        self.touched.structure = true;
        if self.talks.values().any(|talk| talk.session.has_subscriptions()) {
            let keys = changes.iter().filter_map(|change| match change {
                Change::PutNode(node) => Some(node.key.clone()),
                _ => None,
            });
            self.touched.nodes.extend(keys);
        }
    }
}

/// The end of the time of a short look.
struct Until(u64);

impl Watch for Until {
    fn progress(&self, _: f64) -> Result<(), AnalyticsError> {
        if monotonic_ns() > self.0 { Err(AnalyticsError::Stopped) } else { Ok(()) }
    }
}

impl Control {
    /// Whether agents wait for nothing that is here.
    pub(super) fn mcp_is_quiet(&self) -> bool {
        self.lanes.mcp.as_ref().is_none_or(|desk| desk.events.is_empty() && desk.looked.is_empty())
    }

    /// Takes what agents say and what was found out for them; returns how much that was.
    pub(super) fn take_mcp(&mut self, now_ns: u64) -> usize {
        let Some(mut desk) = self.lanes.mcp.take() else { return 0 };
        let mut taken = 0;
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(event) = desk.events.pop() else { break };
            taken += 1;
            self.mcp_event(&mut desk, event);
        }
        taken += self.take_lines(&mut desk, now_ns);
        while let Some(LookReport { conn, key, result }) = desk.looked.pop() {
            taken += 1;
            self.mcp.looks -= 1;
            self.mcp.pending.retain(|pending| (pending.conn, pending.key) != (conn, key));
            self.finish(&desk, conn, key, &result);
        }
        self.look_at_pending(&desk, now_ns);
        self.keep_agents(now_ns);
        self.notify(now_ns);
        self.send_mcp(&mut desk);
        self.lanes.mcp = Some(desk);
        taken
    }

    fn mcp_event(&mut self, desk: &mut McpDesk, event: McpEvent) {
        match event {
            McpEvent::Open { conn, own_user } => {
                let principal = if own_user { Some(desk.own_user.clone()) } else { desk.anonymous.clone() };
                let session = Session::new(principal);
                let talk = Talk {
                    session,
                    out: BytesMut::new(),
                    rest: Bytes::new(),
                    untold: false,
                    ended: false,
                    close: false,
                };
                self.mcp.talks.insert(conn, talk);
            }
            McpEvent::Closed { conn } => {
                self.mcp.talks.remove(&conn);
                self.mcp.busy.remove(&conn);
                for pending in self.mcp.pending.iter().filter(|pending| pending.conn == conn) {
                    if let Awaited::Look { ticket } = &pending.what {
                        ticket.cancel();
                    }
                }
                // What changes the graph goes on; nobody hears of it.
                self.mcp.pending.retain(|pending| pending.conn != conn);
            }
            McpEvent::Lines { conn, lines, ended } => {
                let Some(talk) = self.mcp.talks.get_mut(&conn) else { return };
                talk.untold = true;
                talk.ended |= ended;
                talk.rest = lines;
                self.mcp.queue.push_back(conn);
            }
        }
    }

    /// Makes something of lines: of each connection some, in turn, for so long. What is left waits for the next turn, so that nobody
    /// else waits for agents. Returns how many lines that were.
    fn take_lines(&mut self, desk: &mut McpDesk, now_ns: u64) -> usize {
        let mut taken = 0;
        for _ in 0..self.mcp.queue.len() {
            if taken > 0 && monotonic_ns().saturating_sub(now_ns) > LINES_NS_MAX {
                break;
            }
            let Some(conn) = self.mcp.queue.pop_front() else { break };
            let Some(mut talk) = self.mcp.talks.remove(&conn) else { continue };
            let mut out = Vec::new();
            for _ in 0..LINES_PER_TURN_MAX {
                if talk.rest.is_empty() || talk.close || talk.session.is_full() {
                    break;
                }
                let end = talk.rest.iter().position(|byte| *byte == b'\n').unwrap_or(talk.rest.len());
                let mut line = talk.rest.split_to((end + 1).min(talk.rest.len()));
                line.truncate(end);
                self.mcp_line(desk, conn, &mut talk, &line, &mut out, now_ns);
                taken += 1;
            }
            talk.out.extend_from_slice(&out);
            if talk.close {
                talk.rest.clear();
            }
            if !talk.rest.is_empty() {
                self.mcp.queue.push_back(conn);
            }
            self.mcp.talks.insert(conn, talk);
            self.mcp.busy.insert(conn);
        }
        taken
    }

    fn mcp_line(
        &mut self,
        desk: &mut McpDesk,
        conn: Handle,
        talk: &mut Talk,
        line: &[u8],
        out: &mut Vec<u8>,
        now_ns: u64,
    ) {
        if line.is_empty() {
            talk.close |= !talk.session.too_long(out);
            return;
        }
        let server = Arc::clone(&desk.server);
        match talk.session.feed(&server, line, out) {
            Step::Done => {}
            Step::Close => talk.close = true,
            Step::Cancel(key) => {
                let place = self.mcp.pending.iter().position(|pending| (pending.conn, pending.key) == (conn, key));
                let Some(Pending { what: Awaited::Look { ticket }, .. }) =
                    place.map(|place| self.mcp.pending.swap_remove(place))
                else {
                    return;
                };
                ticket.cancel();
            }
            Step::Call(call) => self.mcp_call(desk, conn, talk, &call, out, now_ns),
        }
    }

    /// Does what a call asks for, or has it done.
    fn mcp_call(
        &mut self,
        desk: &mut McpDesk,
        conn: Handle,
        talk: &mut Talk,
        call: &Call<'_>,
        out: &mut Vec<u8>,
        now_ns: u64,
    ) {
        self.refresh_positions();
        let server = &desk.server;
        let sim = self.sim_facts();
        let planned = plan(server, &call.ask, &call.principal, &self.view(&sim));
        let tool = |done: Done| Ok(reply(done));
        match planned {
            Err(error) => talk.session.answer(server, call, &tool(Err(error)), out),
            Ok(Plan::Read { long: false, .. }) => {
                let result = self.look(server, call, &sim, now_ns);
                talk.session.answer(server, call, &result, out);
            }
            Ok(Plan::Read { long: true, limit_ms }) => {
                if self.mcp.looks >= MCP_READS_MAX {
                    let busy = ToolError::new("too many long looks wait already; ask again in a second");
                    return talk.session.answer(server, call, &tool(Err(busy)), out);
                }
                let key = talk.session.defer(call);
                let ticket = Arc::new(Ticket::default());
                let order = LookOrder {
                    conn,
                    key,
                    ask: call.ask.clone().into_owned(),
                    principal: call.principal.clone(),
                    server: Arc::clone(server),
                    graph: Arc::clone(&self.graph),
                    frame: self.latest.clone().filter(|frame| frame.stamp().epoch == self.epoch),
                    revision: self.mutations.version(),
                    sim,
                    agents: self.mcp.agents.rows().into(),
                    graph_limits: (self.facts.limits.nodes, self.facts.limits.edges),
                    until_ns: now_ns + limit_ms * MILLISECOND_NS,
                    ticket: Arc::clone(&ticket),
                };
                let sent = desk.looks.push(order);
                debug_assert!(sent.is_ok(), "the lane has room for as many as may wait");
                self.mcp.looks += 1;
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Look { ticket } });
            }
            Ok(Plan::Wait { since, wait_ms }) => {
                let key = talk.session.defer(call);
                let asked = Box::new((call.ask.clone().into_owned(), call.principal.clone()));
                let until_ns = now_ns + wait_ms * MILLISECOND_NS;
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Change { since, until_ns, call: asked } });
            }
            Ok(Plan::Write(write)) => self.mcp_write(desk, conn, talk, call, write, out),
            Ok(Plan::Steer(change)) => match self.mcp_steer(change) {
                Ok(ticket) => {
                    let key = talk.session.defer(call);
                    let until_ns = now_ns + STEER_NS_MAX;
                    self.mcp.pending.push(Pending { conn, key, what: Awaited::Steer { ticket, until_ns } });
                }
                Err(error) => talk.session.answer(server, call, &tool(Err(ToolError::new(error.message))), out),
            },
            Ok(Plan::Register(asked)) => {
                let mut random = [0; 16];
                let done = match getrandom::fill(&mut random) {
                    Ok(()) => {
                        let (by, now) = (&*call.principal.name, (now_ns, unix_ms()));
                        self.mcp.agents.register(&asked, by, random, now, self.mutations.version())
                    }
                    Err(error) => Err(ToolError::new(format!("no random bits for a handle: {error}"))),
                };
                let result = tool(done.and_then(|registered| crate::mcp::structured(&registered)));
                talk.session.answer(server, call, &result, out);
                self.show_agents(now_ns);
            }
            Ok(Plan::Report(asked)) => {
                let (by, now) = (&*call.principal.name, (now_ns, unix_ms()));
                let done = self.mcp.agents.report(&asked, by, &self.graph, now, self.mutations.version());
                let result = tool(done.and_then(|reported| crate::mcp::structured(&reported)));
                talk.session.answer(server, call, &result, out);
                self.show_agents(now_ns);
            }
        }
    }

    fn look(&self, server: &Server, call: &Call<'_>, sim: &SimFacts, now_ns: u64) -> Result<Reply, RpcError> {
        let until = Until(now_ns + SHORT_LOOK_NS_MAX);
        read(server, &call.ask, &self.view(sim), &Bounds::new(server, &call.principal.name, &until))
    }

    fn mcp_write(
        &mut self,
        desk: &McpDesk,
        conn: Handle,
        talk: &mut Talk,
        call: &Call<'_>,
        write: Box<Write>,
        out: &mut Vec<u8>,
    ) {
        let server = &desk.server;
        if write.dry_run {
            let done = match self.try_out(&write.batch) {
                Ok(outcomes) => write.answer(&self.graph, &outcomes, self.mutations.version()),
                Err(error) => Err(write.refused(&self.graph, &error)),
            };
            return talk.session.answer(server, call, &Ok(reply(done)), out);
        }
        if write.batch.ops.is_empty() {
            let done = write.answer(&self.graph, &[], self.mutations.version());
            return talk.session.answer(server, call, &Ok(reply(done)), out);
        }
        let key = talk.session.defer(call);
        match self.mutate_for(&write.batch, Told::Mcp { conn, key }) {
            Ok((version, outcomes)) => {
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Write { write, outcomes, version } });
            }
            Err(refused) => {
                let error = match refused {
                    super::mutate::Refused::Op(error) => write.refused(&self.graph, &error),
                    super::mutate::Refused::Version { at } => write.stale(at),
                    super::mutate::Refused::Other(error) => ToolError::new(error.message),
                };
                talk.session.finish(server, key, &Ok(reply(Err(error))), out);
            }
        }
    }

    /// A batch of an agent is done, or is not: its call is answered in this turn or the next.
    pub(super) fn mcp_written(&mut self, conn: Handle, key: CallKey, error: Option<&RestError>) {
        self.mcp.written.push((conn, key, error.cloned()));
    }

    fn answer_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, error: Option<&RestError>) {
        let place = self.mcp.pending.iter().position(|pending| (pending.conn, pending.key) == (conn, key));
        let Some(Pending { what: Awaited::Write { write, outcomes, version }, .. }) =
            place.map(|place| self.mcp.pending.swap_remove(place))
        else {
            return;
        };
        let done = match error {
            Some(error) => Err(ToolError::new(error.message.clone())),
            None => write.answer(&self.graph, &outcomes, version),
        };
        self.finish(desk, conn, key, &Ok(reply(done)));
    }

    fn finish(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, result: &Result<Reply, RpcError>) {
        let Some(talk) = self.mcp.talks.get_mut(&conn) else { return };
        let mut out = Vec::new();
        talk.session.finish(&desk.server, key, result, &mut out);
        talk.out.extend_from_slice(&out);
        self.mcp.busy.insert(conn);
    }

    /// Calls whose time has come.
    fn look_at_pending(&mut self, desk: &McpDesk, now_ns: u64) {
        for (conn, key, error) in std::mem::take(&mut self.mcp.written) {
            self.answer_write(desk, conn, key, error.as_ref());
        }
        if self.mcp.pending.is_empty() {
            return;
        }
        let version = self.mutations.version();
        let mut due = Vec::new();
        let Self { mcp, steering, .. } = self;
        mcp.pending.retain_mut(|pending| {
            let is_due = match &pending.what {
                Awaited::Change { since, until_ns, .. } => version > *since || now_ns >= *until_ns,
                Awaited::Steer { ticket, until_ns } => !steering.waits_for(*ticket) || now_ns >= *until_ns,
                Awaited::Write { .. } | Awaited::Look { .. } => false,
            };
            if is_due {
                let what = std::mem::replace(&mut pending.what, Awaited::Steer { ticket: 0, until_ns: 0 });
                due.push((pending.conn, pending.key, what));
            }
            !is_due
        });
        if due.is_empty() {
            return;
        }
        self.refresh_positions();
        let sim = self.sim_facts();
        for (conn, key, what) in due {
            let result = match what {
                Awaited::Change { call, .. } => {
                    let until = Until(now_ns + SHORT_LOOK_NS_MAX);
                    let bounds = Bounds::new(&desk.server, &call.1.name, &until);
                    read(&desk.server, &call.0, &self.view(&sim), &bounds)
                }
                _ => Ok(reply(steered(&self.view(&sim)))),
            };
            self.finish(desk, conn, key, &result);
        }
    }

    /// Orders of a change of the simulation; the ticket of the last one.
    fn mcp_steer(&mut self, change: SimulationChange) -> Result<u64, RestError> {
        let SimulationChange { layout, reheat, running, steps } = change;
        let mut ticket = 0;
        if let Some(mode) = layout {
            self.begin_layout(mode)?;
        }
        let orders = [
            reheat.then_some(Steer::Reheat),
            running.map(|running| if running { Steer::Resume } else { Steer::Pause }),
            steps.map(|count| Steer::Step { count }),
        ];
        for order in orders.into_iter().flatten() {
            ticket = self.steer_for_agent(order);
        }
        Ok(ticket)
    }

    /// Agents that fell silent go, and links nobody touched.
    fn keep_agents(&mut self, now_ns: u64) {
        if now_ns < self.mcp.agents_ns {
            return;
        }
        self.mcp.agents_ns = now_ns + AGENTS_NS;
        self.mcp.agents.expire(now_ns);
        self.show_agents(now_ns);
    }

    /// Has the graph show what agents are and do.
    fn show_agents(&mut self, now_ns: u64) {
        self.mcp.agents.refresh();
        if self.refuse_changes().is_some() {
            return;
        }
        if let Some(batch) = self.mcp.agents.take_batch(&self.graph, now_ns) {
            self.mutate_unasked(&batch);
        }
        self.mcp.touched.agents |= self.mcp.agents.take_touched();
    }

    /// A batch of the engine's own; one that does not fit is logged.
    fn mutate_unasked(&mut self, batch: &Batch) {
        if let Err(error) = self.mutate(batch, Told::Nobody) {
            tracing::warn!(author = &*batch.author, "not done: {}", error.message);
        }
    }

    /// Nodes that agents of a run before this one left behind.
    pub(super) fn clear_left_over_agents(&mut self) {
        if let Some(batch) = Agents::left_over(&self.graph) {
            self.mutate_unasked(&batch);
        }
    }

    /// Tells subscribers what has changed.
    fn notify(&mut self, now_ns: u64) {
        let touched = std::mem::take(&mut self.mcp.touched);
        let any = touched.structure || touched.agents;
        for (conn, talk) in &mut self.mcp.talks {
            if any {
                talk.session.touch(&touched);
            }
            if talk.session.has_notices() {
                let mut out = Vec::new();
                if talk.session.notices(now_ns, &mut out) > 0 {
                    talk.out.extend_from_slice(&out);
                    self.mcp.busy.insert(*conn);
                }
            }
        }
    }

    /// One message for each connection that has something.
    fn send_mcp(&mut self, desk: &mut McpDesk) {
        for reply in std::mem::take(&mut self.mcp.unsent) {
            if let Err(reply) = desk.replies.push(reply) {
                self.mcp.unsent.push(reply);
            }
        }
        for conn in std::mem::take(&mut self.mcp.busy) {
            let Some(talk) = self.mcp.talks.get_mut(&conn) else { continue };
            let done = talk.rest.is_empty();
            let close = talk.close || (talk.ended && done && talk.session.in_flight() == 0);
            // Not read on until there is room for another call.
            let taken = talk.untold && done && !talk.session.is_full();
            talk.untold &= !taken;
            let bytes: Bytes = talk.out.split().freeze();
            if bytes.is_empty() && !taken && !close {
                continue;
            }
            if let Err(reply) = desk.replies.push(McpReply { conn, bytes, taken, close }) {
                self.mcp.unsent.push(reply);
            }
        }
    }

    fn refresh_positions(&mut self) {
        self.take_latest();
        let Some(frame) = self.latest.as_deref() else { return };
        let stamp = frame.stamp();
        let (tick, epoch, positions) = &mut self.mcp.positions;
        if (*tick, *epoch) != (stamp.tick, stamp.epoch) || positions.len() != frame.nodes().len() {
            (*tick, *epoch) = (stamp.tick, stamp.epoch);
            positions.clear();
            positions.extend(frame.nodes().iter().map(|record| record.position()));
        }
    }

    fn sim_facts(&self) -> SimFacts {
        let sim = &self.metrics.sim;
        SimFacts {
            running: !self.is_paused(),
            layout: self.layout_name(),
            tick_hz: f64::from(self.facts.tick_rate),
            settled: sim.settled.get() > 0.0,
            rms_velocity: Some(sim.rms_velocity.get()).filter(|velocity| velocity.is_finite()),
            backend: if sim.fell_back.get() > 0.0 { "cpu" } else { self.facts.backend },
        }
    }

    fn view<'a>(&'a self, sim: &'a SimFacts) -> View<'a> {
        let (tick, epoch, positions) = &self.mcp.positions;
        let fits = *epoch == self.epoch && positions.len() == self.graph.nodes().len();
        View {
            graph: &self.graph,
            positions: fits.then_some(positions.as_slice()),
            tick: fits.then_some(*tick),
            revision: self.mutations.version(),
            sim,
            recent: &self.mcp.recent,
            agents: self.mcp.agents.rows(),
            graph_limits: (self.facts.limits.nodes, self.facts.limits.edges),
        }
    }

    /// The last words to agents that listen.
    pub(super) fn leave_agents(&mut self) {
        let Some(mut desk) = self.lanes.mcp.take() else { return };
        for (conn, talk) in &mut self.mcp.talks {
            let mut out = Vec::new();
            talk.session.goodbye(&desk.server, &mut out);
            talk.out.extend_from_slice(&out);
            talk.close = true;
            self.mcp.busy.insert(*conn);
        }
        self.send_mcp(&mut desk);
        std::thread::sleep(SHORT_NAP);
        self.lanes.mcp = Some(desk);
    }
}
