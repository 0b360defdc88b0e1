//! The `sim` thread: one turn a tick. Commands, step, encode each class once, publish.
//!
//! What `control` says is obeyed as soon as it is said, between two ticks: whoever changes the graph does not wait for one.
//!
//! Syscalls of a turn: one `futex` to sleep to the tick's deadline, and one `write` per shard that sleeps. A command of `control`
//! costs another `futex`. No sockets, files or locks; no allocation once every profile in use has been encoded into every frame in
//! use.

mod structure;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::sync::Parker;

use super::classes::{Classes, Want};
use super::dealer::Dealer;
use super::drags::{DragTable, Held};
use super::rules::{Rules, Stirred};
use super::tick_clock::{TickClock, drift_ratio};
use super::{Backend, StepReport};
use crate::base::Idle;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns, sleep_exactly};
use crate::graph::{IdIndex, NodeId, NodeIndex};
use crate::handoff::{
    Consumer, Doorbell, DragPhase, Frame, FramePool, Origin, Producer, SidePlanes, SimCommand, SimEvent, Spent, Stamp,
    Steer, Steered, Tuning, ViewCommand,
};
use crate::limits::{DRAGS_MAX, STEERS_WAITING_MAX, STEPS_OWED_MAX};
use crate::metrics::Metrics;
use crate::settings::Dimensions;
use crate::wire::{FLAG_HEARTBEAT, FLAG_SETTLED, FLAG_TWO_DIMENSIONAL};

/// Commands taken from one lane in one turn; the rest waits a turn.
const COMMANDS_PER_TURN_MAX: usize = 1_024;

/// A settled graph sends one frame per class in this time.
const HEARTBEAT_NS: u64 = 5 * SECOND_NS;

/// Steps between two measurements of the repulsion's error.
const ERROR_SAMPLE_TICKS: u64 = 600;

/// Steps between two reports on what computes.
const CONDITION_TICKS: u64 = 60;

/// Exact pairs of one such measurement. It costs these and the repulsion of one step, once in ten seconds at 60 Hz.
const ERROR_SAMPLE_PAIRS: usize = 200_000;

/// Part of the pool below which shards are asked to give leases back: one in this many frames.
const POOL_LOW_PART: usize = 4;

/// The lanes of `sim`.
#[derive(Debug)]
pub struct SimLanes {
    /// control → sim.
    pub control: Consumer<SimCommand>,
    /// shard → sim, one each.
    pub shards: Vec<Consumer<ViewCommand>>,
    /// sim → shard, one each.
    pub frames: Vec<Producer<Arc<Frame>>>,
    /// sim → control: the newest frame.
    pub latest: Producer<Arc<Frame>>,
    /// sim → control: what clients have to be told.
    pub events: Producer<SimEvent>,
}

/// The graph as `sim` knows it besides its backend: whose index is whose id.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Version of the structure.
    pub epoch: u32,
    /// Id words with class flags, in index order.
    pub words: Vec<u32>,
    /// From ids to indices.
    pub index: IdIndex,
}

/// Everything the thread owns.
pub struct Sim {
    backend: Box<dyn Backend>,
    identity: Identity,
    lanes: SimLanes,
    pool: FramePool,
    classes: Classes,
    dealer: Dealer,
    /// What is known beside the motion, as `control` published it.
    side: Option<Arc<SidePlanes>>,
    drags: DragTable,
    metrics: Arc<Metrics>,
    pool_low: Arc<AtomicBool>,
    rate_hz: u16,
    idle: Idle,
    two_dimensional: bool,
    tick: u64,
    /// Something may move: the backend steps.
    moving: bool,
    rules: Rules,
    /// The backend has extra forces from rules.
    forced: bool,
    /// It steps only when it is told to.
    paused: bool,
    /// It could not take the newest structure: indices that it is told are not of the graph that it has.
    behind: bool,
    /// Steps that it was told to do while paused.
    steps_owed: u32,
    /// `[node_count]`: where the nodes started, for a reset; read when the first turn begins.
    home: Box<[[f32; 3]]>,
    /// When every class last had its chance of a frame, ns of the turn's clock.
    heard_ns: u64,
    /// A frame that every class had to get was lost.
    owed: bool,
    /// Name of the backend when its condition was last reported.
    kind: &'static str,
    /// What `control` has not been told of yet, oldest first: a full lane makes it wait.
    untold: VecDeque<SimEvent>,
    report: StepReport,
}

