//! Calls that wait: for a change, for the simulation, for a message, for a person; and how far long ones are.

use std::sync::Arc;

use super::{Awaited, Mcp, McpDesk, PROGRESS_NS, Pending, SHORT_LOOK_NS_MAX, Until};

use crate::base::clock::monotonic_ns;
use crate::control::turn::Control;
use crate::mcp::{Bounds, ToolError, read, reply};

impl Control {
    /// Calls whose time has come.
    pub(super) fn look_at_pending(&mut self, desk: &McpDesk, now_ns: u64) {
        for (conn, key, product) in std::mem::take(&mut self.mcp.filed) {
            self.end_errand(desk, conn, key, product, now_ns);
        }
        for (conn, key, error) in std::mem::take(&mut self.mcp.written) {
            self.answer_write(desk, conn, key, error.as_ref());
        }
        if self.mcp.pending.is_empty() {
            return;
        }
        let version = self.mutations.version();
        let mut due = Vec::new();
        let mcp_heard = self.mcp.society.take_sent();
        let Self { mcp, steering, settings, .. } = self;
        let Mcp { pending, talks, .. } = mcp;
        pending.retain_mut(|pending| {
            let is_due = match &pending.what {
                Awaited::Change { since, until_ns, .. } => {
                    (version > *since || now_ns >= *until_ns) && !talks.is_behind(pending.conn)
                }
                Awaited::Steer { asked, until_ns } => asked.are_obeyed(steering, settings) || now_ns >= *until_ns,
                Awaited::Write { .. }
                | Awaited::Registered { .. }
                | Awaited::Look { .. }
                | Awaited::Steps(_)
                | Awaited::Errand { .. } => false,
                Awaited::Answer { until_ns, .. } => now_ns >= *until_ns,
                Awaited::Inbox { until_ns, .. } => mcp_heard || now_ns >= *until_ns,
            };
            if is_due {
                let what = std::mem::replace(&mut pending.what, Awaited::Errand { ticket: Arc::default() });
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
                Awaited::Inbox { until_ns, call } => {
                    if let Some(result) = self.look_at_inbox(desk, &call, now_ns >= until_ns) {
                        result
                    } else {
                        self.mcp.pending.push(Pending { conn, key, what: Awaited::Inbox { until_ns, call } });
                        continue;
                    }
                }
                Awaited::Change { call, .. } => {
                    let until = Until(now_ns + SHORT_LOOK_NS_MAX);
                    let bounds = Bounds::new(&desk.server, &call.1.name, &until, monotonic_ns);
                    read(&desk.server, &call.0, &self.view(&sim), &bounds)
                }
                Awaited::Answer { .. } => {
                    Ok(reply(Err(ToolError::new("nobody answered in time: nothing was deleted"))))
                }
                _ => Ok(reply(self.steered_now(&sim))),
            };
            self.finish(desk, conn, key, &result);
        }
    }

    /// Tells those who wait for long looks how far these are.
    pub(super) fn tell_progress(&mut self, now_ns: u64) {
        if self.mcp.pending.is_empty() || now_ns < self.mcp.told_ns.0 + PROGRESS_NS {
            return;
        }
        self.mcp.told_ns.0 = now_ns;
        let Mcp { pending, talks, .. } = &mut self.mcp;
        for Pending { conn, key, what } in pending {
            if let Awaited::Look { ticket } | Awaited::Errand { ticket } = what {
                talks.progress(*conn, *key, ticket.progress(), Some(1.0));
            }
        }
    }
}
