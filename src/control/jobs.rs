//! Analytics jobs: what was asked, the one that runs, what came of the others, and who waits for it.
//!
//! The worker has one order at a time and a queue of none: the queue is here, so that a job begins with the graph and the
//! positions of the moment it begins in.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::analytics::{AskError, read};
use crate::base::Handle;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS};
use crate::graph::Graph;
use crate::handoff::{Consumer, Frame, Producer, RestCall, SidePlanes};
use crate::limits::{
    ANALYTICS_ENDED_MAX, ANALYTICS_QUEUED_MAX, ANALYTICS_RESULT_BYTES_MAX, ANALYTICS_WAIT_S_MAX, ANALYTICS_WAITING_MAX,
};
use crate::worker::{Failure, Product, Snapshot, Ticket, WorkOrder, WorkReport};

const PREFIX: &str = "/api/analytics/";

/// How long a job waits for positions of the present graph before it fails, ns. A new structure has its first frame within a tick or two.
const POSITIONS_WAIT_NS: u64 = 10 * SECOND_NS;

/// An answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// With a status of its own; the lead is this answer's, the body may be shared.
    Json { status: u16, lead: Bytes, body: Bytes },
    /// 202: it goes on.
    Accepted { location: String, body: Bytes },
    /// An error.
    Refused { status: u16, code: &'static str, message: String, field: String },
}

impl Answer {
    fn refused(status: u16, code: &'static str, message: impl Into<String>, field: &str) -> Self {
        Self::Refused { status, code, message: message.into(), field: field.to_owned() }
    }
}

/// What is to be done with a request.
enum Told {
    /// Answer it.
    Now(Answer),
    /// Answer it when this job is over, or at this time.
    Later { job: u64, until_ns: u64 },
}

#[derive(Debug)]
enum State {
    Queued,
    Running,
    Done { body: Bytes, tick: Option<u64>, published: bool },
    Failed { reason: String },
    Cancelled,
}

/// One job, from its request until it is forgotten.
#[derive(Debug)]
struct Row {
    id: u64,
    kind: String,
    /// As it was sent; read again when the job begins, for indices are those of an epoch.
    request: Bytes,
    algorithm: &'static str,
    parameters: Value,
    /// Of the graph that it runs or ran on; none while it waits.
    epoch: Option<u32>,
    needs_positions: bool,
    /// Since when it waits for positions of the present graph.
    unplaced_ns: Option<u64>,
    ticket: Arc<Ticket>,
    state: State,
    took_ns: Option<u64>,
}

impl Row {
    fn is_over(&self) -> bool {
        !matches!(self.state, State::Queued | State::Running)
    }

    /// It waits, and for nothing but the worker.
    fn is_ready(&self) -> bool {
        matches!(self.state, State::Queued) && self.unplaced_ns.is_none()
    }

    fn body_bytes(&self) -> usize {
        if let State::Done { body, .. } = &self.state { body.len() } else { 0 }
    }
}

/// Somebody who waits for the end of a job.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    token: Handle,
    job: u64,
    until_ns: u64,
}

/// All jobs, and the lanes to and from the worker.
#[derive(Debug)]
pub struct Jobs {
    orders: Producer<WorkOrder>,
    reports: Consumer<WorkReport>,
    /// In the order in which they were asked for.
    rows: VecDeque<Row>,
    last_id: u64,
    waiting: Vec<Waiting>,
    snapshot: Option<Arc<Snapshot>>,
    planes: Arc<SidePlanes>,
}

/// The graph of the moment.
#[derive(Clone, Copy)]
pub(super) struct Moment<'turn> {
    pub(super) graph: &'turn Graph,
    pub(super) epoch: u32,
    pub(super) frame: Option<&'turn Arc<Frame>>,
    pub(super) now_ns: u64,
}

impl<'turn> Moment<'turn> {
    /// The newest frame, unless it is of a structure before: `sim` still takes the present one then.
    fn placed(&self) -> Option<&'turn Arc<Frame>> {
        self.frame.filter(|frame| frame.stamp().epoch == self.epoch)
    }
}

impl Jobs {
    /// No jobs yet.
    #[must_use]
    pub fn new(orders: Producer<WorkOrder>, reports: Consumer<WorkReport>) -> Self {
        Self {
            orders,
            reports,
            rows: VecDeque::new(),
            last_id: 0,
            waiting: Vec::new(),
            snapshot: None,
            planes: Arc::default(),
        }
    }