impl Sim {
    /// A simulation over a backend that has its topology.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "everything the thread owns, named once")]
    pub fn new(
        backend: Box<dyn Backend>,
        identity: Identity,
        two_dimensional: bool,
        rate_hz: u16,
        pool: FramePool,
        lanes: SimLanes,
        metrics: Arc<Metrics>,
        pool_low: Arc<AtomicBool>,
    ) -> Self {
        let mut home = vec![[0.0; 3]; identity.words.len()].into_boxed_slice();
        backend.read_positions(&mut home);
        Self {
            backend,
            identity,
            lanes,
            pool,
            classes: Classes::new(rate_hz),
            dealer: Dealer::default(),
            side: None,
            drags: DragTable::new(),
            metrics,
            pool_low,
            rate_hz,
            idle: Idle::Park,
            two_dimensional,
            tick: 0,
            moving: true,
            rules: Rules::default(),
            forced: false,
            paused: false,
            behind: false,
            steps_owed: 0,
            home,
            heard_ns: 0,
            owed: false,
            kind: "",
            untold: VecDeque::with_capacity(DRAGS_MAX + STEERS_WAITING_MAX),
            report: StepReport::default(),
        }
    }

    /// The same, but waiting for its ticks as `idle` says.
    #[must_use]
    pub fn idling(self, idle: Idle) -> Self {
        Self { idle, ..self }
    }

    /// Ticks until `stop` is set. `bell` is that of the lane from `control`, and wakes `parker`.
    pub fn run(mut self, bell: &Doorbell, parker: &Parker, stop: &AtomicBool) {
        sleep_exactly();
        let mut start_ns = monotonic_ns();
        let mut rate_hz = self.rate_hz;
        let mut clock = TickClock::new(start_ns, rate_hz);
        let mut deadlines = 0;
        while !stop.load(Ordering::Relaxed) {
            let due_ns = clock.due_ns();
            self.wait_until(due_ns, bell, parker);
            let now_ns = monotonic_ns();
            self.metrics.sim.tick_lateness.record(now_ns.saturating_sub(due_ns));
            deadlines += 1;
            let drift = drift_ratio(deadlines, rate_hz, now_ns.saturating_sub(start_ns));
            self.metrics.sim.tick_drift.set(drift);
            self.turn(due_ns, now_ns);
            let ended_ns = monotonic_ns();
            let turn_ended = &self.metrics.sim.turn_ended_ns;
            turn_ended.add(ended_ns.saturating_sub(turn_ended.get()));
            if self.rate_hz != rate_hz {
                // The tick that was due begins the new count of deadlines.
                (start_ns, rate_hz, deadlines) = (due_ns, self.rate_hz, 1);
                clock = TickClock::new(start_ns, rate_hz);
            }
            let skipped = clock.ended(ended_ns);
            deadlines += skipped;
            self.metrics.sim.turns.add(1);
            self.metrics.sim.ticks_skipped.add(skipped);
        }
    }

    /// Waits for the tick that is due then, and obeys `control` meanwhile.
    fn wait_until(&mut self, due_ns: u64, bell: &Doorbell, parker: &Parker) {
        loop {
            bell.arm();
            let control = &self.lanes.control;
            self.idle.wait_until(due_ns, parker, || !control.is_empty());
            bell.disarm();
            let now_ns = monotonic_ns();
            if now_ns >= due_ns {
                return;
            }
            let taken = self.obey_control();
            self.tell_pins();
            self.count_commands(taken, now_ns);
        }
    }

    /// One tick: what was asked, one step, one frame.
    pub fn turn(&mut self, due_ns: u64, now_ns: u64) {
        let taken = self.take_commands(now_ns);
        self.tell_pins();
        self.release_silent(now_ns);
        self.count_commands(taken, now_ns);
        let moved = if self.paused { self.steps_owed > 0 } else { self.moving };
        if moved {
            self.steps_owed = self.steps_owed.saturating_sub(1);
            self.step();
        }
        let settled_now = moved && !self.moving;
        let heartbeat = !moved && now_ns.saturating_sub(self.heard_ns) >= HEARTBEAT_NS;
        let want = match (moved, self.classes.any_fresh(due_ns)) {
            _ if settled_now || heartbeat || self.owed => Some(Want::All),
            (true, _) => Some(Want::Due),
            (false, true) => Some(Want::Fresh),
            (false, false) => None,
        };
        if let Some(want) = want {
            let repeated = heartbeat && !self.owed;
            // What found no free frame, or was displaced before a shard took it, is owed to every class.
            self.owed = !self.publish(due_ns, want, repeated, settled_now) && (self.owed || want != Want::Due);
            if want != Want::Fresh {
                self.heard_ns = now_ns;
            }
        }
        let sim = &self.metrics.sim;
        sim.classes.set(self.classes.count() as f64);
        sim.drags.set(self.drags.len() as f64);
        sim.settled.set(f64::from(u8::from(!self.moving)));
    }

