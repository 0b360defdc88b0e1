//! Steering by REST: requests become orders for `sim`, and are answered when `sim` has taken them.
//!
//! The book of rules is changed at once, since this thread is its one writer; the answer waits. Places of a layout mode are found on a thread
//! of their own, one at a time: a large graph takes seconds, and this thread answers everybody.

mod places;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use serde_json::{Value, json};

use self::places::{Found, Job};
use super::Control;
use crate::analytics::layout::Mode;
use crate::api::steer::{Fields, RestError, RuleBook, SteerFacts, mode_name, read_mode, read_preset};
use crate::base::Handle;
use crate::handoff::{DoorReply, RestCall, ShardMessage, SimCommand, Spent, SpringTable, Steer, Steered, Violations};
use crate::limits::{STEERS_WAITING_MAX, STEPS_OWED_MAX};
use crate::wire::ServerMessage;

/// Steps of a change of the layout mode, as `sim` makes it: 2 s at 60 Hz.
pub(super) const BLEND_TICKS: u32 = 120;

/// What steers, and who waits for an answer.
pub(super) struct Steering {
    book: RuleBook,
    facts: SteerFacts,
    paused: bool,
    last_ticket: u64,
    waiting: Vec<Waiting>,
    /// A mode whose places are being found.
    job: Option<Job>,
    last_job: u64,
    /// A thread is at work, for this job or one before.
    searching: bool,
    found: Arc<ArrayQueue<Found>>,
}

/// A request whose order is with `sim`.
struct Waiting {
    ticket: u64,
    token: Option<Handle>,
    then: Then,
}

/// What a request is answered with, and what everybody is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    State,
    Paused(bool),
    Layout,
    Semantic,
    Relations,
    Springs,
    TwoGraphs,
    Preset,
    Constraint { key: u32, status: u16 },
    Constraints,
    Removed,
}

impl Steering {
    /// Requests whose orders are with `sim`.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Whether `sim` has not taken the order of this ticket yet.
    pub(super) fn waits_for(&self, ticket: u64) -> bool {
        self.waiting.iter().any(|waiting| waiting.ticket == ticket)
    }

    /// Whether the places of a layout mode are being found: it is not in force yet.
    pub(super) fn is_finding_places(&self) -> bool {
        self.job.as_ref().is_some_and(Job::is_not_in_force)
    }

    pub(super) fn new(facts: SteerFacts) -> Self {
        Self {
            book: RuleBook::default(),
            facts,
            paused: false,
            last_ticket: 0,
            waiting: Vec::new(),
            job: None,
            last_job: 0,
            searching: false,
            found: Arc::new(ArrayQueue::new(1)),
        }
    }
}

fn busy(message: &str) -> RestError {
    RestError::new(503, "busy", message)
}

impl Control {
    /// Answers a request, or sends its order on its way.
    pub(super) fn steer_by_rest(&mut self, token: Handle, call: &RestCall) {
        if let Err(error) = self.try_rest(token, call) {
            self.refuse_rest(token, &error);
        }
    }

    pub(super) fn refuse_rest(&mut self, token: Handle, error: &RestError) {
        let paths: Vec<&str> = error.field.as_deref().into_iter().collect();
        self.refuse_http(token, error.status, error.code, &error.message, &paths);
    }

    pub(super) fn answer_rest(&mut self, token: Handle, status: u16, answer: &Value) {
        let body = answer.to_string().into();
        self.reply(DoorReply::Http { token, status, content_type: super::JSON, lead: bytes::Bytes::new(), body });
    }