    /// What frames carry of analytics, if it is of this structure of the graph.
    pub(super) fn published(&self, epoch: u32) -> Option<&Arc<SidePlanes>> {
        Some(&self.planes).filter(|planes| planes.version > 0 && planes.epoch == epoch)
    }

    /// Whether `path` is one of these.
    pub(super) fn takes(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    /// Whether the worker has said nothing.
    pub(super) fn is_quiet(&self) -> bool {
        self.reports.is_empty()
    }

    /// Whether somebody waits for a job, or for his time to be over.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nothing is to be taken, begun or answered.
    pub(super) fn is_idle(&self) -> bool {
        self.is_quiet() && !self.is_waited_for() && !self.rows.iter().any(|row| matches!(row.state, State::Queued))
    }

    /// What a request comes to; `None` when its answer comes later.
    pub(super) fn call(&mut self, token: Handle, call: &RestCall, moment: Moment<'_>) -> Option<Answer> {
        let rest = call.path.strip_prefix(PREFIX).unwrap_or("");
        let told = match (rest.strip_prefix("jobs/"), call.method.as_str()) {
            (Some(id), "GET") => Told::Now(self.look(id)),
            (Some(id), "DELETE") => Told::Now(self.cancel(id)),
            (None, "POST") => self.ask(rest, call, moment),
            _ => Told::Now(Answer::refused(405, "method", "this path does not answer that method", "")),
        };
        match told {
            Told::Now(answer) => Some(answer),
            Told::Later { job, until_ns } => {
                self.waiting.push(Waiting { token, job, until_ns });
                None
            }
        }
    }

    fn ask(&mut self, kind: &str, call: &RestCall, moment: Moment<'_>) -> Told {
        let refused =
            |status, code, message: String, field: &str| Told::Now(Answer::refused(status, code, message, field));
        let wait_s = match wait_seconds(call) {
            Ok(wait_s) => wait_s,
            Err(AskError { field, message }) => return refused(400, "out_of_range", message, &field),
        };
        let ask = match read(kind, &call.body, moment.graph) {
            None => {
                return refused(404, "not_found", format!("there is no analytics called {}", kind.escape_debug()), "");
            }
            Some(Err(AskError { field, message })) => return refused(400, "parameter", message, &field),
            Some(Ok(ask)) => ask,
        };
        if self.rows.iter().filter(|row| matches!(row.state, State::Queued)).count() >= ANALYTICS_QUEUED_MAX {
            let message = format!("{ANALYTICS_QUEUED_MAX} jobs wait already; ask again later");
            return refused(503, "busy", message, "");
        }
        if wait_s.is_some() && self.waiting.len() >= ANALYTICS_WAITING_MAX {
            let message = format!("{ANALYTICS_WAITING_MAX} requests wait for a job already; ask without wait");
            return refused(503, "busy", message, "wait");
        }
        self.last_id += 1;
        self.rows.push_back(Row {
            id: self.last_id,
            kind: kind.to_owned(),
            request: call.body.clone(),
            algorithm: ask.algorithm,
            parameters: ask.parameters,
            epoch: None,
            needs_positions: ask.job.needs_positions(),
            unplaced_ns: None,
            ticket: Arc::default(),
            state: State::Queued,
            took_ns: None,
        });
        self.dispatch(moment);
        match wait_s {
            None => Told::Now(self.accepted(self.last_id)),
            Some(wait_s) => {
                Told::Later { job: self.last_id, until_ns: moment.now_ns + (wait_s * SECOND_NS as f64) as u64 }
            }
        }
    }

    /// Takes what the worker reports, begins the next job, and answers those who have waited. Returns how many reports
    /// there were, and what frames are to carry from now on if that has changed.
    pub(super) fn turn(
        &mut self,
        moment: Moment<'_>,
        answers: &mut Vec<(Handle, Answer)>,
    ) -> (usize, Option<Arc<SidePlanes>>) {
        let (mut taken, mut published) = (0, None);
        while let Some(report) = self.reports.pop() {
            taken += 1;
            published = self.end(report, moment.epoch).or(published);
        }
        self.dispatch(moment);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|waiting| {
            let row = self.rows.iter().find(|row| row.id == waiting.job);
            match row {
                Some(row) if row.is_over() => answers.push((waiting.token, shown(row))),
                Some(_) if moment.now_ns < waiting.until_ns => return true,
                Some(row) => answers.push((waiting.token, self.accepted(row.id))),
                None => answers.push((waiting.token, unknown(&waiting.job.to_string()))),
            }
            false
        });
        self.waiting = waiting;
        (taken, published)
    }

