//! Connections of which nobody knows whose they are: few at once, and none for long. And what is told to those that there is no room for.
//!
//! A connection whose first words are with `control` is not judged before these are answered. Whoever is known is never closed here.

use std::time::Duration;

use super::{Conn, McpDoor, Speaks, Stream};
use crate::base::Handle;
use crate::base::clock::SECOND_NS;
use crate::limits::{MCP_CONNECTIONS_MAX, MCP_LEAVING_MAX, MCP_STRANGER_NS_MAX, MCP_STRANGERS_MAX};
use crate::net::http::Response;

/// How long anybody may take to say who they are before they are counted.
const GRACE_NS: u64 = 2 * SECOND_NS;

/// How long a client may go on sending what is not read any more, so that what it was told last is not lost with it.
pub(super) const LEAVING_NS_MAX: u64 = SECOND_NS;

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There are as many as there may be, all of them known.
    Full,
    /// Too many strangers, and this one the oldest.
    Crowd,
    /// A stranger for too long.
    Late,
}

impl Why {
    fn words(self) -> String {
        let say = "say who you are: swarmcast/authenticate, or a token in params._meta";
        match self {
            Self::Full => format!("all {MCP_CONNECTIONS_MAX} connections are in use; come back later"),
            Self::Crowd => format!("more than {MCP_STRANGERS_MAX} connections have not said who they are; {say}"),
            Self::Late => {
                let seconds = Duration::from_nanos(MCP_STRANGER_NS_MAX).as_secs();
                format!("nobody has said within {seconds} s who this is; {say}")
            }
        }
    }

    /// One line, without an id: it answers nothing.
    fn line(self) -> String {
        let code = if self == Self::Full { 4_503 } else { 4_001 };
        format!("{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":{code},\"message\":\"{}\"}}}}\n", self.words())
    }

    fn response(self) -> Response {
        let (status, extra) = if self == Self::Full { (503, "Retry-After: 1\r\n") } else { (408, "") };
        Response { extra: extra.to_owned(), ..Response::new(status, "application/json", self.line()) }
    }
}

/// A stranger: its age in ns, and its name.
type Stranger = (u64, Handle);

/// Who of them has to go, oldest first, and why.
fn overdue(mut strangers: Vec<Stranger>) -> Vec<(Handle, Why)> {
    strangers.retain(|(age_ns, _)| *age_ns > GRACE_NS);
    strangers.sort_unstable_by_key(|(age_ns, _)| std::cmp::Reverse(*age_ns));
    let over = strangers.len().saturating_sub(MCP_STRANGERS_MAX);
    let judge = |(place, (age_ns, handle)): (usize, &Stranger)| match () {
        () if *age_ns > MCP_STRANGER_NS_MAX => Some((*handle, Why::Late)),
        () if place < over => Some((*handle, Why::Crowd)),
        () => None,
    };
    strangers.iter().enumerate().filter_map(judge).collect()
}

impl Conn {
    fn is_stranger(&self) -> bool {
        let is_asked = match &self.speaks {
            Speaks::Lines(side) => side.waits && !self.answered,
            Speaks::Http(_) => self.speaks.waits() && !self.answered,
        };
        !self.known && !self.leaving && !is_asked
    }
}

impl McpDoor {
    fn strangers(&mut self, now_ns: u64) -> Vec<Stranger> {
        let strangers = self.conns.iter_mut().filter(|(_, conn)| conn.is_stranger());
        strangers.map(|(handle, conn)| (now_ns.saturating_sub(conn.opened_ns), handle)).collect()
    }

    /// Closes strangers that are too many, or have been there for too long.
    pub(super) fn police(&mut self, now_ns: u64) {
        for (handle, why) in overdue(self.strangers(now_ns)) {
            self.metrics.mcp.strangers.add(1);
            self.dismiss(handle, why, now_ns);
        }
    }

    /// Whether another connection may stay. When all places are taken the oldest stranger gives up its own.
    pub(super) fn make_room(&mut self, now_ns: u64) -> bool {
        if self.conns.len() - self.leaving < MCP_CONNECTIONS_MAX {
            return true;
        }
        let Some((_, oldest)) = self.strangers(now_ns).into_iter().max_by_key(|(age_ns, _)| *age_ns) else {
            return false;
        };
        self.metrics.mcp.strangers.add(1);
        self.dismiss(oldest, Why::Crowd, now_ns);
        true
    }

    /// Tells a connection that there is no room for it.
    pub(super) fn turn_away(&mut self, stream: Stream, speaks: Speaks, now_ns: u64) {
        self.metrics.mcp.refused.add(1);
        if let Some(handle) = self.insert(stream, speaks, LEAVING_NS_MAX, now_ns) {
            self.dismiss(handle, Why::Full, now_ns);
        }
    }

    /// Says why, and closes; nothing that comes from there is looked at any more.
    fn dismiss(&mut self, handle: Handle, why: Why, now_ns: u64) {
        if self.leaving >= MCP_LEAVING_MAX {
            return self.drop_conn(handle);
        }
        let Some(conn) = self.conns.get_mut(handle) else { return };
        if let Speaks::Http(side) = &mut conn.speaks {
            side.end();
            self.respond(handle, &why.response(), now_ns);
        } else {
            conn.out.extend_from_slice(why.line().as_bytes());
        }
        self.leave(handle);
        if let Some(conn) = self.conns.get_mut(handle) {
            conn.deadline_ns = Some(now_ns + LEAVING_NS_MAX);
        }
        self.serve(handle, now_ns);
    }

    /// From now on nothing is done for this connection but to send what is there for it.
    pub(super) fn leave(&mut self, handle: Handle) {
        let Some(conn) = self.conns.get_mut(handle) else { return };
        if let Speaks::Lines(side) = &mut conn.speaks {
            side.waits = false;
        }
        conn.closing = true;
        conn.unsent = None;
        if !std::mem::replace(&mut conn.leaving, true) {
            self.leaving += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(slot: u32) -> Handle {
        Handle { slot, generation: 0 }
    }

    #[test]
    fn the_oldest_strangers_go_and_nobody_stays_one_for_long() {
        let young: Vec<Stranger> = (0..100).map(|slot| (GRACE_NS, handle(slot))).collect();
        assert_eq!(overdue(young.clone()), [], "everybody has two seconds");
        let most = MCP_STRANGERS_MAX as u64;
        let aged = |count: u64| (0..count).map(|n| (GRACE_NS + 1 + n, handle(n as u32))).chain(young.clone()).collect();
        assert_eq!(overdue(aged(most)), []);
        let two_more = [(handle(17), Why::Crowd), (handle(16), Why::Crowd)];
        assert_eq!(overdue(aged(most + 2)), two_more);
        let one = |age_ns| overdue(vec![(age_ns, handle(1))]);
        assert_eq!((one(MCP_STRANGER_NS_MAX), one(MCP_STRANGER_NS_MAX + 1)), (vec![], vec![(handle(1), Why::Late)]));
    }

    #[test]
    fn the_words_are_a_line_of_json() {
        for (why, code) in [(Why::Full, 4_503), (Why::Crowd, 4_001), (Why::Late, 4_001)] {
            let line: serde_json::Value = serde_json::from_str(&why.line()).unwrap();
            assert_eq!((&line["jsonrpc"], &line["error"]["code"]), (&"2.0".into(), &code.into()));
            assert!(line["error"]["message"].as_str().unwrap().len() > 20, "{line}");
        }
    }
}