    fn try_rest(&mut self, token: Handle, call: &RestCall) -> Result<(), RestError> {
        if self.steering.waiting.len() + self.settings.waiting_count() >= STEERS_WAITING_MAX
            || self.held_back.len() >= super::HELD_BACK_MAX
        {
            return Err(busy("the simulation has too much to do; send it again"));
        }
        let path = call.path.strip_prefix("/api/").unwrap_or(&call.path);
        match (call.method.as_str(), path) {
            ("GET", "constraints") => {
                self.measure(token, Then::Constraints);
                Ok(())
            }
            ("POST", "constraints") => {
                let mut book = self.steering.book.clone();
                let key = book.add(&body(call)?, &self.graph, self.steering.facts.scale.flat)?;
                self.put_in_force(token, book, false, Then::Constraint { key, status: 201 });
                Ok(())
            }
            ("DELETE", "constraints") => {
                let mut book = self.steering.book.clone();
                book.remove_all();
                self.put_in_force(token, book, false, Then::Removed);
                Ok(())
            }
            (method, path) if path.starts_with("constraints/") => self.one_constraint(token, method, path, call),
            ("GET", "simulation") => {
                let state = self.steer_state(None);
                self.answer_rest(token, 200, &state);
                Ok(())
            }
            (method, path) => match path.strip_prefix("simulation/") {
                Some(part) => self.simulation(token, method, part, call),
                None => {
                    Err(RestError::new(404, "not_found", format!("there is nothing at {}", call.path.escape_debug())))
                }
            },
        }
    }

    fn one_constraint(&mut self, token: Handle, method: &str, path: &str, call: &RestCall) -> Result<(), RestError> {
        let name = path.strip_prefix("constraints/").unwrap_or_default();
        let unknown =
            || RestError::new(404, "unknown_constraint", format!("there is no constraint {}", name.escape_debug()));
        let key: u32 = name.parse().map_err(|_| unknown())?;
        self.steering.book.known(key)?;
        let then = Then::Constraint { key, status: 200 };
        let mut book = self.steering.book.clone();
        match method {
            "PUT" => {
                book.replace(key, &body(call)?, &self.graph, self.steering.facts.scale.flat)?;
                self.put_in_force(token, book, false, then);
            }
            "DELETE" => {
                book.remove(key)?;
                self.put_in_force(token, book, false, Then::Removed);
            }
            _ => self.measure(token, then),
        }
        Ok(())
    }

    fn simulation(&mut self, token: Handle, method: &str, part: &str, call: &RestCall) -> Result<(), RestError> {
        let mut book = self.steering.book.clone();
        match (method, part) {
            ("POST", "pause") => self.order_now(token, call, Steer::Pause, Then::Paused(true))?,
            ("POST", "resume") => self.order_now(token, call, Steer::Resume, Then::Paused(false))?,
            ("POST", "reset") => self.order_now(token, call, Steer::Reset, Then::State)?,
            ("POST", "reheat") => self.order_now(token, call, Steer::Reheat, Then::State)?,
            ("POST", "step") => {
                let count = match call.body.is_empty() {
                    true => 1,
                    false => {
                        let body = body(call)?;
                        let mut fields = Fields::of_body(&body)?;
                        let count = fields.whole("count", 1, STEPS_OWED_MAX)?.unwrap_or(1);
                        fields.end()?;
                        count
                    }
                };
                self.order(Some(token), Steer::Step { count }, Then::State);
            }
            ("PUT", "layout") => self.begin_mode(Some(token), read_mode(&body(call)?)?, None)?,
            ("POST", "preset") => {
                let (name, preset) = read_preset(&body(call)?)?;
                self.begin_mode(Some(token), preset.mode, Some((name, preset)))?;
            }
            ("PUT", "semantic") => {
                book.semantic.read(&body(call)?)?;
                book.preset = None;
                self.put_in_force(token, book, false, Then::Semantic);
            }
            ("PUT", "relations") => {
                book.springs.read_relations(&body(call)?)?;
                self.put_in_force(token, book, true, Then::Relations);
            }
            ("PUT", "springs") => {
                book.springs.read(&body(call)?, &self.graph)?;
                book.preset = None;
                self.put_in_force(token, book, true, Then::Springs);
            }
            ("PUT", "two-graphs") => {
                book.two_graphs.read(&body(call)?)?;
                self.put_in_force(token, book, false, Then::TwoGraphs);
            }
            (_, part) => {
                let then = match part {
                    "layout" => Then::Layout,
                    "semantic" => Then::Semantic,
                    "relations" => Then::Relations,
                    "springs" => Then::Springs,
                    "two-graphs" => Then::TwoGraphs,
                    "preset" => Then::Preset,
                    _ => return Err(RestError::new(404, "not_found", "there is nothing at this path")),
                };
                let shown = self.shown(then, None, &Violations::default());
                self.answer_rest(token, 200, &shown);
            }
        }
        Ok(())
    }