    fn end(&mut self, report: WorkReport, epoch: u32) -> Option<Arc<SidePlanes>> {
        let row = self.rows.iter_mut().find(|row| row.id == report.id)?;
        row.took_ns = Some(report.took_ns);
        let mut newer = None;
        row.state = match report.outcome {
            Ok(Product { body, planes, tick }) => {
                // Of a structure that is gone they would be values of other nodes.
                newer = planes.filter(|planes| planes.epoch == epoch);
                State::Done { body, tick, published: newer.is_some() }
            }
            Err(Failure::Cancelled) => State::Cancelled,
            Err(Failure::Error(reason)) => State::Failed { reason },
            Err(Failure::Panic(reason)) => State::Failed { reason: format!("it panicked: {reason}") },
        };
        self.forget();
        let planes = Arc::new(self.planes.with(newer?));
        self.planes = Arc::clone(&planes);
        Some(planes)
    }

    /// Keeps the newest ended jobs, as many and as large as there is room for.
    fn forget(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        let mut kept = VecDeque::with_capacity(self.rows.len());
        for row in std::mem::take(&mut self.rows).into_iter().rev() {
            if row.is_over() {
                count += 1;
                bytes += row.body_bytes();
                if count > ANALYTICS_ENDED_MAX || bytes > ANALYTICS_RESULT_BYTES_MAX {
                    continue;
                }
            }
            kept.push_front(row);
        }
        self.rows = kept;
    }

    /// Says of every job that waits whether positions keep it waiting, and fails one that they have kept too long.
    fn await_positions(&mut self, moment: Moment<'_>) {
        let placed = moment.placed().is_some();
        for row in self.rows.iter_mut().filter(|row| row.needs_positions && matches!(row.state, State::Queued)) {
            let since_ns = row.unplaced_ns.unwrap_or(moment.now_ns);
            row.unplaced_ns = (!placed).then_some(since_ns);
            if !placed && moment.now_ns.saturating_sub(since_ns) >= POSITIONS_WAIT_NS {
                row.state = State::Failed { reason: "there are no positions of this graph yet".to_owned() };
            }
        }
    }

    /// Gives the worker the oldest job that can begin, when it has none.
    fn dispatch(&mut self, moment: Moment<'_>) {
        self.await_positions(moment);
        if self.rows.iter().any(|row| matches!(row.state, State::Running)) {
            return;
        }
        while let Some(at) = self.rows.iter().position(Row::is_ready) {
            let snapshot = self.snapshot(moment);
            let Some(row) = self.rows.get_mut(at) else { return };
            row.epoch = Some(moment.epoch);
            let ask = match read(&row.kind, &row.request, moment.graph) {
                Some(Ok(ask)) => ask,
                // A node that it names has gone with an older epoch.
                Some(Err(AskError { message, .. })) => {
                    row.state = State::Failed { reason: message };
                    continue;
                }
                None => {
                    row.state = State::Failed { reason: "there is no such analysis".to_owned() };
                    continue;
                }
            };
            let frame = moment.placed().filter(|_| ask.job.needs_positions()).map(Arc::clone);
            let order = WorkOrder {
                id: row.id,
                job: ask.job,
                snapshot,
                frame,
                ticket: Arc::clone(&row.ticket),
                values: ask.values,
                publish: ask.publish,
            };
            // A full lane is a worker that still wakes up: at the next turn.
            if self.orders.push(order).is_ok() {
                row.state = State::Running;
            }
            return;
        }
    }

