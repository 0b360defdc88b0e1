//! What a talk says while nothing of it can be begun: because as many calls are under way as may be, because what was asked before has to
//! wait for its time, or because its client does not read what it is answered. An end to a call, or an answer to a question, makes room, so
//! it is taken out of turn; everything else waits in order.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memchr;
use serde_json::value::RawValue;

use super::peer::{Peer, Talk};
use super::{Line, Talks};
use crate::base::Handle;
use crate::handoff::McpReply;
use crate::limits::{MCP_AHEAD_BYTES_MAX, MCP_OUTPUT_BYTES_PAUSE};
use crate::mcp::Server;
use crate::mcp::rpc::{self, Message};
use crate::mcp::session::{Step, cancelled_id};

/// What keeping a line costs beside its bytes.
const KEPT_BYTES: usize = 128;

/// Lines that were sent ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    lines: VecDeque<(Bytes, Option<Box<RawValue>>)>,
    bytes: usize,
}

impl Ahead {
    /// Keeps a copy: the bytes that a line came in hold others, which may be gone.
    fn push(&mut self, line: &[u8], id: Option<&RawValue>) {
        self.bytes += line.len() + KEPT_BYTES;
        self.lines.push_back((Bytes::copy_from_slice(line), id.map(ToOwned::to_owned)));
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let (line, _) = self.lines.pop_front()?;
        self.bytes -= line.len() + KEPT_BYTES;
        Some(line)
    }