    fn step(&mut self) {
        let started_ns = monotonic_ns();
        let backend = &mut self.backend;
        let extra = self.rules.exert(|position| backend.read_positions(position));
        if self.forced || !extra.is_empty() {
            self.forced = !extra.is_empty();
            self.backend.set_extra_forces(extra);
        }
        let stirred = self.rules.stirred();
        match stirred {
            Stirred::Nobody => {}
            Stirred::Nodes(nodes) => self.backend.warm(nodes),
            Stirred::Everybody => self.backend.reheat(),
        }
        let stirred = stirred != Stirred::Nobody;
        self.report = self.backend.step();
        self.tick += 1;
        self.moving = stirred || !self.report.settled;
        let sim = &self.metrics.sim;
        sim.step.span(started_ns, monotonic_ns());
        sim.ticks.add(1);
        sim.tick.set(self.tick as f64);
        sim.rms_velocity.set(f64::from(self.report.rms_velocity));
        sim.kinetic_energy.set(self.report.kinetic_energy);
        sim.nonfinite_resets.add(u64::from(self.report.nonfinite_resets));
        if self.tick % CONDITION_TICKS == 1 || self.backend.name() != self.kind {
            self.report_condition();
        }
        let sim = &self.metrics.sim;
        if self.tick % ERROR_SAMPLE_TICKS == 1 {
            let nodes = self.identity.words.len().max(1);
            let samples = (ERROR_SAMPLE_PAIRS / nodes).clamp(1, 64);
            if let Some(error) = self.backend.repulsion_error(samples) {
                sim.repulsion_error.set(f64::from(error));
            }
        }
    }

    fn report_condition(&mut self) {
        let condition = self.backend.condition();
        self.kind = condition.kind;
        let sim = &self.metrics.sim;
        let flag = |on: bool| f64::from(u8::from(on));
        sim.on_device.set(flag(condition.kind == "cuda"));
        sim.fell_back.set(flag(condition.fell_back));
        sim.device_errors.add(condition.errors.saturating_sub(sim.device_errors.get()));
        let bytes = |bytes: Option<usize>| bytes.map_or(f64::NAN, |bytes| bytes as f64);
        sim.device_used_bytes.set(bytes(condition.memory.map(|memory| memory.used)));
        sim.device_free_bytes.set(bytes(condition.memory.map(|memory| memory.free)));
    }

    /// What a frame of this moment says of itself.
    fn flags(&self) -> u16 {
        let dimensions = if self.two_dimensional { FLAG_TWO_DIMENSIONAL } else { 0 };
        dimensions | if self.moving { 0 } else { FLAG_SETTLED }
    }

    /// Fills a free frame and hands it to every shard and to control; false when some class may have missed it.
    fn publish(&mut self, due_ns: u64, want: Want, repeated: bool, settled_now: bool) -> bool {
        let flags = self.flags() | if repeated { FLAG_HEARTBEAT } else { 0 };
        let Self { backend, identity, pool, classes, dealer, metrics, side, .. } = self;
        // Of another structure they would be the values of other nodes.
        let side = side.as_deref().filter(|side| side.epoch == identity.epoch);
        let started_ns = monotonic_ns();
        let stamp = Stamp { epoch: identity.epoch, tick: self.tick, tick_ns: due_ns, published_ns: 0, flags };
        let (mut published_ns, mut dry) = (0, 0);
        let published = pool.publish(|frame| {
            frame.begin(stamp, &identity.words);
            backend.write_into(frame.nodes_mut());
            if settled_now {
                dealer.settle(frame.nodes());
            }
            dry = classes.encode(frame, want, dealer, &**backend, &identity.words, side);
            metrics.sim.chain_waits.add(dry);
            if let Some((raw_bytes, bytes)) = frame.packed() {
                metrics.sim.packed_raw_bytes.add(raw_bytes as u64);
                metrics.sim.packed_bytes.add(bytes as u64);
            }
            frame.set_order(dealer.order());
            published_ns = monotonic_ns();
            frame.publish_at(published_ns);
            classes.publish(frame, published_ns);
        });
        backend.deal(dealer.order().filter(|_| classes.any_chain()));
        let free = pool.free();
        metrics.sim.pool_free.set(free as f64);
        self.pool_low.store(free < pool.len() / POOL_LOW_PART || dry > 0, Ordering::Relaxed);
        let Some(frame) = published else {
            metrics.sim.pool_waits.add(1);
            return false;
        };
        metrics.sim.encode.span(started_ns, published_ns);
        metrics.sim.frames_published.add(1);
        let mut complete = dry == 0;
        for shard in &mut self.lanes.frames {
            // A shard that is 8 frames behind loses the oldest. Its fast classes take the newest anyway, but the lost
            // one may have been the only one for a slow class.
            complete &= matches!(shard.push(Arc::clone(&frame)), Ok(None));
        }
        let _ = self.lanes.latest.push_quietly(frame);
        complete
    }