    /// Rows and ids of the present structure, made once an epoch. O(nodes + edges) on this thread.
    fn snapshot(&mut self, moment: Moment<'_>) -> Arc<Snapshot> {
        if let Some(snapshot) = self.snapshot.as_ref().filter(|snapshot| snapshot.epoch == moment.epoch) {
            return Arc::clone(snapshot);
        }
        let ids = moment.graph.nodes().iter().map(|node| node.id.get()).collect();
        let snapshot = Arc::new(Snapshot { epoch: moment.epoch, csr: moment.graph.csr(), ids });
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    fn row(&self, id: &str) -> Option<&Row> {
        let id = id.parse::<u64>().ok()?;
        self.rows.iter().find(|row| row.id == id)
    }

    fn look(&self, id: &str) -> Answer {
        self.row(id).map_or_else(|| unknown(id), shown)
    }

    /// A job that waits is over at once, one that runs within moments; one that is over stays as it is.
    fn cancel(&mut self, id: &str) -> Answer {
        let Some(at) = self.row(id).and_then(|row| self.rows.iter().position(|other| other.id == row.id)) else {
            return unknown(id);
        };
        let Some(row) = self.rows.get_mut(at) else { return unknown(id) };
        match row.state {
            State::Queued => row.state = State::Cancelled,
            State::Running => row.ticket.cancel(),
            State::Done { .. } | State::Failed { .. } | State::Cancelled => {}
        }
        let answer = shown(row);
        self.forget();
        answer
    }

    fn accepted(&self, id: u64) -> Answer {
        let text = self.rows.iter().find(|row| row.id == id).map(|row| describe(row).to_string());
        Answer::Accepted { location: format!("{PREFIX}jobs/{id}"), body: text.unwrap_or_default().into() }
    }

    /// Counts of all jobs, for `/health/detail`.
    pub(super) fn health(&self, beat_age_ms: u64) -> Value {
        let count = |wanted: fn(&State) -> bool| self.rows.iter().filter(|row| wanted(&row.state)).count();
        json!({
            "queued": count(|state| matches!(state, State::Queued)),
            "running": count(|state| matches!(state, State::Running)),
            "ended_known": self.rows.iter().filter(|row| row.is_over()).count(),
            "last_sign_ms": beat_age_ms,
        })
    }
}

fn unknown(id: &str) -> Answer {
    let message = format!("there is no job {}, or it is too long ago", id.escape_debug());
    Answer::refused(404, "unknown_job", message, "id")
}

/// `wait`, in seconds.
fn wait_seconds(call: &RestCall) -> Result<Option<f64>, AskError> {
    let Some(text) = call.query.get("wait") else { return Ok(None) };
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=ANALYTICS_WAIT_S_MAX).contains(seconds));
    let shown: String = text.chars().take(60).collect();
    let message = || format!("wait is {}, must be a number from 0 to {ANALYTICS_WAIT_S_MAX}", shown.escape_debug());
    seconds.map(Some).ok_or_else(|| AskError { field: "wait".to_owned(), message: message() })
}

/// Everything about a job but its result.
fn describe(row: &Row) -> Value {
    let (state, progress, reason) = match &row.state {
        State::Queued => ("queued", json!(0.0), None),
        State::Running => ("running", json!(row.ticket.progress()), None),
        State::Done { .. } => ("done", json!(1.0), None),
        State::Failed { reason } => ("failed", Value::Null, Some(reason)),
        State::Cancelled => ("cancelled", Value::Null, None),
    };
    let (tick, published) = match row.state {
        State::Done { tick, published, .. } => (tick, published),
        _ => (None, false),
    };
    json!({
        "job": row.id, "kind": row.kind, "algorithm": row.algorithm, "state": state, "progress": progress,
        "reason": reason, "epoch": row.epoch, "tick": tick, "parameters": row.parameters, "published": published,
        "took_ms": row.took_ns.map(|ns| ns as f64 / MILLISECOND_NS as f64),
    })
}

