//! Whether a principal may call now, later, or not; and that nobody stays for longer than their token.

use serde_json::json;

use super::{Awaited, McpDesk, Pending};
use crate::base::clock::{MILLISECOND_NS, SECOND_NS, unix_ms};
use crate::control::turn::Control;
use crate::limits::MCP_CALL_NS_MAX;
use crate::mcp::{Admission, Ask, Call, Line, RpcError, Scopes, ToolError, code, reply};

/// Time between two looks at calls that take too long.
const CALLS_NS: u64 = 200 * MILLISECOND_NS;

impl Control {
    /// Says what time it is, forgets those for whom it is over, and ends calls that take too long.
    pub(super) fn keep_time(&mut self, desk: &McpDesk, now_ns: u64) {
        desk.server.set_time(unix_ms());
        for talk in self.mcp.talks.sweep(&desk.server, now_ns) {
            self.forget(talk);
        }
        self.end_overlong(desk, now_ns);
    }

    /// Charges a call to its principal, once.
    pub(super) fn admit(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, now_ns: u64) -> Admission {
        if line.charged {
            return Admission::Now;
        }
        let changes = match call.ask {
            Ask::Tool { tool, .. } => desk
                .server
                .catalogue
                .tools()
                .get(tool)
                .is_some_and(|row| [Scopes::WRITE, Scopes::ADMIN].contains(&row.scope)),
            _ => false,
        };
        let admission = self.mcp.rates.admit(&call.principal.name, changes, now_ns);
        match admission {
            Admission::Now => {}
            Admission::In(_) => self.mcp.rated.0 += 1,
            Admission::Refused(_) => self.mcp.rated.1 += 1,
        }
        admission
    }

    /// Tells a call when to come again.
    pub(super) fn refuse_rate(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, wait_ns: u64) {
        let retry_after_ms = wait_ns.div_ceil(MILLISECOND_NS);
        let words = format!("rate_limited: too many calls at once; retry_after_ms: {retry_after_ms}");
        let result = match &call.ask {
            Ask::Tool { .. } => Ok(reply(Err(ToolError::new(words)))),
            _ => Err(RpcError::new(code::RATE, words).with(json!({ "retry_after_ms": retry_after_ms }))),
        };
        self.mcp.talks.answer(&desk.server, line, call, &result);
    }

    /// Answers calls that have taken too long with what is known of them. A person who is asked has a time of their own.
    fn end_overlong(&mut self, desk: &McpDesk, now_ns: u64) {
        for (conn, key) in self.mcp.book.overlong(now_ns, MCP_CALL_NS_MAX, CALLS_NS) {
            let Some(awaited) = self.mcp.take(conn, key) else { continue };
            let words = match awaited {
                Awaited::Answer { .. } => {
                    self.mcp.pending.push(Pending { conn, key, what: awaited });
                    continue;
                }
                Awaited::Write { .. } => "whether it was done is not known yet: see get_changes before you ask again",
                Awaited::Look { ticket } => {
                    ticket.cancel();
                    "it was stopped; ask for less"
                }
                Awaited::Errand { ticket } => {
                    ticket.cancel();
                    "it was given up, and the graph is as it was; engine_stats says what is busy"
                }
                _ => "it was given up",
            };
            let seconds = MCP_CALL_NS_MAX / SECOND_NS;
            let error = ToolError::new(format!("timeout: this took longer than {seconds} s; {words}"));
            self.mcp.finish(&desk.server, conn, key, &Ok(reply(Err(error))));
        }
    }
}
