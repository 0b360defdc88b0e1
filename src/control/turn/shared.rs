//! `control` as a thread, which turns and sleeps until a lane rings, and as work that another thread may do a part of while it sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::sync::Parker;
use parking_lot::{FairMutex, FairMutexGuard};

use super::{Control, SHORT_NAP};
use crate::base::clock::monotonic_ns;
use crate::handoff::{AgentsTurn, Doorbell, ShardMessage};

/// How long a shutdown waits for room in a shard's lane.
const SHUTDOWN_TRIES: usize = 200;

/// Longest sleep.
const NAP: Duration = Duration::from_millis(100);

/// Everything `control` owns, for one thread at a time: its own, which may wait for it, and the agents' door's, which never does. Lanes
/// and counters of one writer have one still: whoever has the lock. The door hands it over to the one who waits: a fair lock, or agents
/// that never pause would have it turn after turn.
pub struct SharedControl {
    /// `None` when it is over.
    control: FairMutex<Option<Control>>,
    bell: Arc<Doorbell>,
}

/// The lock, held. Whoever unwinds with it leaves nothing: what is half written is read by nobody, and is not freed either.
struct Held<'a>(FairMutexGuard<'a, Option<Control>>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}

impl SharedControl {
    /// To be run by a thread, and helped by another.
    #[must_use]
    pub fn new(control: Control) -> Self {
        let bell = Arc::clone(&control.bell);
        Self { control: FairMutex::new(Some(control)), bell }
    }

    fn hold(&self) -> Held<'_> {
        Held(self.control.lock())
    }

    /// Turns until `stop` is set, then has every shard close its connections.
    pub fn run(&self, parker: &Parker, stop: &AtomicBool, close: &ShardMessage) {
        while !stop.load(Ordering::Acquire) {
            let Some(taken) = self.hold().0.as_mut().map(Control::turn) else { return };
            if taken > 0 {
                continue;
            }
            self.bell.arm();
            let nap = self.hold().0.as_mut().and_then(Control::may_sleep);
            if let Some(nap) = nap.filter(|_| !stop.load(Ordering::Acquire)) {
                parker.park_timeout(nap);
            }
            self.bell.disarm();
        }
        let over = self.hold().0.take();
        if let Some(control) = over {
            control.end(close);
        }
    }
}

impl AgentsTurn for SharedControl {
    fn try_take(&self) -> Option<bool> {
        let mut held = Held(self.control.try_lock()?);
        let control = held.0.as_mut()?;
        let is_left = control.agents_turn();
        let has_lines = control.mcp.has_lines() || !control.mcp_is_quiet();
        drop(held);
        if is_left {
            self.bell.ring();
        }
        Some(has_lines)
    }
}

impl Control {
    /// Whether something is due before a lane rings.
    fn is_due_soon(&mut self) -> bool {
        let waits = self.lanes.jobs.is_waited_for() || self.mcp.is_busy() || !self.early.is_empty();
        waits || self.mutations.is_busy() || !self.held_back.is_empty()
    }

    /// For how long, when no lane has anything.
    fn may_sleep(&mut self) -> Option<Duration> {
        if self.mcp.is_left || !self.nothing_waits() {
            return None;
        }
        self.naps_shortly = self.is_due_soon() || self.mcp.has_lines();
        Some(if self.naps_shortly { SHORT_NAP } else { NAP })
    }

    /// What agents say is taken, and answered if a look is enough; true when the thread has to be woken for what is left.
    fn agents_turn(&mut self) -> bool {
        self.take_mcp(monotonic_ns());
        // Rung for or not, the thread does not fall asleep over it: it may be on its way there.
        self.mcp.is_left || (!self.naps_shortly && self.is_due_soon())
    }

    fn end(mut self, close: &ShardMessage) {
        self.leave_agents();
        self.leave_to_store();
        for shard in &mut self.lanes.shard_messages {
            for _ in 0..SHUTDOWN_TRIES {
                if shard.push(close.clone()).is_ok() {
                    break;
                }
                std::thread::sleep(SHORT_NAP);
            }
        }
    }
}