    fn count_commands(&self, taken: u64, since_ns: u64) {
        self.metrics.sim.commands.add(taken);
        if taken > 0 {
            self.metrics.sim.applied.span(since_ns, monotonic_ns());
        }
    }

    fn obey_control(&mut self) -> u64 {
        let mut taken = 0;
        for _ in 0..COMMANDS_PER_TURN_MAX {
            let Some(command) = self.lanes.control.pop() else { break };
            self.obey(command);
            taken += 1;
        }
        taken
    }

    fn take_commands(&mut self, now_ns: u64) -> u64 {
        let mut taken = self.obey_control();
        for shard in 0..self.lanes.shards.len() {
            for _ in 0..COMMANDS_PER_TURN_MAX {
                let Some(command) = self.lanes.shards.get_mut(shard).and_then(Consumer::pop) else { break };
                self.view(command, now_ns);
                taken += 1;
            }
        }
        taken
    }

    fn obey(&mut self, command: SimCommand) {
        match command {
            SimCommand::OpenClass { class, spec, chain } => self.classes.open(class, spec, chain),
            SimCommand::CloseClass { class } => {
                // `control` made it, so `control` frees it: this thread neither allocates nor frees what is large.
                if let Some(chain) = self.classes.close(class) {
                    self.tell(SimEvent::ChainClosed { chain });
                }
            }
            SimCommand::Divide { class, divisor } => self.classes.divide(class, divisor),
            SimCommand::Accuracy { notches } => {
                self.backend.coarsen(notches);
                self.metrics.sim.accuracy_notches.set(f64::from(notches));
            }
            SimCommand::Side { planes } => {
                // At rest, too: every class gets the values with the next frame.
                self.owed = true;
                if let Some(before) = self.side.replace(planes) {
                    self.tell(SimEvent::SideReplaced { planes: before });
                }
            }
            SimCommand::Steer { ticket, order } => {
                let outcome = self.steer(order);
                let (tick, paused) = (self.tick, self.paused);
                self.untold.push_back(SimEvent::Steered { ticket, tick, paused, outcome });
            }
            SimCommand::Restructure { structure } => self.restructure(structure),
            SimCommand::Place { .. } | SimCommand::Pin { .. } if self.behind => {}
            SimCommand::Place { node, position } => {
                // A node that somebody drags stays in that hand.
                if !self.drags.nodes().any(|dragged| dragged == node) {
                    self.backend.hold(node, position);
                    self.backend.release(node);
                    self.moving = true;
                    self.owed |= self.paused;
                }
            }
            SimCommand::Pin { node, pinned } => {
                self.backend.pin(node, pinned);
                self.moving = true;
            }
        }
    }

