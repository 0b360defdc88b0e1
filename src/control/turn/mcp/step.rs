//! Steps of the simulation that a call waits for. A paused simulation is told to make a few at a time, so that a call that is cancelled,
//! or whose time is over, leaves at most these.

use super::{Awaited, McpDesk, PROGRESS_NS, Pending};
use crate::base::clock::{MILLISECOND_NS, monotonic_ns};
use crate::control::turn::Control;
use crate::handoff::Steer;
use crate::mcp::{Call, Line, Stepped, Stepping, ToolError, reply};

/// The most that a paused simulation is ahead of what it was told, as a share of a second.
const AHEAD_PER_SECOND: u64 = 20;

/// Steps that a call waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    asked: Stepping,
    /// The simulation's count of steps when it began.
    first: u64,
    /// Steps that it was told to make while paused, from `first` on.
    ordered: u64,
    began_ns: u64,
    told_ns: u64,
    /// The order on its way; nothing is made of what it has not answered.
    ticket: Option<u64>,
}

impl Control {
    pub(super) fn begin_steps(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, asked: Stepping, now_ns: u64) {
        if self.mcp.pending.iter().any(|pending| matches!(pending.what, Awaited::Steps(_))) {
            let words = "another step_simulation is under way; wait for it, or use get_changes with wait_ms meanwhile";
            return self.mcp.answer(&desk.server, line, call, &Ok(reply(Err(ToolError::new(words)))));
        }
        let key = self.mcp.defer(line, call);
        let first = self.metrics.sim.ticks.get();
        let steps = Steps { asked, first, ordered: 0, began_ns: now_ns, told_ns: now_ns, ticket: None };
        self.mcp.pending.push(Pending { conn: line.talk, key, what: Awaited::Steps(steps) });
    }

    /// Has a paused simulation go on, tells how far it is, and answers when it is done.
    pub(super) fn look_at_steps(&mut self, desk: &McpDesk, now_ns: u64) {
        let is_stepping = |pending: &Pending| matches!(pending.what, Awaited::Steps(_));
        let Some(place) = self.mcp.pending.iter().position(is_stepping) else { return };
        let Some(&Pending { conn, key, what: Awaited::Steps(mut steps) }) = self.mcp.pending.get(place) else { return };
        let taken = self.metrics.sim.ticks.get().saturating_sub(steps.first);
        let is_done = steps.asked.ticks.is_some_and(|ticks| taken >= ticks);
        let timed_out = now_ns >= steps.began_ns + steps.asked.timeout_ms * MILLISECOND_NS;
        let waits = steps.ticket.is_some_and(|ticket| self.steering.waits_for(ticket));
        // What was settled before is known at once; what a step settles, when `sim` has said so.
        let settled = self.metrics.sim.settled.get() > 0.0 && !waits;
        if is_done || timed_out || settled {
            self.mcp.pending.swap_remove(place);
            self.refresh_positions();
            let us = monotonic_ns().saturating_sub(steps.began_ns) / 1_000;
            let stepped = Stepped { ticks: taken, timed_out: timed_out && !is_done && !settled, us };
            let done = Stepping::answer(stepped, &self.view(&self.sim_facts()));
            return self.finish(desk, conn, key, &Ok(reply(done)));
        }
        if self.is_paused() && !waits {
            let ahead = (u64::from(self.facts.tick_rate) / AHEAD_PER_SECOND).max(1);
            let last = (taken + ahead).min(steps.asked.ticks.unwrap_or(u64::MAX));
            let count = last.saturating_sub(steps.ordered.max(taken));
            if count > 0 {
                steps.ordered = last;
                steps.ticket = Some(self.steer_for_agent(Steer::Step { count: count as u32 }));
            }
        }
        if now_ns >= steps.told_ns + PROGRESS_NS {
            steps.told_ns = now_ns;
            let total = steps.asked.ticks.map(|ticks| ticks as f64);
            self.mcp.talks.progress(conn, key, taken as f64, total);
        }
        if let Some(pending) = self.mcp.pending.get_mut(place) {
            pending.what = Awaited::Steps(steps);
        }
    }
}
