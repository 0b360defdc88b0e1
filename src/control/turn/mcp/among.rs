//! What agents ask of each other: messages at once, tasks as changes of the graph like any other.

use super::{Awaited, McpDesk, Pending, random};
use crate::base::clock::{MILLISECOND_NS, monotonic_ns, unix_ms};
use crate::control::turn::Control;
use crate::mcp::{
    Among, Ask, Call, Caller, Line, Next, Plan, Principal, Reply, RpcError, ToolError, code, plan, reply,
};

impl Control {
    pub(super) fn among(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, asked: &Among<'_>, now_ns: u64) {
        let done = match self.obey_agent(asked, &call.principal, true) {
            Ok(Next::Write(write)) => return self.mcp_write(desk, line, call, write),
            Ok(Next::Wait { ms }) => {
                let key = self.mcp.defer(line, call);
                let until_ns = now_ns + ms * MILLISECOND_NS;
                let asked = Box::new((call.ask.clone().into_owned(), call.principal.clone()));
                let what = Awaited::Inbox { until_ns, call: asked };
                return self.mcp.pending.push(Pending { conn: line.talk, key, what });
            }
            Ok(Next::Done(done)) => done,
            Err(error) => Err(error),
        };
        self.mcp.answer(&desk.server, line, call, &Ok(reply(done)));
    }

    fn obey_agent(&mut self, asked: &Among<'_>, principal: &Principal, may_wait: bool) -> Result<Next, ToolError> {
        let random = random("a claim or a message")?;
        let (now_ns, now_ms) = (monotonic_ns(), unix_ms());
        let caller = Caller { by: &principal.name, random, now_ns, now_ms, may_wait };
        // Out of its place meanwhile, since a view borrows everything.
        let mut society = std::mem::take(&mut self.mcp.society);
        let sim = self.sim_facts();
        let next = society.obey(asked, &self.view(&sim), &self.mcp.agents, &caller);
        let said = society.take_said();
        self.mcp.society = society;
        for spoken in &said {
            self.mcp.agents.spoke(&spoken.from, &spoken.to, now_ns);
        }
        if !said.is_empty() {
            self.tell_spoken(&said);
            self.show_agents(now_ns);
        }
        next
    }

    /// What a call that waits for a message is answered by now; `None` where it waits on.
    pub(super) fn look_at_inbox(
        &mut self,
        desk: &McpDesk,
        (ask, principal): &(Ask<'static>, Principal),
        is_over: bool,
    ) -> Option<Result<Reply, RpcError>> {
        let sim = self.sim_facts();
        let planned = plan(&desk.server, ask, principal, &self.view(&sim));
        let Ok(Plan::Among(asked)) = planned else {
            return Some(Err(RpcError::new(code::INTERNAL, "what was read once cannot be read again")));
        };
        match self.obey_agent(&asked, principal, !is_over) {
            Ok(Next::Wait { .. } | Next::Write(_)) => None,
            Ok(Next::Done(done)) => Some(Ok(reply(done))),
            Err(error) => Some(Ok(reply(Err(error)))),
        }
    }
}
