//! How a connection hears of agents: events in order, and a snapshot anew where it read too slowly for them.

use bytes::Bytes;

use super::conn::{Conn, Requests};
use super::outbound::PRIVATE_BYTES_MAX;
use crate::handoff::{ShardEvent, Transport, Watching};

/// Bytes that wait for a connection from which on it is told no more about agents until it has read them: a quarter of what may wait, so
/// that answers have room.
const WAITING_BYTES_MAX: usize = PRIVATE_BYTES_MAX / 4;

/// Whether it has heard everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lag {
    #[default]
    None,
    /// It missed something.
    Behind,
    /// A snapshot is on its way.
    Asked,
}

/// How a connection hears of agents.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentWatch {
    heard: Watching,
    lag: Lag,
}

impl<Stream> Conn<Stream> {
    /// It hears of agents in this form from now on, and of this first; false when it has not read enough.
    pub(super) fn watch_agents(&mut self, heard: Watching, text: &[u8]) -> bool {
        self.agents = AgentWatch { heard, lag: Lag::None };
        self.out.text(text)
    }

    /// Something about agents. One that has much to read yet is told later what has become of them.
    pub(super) fn hear_of_agents(&mut self, texts: &[Bytes]) {
        if self.agents.heard == Watching::Nothing || self.agents.lag != Lag::None {
            return;
        }
        for text in texts {
            if self.out.private_bytes() > WAITING_BYTES_MAX || !self.out.text(text) {
                self.agents.lag = Lag::Behind;
                return;
            }
        }
    }

    /// What agents have done to nodes. Clients of older systems know the binary message and are sent it unasked, where no frame of theirs
    /// can be taken for it.
    pub(super) fn hear_of_actions(&mut self, texts: &[Bytes], message: &[u8]) {
        let profile = self.out.profile();
        let fits = profile.has_lead_byte() && self.out.transport() == Transport::WebSocket;
        let binary = match self.agents.heard {
            Watching::Binary => true,
            Watching::Text => false,
            Watching::Nothing => profile.is_legacy(),
        };
        match binary && fits {
            // What there is no room for is left out: an action is news, and no state.
            true if self.out.private_bytes() <= WAITING_BYTES_MAX => drop(self.out.binary(message)),
            true => {}
            false => self.hear_of_agents(texts),
        }
    }

    /// Has one that missed something begin anew, once it has read what waits for it.
    pub(super) fn keep_agents(&mut self, requests: &mut impl Requests) {
        let AgentWatch { heard, lag } = self.agents;
        if lag == Lag::Behind
            && self.out.private_bytes() == 0
            && requests.to_control(ShardEvent::Agents { origin: self.origin, heard })
        {
            self.agents.lag = Lag::Asked;
        }
    }
}
