//! Whether somebody is at the other end: a silent client is asked, and one that does not answer is gone. Pure.
//!
//! A peer whose machine lost its power sends no end of the connection, and while the graph is at rest too little is sent
//! to it to notice. Over WebSocket a ping asks. Raw TCP has none, so there the kernel asks (`SO_KEEPALIVE`) and ends the
//! connection with an error.

use crate::handoff::{NetLimit, NetLimits};

/// A WebSocket ping without a payload.
pub const WS_PING: [u8; 2] = [0x89, 0];

/// When a client last gave a sign of life, and whether it was asked for one.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    heard_ns: u64,
    /// When the kernel had all of the ping.
    asked_ns: Option<u64>,
    /// The ping is on its way to the kernel.
    asking: bool,
}

/// What is to be done about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing.
    Fine,
    /// Ask it.
    Ask,
    /// It is gone.
    Dead,
}

/// How patient to be.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Silence before a client is asked, ns.
    pub ping_ns: u64,
    /// Time for its answer, ns.
    pub pong_ns: u64,
}

impl Patience {
    /// As it is now.
    pub(super) fn of(limits: &NetLimits) -> Self {
        Self { ping_ns: limits.get(NetLimit::Ping), pong_ns: limits.get(NetLimit::Pong) }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { ping_ns: 30_000_000_000, pong_ns: 10_000_000_000 }
    }
}

impl Liveness {
    /// Heard of now.
    pub fn new(now_ns: u64) -> Self {
        Self { heard_ns: now_ns, asked_ns: None, asking: false }
    }

    /// The client sent something, whatever it was.
    pub fn heard(&mut self, now_ns: u64) {
        *self = Self::new(now_ns);
    }

    /// Looks at the time. `flushed` says that the kernel has everything that was queued for the client: the time for an
    /// answer does not run while the question waits behind a slow frame.
    pub fn look(&mut self, now_ns: u64, patience: Patience, flushed: bool) -> Sign {
        if self.asking && flushed {
            self.asking = false;
            self.asked_ns = Some(now_ns);
        }
        if let Some(asked_ns) = self.asked_ns {
            return if now_ns.saturating_sub(asked_ns) > patience.pong_ns { Sign::Dead } else { Sign::Fine };
        }
        if self.asking || now_ns.saturating_sub(self.heard_ns) <= patience.ping_ns {
            return Sign::Fine;
        }
        self.asking = true;
        Sign::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { ping_ns: 30, pong_ns: 10 };

    #[test]
    fn a_silent_client_is_asked_once_and_then_gone() {
        let mut liveness = Liveness::new(100);
        assert_eq!(liveness.look(130, PATIENCE, true), Sign::Fine);
        assert_eq!(liveness.look(131, PATIENCE, true), Sign::Ask);
        assert_eq!(liveness.look(132, PATIENCE, true), Sign::Fine);
        assert_eq!(liveness.look(142, PATIENCE, true), Sign::Fine);
        assert_eq!(liveness.look(143, PATIENCE, true), Sign::Dead);
    }

    #[test]
    fn any_byte_is_an_answer() {
        let mut liveness = Liveness::new(0);
        assert_eq!(liveness.look(31, PATIENCE, true), Sign::Ask);
        liveness.heard(40);
        assert_eq!(liveness.look(70, PATIENCE, true), Sign::Fine);
        assert_eq!(liveness.look(71, PATIENCE, true), Sign::Ask);
    }

    #[test]
    fn a_question_that_has_not_left_yet_is_not_overdue() {
        let mut liveness = Liveness::new(0);
        assert_eq!(liveness.look(31, PATIENCE, false), Sign::Ask);
        assert_eq!(liveness.look(500, PATIENCE, false), Sign::Fine);
        assert_eq!(liveness.look(510, PATIENCE, true), Sign::Fine);
        assert_eq!(liveness.look(520, PATIENCE, true), Sign::Fine);
        assert_eq!(liveness.look(521, PATIENCE, true), Sign::Dead);
    }
}
