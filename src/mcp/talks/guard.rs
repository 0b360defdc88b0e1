//! Who may stay: so many connections of each principal, and nobody longer than the token that was shown.

use super::crowd::Crowd;
use super::peer::{Lines, Peer, Talk};
use super::{Line, Talks};
use crate::base::Handle;
use crate::limits::MCP_SESSION_IDLE_NS;
use crate::mcp::Server;
use crate::mcp::methods::{expired_token, too_many_connections};
use crate::mcp::rpc::{self, Message};
use crate::mcp::session::{Session, Step};

/// Time between two looks at sessions that are idle, and at tokens that end.
const SWEEP_NS: u64 = 1_000_000_000;

/// Lets a message of a connection of lines have been said, unless it makes the connection somebody's who has as many as may be.
pub(super) fn admit<'line>(
    (crowd, connections_max): (&mut Crowd, usize),
    session: &Session,
    lines: &mut Lines,
    line: &Line,
    step: Step<'line>,
    out: &mut Vec<u8>,
) -> Step<'line> {
    let Some(name) = session.known_as() else { return step };
    if crowd.enter(lines.conn, name, connections_max) {
        return step;
    }
    // Seldom, so its id is read again rather than kept for every message.
    let id = match rpc::parse(&line.bytes) {
        Ok(Message::Request { id, .. }) => Some(id),
        _ => None,
    };
    out.clear();
    too_many_connections(connections_max).write(id, out);
    lines.close();
    Step::Done
}

impl Talks {
    /// A connection of lines.
    pub(super) fn open(&mut self, conn: Handle, own_user: bool) {
        let principal = if own_user { Some(self.own_user.clone()) } else { self.anonymous.clone() };
        let mut lines = Lines::new(conn);
        if let Some(principal) = &principal
            && !self.crowd.enter(conn, &principal.name, self.connections_max)
        {
            lines.end(&too_many_connections(self.connections_max));
        }
        let refused = lines.close;
        let talk = Talk::new(Session::new(principal), Peer::Lines(lines));
        if let Some(talk) = self.talks.insert_with(|_| talk) {
            self.conns.insert(conn, talk);
            if refused {
                self.busy.insert(talk);
            }
        }
    }

    /// Ends sessions of HTTP that were idle for too long, and what goes on with a token that has ended. Of the talks that are
    /// returned nobody waits for calls any more.
    pub fn sweep(&mut self, server: &Server, now_ns: u64) -> Vec<Handle> {
        if now_ns < self.swept_ns + SWEEP_NS {
            return Vec::new();
        }
        self.swept_ns = now_ns;
        let mut over = Vec::new();
        for (handle, talk) in self.talks.iter_mut() {
            let has_ended = talk.session.has_ended(server);
            match &mut talk.peer {
                Peer::Lines(lines) if has_ended && !lines.close => {
                    lines.end(&expired_token());
                    self.busy.insert(handle);
                }
                Peer::Lines(_) => {}
                Peer::Http(http) => {
                    // A single request is answered still; what would go on without end is not.
                    let lasts = http.id.is_some() || talk.session.listens();
                    let is_idle = http.is_idle() && talk.session.in_flight() == 0;
                    let is_old = is_idle && now_ns.saturating_sub(http.used_ns) > MCP_SESSION_IDLE_NS;
                    if is_old || (has_ended && lasts) {
                        over.push(handle);
                    }
                }
            }
        }
        for handle in &over {
            self.remove(*handle);
        }
        over
    }
}
