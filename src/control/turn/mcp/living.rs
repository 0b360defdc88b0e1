//! Agents that live in the graph: they register, report, fall silent; the graph shows them, and subscribers and watchers hear of them.

use serde_json::json;

use super::{AGENTS_NS, Awaited, McpDesk, Pending, random};
use crate::api::steer::RestError;
use crate::base::clock::unix_ms;
use crate::control::turn::Control;
use crate::control::turn::mutate::Reply as Told;
use crate::graph::{Batch, Op, Outcome};
use crate::mcp::{Agents, Call, Line, LogLevel, Register, SourceAgent, reply, structured};

impl Control {
    /// Somebody becomes an agent. He is answered when the graph shows him, or cannot.
    pub(super) fn register_agent(
        &mut self,
        desk: &McpDesk,
        line: &Line,
        call: &Call<'_>,
        asked: &Register<'_>,
        now_ns: u64,
    ) {
        let (now, version) = ((now_ns, unix_ms()), self.mutations.version());
        let done = random("a handle")
            .and_then(|random| self.mcp.agents.register(asked, &call.principal.name, random, now, version));
        let mut registered = match done {
            Ok(registered) => registered,
            Err(error) => return self.mcp.answer(&desk.server, line, call, &Ok(reply(Err(error)))),
        };
        self.mcp.speakers.retain(|_, agent| *agent != registered.agent_id);
        self.mcp.speakers.insert(line.talk, registered.agent_id.clone());
        self.mcp.agents.refresh();
        let batch = match self.refuse_changes() {
            None => self.mcp.agents.take_batch(&self.graph, now_ns),
            Some(_) => None,
        };
        let Some(batch) = batch else {
            return self.mcp.answer(&desk.server, line, call, &Ok(reply(structured(&registered))));
        };
        let is_it = |op: &Op| matches!(op, Op::UpsertNode(draft) if draft.key.as_ref() == Some(&registered.agent_id));
        let place = batch.ops.iter().position(is_it);
        let (conn, key) = (line.talk, self.mcp.defer(line, call));
        match self.mutate_for(&batch, Told::Mcp { conn, key }) {
            Ok(agreed) => {
                let outcome = place.and_then(|place| agreed.outcomes.get(place));
                registered.node_id = match outcome {
                    Some(Outcome::Node { id, .. }) => Some(id.get()),
                    _ => None,
                };
                registered.revision = agreed.version;
                let what = Awaited::Registered { registered: Box::new(registered) };
                self.mcp.pending.push(Pending { conn, key, what });
            }
            Err(refused) => {
                self.log_not_done(&batch, &RestError::from(refused));
                self.finish(desk, conn, key, &Ok(reply(structured(&registered))));
            }
        }
    }

    /// Agents that fell silent go, and links nobody touched.
    pub(super) fn keep_agents(&mut self, now_ns: u64) {
        if now_ns < self.mcp.agents_ns {
            return;
        }
        self.mcp.agents_ns = now_ns + AGENTS_NS;
        self.mcp.agents.expire(now_ns);
        self.mcp.exports.expire(now_ns);
        self.mcp.uploads.expire(now_ns);
        self.mcp.society.expire(&self.mcp.agents, now_ns);
        self.show_agents(now_ns);
        self.tell_watchers_of_agents(now_ns);
    }

    /// A source has told of all its agents; returns how many there was no room for.
    pub(in crate::control::turn) fn take_listed(
        &mut self,
        source: &str,
        agents: Vec<SourceAgent>,
        now_ns: u64,
    ) -> usize {
        let left_out = self.mcp.agents.take_source(source, agents, (now_ns, unix_ms()));
        self.show_agents(now_ns);
        left_out
    }

    /// Has the graph show what agents are and do.
    pub(super) fn show_agents(&mut self, now_ns: u64) {
        self.mcp.agents.refresh();
        if self.refuse_changes().is_some() {
            return;
        }
        if let Some(batch) = self.mcp.agents.take_batch(&self.graph, now_ns) {
            self.mutate_unasked(&batch);
        }
        self.mcp.touched.agents |= self.mcp.agents.take_touched();
        self.mcp.touched.heard.extend(self.mcp.agents.take_heard());
    }

    /// A batch of the engine's own; one that does not fit is logged.
    fn mutate_unasked(&mut self, batch: &Batch) {
        if let Err(error) = self.mutate(batch, Told::Nobody) {
            self.log_not_done(batch, &error);
        }
    }

    fn log_not_done(&mut self, batch: &Batch, error: &RestError) {
        tracing::warn!(author = %batch.author, "not done: {}", error.message);
        let line = || json!({ "event": "not_done", "by": &*batch.author.principal, "why": error.message });
        self.mcp.talks.log(LogLevel::Warning, "agents", || line().to_string());
    }

    /// Nodes that agents of a run before this one left behind.
    pub(in crate::control::turn) fn clear_left_over_agents(&mut self) {
        if let Some(batch) = Agents::left_over(&self.graph) {
            self.mutate_unasked(&batch);
        }
    }
}
