//! Agents that live in the graph: they register, report, fall silent; the graph shows them, and subscribers and watchers hear of them.

use serde_json::json;

use super::{AGENTS_NS, Awaited, Mcp, McpDesk, Pending, random};
use crate::api::steer::RestError;
use crate::base::clock::unix_ms;
use crate::control::turn::Control;
use crate::control::turn::mutate::{Agreed, Refused, Reply as Told};
use crate::graph::{Batch, Graph, Op, Outcome};
use crate::mcp::{AUTHOR, Agents, Call, Line, LogLevel, Refusal, Register, SourceAgent, reply, structured};

/// Time between two words about what the graph does not show: it is asked for again and again.
const NOT_DONE_NS: u64 = 10_000_000_000;

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
        // An agent speaks over its last talk. They are no more than the talks, and those that ended since `keep_agents` looked.
        self.mcp.speakers.retain(|_, agent| *agent != registered.agent_id);
        self.mcp.speakers.insert(line.talk, registered.agent_id.clone());
        self.mcp.agents.refresh();
        let Some(mut batch) = self.take_agents_batch(now_ns) else {
            return self.mcp.answer(&desk.server, line, call, &Ok(reply(structured(&registered))));
        };
        let (conn, key) = (line.talk, self.mcp.defer(line, call));
        let Some(agreed) = self.send_agents_batch(&mut batch, Told::Mcp { conn, key }, now_ns) else {
            return self.finish(desk, conn, key, &Ok(reply(structured(&registered))));
        };
        let is_it = |op: &Op| matches!(op, Op::UpsertNode(draft) if draft.key.as_ref() == Some(&registered.agent_id));
        let place = batch.ops.iter().position(is_it);
        registered.node_id = match place.and_then(|place| outcome_at(&agreed, place)) {
            Some(Outcome::Node { id, .. }) => Some(id.get()),
            _ => None,
        };
        registered.revision = agreed.version;
        let what = Awaited::Registered { registered: Box::new(registered) };
        self.mcp.pending.push(Pending { conn, key, what });
    }

    /// Agents that fell silent go, and links nobody touched, and who spoke over talks that are over.
    pub(super) fn keep_agents(&mut self, now_ns: u64) {
        if now_ns < self.mcp.agents_ns {
            return;
        }
        self.mcp.agents_ns = now_ns + AGENTS_NS;
        self.mcp.agents.expire(now_ns);
        self.mcp.exports.expire(now_ns);
        self.mcp.uploads.expire(now_ns);
        self.mcp.society.expire(&self.mcp.agents, now_ns);
        // Not everybody is forgotten by name: a single request ends with its answer, and a session when its room is needed.
        let Mcp { speakers, talks, .. } = &mut self.mcp;
        speakers.retain(|talk, _| talks.has(*talk));
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
        if let Some(mut batch) = self.take_agents_batch(now_ns) {
            self.send_agents_batch(&mut batch, Told::Nobody, now_ns);
        }
        self.mcp.touched.agents |= self.mcp.agents.take_touched();
        self.mcp.touched.heard.extend(self.mcp.agents.take_heard());
    }

    /// What the graph is to show otherwise; `None` when it shows everything, or cannot be changed now.
    fn take_agents_batch(&mut self, now_ns: u64) -> Option<Batch> {
        if self.refuse_changes().is_some() {
            return None;
        }
        self.mcp.agents.reached(self.mutations.version());
        self.mcp.agents.take_batch(&self.graph, now_ns)
    }

    /// The disk has nothing of what was on its way for agents.
    pub(in crate::control::turn) fn agents_batches_lost(&mut self) {
        self.mcp.agents.lost();
    }

    /// Sends what the graph is to show on its way; without what makes it larger, where memory has no room for that. `None` when nothing
    /// of it can be done. What is not done is asked for again at a later look.
    fn send_agents_batch(&mut self, batch: &mut Batch, reply: Told, now_ns: u64) -> Option<Agreed> {
        let mut done = self.mutate_for(batch, reply);
        if let Err(Refused::Op(error)) = &done {
            let why = error.reason.to_string();
            self.log_not_done(&why, now_ns);
            batch.ops.retain(|op| !grows(&self.graph, op));
            if batch.ops.is_empty() {
                self.mcp.agents.refused();
                return None;
            }
            done = self.mutate_for(batch, reply);
        }
        match done {
            Ok(agreed) => {
                self.mcp.agents.sent(agreed.version);
                self.log_refused(&agreed.refused, now_ns);
                return Some(agreed);
            }
            Err(Refused::All(refused)) => self.log_refused(&refused, now_ns),
            Err(refused) => self.log_not_done(&RestError::from(refused).message, now_ns),
        }
        self.mcp.agents.refused();
        None
    }

    fn log_refused(&mut self, refused: &[Refusal], now_ns: u64) {
        // What is to go may be gone already, and what was touched may be: the next look knows.
        let is_news = |refusal: &&Refusal| !matches!(&*refusal.code, "unknown_node" | "unknown_edge");
        if let Some(refusal) = refused.iter().find(is_news) {
            self.log_not_done(&refusal.message, now_ns);
        }
    }

    fn log_not_done(&mut self, why: &str, now_ns: u64) {
        if now_ns < self.mcp.not_done_ns {
            return;
        }
        self.mcp.not_done_ns = now_ns + NOT_DONE_NS;
        tracing::warn!(author = AUTHOR, "not done: {why}");
        let line = || json!({ "event": "not_done", "by": AUTHOR, "why": why });
        self.mcp.talks.log(LogLevel::Warning, "agents", || line().to_string());
    }

    /// Nodes that agents of a run before this one left behind.
    pub(in crate::control::turn) fn clear_left_over_agents(&mut self) {
        if let Some(batch) = Agents::left_over(&self.graph)
            && let Err(error) = self.mutate(&batch, Told::Nobody)
        {
            self.log_not_done(&error.message, 0);
        }
    }
}

/// What became of an operation of a batch; `None` when it was refused: outcomes are of the others alone.
fn outcome_at(agreed: &Agreed, place: usize) -> Option<&Outcome> {
    let refused = agreed.refused.iter().map(|refusal| refusal.index);
    if refused.clone().any(|index| index == place) {
        return None;
    }
    agreed.outcomes.get(place - refused.filter(|index| *index < place).count())
}

/// Whether an operation makes the graph larger.
fn grows(graph: &Graph, op: &Op) -> bool {
    match op {
        Op::UpsertNode(draft) => draft.key.as_deref().is_none_or(|key| graph.by_key(key).is_none()),
        Op::UpsertEdge(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
