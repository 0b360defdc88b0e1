//! Agents by MCP: their sessions, and what their calls do. The same doors lead to the graph as REST's.
//!
//! Short looks are answered at once, from the live graph; long ones by a thread of their own, over a snapshot. Everything else waits for
//! what it asked for, and nothing waits here.

mod admission;
mod among;
mod audit;
mod confirm;
mod errands;
mod figures;
mod living;
mod looks;
mod stage;
mod steer;
mod step;
mod waits;
mod watchers;
mod writes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::json;

use self::audit::Audit;
use self::figures::CallBook;
use self::looks::Looks;
use self::stage::Staged;
use self::step::Steps;
use super::mutate::Agreed;
use super::{Control, SHORT_NAP};
use crate::analytics::{AnalyticsError, Watch};
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::base::clock::{MILLISECOND_NS, monotonic_ns, unix_ms};
use crate::graph::{Author, Change, Graph};
use crate::handoff::{Consumer, McpEvent, McpReply, Producer, SessionId};
use crate::limits::MCP_READS_MAX;
use crate::mcp::{
    Admission, Agents, Ask, AuditRecord, Bounds, Call, CallKey, Done, Exports, Lifecycle, Line, LogLevel, Outcome,
    Plan, Principal, RateLimits, Rates, Recent, Registered, Reply, RpcError, Scopes, Server, SimFacts, Society, Step,
    Talks, ToolError, Touched, Uploads, View, Write, app, plan, read, reply,
};
use crate::worker::{AgentProduct, LookOrder, LookReport, Ticket};

/// How long a short look may take: it is stopped far above what it should.
const SHORT_LOOK_NS_MAX: u64 = 20 * MILLISECOND_NS;

/// Time between two looks at agents that fell silent.
const AGENTS_NS: u64 = 200 * MILLISECOND_NS;

/// Events taken in one turn before others have theirs.
const EVENTS_PER_TURN_MAX: usize = 64;

/// Time for lines in one turn.
const LINES_NS_MAX: u64 = 2 * MILLISECOND_NS;

/// Time between two words about how far a long look is.
const PROGRESS_NS: u64 = 100 * MILLISECOND_NS;

/// Time between two notices of the engine's figures.
const STATS_NS: u64 = 1_000 * MILLISECOND_NS;

/// The lanes of the agents' side, and who may come in.
#[derive(Debug)]
pub struct McpDesk {
    /// mcp → control.
    pub events: Consumer<McpEvent>,
    /// control → mcp.
    pub replies: Producer<McpReply>,
    /// To the threads that look, and back.
    pub looks: Vec<LookLanes>,
    /// What is offered, and who is known.
    pub server: Arc<Server>,
    /// Who comes by the Unix socket.
    pub own_user: Principal,
    /// Who comes by TCP without a token; `None` is nobody.
    pub anonymous: Option<Principal>,
    /// Address of the viewer's page, with a slash at its end.
    pub page: String,
    /// main → control: the same server with other tokens.
    pub renewed: Consumer<Arc<Server>>,
    /// control → audit; `None` while no records are kept.
    pub audit: Option<Producer<AuditRecord>>,
}

/// The lanes of one thread that looks.
#[derive(Debug)]
pub struct LookLanes {
    /// control → look.
    pub orders: Producer<LookOrder>,
    /// look → control.
    pub reports: Consumer<LookReport>,
}

/// A call that waits.
struct Pending {
    /// The talk it is of.
    conn: Handle,
    key: CallKey,
    what: Awaited,
}