/// A job with its result, if it has one.
fn shown(row: &Row) -> Answer {
    let mut lead = describe(row).to_string();
    if let State::Done { body, .. } = &row.state {
        // The result is shared; what closes the object around it was put behind it when it came.
        lead.pop();
        lead.push_str(",\"result\":");
        return Answer::Json { status: 200, lead: lead.into(), body: body.clone() };
    }
    Answer::Json { status: 200, lead: lead.into(), body: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use crate::handoff::{Doorbell, FramePool, Overflow, Query, Stamp, lane};

    struct Desk {
        jobs: Jobs,
        orders: Consumer<WorkOrder>,
        reports: Producer<WorkReport>,
        graph: Graph,
        epoch: u32,
        frame: Option<Arc<Frame>>,
        now_ns: u64,
    }

    const TOKEN: Handle = Handle { slot: 3, generation: 1 };

    impl Desk {
        fn new() -> Self {
            let bell = Arc::new(Doorbell::silent());
            let (orders_out, orders) = lane("orders", 1, Overflow::Refuse, Arc::clone(&bell));
            let (reports, reports_in) = lane("reports", 2, Overflow::Refuse, bell);
            let mut builder = GraphBuilder::new(10, 10);
            let (a, b) = (builder.node("5").unwrap(), builder.node("6").unwrap());
            builder.edge(a, b, 1.0, false).unwrap();
            Self {
                jobs: Jobs::new(orders_out, reports_in),
                orders,
                reports,
                graph: builder.finish(),
                epoch: 1,
                frame: None,
                now_ns: 0,
            }
        }

        /// The newest frame is one of this structure.
        fn see(&mut self, epoch: u32) {
            let stamp = Stamp { epoch, tick: 1, tick_ns: 0, published_ns: 0, flags: 0 };
            self.frame = FramePool::new(1).publish(|frame| frame.begin(stamp, &[5, 6]));
        }

        fn call(&mut self, method: &str, path: &str, wait: Option<&str>, body: &str) -> Option<Answer> {
            let query = Query(wait.map(|wait| ("wait".to_owned(), wait.to_owned())).into_iter().collect());
            let path = format!("{PREFIX}{path}");
            let call = RestCall { method: method.to_owned(), path, query, body: body.as_bytes().to_vec().into() };
            let (graph, frame) = (&self.graph, self.frame.as_ref());
            let moment = Moment { graph, epoch: self.epoch, frame, now_ns: self.now_ns };
            self.jobs.call(TOKEN, &call, moment)
        }

        fn turn(&mut self) -> (Vec<(Handle, Answer)>, Option<Arc<SidePlanes>>) {
            let (graph, frame) = (&self.graph, self.frame.as_ref());
            let moment = Moment { graph, epoch: self.epoch, frame, now_ns: self.now_ns };
            let mut answers = Vec::new();
            let (_, published) = self.jobs.turn(moment, &mut answers);
            (answers, published)
        }

        fn report(&mut self, id: u64, planes: Option<SidePlanes>) {
            let product = Product { body: Bytes::from_static(b"{\"x\":1}}"), planes, tick: None };
            self.reports.push(WorkReport { id, outcome: Ok(product), took_ns: 5 }).unwrap();
        }
    }

    fn json(answer: Answer) -> Value {
        match answer {
            Answer::Json { lead, body, .. } => serde_json::from_slice(&[lead, body].concat()).unwrap(),
            Answer::Accepted { body, .. } => serde_json::from_slice(&body).unwrap(),
            Answer::Refused { message, .. } => panic!("{message}"),
        }
    }

    #[test]
    fn one_job_runs_and_who_waits_is_answered_when_it_ends() {
        let mut desk = Desk::new();
        assert!(desk.call("POST", "components", Some("5"), "{}").is_none());
        assert_eq!(json(desk.call("POST", "components", None, "{}").unwrap())["state"], "queued");
        assert_eq!(desk.orders.pop().unwrap().id, 1);
        assert!(desk.orders.pop().is_none() && desk.turn().0.is_empty());
        desk.report(1, None);
        let (answers, _) = desk.turn();
        let [(TOKEN, answer)] = <[_; 1]>::try_from(answers).unwrap() else { panic!("another token") };
        let json = json(answer);
        assert_eq!((&json["state"], &json["result"]["x"]), (&json!("done"), &json!(1)));
        assert_eq!(desk.orders.pop().unwrap().id, 2, "the next begins");
    }

    #[test]
    fn who_has_waited_long_enough_is_told_where_to_look() {
        let mut desk = Desk::new();
        assert!(desk.call("POST", "components", Some("1"), "{}").is_none());
        desk.now_ns = SECOND_NS - 1;
        assert!(desk.turn().0.is_empty());
        desk.now_ns = SECOND_NS;
        let (answers, _) = desk.turn();
        assert!(matches!(&answers[..], [(TOKEN, Answer::Accepted { location, .. })] if location.ends_with("/jobs/1")));
        assert!(desk.turn().0.is_empty(), "once");
    }

    #[test]
    fn a_job_whose_node_is_gone_fails_and_what_is_of_another_epoch_is_not_published() {
        let mut desk = Desk::new();
        desk.call("POST", "components", None, "{}");
        desk.call("POST", "sssp", None, r#"{"source": 6}"#);
        desk.orders.pop().unwrap();
        let mut builder = GraphBuilder::new(10, 10);
        builder.node("5").unwrap();
        (desk.graph, desk.epoch) = (builder.finish(), 2);
        desk.report(1, Some(SidePlanes { epoch: 1, ..SidePlanes::default() }));
        assert!(desk.turn().1.is_none());
        let first = json(desk.call("GET", "jobs/1", None, "").unwrap());
        assert_eq!((&first["published"], &first["epoch"]), (&json!(false), &json!(1)));
        let second = json(desk.call("GET", "jobs/2", None, "").unwrap());
        assert_eq!(second["state"], "failed");
        assert!(second["reason"].as_str().unwrap().contains("source is 6"), "{second}");
        desk.call("POST", "components", None, "{}");
        desk.orders.pop().unwrap();
        desk.report(3, Some(SidePlanes { epoch: 2, ..SidePlanes::default() }));
        assert_eq!(desk.turn().1.unwrap().epoch, 2);
    }

    #[test]
    fn a_job_that_needs_positions_begins_with_the_first_frame_of_the_structure_and_holds_up_no_other() {
        let mut desk = Desk::new();
        desk.see(1);
        desk.epoch = 2;
        assert_eq!(json(desk.call("POST", "stress", None, "{}").unwrap())["state"], "queued");
        assert_eq!(json(desk.call("POST", "components", None, "{}").unwrap())["state"], "running");
        assert_eq!(desk.orders.pop().unwrap().id, 2);
        desk.report(2, None);
        desk.turn();
        assert!(desk.orders.pop().is_none(), "the frame is of the structure before");
        // It is looked at again with every turn, but keeps nobody awake.
        assert!(!desk.jobs.is_idle() && desk.jobs.is_quiet() && !desk.jobs.is_waited_for());
        desk.see(2);
        desk.turn();
        let order = desk.orders.pop().unwrap();
        let epochs = (order.snapshot.epoch, order.frame.unwrap().stamp().epoch);
        assert_eq!((order.id, epochs), (1, (2, 2)));
    }

    #[test]
    fn a_job_that_gets_no_positions_fails_after_a_while_that_begins_anew_with_each_structure() {
        let mut desk = Desk::new();
        // The worker is busy meanwhile.
        desk.call("POST", "components", None, "{}");
        desk.call("POST", "stress", None, "{}");
        let state_at = |desk: &mut Desk, now_ns: u64| {
            desk.now_ns = now_ns;
            desk.turn();
            json(desk.call("GET", "jobs/2", None, "").unwrap())
        };
        assert_eq!(state_at(&mut desk, POSITIONS_WAIT_NS - 1)["state"], "queued");
        desk.see(1);
        assert_eq!(state_at(&mut desk, POSITIONS_WAIT_NS)["state"], "queued");
        desk.epoch = 2;
        assert_eq!(state_at(&mut desk, 2 * POSITIONS_WAIT_NS)["state"], "queued");
        assert_eq!(state_at(&mut desk, 3 * POSITIONS_WAIT_NS - 1)["state"], "queued");
        let late = state_at(&mut desk, 3 * POSITIONS_WAIT_NS);
        assert_eq!(late["state"], "failed");
        assert!(late["reason"].as_str().unwrap().contains("no positions"), "{late}");
        assert!(desk.jobs.is_idle());
    }

    #[test]
    fn ended_jobs_are_forgotten_by_number() {
        let mut desk = Desk::new();
        for id in 1..=ANALYTICS_ENDED_MAX as u64 + 3 {
            desk.call("POST", "components", None, "{}");
            desk.orders.pop().unwrap();
            desk.report(id, None);
            desk.turn();
        }
        assert_eq!(desk.jobs.rows.len(), ANALYTICS_ENDED_MAX);
        assert!(matches!(desk.call("GET", "jobs/3", None, ""), Some(Answer::Refused { status: 404, .. })));
        assert_eq!(json(desk.call("GET", "jobs/4", None, "").unwrap())["state"], "done");
    }
}
