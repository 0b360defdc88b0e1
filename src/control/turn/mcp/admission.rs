//! Whether a principal may call now, later, or not; and that nobody stays for longer than their token.

use serde_json::json;

use super::McpDesk;
use crate::base::clock::{MILLISECOND_NS, unix_ms};
use crate::control::turn::Control;
use crate::mcp::{Admission, Ask, Call, Line, RpcError, Scopes, ToolError, code, reply};

impl Control {
    /// Says what time it is, and forgets those for whom it is over.
    pub(super) fn keep_time(&mut self, desk: &McpDesk, now_ns: u64) {
        desk.server.set_time(unix_ms());
        for talk in self.mcp.talks.sweep(&desk.server, now_ns) {
            self.forget(talk);
        }
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
}
