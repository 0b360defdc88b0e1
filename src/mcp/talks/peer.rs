//! Who is at the other end of a talk, and what is kept for it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use foldhash::HashSet;

use super::aside::Ahead;
use crate::base::Handle;
use crate::handoff::McpReply;
use crate::mcp::rpc::RpcError;
use crate::mcp::session::{CallKey, Session};
use crate::mcp::{Principal, Version};

#[derive(Debug)]
pub(super) struct Talk {
    pub(super) session: Session,
    pub(super) peer: Peer,
    /// It waits in the queue.
    pub(super) queued: bool,
    /// A message of it waits for its time: nothing after it is looked at.
    pub(super) held: bool,
}

#[derive(Debug)]
pub(super) enum Peer {
    Lines(Lines),
    Http(Http),
}

/// A connection of lines.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) conn: Handle,
    pub(super) out: BytesMut,
    /// Lines that nothing was made of yet.
    pub(super) rest: Bytes,
    /// Those before them, whose turn has not come.
    pub(super) ahead: Ahead,
    /// Bytes that were sent and of which the door has not said that they are out.
    pub(super) unread: usize,
    /// The door is to say so.
    pub(super) asked: bool,
    /// The door waits to hear that its lines were taken.
    pub(super) untold: bool,
    /// The other end has said its last.
    pub(super) ended: bool,
    pub(super) close: bool,
}

/// A session of HTTP, or one request of it.
#[derive(Debug)]
pub(super) struct Http {
    /// `None` is a request that stands for itself.
    pub(super) id: Option<Box<str>>,
    /// Whose session: nobody else may go on with it.
    pub(super) owner: Principal,
    pub(super) exchanges: Vec<Exchange>,
    /// Connections that a session's notices may go to, the newest last.
    pub(super) streams: Vec<Handle>,
    /// Messages that nothing was made of yet.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) used_ns: u64,
}

/// A message by HTTP that waits to be understood.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) conn: Handle,
    pub(super) body: Bytes,
    /// It is known to make no room for others.
    pub(super) seen: bool,
}

/// A request of HTTP that is not answered to its end.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) conn: Handle,
    /// The call it waits for.
    pub(super) key: Option<CallKey>,
    pub(super) version: Version,
    /// Its answer may be a stream.
    pub(super) may_stream: bool,
    /// It is one already.
    pub(super) streams: bool,
}

impl Lines {
    pub(super) fn new(conn: Handle) -> Self {
        Self {
            conn,
            out: BytesMut::new(),
            rest: Bytes::new(),
            ahead: Ahead::default(),
            unread: 0,
            asked: false,
            untold: false,
            ended: false,
            close: false,
        }
    }

    /// Has it closed once what there is to say is said; what it asks meanwhile is not looked at.
    pub(super) fn close(&mut self) {
        self.close = true;
        self.rest.clear();
        self.ahead.clear();
    }

    /// Says why, and closes.
    pub(super) fn end(&mut self, error: &RpcError) {
        let mut out = Vec::new();
        error.write(None, &mut out);
        self.out.extend_from_slice(&out);
        self.close();
    }
}

impl Talk {
    pub(super) fn new(session: Session, peer: Peer) -> Self {
        Self { session, peer, queued: false, held: false }
    }

    /// Says something that nobody asked for: lines take it with what else they get, a stream of HTTP by the reply that is returned.
    /// A session that holds no stream open hears of nothing.
    pub(super) fn notice(&mut self, out: Vec<u8>) -> Option<McpReply> {
        match &mut self.peer {
            Peer::Lines(lines) => {
                lines.out.extend_from_slice(&out);
                None
            }
            Peer::Http(http) => http.listener().map(|conn| McpReply::Events { conn, lines: out.into(), end: false }),
        }
    }

    /// The connection that hears what nobody asked for.
    pub(super) fn hears(&self) -> Option<Handle> {
        match &self.peer {
            Peer::Lines(lines) => Some(lines.conn),
            Peer::Http(http) => http.listener(),
        }
    }

    /// Whether a notice waits, and somebody who reads.
    pub(super) fn has_notices(&self, stuck: &HashSet<Handle>) -> bool {
        self.session.has_notices() && self.hears().is_some_and(|conn| !stuck.contains(&conn))
    }
}

impl Peer {
    /// The connection of HTTP that waits for a call.
    pub(super) fn waits_for(&self, key: CallKey) -> Option<Handle> {
        let Self::Http(http) = self else { return None };
        http.exchanges.iter().find(|exchange| exchange.key == Some(key)).map(|exchange| exchange.conn)
    }
}

impl Http {
    pub(super) fn new(owner: Principal, now_ns: u64) -> Self {
        Self { id: None, owner, exchanges: Vec::new(), streams: Vec::new(), waiting: VecDeque::new(), used_ns: now_ns }
    }

    /// The connection that notices go to: the newest stream of a session, or the request that listens.
    pub(super) fn listener(&self) -> Option<Handle> {
        let listens = |exchange: &&Exchange| exchange.streams && self.id.is_none();
        self.streams.last().copied().or_else(|| self.exchanges.iter().find(listens).map(|exchange| exchange.conn))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.exchanges.is_empty() && self.streams.is_empty() && self.waiting.is_empty()
    }
}
