//! Calls that a person is asked about first.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Awaited, McpDesk, Pending};
use crate::base::Handle;
use crate::base::clock::{SECOND_NS, monotonic_ns, unix_ms};
use crate::control::turn::Control;
use crate::mcp::{
    Ask, Call, CallKey, Confirm, Line, Plan, Principal, RpcError, ToolError, code, confirm, has_agreed, plan, reply,
};

/// How long a person has to answer over the client's connection.
const ANSWER_NS_MAX: u64 = 120 * SECOND_NS;

impl Control {
    /// Runs a call; first a person is asked where that is due.
    pub(super) fn run_call(&mut self, desk: &mut McpDesk, line: &Line, call: &Call<'_>, now_ns: u64) {
        if !call.can_ask {
            return self.mcp_call(desk, line, call, now_ns);
        }
        let server = Arc::clone(&desk.server);
        let sim = self.sim_facts();
        match confirm(&server, call, &self.view(&sim), unix_ms()) {
            Confirm::Nothing => self.mcp_call(desk, line, call, now_ns),
            Confirm::Answer(result) => self.mcp.answer(&server, line, call, &result),
            Confirm::Agreed(ask) => {
                let Call { id, version, progress, params, .. } = *call;
                let (principal, client) = (call.principal.clone(), call.client.clone());
                let call = Call { id, version, principal, client, progress, params, can_ask: false, ask };
                self.mcp_call(desk, line, &call, now_ns);
            }
            Confirm::Question { params, agreed } => {
                let (conn, key) = (line.talk, self.mcp.defer(line, call));
                // A client of HTTP that takes no stream cannot be asked: what it says itself counts.
                if !self.mcp.talks.reaches(conn, key) {
                    let ask = call.ask.clone().into_owned();
                    return self.run_deferred(desk, conn, key, &ask, &call.principal);
                }
                self.mcp.questions += 1;
                let id = format!("confirm-{}", self.mcp.questions);
                let question = json!({ "jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params });
                self.mcp.talks.say(conn, key, &question.to_string());
                let call = Box::new((agreed, call.principal.clone()));
                let what = Awaited::Answer { id, until_ns: now_ns + ANSWER_NS_MAX, call };
                self.mcp.pending.push(Pending { conn, key, what });
            }
        }
    }

    /// Runs a call that is under way.
    fn run_deferred(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, ask: &Ask<'_>, principal: &Principal) {
        self.mcp.book.restart(conn, key, monotonic_ns());
        let sim = self.sim_facts();
        let result = match plan(&desk.server, ask, principal, &self.view(&sim)) {
            Ok(Plan::Write(write)) => return self.send_write(desk, conn, key, write),
            Ok(_) => Err(RpcError::new(code::INTERNAL, "what was a change once is none now")),
            Err(error) => Ok(reply(Err(error))),
        };
        self.finish(desk, conn, key, &result);
    }

    /// A client answers what it was asked. An answer to nothing, or to what another was asked, is passed over.
    pub(super) fn take_answer(
        &mut self,
        desk: &McpDesk,
        talk: Handle,
        id: &RawValue,
        answer: Result<&RawValue, &RawValue>,
    ) {
        let said: String = serde_json::from_str(id.get()).unwrap_or_default();
        let is_it = |pending: &Pending| {
            pending.conn == talk && matches!(&pending.what, Awaited::Answer { id, .. } if *id == said)
        };
        let place = self.mcp.pending.iter().position(is_it);
        let Some(Pending { conn, key, what: Awaited::Answer { call, .. } }) =
            place.map(|place| self.mcp.pending.swap_remove(place))
        else {
            return;
        };
        let agreed = match answer {
            Ok(result) => has_agreed(&serde_json::from_str::<Value>(result.get()).unwrap_or_default()),
            Err(_) => Err(ToolError::new("the client could not ask anybody: nothing was deleted")),
        };
        match agreed {
            Ok(()) => self.run_deferred(desk, conn, key, &call.0, &call.1),
            Err(error) => self.finish(desk, conn, key, &Ok(reply(Err(error)))),
        }
    }
}