    /// An order of an agent; its ticket.
    pub(super) fn steer_for_agent(&mut self, order: Steer) -> u64 {
        let then = match order {
            Steer::Pause => Then::Paused(true),
            Steer::Resume => Then::Paused(false),
            _ => Then::State,
        };
        self.order(None, order, then);
        self.steering.last_ticket
    }

    /// Begins a layout mode for an agent.
    pub(super) fn begin_layout(&mut self, mode: Mode) -> Result<(), RestError> {
        self.begin_mode(None, mode, None)
    }

    /// From now on these are the units of the rules: what is in force is compiled again when they are others.
    pub(super) fn steer_by(&mut self, facts: SteerFacts) {
        if self.steering.facts != facts {
            self.steering.facts = facts;
            self.steer_anew(true);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.steering.paused
    }

    pub(super) fn layout_name(&self) -> &'static str {
        mode_name(self.steering.book.layout.mode)
    }

    /// An order that takes no body.
    fn order_now(&mut self, token: Handle, call: &RestCall, order: Steer, then: Then) -> Result<(), RestError> {
        if !call.body.is_empty() && call.body.as_ref() != b"{}" {
            return Err(RestError::new(400, "body", "this request takes no body"));
        }
        self.order(Some(token), order, then);
        Ok(())
    }

    fn order(&mut self, token: Option<Handle>, order: Steer, then: Then) {
        self.steering.last_ticket += 1;
        let ticket = self.steering.last_ticket;
        self.steering.waiting.push(Waiting { ticket, token, then });
        self.command(SimCommand::Steer { ticket, order });
    }

    fn measure(&mut self, token: Handle, then: Then) {
        let rows = Vec::with_capacity(self.steering.book.constraint_count());
        self.order(Some(token), Steer::Measure(Box::new(Violations { rows })), then);
    }

    /// Makes `book` the one in force and has `sim` obey it.
    fn put_in_force(&mut self, token: Handle, book: RuleBook, springs: bool, then: Then) {
        self.steering.book = book;
        self.send_rules(Some(token), springs, then);
    }

    fn send_rules(&mut self, token: Option<Handle>, springs: bool, then: Then) {
        let of_constraints = matches!(then, Then::Constraint { .. } | Then::Removed);
        self.send_set(token, springs, then, !of_constraints);
    }

    fn send_set(&mut self, token: Option<Handle>, springs: bool, then: Then, stirs_all: bool) {
        if springs {
            let order = Steer::Springs(self.spring_table());
            self.command(SimCommand::Steer { ticket: 0, order });
        }
        let set = self.steering.book.compile(&self.graph, self.epoch, &self.steering.facts, stirs_all);
        self.order(token, Steer::Rules(set), then);
    }

    fn spring_table(&self) -> Box<SpringTable> {
        let Steering { book, facts, .. } = &self.steering;
        let distance = book.distances(&self.graph);
        book.spring_table(&self.graph, self.epoch, facts.scale.length, distance.as_deref())
    }

    /// Has `sim` obey what stands in the book after a start or a change of the structure or the units; places are carried over, and found
    /// again. `stirs_all` says that all of them look for other places, and not only those next to a change.
    pub(super) fn steer_anew(&mut self, stirs_all: bool) {
        let Steering { book, .. } = &mut self.steering;
        book.layout.carry_to(&self.graph, self.epoch);
        let plain = book.springs.are_plain();
        let agents = self.graph.nodes().iter().any(|node| node.class.kind == crate::graph::NodeKind::Agent);
        if agents || self.steering.last_ticket > 0 {
            self.send_set(None, !plain, Then::State, stirs_all);
        }
        self.find_again();
    }