    /// Obeys an order; says what it came to.
    fn steer(&mut self, order: Steer) -> Steered {
        match order {
            Steer::Rules(set) => {
                let (backend, nodes) = (&self.backend, self.identity.words.len());
                if set.epoch != self.identity.epoch {
                    return Steered::Stale(Spent::Rules(Some(set)));
                }
                let stirs_all = set.stirs_all || self.rules.unsettles(&set);
                let taken = self.rules.take(set, nodes, |position| backend.read_positions(position));
                let before = match taken {
                    Ok(before) => before,
                    Err(set) => return Steered::Stale(Spent::Rules(Some(set))),
                };
                match (&before, self.rules.set()) {
                    _ if stirs_all => self.backend.reheat(),
                    // What a constraint that is gone has let go of goes back; what a new one wants, each step warms.
                    (Some(before), _) => self.backend.warm(&before.touched),
                    // The same rules in a new structure: it is warm next to the change, and their nodes may want to follow it.
                    (None, Some(set)) => self.backend.warm(&set.touched),
                    (None, None) => {}
                }
                self.moving = true;
                Steered::Spent(Spent::Rules(before))
            }
            Steer::Springs(table) if table.epoch != self.identity.epoch => Steered::Stale(Spent::Springs(table)),
            Steer::Springs(table) => {
                self.backend.set_springs(&table.weight, &table.rest);
                self.moving = true;
                Steered::Spent(Spent::Springs(table))
            }
            Steer::Measure(mut rows) => {
                let backend = &self.backend;
                self.rules.measure(&mut rows, |position| backend.read_positions(position));
                Steered::Measured(rows)
            }
            Steer::Tune(tuning) => self.tune(tuning),
            Steer::Pause | Steer::Resume => {
                self.paused = matches!(order, Steer::Pause);
                self.steps_owed = 0;
                Steered::Done
            }
            Steer::Step { .. } if !self.paused => Steered::NotPaused,
            Steer::Step { count } if count > STEPS_OWED_MAX - self.steps_owed => Steered::TooManySteps,
            Steer::Step { count } => {
                self.steps_owed += count;
                Steered::Done
            }
            Steer::Reset => {
                if !self.backend.reset() {
                    for (node, home) in (0u32..).map(NodeIndex).zip(&self.home) {
                        self.backend.hold(node, *home);
                        self.backend.release(node);
                    }
                    self.backend.reheat();
                }
                let backend = &self.backend;
                self.rules.restart(|position| backend.read_positions(position));
                self.moving = true;
                // Seen at once, paused or not.
                self.owed = true;
                Steered::Done
            }
            Steer::Reheat => {
                self.backend.reheat();
                self.moving = true;
                Steered::Done
            }
        }
    }

    /// Takes other parameters between two ticks; what it answers is read back from where the next step takes them.
    fn tune(&mut self, mut tuning: Box<Tuning>) -> Steered {
        let before = self.backend.params();
        if let Err(error) = self.backend.apply(&tuning.params) {
            return Steered::Untuned { error, tuning };
        }
        tuning.params = self.backend.params();
        if tuning.params != before {
            self.two_dimensional = tuning.params.dimensions == Dimensions::Two;
            self.moving = true;
        }
        self.rate_hz = tuning.rate_hz.max(1);
        tuning.rate_hz = self.rate_hz;
        self.classes.set_tick_rate(self.rate_hz);
        Steered::Tuned(tuning)
    }

    fn view(&mut self, command: ViewCommand, now_ns: u64) {
        match command {
            ViewCommand::Drag { origin, node, phase: DragPhase::Move(position) } => {
                self.drag(origin, node, position, now_ns);
            }
            ViewCommand::Drag { origin, node, phase: DragPhase::End { pin } } => {
                let Some(drag) = self.drags.end(node, origin.session) else { return };
                if pin {
                    self.backend.pin(drag.index, true);
                    let position = self.backend.position(drag.index).unwrap_or_default();
                    self.untold.push_back(SimEvent::Pinned { node, position, origin });
                }
                self.backend.release(drag.index);
                self.moving = true;
            }
            ViewCommand::Snapshot { class } => self.classes.want_snapshot(class),
            ViewCommand::ReleaseAll { session } => {
                while let Some(drag) = self.drags.end_any_of(session) {
                    self.backend.release(drag.index);
                    self.moving = true;
                }
            }
        }
    }

    fn drag(&mut self, origin: Origin, node: NodeId, position: [f32; 3], now_ns: u64) {
        let Some(index) = self.identity.index.get(node) else {
            return self.tell(SimEvent::DragRefused { node, origin, unknown: true });
        };
        match self.drags.hold(node, index, origin, now_ns) {
            Held::Yes => {}
            Held::TakenFrom(from) => self.tell(SimEvent::DragTaken { node, from, to: origin }),
            Held::NoRoom => return self.tell(SimEvent::DragRefused { node, origin, unknown: false }),
        }
        self.backend.hold(index, position);
        self.moving = true;
        self.owed |= self.paused;
    }

    fn release_silent(&mut self, now_ns: u64) {
        while let Some(drag) = self.drags.end_silent(now_ns) {
            self.backend.release(drag.index);
            self.moving = true;
            self.tell(SimEvent::DragReleased { node: drag.node, origin: drag.origin });
        }
    }

    /// What `control` must know, in its order, is told until it fits.
    fn tell_pins(&mut self) {
        while let Some(event) = self.untold.pop_front() {
            if let Err(event) = self.lanes.events.push(event) {
                return self.untold.push_front(event);
            }
        }
    }

    /// A full lane costs the telling, not the deed; the lane counts it.
    fn tell(&mut self, event: SimEvent) {
        let _ = self.lanes.events.push(event);
    }
}

const _: () = assert!(HEARTBEAT_NS > 100 * MILLISECOND_NS, "a heartbeat is rarer than any tick");
