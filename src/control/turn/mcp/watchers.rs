//! Viewers that hear of agents: events of their lives, and what clients of the stream say that they do.

use bytes::Bytes;

use super::Mcp;
use crate::base::clock::unix_ms;
use crate::control::turn::Control;
use crate::graph::{NodeId, NodeKind};
use crate::handoff::{Origin, SessionId, ShardMessage, Watching};
use crate::mcp::{ActionSaid, Spoken};
use crate::wire::{AgentAction, AgentActions, BinaryMessage, parse_binary};

/// What is wrong with an action: code, words, field.
type Wrong = (&'static str, String, String);

impl Mcp {
    /// The session is gone.
    pub(in crate::control::turn) fn unwatch(&mut self, session: SessionId) {
        self.watchers.remove(&session);
        if self.watchers.is_empty() {
            self.lifecycle.rest();
        }
    }
}

impl Control {
    /// A client wants to hear of agents, or no more; or it has missed something, and begins anew.
    pub(in crate::control::turn) fn watch_agents(&mut self, origin: Origin, heard: Watching) {
        let text = match heard {
            Watching::Nothing => br#"{"type":"agents_unsubscribed"}"#.to_vec(),
            Watching::Text | Watching::Binary => self.mcp.lifecycle.snapshot(self.mcp.agents.rows(), unix_ms()),
        };
        let sent = self.send(origin, ShardMessage::WatchAgents { handle: origin.handle, heard, text: text.into() });
        if sent && heard != Watching::Nothing {
            self.mcp.watchers.insert(origin.session);
        } else {
            self.mcp.unwatch(origin.session);
        }
    }

    /// Tells watchers what has become of agents. A shard whose lane is full does not hear of it; the lane counts it, and the next event
    /// shows its clients that they lack some.
    pub(super) fn tell_watchers_of_agents(&mut self, now_ns: u64) {
        let events = self.mcp.lifecycle.look(self.mcp.agents.rows(), (now_ns, unix_ms()));
        self.tell_agent_events(events);
    }

    /// Tells them that agents have spoken.
    pub(super) fn tell_spoken(&mut self, said: &[Spoken]) {
        if self.mcp.lifecycle.is_watched() {
            let now_ms = unix_ms();
            let events = said.iter().map(|spoken| self.mcp.lifecycle.communication(spoken, now_ms)).collect();
            self.tell_agent_events(events);
        }
    }

    fn tell_agent_events(&mut self, events: Vec<Vec<u8>>) {
        if events.is_empty() {
            return;
        }
        let texts: Vec<Bytes> = events.into_iter().map(Bytes::from).collect();
        for shard in &mut self.lanes.shard_messages {
            let _ = shard.push(ShardMessage::AgentEvents { texts: texts.clone() });
        }
    }

    /// Passes on what a client says that agents have done: all of it, or nothing and why.
    pub(in crate::control::turn) fn relay_actions(&mut self, origin: Origin, message: &Bytes) {
        // The shard has read it before.
        let Ok(BinaryMessage::AgentActions(actions)) = parse_binary(message) else { return };
        if let Err((code, words, field)) = self.check_actions(&actions) {
            return self.refuse_origin(origin, code, &words, &[&field], false);
        }
        let said = actions.iter().map(|AgentAction { source, target, action, time_ms, duration_ms, payload }| {
            ActionSaid { source, target, action: action.name(), time_ms, duration_ms, payload }
        });
        let texts = self.mcp.lifecycle.actions(said, origin.session.0, unix_ms());
        let texts: Vec<Bytes> = texts.into_iter().map(Bytes::from).collect();
        for shard in &mut self.lanes.shard_messages {
            let _ = shard.push(ShardMessage::AgentActions { texts: texts.clone(), message: message.clone() });
        }
    }

    fn check_actions(&self, actions: &AgentActions<'_>) -> Result<(), Wrong> {
        for (index, AgentAction { source, target, .. }) in actions.iter().enumerate() {
            let node = |field: &str, number: u32| {
                let found = NodeId::new(number).and_then(|id| self.graph.index_of(id));
                let field = format!("actions[{index}].{field}");
                let words = format!("{field}: there is no node {number}; nothing of the message was relayed");
                found.and_then(|index| self.graph.node(index)).ok_or(("unknown_node", words, field))
            };
            if node("source", source)?.class.kind != NodeKind::Agent {
                let field = format!("actions[{index}].source");
                let words = format!("{field}: node {source} is no agent; nothing of the message was relayed");
                return Err(("not_an_agent", words, field));
            }
            node("target", target)?;
        }
        Ok(())
    }
}