    /// `sim` has taken an order: whoever waits for it is answered.
    pub(super) fn steered(&mut self, ticket: u64, tick: u64, paused: bool, outcome: Steered) {
        self.steering.paused = paused;
        if matches!(outcome, Steered::Tuned(_) | Steered::Untuned { .. }) {
            return self.tuned(ticket, tick, &outcome);
        }
        if let Steered::Stale(spent) = &outcome
            && spent.epoch() != Some(self.epoch)
        {
            // Compiled for the structure before; what is compiled now is behind the new structure in the same lane.
            let order = match spent {
                Spent::Rules(_) => {
                    Steer::Rules(self.steering.book.compile(&self.graph, self.epoch, &self.steering.facts, true))
                }
                Spent::Springs(_) => Steer::Springs(self.spring_table()),
            };
            return self.command(SimCommand::Steer { ticket, order });
        }
        let place = self.steering.waiting.iter().position(|waiting| waiting.ticket == ticket);
        let Some(Waiting { token, then, .. }) = place.map(|place| self.steering.waiting.swap_remove(place)) else {
            return;
        };
        let error = match &outcome {
            Steered::NotPaused => Some(RestError::new(409, "not_paused", "single steps are for a paused simulation")),
            Steered::TooManySteps => {
                Some(RestError::new(409, "too_many_steps", format!("{STEPS_OWED_MAX} steps may be owed at most")))
            }
            Steered::Stale(_) => {
                tracing::error!(epoch = self.epoch, "rules do not fit the graph that they were compiled for");
                Some(RestError::new(500, "internal", "the rules do not fit the graph"))
            }
            _ => None,
        };
        if let (Some(error), Some(token)) = (error, token) {
            return self.refuse_rest(token, &error);
        }
        self.tell_everybody(then, tick);
        let none = Violations::default();
        let measured = if let Steered::Measured(rows) = &outcome { rows } else { &none };
        let Some(token) = token else { return };
        let status = if let Then::Constraint { status, .. } = then { status } else { 200 };
        let answer = self.shown(then, Some(tick), measured);
        self.answer_rest(token, status, &answer);
    }

    /// What every client hears of.
    fn tell_everybody(&mut self, then: Then, tick: u64) {
        let text = match then {
            Then::Paused(true) => ServerMessage::PhysicsPaused { reason: "request", tick }.to_vec(),
            Then::Paused(false) => ServerMessage::PhysicsResumed { reason: "request", tick }.to_vec(),
            Then::Layout | Then::Preset => {
                let layout = &mut self.steering.book.layout;
                layout.since_tick = tick;
                let (mode, version) = (mode_name(layout.mode), layout.version);
                ServerMessage::LayoutChanged { mode, version, tick, blend_ticks: BLEND_TICKS }.to_vec()
            }
            _ => return,
        };
        let text = bytes::Bytes::from(text);
        for shard in &mut self.lanes.shard_messages {
            // A shard whose lane is full does not hear of it; the lane counts it.
            let _ = shard.push(ShardMessage::Broadcast { text: text.clone() });
        }
    }

    fn shown(&self, then: Then, tick: Option<u64>, measured: &Violations) -> Value {
        let Steering { book, .. } = &self.steering;
        let mut shown = match then {
            Then::State | Then::Paused(_) | Then::Removed => return self.steer_state(tick),
            Then::Layout => {
                let mut shown = book.show_layout();
                merge(&mut shown, json!({ "blend_ticks": BLEND_TICKS, "finding_places": self.steering.job.is_some() }));
                shown
            }
            Then::Semantic => book.semantic.show(),
            Then::Relations => book.springs.show_relations(&self.graph),
            Then::Springs => book.springs.show(),
            Then::TwoGraphs => book.two_graphs.show(),
            Then::Preset => book.show_presets(),
            Then::Constraint { key, .. } => book.show_constraints(Some(key), measured),
            Then::Constraints => book.show_constraints(None, measured),
        };
        merge(&mut shown, json!({ "tick": tick }));
        shown
    }

    /// Where the simulation stands: at `tick`, or at the newest frame.
    fn steer_state(&self, tick: Option<u64>) -> Value {
        let Steering { book, paused, .. } = &self.steering;
        json!({
            "paused": paused,
            "tick": tick.or_else(|| self.latest.as_deref().map(|frame| frame.stamp().tick)),
            "settled": self.metrics.sim.settled.get() > 0.0,
            "layout": book.show_layout(),
            "preset": book.preset,
            "constraints": book.constraint_count(),
        })
    }
}

/// The body of a request as JSON.
pub(super) fn body(call: &RestCall) -> Result<Value, RestError> {
    if call.body.is_empty() {
        return Err(RestError::new(411, "length_required", "this request needs a JSON body with a Content-Length"));
    }
    serde_json::from_slice(&call.body)
        .map_err(|error| RestError::new(400, "json", format!("the body is not JSON: {error}")))
}

/// Adds fields to an object.
pub(super) fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
