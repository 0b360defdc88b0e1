//! A thread that looks at the graph for agents, where that may take more than a millisecond. One look at a time, over a snapshot
//! that `control` shares; it sleeps while there is none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::sync::Parker;

use super::{Ticket, serve};
use crate::analytics::{AnalyticsError, Watch};
use crate::base::Handle;
use crate::base::clock::monotonic_ns;
use crate::graph::Graph;
use crate::handoff::{Consumer, Doorbell, Frame, Producer, SidePlanes};
use crate::mcp::{
    self, AgentRow, Ask, Bounds, CallKey, Looked, Principal, Recent, RpcError, Server, SimFacts, Stage, View,
};

/// control → look.
#[derive(Debug)]
pub struct LookOrder {
    /// Whose call.
    pub conn: Handle,
    /// Which.
    pub key: CallKey,
    /// What is asked.
    pub ask: Ask<'static>,
    /// By whom.
    pub principal: Principal,
    /// What is offered.
    pub server: Arc<Server>,
    /// The graph of the moment.
    pub graph: Arc<Graph>,
    /// Where its nodes are. Positions are copied, and the frame let go of at once.
    pub frame: Option<Arc<Frame>>,
    /// Version of the graph.
    pub revision: u64,
    /// Where the simulation stands.
    pub sim: SimFacts,
    /// The agents.
    pub agents: Arc<[AgentRow]>,
    /// Views that are kept.
    pub stage: Arc<Stage>,
    /// What analytics have published.
    pub side: Option<Arc<SidePlanes>>,
    /// Nodes and edges that the graph may have.
    pub graph_limits: (usize, usize),
    /// When it is stopped, monotonic ns.
    pub until_ns: u64,
    /// How far it is, and whether it shall stop.
    pub ticket: Arc<Ticket>,
}

/// look → control.
#[derive(Debug)]
pub struct LookReport {
    /// Whose call.
    pub conn: Handle,
    /// Which.
    pub key: CallKey,
    /// What to answer.
    pub result: Result<Looked, RpcError>,
}

/// Stops a look that was cancelled, takes too long, or outlives the process.
struct Reins<'run> {
    ticket: &'run Ticket,
    until_ns: u64,
    stop: &'run AtomicBool,
}

impl Watch for Reins<'_> {
    fn progress(&self, part: f64) -> Result<(), AnalyticsError> {
        self.ticket.advance(part);
        let over = self.ticket.is_cancelled() || self.stop.load(Ordering::Relaxed) || monotonic_ns() > self.until_ns;
        if over { Err(AnalyticsError::Stopped) } else { Ok(()) }
    }
}

/// Everything the thread owns.
pub struct Looker {
    orders: Consumer<LookOrder>,
    reports: Producer<LookReport>,
    bell: Arc<Doorbell>,
}

impl Looker {
    /// A thread whose parker `bell` unparks.
    #[must_use]
    pub fn new(orders: Consumer<LookOrder>, reports: Producer<LookReport>, bell: Arc<Doorbell>) -> Self {
        Self { orders, reports, bell }
    }

    /// Looks until `stop` is set.
    pub fn run(self, parker: &Parker, stop: &AtomicBool) {
        let Self { orders, reports, bell } = self;
        serve(orders, reports, &bell, parker, stop, |order| Some(look(order, stop)));
    }
}

fn look(order: LookOrder, stop: &AtomicBool) -> LookReport {
    let LookOrder {
        conn,
        key,
        ask,
        principal,
        server,
        graph,
        frame,
        revision,
        sim,
        agents,
        stage,
        side,
        graph_limits,
        until_ns,
        ticket,
    } = order;
    let tick = frame.as_ref().map(|frame| frame.stamp().tick);
    let positions: Option<Vec<[f32; 3]>> =
        frame.map(|frame| frame.nodes().iter().map(|record| record.position()).collect());
    let recent = Recent::at(revision);
    let view = View {
        graph: &graph,
        positions: positions.as_deref(),
        tick,
        revision,
        sim: &sim,
        recent: &recent,
        agents: &agents,
        stage: &stage,
        side: side.as_deref(),
        graph_limits,
    };
    let reins = Reins { ticket: &ticket, until_ns, stop };
    let bounds = Bounds::new(&server, &principal.name, &reins, monotonic_ns);
    let result = catch_unwind(AssertUnwindSafe(|| mcp::look(&server, &ask, &view, &bounds))).unwrap_or_else(|_| {
        tracing::error!(?ask, "a look of an agent panicked; the thread goes on");
        Err(RpcError::new(mcp::code::INTERNAL, "an error of ours; it was logged"))
    });
    LookReport { conn, key, result }
}