    /// Forgets the request with this id; false when there is none.
    fn cancel(&mut self, id: &RawValue) -> bool {
        let is_it = |(_, found): &(Bytes, Option<Box<RawValue>>)| found.as_ref().is_some_and(|it| it.get() == id.get());
        let Some((line, _)) = self.lines.iter().position(is_it).and_then(|at| self.lines.remove(at)) else {
            return false;
        };
        self.bytes -= line.len() + KEPT_BYTES;
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether no more lines are to be sent.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MCP_AHEAD_BYTES_MAX
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a line is when its turn has not come.
enum Aside<'line> {
    /// It ends a call.
    Cancel(&'line RawValue),
    /// It answers a question.
    Answer,
    /// It waits.
    Later(Option<&'line RawValue>),
}

fn aside(line: &[u8]) -> Aside<'_> {
    match rpc::parse(line) {
        Ok(Message::Notification { method, params }) => match cancelled_id(&method, params) {
            Some(id) => Aside::Cancel(id),
            None => Aside::Later(None),
        },
        Ok(Message::Response { .. }) => Aside::Answer,
        Ok(Message::Request { id, .. }) => Aside::Later(Some(id)),
        Err(_) => Aside::Later(None),
    }
}

fn request_id(line: &[u8]) -> Option<&RawValue> {
    if let Aside::Later(id) = aside(line) { id } else { None }
}

impl Talk {
    /// Whether nothing of it can be begun.
    fn is_blocked(&self) -> bool {
        let is_behind = matches!(&self.peer, Peer::Lines(lines) if lines.is_behind());
        self.held || is_behind || self.session.is_full()
    }

    /// Whether something of it is to be looked at.
    pub(super) fn has_work(&self) -> bool {
        let is_blocked = self.is_blocked();
        match &self.peer {
            Peer::Lines(lines) => !lines.close && (!lines.rest.is_empty() || !(is_blocked || lines.ahead.is_empty())),
            Peer::Http(http) => http.waiting.iter().any(|waiting| !(is_blocked && waiting.seen)),
        }
    }

    /// The next message: its connection of HTTP, what it says, and whether its turn has not come.
    pub(super) fn next(&mut self) -> Option<(Option<Handle>, Bytes, bool)> {
        let is_blocked = self.is_blocked();
        match &mut self.peer {
            Peer::Lines(lines) if lines.close => None,
            Peer::Lines(lines) => {
                let ahead = if is_blocked { None } else { lines.ahead.pop() };
                let next = ahead.map(|line| (line, false)).or_else(|| Some((lines.split()?, is_blocked)))?;
                Some((None, next.0, next.1))
            }
            Peer::Http(http) if is_blocked => {
                let waiting = http.waiting.iter_mut().find(|waiting| !waiting.seen)?;
                waiting.seen = true;
                Some((Some(waiting.conn), waiting.body.clone(), true))
            }
            Peer::Http(http) => http.waiting.pop_front().map(|waiting| (Some(waiting.conn), waiting.body, false)),
        }
    }
}

impl super::peer::Lines {
    /// Whether so much is on its way to the client that nothing more is to be asked of it.
    pub(super) fn is_behind(&self) -> bool {
        self.unread + self.out.len() > MCP_OUTPUT_BYTES_PAUSE
    }

    /// The first of the lines that nothing was made of yet.
    fn split(&mut self) -> Option<Bytes> {
        let end = memchr(b'\n', &self.rest).unwrap_or(self.rest.len());
        let mut line = self.rest.split_to((end + 1).min(self.rest.len()));
        let is_line = !line.is_empty();
        line.truncate(end);
        is_line.then_some(line)
    }
}

impl Talks {
    /// Whether so much is on its way to the client of this talk that nothing more is to be found out for it.
    #[must_use]
    pub fn is_behind(&self, handle: Handle) -> bool {
        self.talks.get(handle).is_some_and(|talk| matches!(&talk.peer, Peer::Lines(lines) if lines.is_behind()))
    }

    /// Most of what was on its way to a connection is out.
    pub(super) fn drained(&mut self, conn: Handle, left: usize) {
        let Some(handle) = self.conns.get(&conn).copied() else { return };
        if let Some(Talk { peer: Peer::Lines(lines), .. }) = self.talks.get_mut(handle) {
            lines.unread = left;
            lines.asked = false;
        }
        self.enqueue(handle);
    }

    /// Has a message whose turn has not come wait, unless it makes room: then it is understood at once.
    pub(super) fn take_aside<'line>(&mut self, server: &Server, line: &'line Line) -> Step<'line> {
        let id = match aside(&line.bytes) {
            Aside::Later(id) => {
                if let Some(Talk { peer: Peer::Lines(lines), .. }) = self.talks.get_mut(line.talk) {
                    lines.ahead.push(&line.bytes, id);
                }
                return Step::Done;
            }
            Aside::Answer => None,
            Aside::Cancel(id) => Some(id),
        };
        if let Some(Talk { peer: Peer::Http(http), .. }) = self.talks.get_mut(line.talk) {
            http.waiting.retain(|waiting| Some(waiting.conn) != line.conn);
        }
        let step = self.understand(server, line);
        if let (Step::Done, Some(id)) = (&step, id) {
            self.cancel_ahead(line.talk, id);
        }
        step
    }

    /// Forgets a request that nothing was made of yet.
    fn cancel_ahead(&mut self, handle: Handle, id: &RawValue) {
        let is_it = |line: &[u8]| request_id(line).is_some_and(|found| found.get() == id.get());
        let held = self.held.iter().position(|(_, line)| line.talk == handle && is_it(&line.bytes));
        let conn = held.and_then(|at| self.held.swap_remove(at).1.conn);
        let Some(talk) = self.talks.get_mut(handle) else { return };
        talk.held &= held.is_none();
        let conn = match &mut talk.peer {
            Peer::Lines(lines) => {
                if held.is_none() {
                    lines.ahead.cancel(id);
                }
                None
            }
            Peer::Http(http) => conn.or_else(|| {
                let at = http.waiting.iter().position(|waiting| is_it(&waiting.body))?;
                http.waiting.remove(at).map(|waiting| waiting.conn)
            }),
        };
        if let Some(conn) = conn {
            self.replies.push_back(McpReply::Events { conn, lines: Bytes::new(), end: true });
            self.ended(handle, conn);
        }
        self.enqueue(handle);
    }
}