enum Awaited {
    /// A batch.
    Write { write: Box<Write>, agreed: Agreed },
    /// The node of an agent that has registered.
    Registered { registered: Box<Registered> },
    /// A change after a revision, or the end of the time.
    Change { since: u64, until_ns: u64, call: Box<(Ask<'static>, Principal)> },
    /// Orders of the simulation.
    Steer { asked: steer::Orders, until_ns: u64 },
    /// A long look.
    Look { ticket: Arc<Ticket> },
    /// An answer of a person, or the end of the time.
    Answer { id: String, until_ns: u64, call: Box<(Ask<'static>, Principal)> },
    /// Steps of the simulation.
    Steps(Steps),
    /// Work on files.
    Errand { ticket: Arc<Ticket> },
    /// A message for an agent, or the end of the time.
    Inbox { until_ns: u64, call: Box<(crate::mcp::Ask<'static>, Principal)> },
}

/// Everything that has to do with agents.
pub(super) struct Mcp {
    talks: Talks,
    pending: Vec<Pending>,
    agents: Agents,
    /// When it may be said again that the graph does not show something of agents, monotonic ns.
    not_done_ns: u64,
    /// The agent that registered last over a talk.
    speakers: HashMap<Handle, Box<str>>,
    recent: Recent,
    /// Keys of nodes that changed since the last notice.
    touched: Touched,
    /// Positions of the newest frame, and its tick and epoch.
    positions: (u64, u32, Vec<[f32; 3]>),
    agents_ns: u64,
    /// When calls under way were told how far they are, and the figures were news.
    told_ns: (u64, u64),
    /// What the log has told of last: the store fails, the simulation has fallen back to the processor.
    told: (bool, bool),
    /// The last turn of the simulation whose places were news.
    moved_ns: u64,
    /// Batches of agents that are done, or are not, since the pending calls were looked at.
    written: Vec<(Handle, CallKey, Option<RestError>)>,
    looks: Looks,
    /// What calls take.
    book: CallBook,
    /// Who called for a change.
    audit: Audit,
    /// Work on files that is done, and whose call is not answered yet.
    filed: Vec<(Handle, CallKey, AgentProduct)>,
    exports: Exports,
    uploads: Uploads,
    society: Society,
    lifecycle: Lifecycle,
    /// Streams that hear of agents.
    watchers: HashSet<SessionId>,
    staged: Staged,
    /// People that were asked something.
    questions: u64,
    rates: Rates,
    /// A call has begun something that the rest of a turn goes on with. It is so until the next turn.
    pub(super) is_left: bool,
    /// Calls that waited for their principal's rate, and calls that were refused for it.
    pub(super) rated: (u64, u64),
}

/// 128 bits for `what`, which nobody can guess.
fn random(what: &str) -> Result<[u8; 16], ToolError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| ToolError::new(format!("no random bits for {what}: {error}")))?;
    Ok(random)
}

impl Mcp {
    /// What a call waits for, which waits no more; `None` when it does not wait.
    fn take(&mut self, conn: Handle, key: CallKey) -> Option<Awaited> {
        let place = self.pending.iter().position(|pending| (pending.conn, pending.key) == (conn, key))?;
        Some(self.pending.swap_remove(place).what)
    }

    /// Answers a call at once.
    fn answer(&mut self, server: &Server, line: &Line, call: &Call<'_>, result: &Result<Reply, RpcError>) {
        self.book.answered(call, result);
        let record = self.audit.begin(call, || self.name_of(line.talk, call));
        self.audit.end(record, self.recent.latest(), Outcome::of(result));
        self.talks.answer(server, line, call, result);
    }

    /// What whoever calls is called: the agent that registered over the same connection, else his program.
    fn name_of(&self, talk: Handle, call: &Call<'_>) -> Option<Box<str>> {
        let agent = self.speakers.get(&talk).and_then(|agent| self.agents.live_name(agent));
        agent.or(call.client.as_deref()).map(Into::into)
    }

    /// Keeps a call as under way.
    fn defer(&mut self, line: &Line, call: &Call<'_>) -> CallKey {
        let key = self.talks.defer(line, call);
        let name = self.name_of(line.talk, call);
        self.audit.defer(line.talk, key, self.audit.begin(call, || name.clone()));
        self.book.deferred(line.talk, key, call, name);
        key
    }

    /// Answers a call that was under way.
    fn finish(&mut self, server: &Server, conn: Handle, key: CallKey, result: &Result<Reply, RpcError>) {
        self.book.finished(conn, key, result);
        self.audit.finish(conn, key, self.recent.latest(), Outcome::of(result));
        self.talks.finish(server, conn, key, result);
    }

    pub(super) fn new(revision: u64, desk: Option<&McpDesk>) -> Self {
        let nobody = || Principal { name: "nobody".into(), scopes: Scopes::NONE };
        let own_user = desk.map_or_else(nobody, |desk| desk.own_user.clone());
        let mut talks = Talks::new(own_user, desk.and_then(|desk| desk.anonymous.clone()));
        if let Some(desk) = desk {
            talks.set_connections_max(desk.server.connections_max);
        }
        Self {
            talks,
            pending: Vec::new(),
            agents: Agents::default(),
            not_done_ns: 0,
            speakers: HashMap::new(),
            recent: Recent::at(revision),
            touched: Touched::default(),
            positions: (0, 0, Vec::new()),
            agents_ns: 0,
            told_ns: (0, 0),
            told: (false, false),
            moved_ns: 0,
            written: Vec::new(),
            looks: Looks::default(),
            book: CallBook::default(),
            audit: Audit::new(desk),
            filed: Vec::new(),
            exports: Exports::default(),
            uploads: Uploads::default(),
            society: Society::default(),
            lifecycle: Lifecycle::new(&session_id()),
            watchers: HashSet::new(),
            staged: Staged::default(),
            questions: 0,
            rates: Rates::new(desk.map_or_else(RateLimits::default, |desk| desk.server.rate_limits)),
            is_left: false,
            rated: (0, 0),
        }
    }

    /// What a principal may call from now on; what holds then.
    pub(super) fn set_rates(&mut self, limits: RateLimits) -> RateLimits {
        self.rates.set_limits(limits)
    }

    /// How many connections a principal may have from now on; what holds then.
    pub(super) fn set_connections_max(&mut self, count: usize) -> usize {
        self.talks.set_connections_max(count)
    }

    /// Whether something is due before a lane rings, lines apart.
    pub(super) fn is_busy(&mut self) -> bool {
        !self.written.is_empty()
            || self.staged.is_untold()
            || self.audit.is_busy()
            || !self.filed.is_empty()
            || self.pending.iter().any(|pending| matches!(pending.what, Awaited::Steer { .. } | Awaited::Steps(_)))
            || self.talks.has_waiting()
    }

    /// Whether there is something to be understood, or said.
    pub(super) fn has_lines(&self) -> bool {
        self.talks.has_lines()
    }

    /// A batch becomes true in the graph that is given as it is before.
    pub(super) fn note(&mut self, version: u64, author: &Author, changes: &[Change], before: &Graph) {
        self.recent.push(version, author, changes);
        let line = || json!({ "event": "changed", "revision": version, "by": &*author.principal, "name": author.name, "why": author.why, "changes": changes.len() });
        self.talks.log(LogLevel::Info, "graph", || line().to_string());
        self.touched.structure = true;
        if self.talks.has_subscriptions() {
            self.touched.take(changes, before);
        }
    }
}

/// What tells this run of the engine from others: random where there is randomness, else the time.
fn session_id() -> String {
    let mut random = [0; 8];
    let drawn = getrandom::fill(&mut random).map(|()| u64::from_le_bytes(random));
    format!("{:016x}", drawn.unwrap_or_else(|_| unix_ms()))
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
        self.lanes.mcp.as_ref().is_none_or(|desk| {
            desk.events.is_empty() && desk.renewed.is_empty() && desk.looks.iter().all(|lanes| lanes.reports.is_empty())
        })
    }

    /// Takes what agents say and what was found out for them; returns how much that was.
    pub(super) fn take_mcp(&mut self, now_ns: u64) -> usize {
        self.keep_agents(now_ns);
        let Some(mut desk) = self.lanes.mcp.take() else { return 0 };
        if let Some(server) = desk.renewed.pop() {
            desk.server = server;
        }
        self.keep_time(&desk, now_ns);
        let mut taken = 0;
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(event) = desk.events.pop() else { break };
            taken += 1;
            if let Some(talk) = self.mcp.talks.event(&desk.server, event, now_ns) {
                self.forget(talk);
            }
        }
        taken += self.take_lines(&mut desk, now_ns);
        taken += self.take_looks(&mut desk);
        self.look_at_pending(&desk, now_ns);
        self.look_at_steps(&desk, now_ns);
        self.tell_progress(now_ns);
        self.log_state();
        self.show_stage(now_ns);
        self.notify(now_ns);
        self.send_mcp(&mut desk);
        self.mcp.audit.send(&mut desk);
        self.lanes.mcp = Some(desk);
        taken
    }

    /// Nobody waits for the calls of this talk any more. What changes the graph goes on; nobody hears of it.
    fn forget(&mut self, talk: Handle) {
        for pending in self.mcp.pending.iter().filter(|pending| pending.conn == talk) {
            if let Awaited::Look { ticket } | Awaited::Errand { ticket } = &pending.what {
                ticket.cancel();
            }
        }
        self.mcp.pending.retain(|pending| pending.conn != talk);
        self.mcp.book.forget(talk);
        self.mcp.audit.forget(talk, self.mcp.recent.latest());
        self.mcp.speakers.remove(&talk);
    }

    /// Makes something of lines: of each talk one, in turn, for so long. What is left waits for the next turn, so that nobody else
    /// waits for agents. Returns how many lines that were.
    fn take_lines(&mut self, desk: &mut McpDesk, now_ns: u64) -> usize {
        let (mut taken, mut began_ns) = (0, monotonic_ns());
        while taken == 0 || began_ns.saturating_sub(now_ns) <= LINES_NS_MAX {
            let Some(line) = self.mcp.talks.next_line(now_ns) else { break };
            self.mcp.book.began_ns = began_ns;
            self.mcp_line(desk, &line, now_ns);
            taken += 1;
            began_ns = monotonic_ns();
        }
        taken
    }

    fn mcp_line(&mut self, desk: &mut McpDesk, line: &Line, now_ns: u64) {
        let server = Arc::clone(&desk.server);
        match self.mcp.talks.feed(&server, line) {
            Step::Done | Step::Refused(_) | Step::Close => {}
            Step::Answered { id, answer } => self.take_answer(desk, line.talk, id, answer),
            Step::Cancel(key) => {
                self.mcp.book.cancelled(line.talk, key);
                self.mcp.audit.finish(line.talk, key, self.mcp.recent.latest(), Outcome::Cancelled);
                if let Some(Awaited::Look { ticket } | Awaited::Errand { ticket }) = self.mcp.take(line.talk, key) {
                    ticket.cancel();
                }
            }
            Step::Call(call) => match self.admit(desk, line, &call, now_ns) {
                Admission::Now => self.run_call(desk, line, &call, now_ns),
                Admission::In(wait_ns) => self.mcp.talks.hold(line.clone(), now_ns + wait_ns),
                Admission::Refused(wait_ns) => self.refuse_rate(desk, line, &call, wait_ns),
            },
        }
    }

    /// Does what a call asks for, or has it done.
    fn mcp_call(&mut self, desk: &mut McpDesk, line: &Line, call: &Call<'_>, now_ns: u64) {
        self.refresh_positions();
        let (server, conn) = (&desk.server, line.talk);
        let sim = self.sim_facts();
        let planned = plan(server, &call.ask, &call.principal, &self.view(&sim));
        let tool = |done: Done| Ok(reply(done));
        let is_a_look = matches!(
            planned,
            Err(_) | Ok(Plan::Read { long: false, .. } | Plan::Stats | Plan::Exported { .. } | Plan::App)
        );
        self.mcp.is_left |= !is_a_look;
        match planned {
            Err(error) => self.mcp.answer(server, line, call, &tool(Err(error))),
            Ok(Plan::Read { long: false, .. }) => {
                let result = self.look(server, call, &sim, now_ns);
                self.mcp.answer(server, line, call, &result);
            }
            Ok(Plan::Read { long: true, limit_ms }) => {
                if self.mcp.looks.len() >= MCP_READS_MAX {
                    let busy = ToolError::new("too many long looks wait already; ask again in a second");
                    return self.mcp.answer(server, line, call, &tool(Err(busy)));
                }
                let key = self.mcp.defer(line, call);
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
                    stage: self.mcp.staged.stage(),
                    side: self.lanes.jobs.published(self.epoch).cloned(),
                    graph_limits: (self.facts.limits.nodes, self.facts.limits.edges),
                    until_ns: now_ns + limit_ms * MILLISECOND_NS,
                    ticket: Arc::clone(&ticket),
                };
                self.mcp.looks.add(order);
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Look { ticket } });
            }
            Ok(Plan::Wait { since, wait_ms }) => {
                let key = self.mcp.defer(line, call);
                let asked = Box::new((call.ask.clone().into_owned(), call.principal.clone()));
                let until_ns = now_ns + wait_ms * MILLISECOND_NS;
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Change { since, until_ns, call: asked } });
            }
            Ok(Plan::Write(write)) => self.mcp_write(desk, line, call, write),
            Ok(Plan::Steer(change)) => self.begin_steer(desk, line, call, change, now_ns),
            Ok(Plan::Among(among)) => self.among(desk, line, call, &among, now_ns),
            Ok(Plan::Errand(errand)) => self.begin_errand(desk, line, call, errand, now_ns),
            Ok(Plan::Stats) => {
                let stats = self.engine_stats(desk);
                self.mcp.answer(&desk.server, line, call, &tool(stats));
            }
            Ok(Plan::Exported { name, part, uri }) => {
                let found = self.mcp.exports.read(&name, part, &call.principal.name, &uri, now_ns);
                let result = found.ok_or_else(|| RpcError::no_resource(&uri));
                self.mcp.answer(&desk.server, line, call, &result);
            }
            Ok(Plan::App) => self.mcp.answer(&desk.server, line, call, &Ok(app(&desk.page))),
            Ok(Plan::Stage(asked)) => {
                let done = self.put_on_stage(&desk.page, &asked, &call.principal.name);
                self.mcp.answer(server, line, call, &tool(done));
            }
            Ok(Plan::Step(stepping)) => self.begin_steps(desk, line, call, stepping, now_ns),
            Ok(Plan::Register(asked)) => self.register_agent(desk, line, call, &asked, now_ns),
            Ok(Plan::Report(asked)) => {
                let (by, now) = (&*call.principal.name, (now_ns, unix_ms()));
                let done = self.mcp.agents.report(&asked, by, &self.graph, now, self.mutations.version());
                let result = tool(done.and_then(|reported| crate::mcp::structured(&reported)));
                self.mcp.answer(server, line, call, &result);
                let said = self.mcp.agents.take_said();
                self.tell_spoken(&said);
                self.show_agents(now_ns);
            }
        }
    }

    fn look(&self, server: &Server, call: &Call<'_>, sim: &SimFacts, now_ns: u64) -> Result<Reply, RpcError> {
        let until = Until(now_ns + SHORT_LOOK_NS_MAX);
        read(server, &call.ask, &self.view(sim), &Bounds::new(server, &call.principal.name, &until, monotonic_ns))
    }

    fn finish(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, result: &Result<Reply, RpcError>) {
        self.mcp.finish(&desk.server, conn, key, result);
    }

    /// Has the log say what has become of the store and the simulation.
    fn log_state(&mut self) {
        let store = self.metrics.store.failed.get() > 0.0;
        let processor = self.metrics.sim.fell_back.get() > 0.0;
        let (store_was, processor_was) = std::mem::replace(&mut self.mcp.told, (store, processor));
        let talks = &mut self.mcp.talks;
        if store != store_was {
            let level = if store { LogLevel::Error } else { LogLevel::Notice };
            let event = if store { "changes_refused" } else { "changes_taken" };
            talks.log(level, "store", || json!({ "event": event }).to_string());
        }
        if processor && !processor_was {
            talks.log(LogLevel::Warning, "simulation", || json!({ "event": "fell_back_to_cpu" }).to_string());
        }
    }

    /// Tells subscribers what has changed.
    fn notify(&mut self, now_ns: u64) {
        let mut touched = std::mem::take(&mut self.mcp.touched);
        if self.mcp.talks.has_subscriptions() {
            let paused = self.is_paused();
            let sim = &self.metrics.sim;
            let moved_ns = sim.turn_ended_ns.get();
            touched.layout |=
                !paused && sim.settled.get() == 0.0 && moved_ns != std::mem::replace(&mut self.mcp.moved_ns, moved_ns);
            if now_ns >= self.mcp.told_ns.1 + STATS_NS {
                self.mcp.told_ns.1 = now_ns;
                touched.stats = true;
            }
        }
        self.mcp.talks.notify(&touched, now_ns);
    }

    /// One message for each connection that has something.
    fn send_mcp(&mut self, desk: &mut McpDesk) {
        self.mcp.talks.send(|reply| desk.replies.push(reply).map(|_| ()));
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
            energy: Some(sim.kinetic_energy.get()).filter(|energy| energy.is_finite()),
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
            stage: self.mcp.staged.stage_now(),
            side: self.lanes.jobs.published(self.epoch).map(|side| &**side),
            graph_limits: (self.facts.limits.nodes, self.facts.limits.edges),
        }
    }

    /// The last words to agents that listen.
    pub(super) fn leave_agents(&mut self) {
        let Some(mut desk) = self.lanes.mcp.take() else { return };
        self.mcp.talks.leave(&desk.server);
        self.send_mcp(&mut desk);
        self.mcp.audit.send(&mut desk);
        std::thread::sleep(SHORT_NAP);
        self.lanes.mcp = Some(desk);
    }
}
