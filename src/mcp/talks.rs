//! Everybody who speaks MCP with this engine: connections of lines, sessions of HTTP, and single requests of HTTP. What the doors send
//! goes in; messages for whoever has the graph come out, and replies for the doors.
//!
//! A session of HTTP is a talk that outlives its connections: an answer goes to the connection that asked, a notice to the newest
//! stream that the client holds open. A request of 2026-07-28 is a talk of its own, and ends with its connection.

mod aside;
mod crowd;
mod guard;
mod peer;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use foldhash::{HashMap, HashSet};

use self::crowd::Crowd;
use self::peer::{Exchange, Http, Peer, Talk, Waiting};
use super::http::{self, Asked, Refused, accepts};
use super::methods::too_many_connections;
use super::reply::Reply;
use super::rpc::{RpcError, code};
use super::session::{Call, CallKey, LogLevel, Session, Step};
use super::subscribe::Touched;
use super::{Principal, Server, Version};
use crate::base::{Handle, Slab};
use crate::handoff::{McpEvent, McpReply, McpRequest};
use crate::limits::{
    MCP_CONNECTIONS_MAX, MCP_CONNECTIONS_PER_TOKEN, MCP_LEAVING_MAX, MCP_SESSION_STREAMS_MAX, MCP_SESSIONS_MAX,
};

/// Memory that is kept from one answer to the next.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

/// A message that waits to be understood.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whose.
    pub talk: Handle,
    /// The connection of HTTP it came by.
    conn: Option<Handle>,
    /// Without its end.
    bytes: Bytes,
    /// Its principal has been charged for it.
    pub charged: bool,
    /// Its turn has not come.
    aside: bool,
}

/// Everybody.
#[derive(Debug)]
pub struct Talks {
    talks: Slab<Talk>,
    /// The talk of each connection of the doors.
    conns: HashMap<Handle, Handle>,
    sessions: HashMap<Box<str>, Handle>,
    /// Whose connections there are.
    crowd: Crowd,
    /// How many each principal may have at once.
    connections_max: usize,
    /// Connections whose clients do not read: what has changed is told them, once, when they do.
    stuck: HashSet<Handle>,
    /// Sessions that there ever were.
    sessions_count: u64,
    /// Talks with lines, first come first served.
    queue: VecDeque<Handle>,
    /// Messages that wait for their time, monotonic ns. At most one of each talk.
    held: Vec<(u64, Line)>,
    /// Connections of lines with something to send.
    busy: HashSet<Handle>,
    replies: VecDeque<McpReply>,
    /// What is written before it is known how it goes out.
    scratch: Vec<u8>,
    own_user: Principal,
    anonymous: Option<Principal>,
    swept_ns: u64,
}

impl Talks {
    /// Nobody yet. `own_user` is who comes where only this engine's user can, `anonymous` who shows no token elsewhere.
    #[must_use]
    pub fn new(own_user: Principal, anonymous: Option<Principal>) -> Self {
        Self {
            talks: Slab::new(MCP_CONNECTIONS_MAX + MCP_LEAVING_MAX + MCP_SESSIONS_MAX),
            conns: HashMap::default(),
            sessions: HashMap::default(),
            crowd: Crowd::default(),
            connections_max: MCP_CONNECTIONS_PER_TOKEN,
            stuck: HashSet::default(),
            sessions_count: 0,
            queue: VecDeque::new(),
            held: Vec::new(),
            busy: HashSet::default(),
            scratch: Vec::new(),
            replies: VecDeque::new(),
            own_user,
            anonymous,
            swept_ns: 0,
        }
    }

    /// How many connections each principal may have from now on; those that are there stay. Gives back what holds.
    pub fn set_connections_max(&mut self, count: usize) -> usize {
        self.connections_max = count;
        self.connections_max
    }

    /// Takes what a door sends. A talk that this ends is returned: nobody waits for its calls any more.
    pub fn event(&mut self, server: &Server, event: McpEvent, now_ns: u64) -> Option<Handle> {
        match event {
            McpEvent::Open { conn, own_user } => {
                self.open(conn, own_user);
                None
            }
            McpEvent::Lines { conn, lines, ended } => {
                let talk = *self.conns.get(&conn)?;
                if let Some(Talk { peer: Peer::Lines(peer), .. }) = self.talks.get_mut(talk) {
                    peer.untold = true;
                    peer.ended |= ended;
                    peer.rest = lines;
                }
                self.enqueue(talk);
                None
            }
            McpEvent::Http { conn, request } => {
                self.request(server, conn, *request, now_ns).unwrap_or_else(|refused| {
                    self.crowd.leave(conn);
                    let Refused { status, extra, body } = refused;
                    self.replies.push_back(McpReply::Http { conn, status, extra, body: body.into() });
                    None
                })
            }
            McpEvent::Stuck { conn, stuck } => {
                if stuck && self.conns.contains_key(&conn) {
                    self.stuck.insert(conn);
                } else {
                    self.stuck.remove(&conn);
                }
                None
            }
            McpEvent::Drained { conn, left } => {
                self.drained(conn, left);
                None
            }
            McpEvent::Closed { conn } => self.closed(conn, now_ns),
        }
    }

    fn request(
        &mut self,
        server: &Server,
        conn: Handle,
        request: McpRequest,
        now_ns: u64,
    ) -> Result<Option<Handle>, Refused> {
        let admitted = http::principal(server, &request, self.anonymous.as_ref())?;
        let principal = admitted.principal.clone();
        if !self.crowd.enter(conn, &principal.name, self.connections_max) {
            return Err(crowded(self.connections_max));
        }
        let may_stream = accepts(&request, "text/event-stream");
        let asked = http::read(server, &request)?;
        let talk = match asked {
            Asked::Stateless | Asked::Begin => {
                if matches!(asked, Asked::Begin) && self.sessions.len() >= MCP_SESSIONS_MAX {
                    self.make_room()?;
                }
                let talk = Talk::new(Session::over_http(admitted), Peer::Http(Http::new(principal, now_ns)));
                self.talks.insert_with(|_| talk).ok_or_else(too_many)?
            }
            Asked::Message(id) | Asked::Stream(id) | Asked::End(id) => {
                let talk = self.session(id, &principal)?;
                if let Some(talk) = self.talks.get_mut(talk) {
                    talk.session.renew(admitted.clone());
                }
                talk
            }
        };
        match asked {
            Asked::End(_) => {
                let (status, extra) = (200, String::new());
                self.replies.push_back(McpReply::Http { conn, status, extra, body: Bytes::new() });
                self.crowd.leave(conn);
                self.remove(talk);
                return Ok(Some(talk));
            }
            Asked::Stream(_) => {
                let Some(Talk { peer: Peer::Http(http), .. }) = self.talks.get_mut(talk) else { return Ok(None) };
                if http.streams.len() >= MCP_SESSION_STREAMS_MAX {
                    let message = format!("a session has at most {MCP_SESSION_STREAMS_MAX} streams of notices");
                    return Err(Refused::new(409, code::REQUEST, message));
                }
                http.streams.push(conn);
                self.conns.insert(conn, talk);
                self.replies.push_back(McpReply::Events { conn, lines: Bytes::new(), end: false });
            }
            _ => {
                let Some(Talk { session, peer: Peer::Http(http), .. }) = self.talks.get_mut(talk) else {
                    return Ok(None);
                };
                let version = session.agreed().unwrap_or(match asked {
                    Asked::Stateless => Version::V2026_07_28,
                    _ => Version::LAST_LEGACY,
                });
                http.exchanges.push(Exchange { conn, key: None, version, may_stream, streams: false });
                http.waiting.push_back(Waiting { conn, body: request.body, seen: false });
                http.used_ns = now_ns;
                self.conns.insert(conn, talk);
                self.enqueue(talk);
            }
        }
        Ok(None)
    }

    fn session(&self, id: &str, principal: &Principal) -> Result<Handle, Refused> {
        let gone = || Refused::new(404, code::REQUEST, "there is no such session, or it has expired: initialize again");
        let talk = self.sessions.get(id).copied().ok_or_else(gone)?;
        match self.talks.get(talk) {
            Some(Talk { peer: Peer::Http(http), .. }) if http.owner == *principal => Ok(talk),
            _ => Err(gone()),
        }
    }

    /// Makes room for a session: the one that was idle for longest goes.
    fn make_room(&mut self) -> Result<(), Refused> {
        let idle = self.talks.iter_mut().filter_map(|(handle, talk)| match &talk.peer {
            Peer::Http(http) if http.id.is_some() && http.is_idle() && talk.session.in_flight() == 0 => {
                Some((http.used_ns, handle))
            }
            _ => None,
        });
        let (_, oldest) = idle.min_by_key(|(used_ns, _)| *used_ns).ok_or_else(too_many)?;
        self.remove(oldest);
        Ok(())
    }

    fn closed(&mut self, conn: Handle, now_ns: u64) -> Option<Handle> {
        self.crowd.leave(conn);
        self.stuck.remove(&conn);
        let handle = self.conns.remove(&conn)?;
        let talk = self.talks.get_mut(handle)?;
        let ends = match &mut talk.peer {
            Peer::Lines(_) => true,
            Peer::Http(http) => {
                http.exchanges.retain(|exchange| exchange.conn != conn);
                http.streams.retain(|stream| *stream != conn);
                http.waiting.retain(|waiting| waiting.conn != conn);
                http.used_ns = now_ns;
                // What a session has asked for goes on: only it can say that it does not want it any more.
                http.id.is_none()
            }
        };
        if ends {
            self.remove(handle);
        }
        ends.then_some(handle)
    }

    /// Takes a talk out, and ends what its client still reads.
    fn remove(&mut self, handle: Handle) {
        let Some(talk) = self.talks.remove(handle) else { return };
        self.busy.remove(&handle);
        match talk.peer {
            Peer::Lines(lines) => {
                self.conns.remove(&lines.conn);
                self.crowd.leave(lines.conn);
            }
            Peer::Http(http) => {
                if let Some(id) = &http.id {
                    self.sessions.remove(id);
                }
                let open = http.exchanges.iter().map(|exchange| (exchange.conn, exchange.streams));
                for (conn, streams) in open.chain(http.streams.iter().map(|conn| (*conn, true))) {
                    if self.conns.remove(&conn).is_none() {
                        continue;
                    }
                    self.crowd.leave(conn);
                    self.replies.push_back(match streams {
                        true => McpReply::Events { conn, lines: Bytes::new(), end: true },
                        false => {
                            let gone = Refused::new(404, code::REQUEST, "the session was ended");
                            McpReply::Http { conn, status: gone.status, extra: gone.extra, body: gone.body.into() }
                        }
                    });
                }
            }
        }
    }

    fn enqueue(&mut self, handle: Handle) {
        let Some(talk) = self.talks.get_mut(handle) else { return };
        if talk.has_work() && !std::mem::replace(&mut talk.queued, true) {
            self.queue.push_back(handle);
        }
        if matches!(talk.peer, Peer::Lines(_)) {
            self.busy.insert(handle);
        }
    }

    /// Keeps a message back until `until_ns`, and what its talk says after it.
    pub fn hold(&mut self, line: Line, until_ns: u64) {
        if let Some(talk) = self.talks.get_mut(line.talk) {
            talk.held = true;
            self.held.push((until_ns, Line { charged: true, ..line }));
        }
    }

    /// The next message: of each talk one, in turn. What cannot be begun yet is only looked at.
    pub fn next_line(&mut self, now_ns: u64) -> Option<Line> {
        if let Some(at) = self.held.iter().position(|(until_ns, _)| *until_ns <= now_ns) {
            let (_, line) = self.held.swap_remove(at);
            if let Some(talk) = self.talks.get_mut(line.talk) {
                talk.held = false;
            }
            self.enqueue(line.talk);
            return Some(line);
        }
        while let Some(handle) = self.queue.pop_front() {
            let Some(talk) = self.talks.get_mut(handle) else { continue };
            talk.queued = false;
            let Some((conn, bytes, aside)) = talk.next() else { continue };
            self.enqueue(handle);
            return Some(Line { talk: handle, conn, bytes, charged: false, aside });
        }
        None
    }

    /// Finds out what a message says. A [`Step::Call`] is then to be answered, or deferred; the rest is done.
    pub fn feed<'line>(&mut self, server: &Server, line: &'line Line) -> Step<'line> {
        if line.aside { self.take_aside(server, line) } else { self.understand(server, line) }
    }

    fn understand<'line>(&mut self, server: &Server, line: &'line Line) -> Step<'line> {
        let Some(talk) = self.talks.get_mut(line.talk) else { return Step::Done };
        let mut out = memory(&mut self.scratch, &talk.peer);
        if let Peer::Lines(lines) = &mut talk.peer {
            let step = if line.bytes.is_empty() {
                lines.close |= !talk.session.too_long(&mut out);
                Step::Done
            } else {
                match talk.session.feed(server, &line.bytes, &mut out) {
                    Step::Close => {
                        lines.close = true;
                        Step::Close
                    }
                    step => guard::admit(
                        (&mut self.crowd, self.connections_max),
                        &talk.session,
                        lines,
                        line,
                        step,
                        &mut out,
                    ),
                }
            };
            if lines.close {
                lines.close();
            }
            lines.out.extend_from_slice(&out);
            if matches!(step, Step::Cancel(_)) {
                self.enqueue(line.talk);
            }
            self.keep(out);
            return step;
        }
        let step = talk.session.feed(server, &line.bytes, &mut out);
        let Some(conn) = line.conn else { return step };
        self.fed(server, (line.talk, conn), &step, out);
        step
    }

    /// Answers a request of HTTP as far as that can be done without the graph.
    fn fed(&mut self, server: &Server, (handle, conn): (Handle, Handle), step: &Step<'_>, out: Vec<u8>) {
        let Some(Talk { session, peer: Peer::Http(http), .. }) = self.talks.get_mut(handle) else { return };
        let Some(at) = http.exchanges.iter().position(|exchange| exchange.conn == conn) else { return };
        let Some(exchange) = http.exchanges.get_mut(at) else { return };
        let (mut status, mut extra) = (200, String::new());
        match step {
            Step::Call(_) => return,
            Step::Refused(code) => status = http::status(exchange.version, *code, true),
            Step::Close => status = 400,
            Step::Cancel(key) => self.cancelled(handle, *key),
            Step::Done if session.listens() => {
                exchange.streams = true;
                return self.replies.push_back(McpReply::Events { conn, lines: out.into(), end: false });
            }
            // Acknowledged and ended at once.
            Step::Done if out.iter().filter(|byte| **byte == b'\n').count() > 1 => {
                self.replies.push_back(McpReply::Events { conn, lines: out.into(), end: true });
                return self.ended(handle, conn);
            }
            Step::Done if http.id.is_none() && session.agreed().is_some() => {
                self.sessions_count += 1;
                let id = server.session_id(self.sessions_count);
                extra = format!("Mcp-Session-Id: {id}\r\n");
                http.id = Some(id.clone());
                self.sessions.insert(id, handle);
            }
            Step::Done | Step::Answered { .. } => {}
        }
        if out.is_empty() && status == 200 {
            status = 202;
        }
        self.replies.push_back(McpReply::Http { conn, status, extra, body: out.into() });
        self.ended(handle, conn);
    }

    /// A request of HTTP is answered to its end; so is a talk that was nothing but it.
    fn ended(&mut self, handle: Handle, conn: Handle) {
        self.conns.remove(&conn);
        self.crowd.leave(conn);
        let Some(Talk { peer: Peer::Http(http), .. }) = self.talks.get_mut(handle) else { return };
        http.exchanges.retain(|exchange| exchange.conn != conn);
        if http.id.is_none() {
            self.talks.remove(handle);
        }
    }

    /// A session has cancelled a call: what waits for it gets an end and nothing else.
    fn cancelled(&mut self, handle: Handle, key: CallKey) {
        let Some(Talk { peer: Peer::Http(http), .. }) = self.talks.get_mut(handle) else { return };
        let waiting = http.exchanges.iter().find(|exchange| exchange.key == Some(key)).map(|exchange| exchange.conn);
        if let Some(conn) = waiting {
            self.replies.push_back(McpReply::Events { conn, lines: Bytes::new(), end: true });
            self.ended(handle, conn);
        }
        self.enqueue(handle);
    }

    /// Answers a call at once.
    pub fn answer(&mut self, server: &Server, line: &Line, call: &Call<'_>, result: &Result<Reply, RpcError>) {
        let Some(talk) = self.talks.get_mut(line.talk) else { return };
        let mut out = memory(&mut self.scratch, &talk.peer);
        talk.session.answer(server, call, result, &mut out);
        self.deliver(line.talk, line.conn, result, out);
    }

    /// Keeps a call as under way, for [`Self::finish`].
    pub fn defer(&mut self, line: &Line, call: &Call<'_>) -> CallKey {
        let Some(talk) = self.talks.get_mut(line.talk) else { return CallKey(0) };
        let key = talk.session.defer(call);
        if let Peer::Http(http) = &mut talk.peer
            && let Some(exchange) = http.exchanges.iter_mut().find(|exchange| Some(exchange.conn) == line.conn)
        {
            exchange.key = Some(key);
        }
        key
    }

    /// Answers a deferred call; nothing happens when it was cancelled, or nobody is there any more.
    pub fn finish(&mut self, server: &Server, handle: Handle, key: CallKey, result: &Result<Reply, RpcError>) {
        let Some(talk) = self.talks.get_mut(handle) else { return };
        let mut out = Vec::new();
        talk.session.finish(server, key, result, &mut out);
        let conn = talk.peer.waits_for(key);
        self.deliver(handle, conn, result, out);
        self.enqueue(handle);
    }

    fn deliver(&mut self, handle: Handle, conn: Option<Handle>, result: &Result<Reply, RpcError>, out: Vec<u8>) {
        let Some(talk) = self.talks.get_mut(handle) else { return };
        match &mut talk.peer {
            Peer::Lines(lines) => {
                lines.out.extend_from_slice(&out);
                self.busy.insert(handle);
                self.keep(out);
            }
            Peer::Http(http) => {
                let exchange = http.exchanges.iter().find(|exchange| Some(exchange.conn) == conn);
                let Some(Exchange { conn, version, streams, .. }) = exchange else { return };
                let (conn, streams) = (*conn, *streams);
                let status = result.as_ref().err().map_or(200, |error| http::status(*version, error.code, false));
                self.replies.push_back(match streams {
                    true => McpReply::Events { conn, lines: out.into(), end: true },
                    false => McpReply::Http { conn, status, extra: String::new(), body: out.into() },
                });
                self.ended(handle, conn);
            }
        }
    }

    /// Keeps memory that was written to, unless it is too much.
    fn keep(&mut self, mut out: Vec<u8>) {
        if out.capacity() <= SCRATCH_BYTES_MAX {
            out.clear();
            self.scratch = out;
        }
    }

    /// Tells how far a deferred call is, where that was asked for; `total` where it is known.
    pub fn progress(&mut self, handle: Handle, key: CallKey, done: f64, total: Option<f64>) {
        let Some(talk) = self.talks.get_mut(handle) else { return };
        let mut out = Vec::new();
        talk.session.progress(key, done, total, &mut out);
        self.beside(handle, key, out);
    }

    /// Sends a message of the server's own on the way of a deferred call: a question to the client, or a line of its log.
    pub fn say(&mut self, handle: Handle, key: CallKey, message: &str) {
        self.beside(handle, key, format!("{message}\n").into_bytes());
    }

    /// Whether what is said on the way of a deferred call gets anywhere.
    #[must_use]
    pub fn reaches(&self, handle: Handle, key: CallKey) -> bool {
        self.talks.get(handle).is_some_and(|talk| match &talk.peer {
            Peer::Lines(_) => true,
            Peer::Http(http) => http.exchanges.iter().any(|exchange| exchange.key == Some(key) && exchange.may_stream),
        })
    }

    fn beside(&mut self, handle: Handle, key: CallKey, out: Vec<u8>) {
        let Some(talk) = self.talks.get_mut(handle).filter(|_| !out.is_empty()) else { return };
        match &mut talk.peer {
            Peer::Lines(lines) => {
                lines.out.extend_from_slice(&out);
                self.busy.insert(handle);
            }
            Peer::Http(http) => {
                let exchange = http.exchanges.iter_mut().find(|exchange| exchange.key == Some(key));
                if let Some(exchange) = exchange.filter(|exchange| exchange.may_stream) {
                    exchange.streams = true;
                    let conn = exchange.conn;
                    self.replies.push_back(McpReply::Events { conn, lines: out.into(), end: false });
                }
            }
        }
    }

    /// Whether anybody hears of changes.
    pub fn has_subscriptions(&mut self) -> bool {
        self.talks.iter_mut().any(|(_, talk)| talk.session.has_subscriptions())
    }

    /// Whether a talk goes on.
    #[must_use]
    pub fn has(&self, talk: Handle) -> bool {
        self.talks.get(talk).is_some()
    }

    /// Connections and sessions.
    #[must_use]
    pub fn count(&self) -> usize {
        self.talks.len()
    }

    /// Whether something can be sent or understood now.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        !self.replies.is_empty() || !self.queue.is_empty()
    }

    /// Whether something waits for its time.
    pub fn has_waiting(&mut self) -> bool {
        !self.held.is_empty() || self.talks.iter_mut().any(|(_, talk)| talk.has_notices(&self.stuck))
    }

    /// Tells subscribers what has changed.
    pub fn notify(&mut self, touched: &Touched, now_ns: u64) {
        let any = touched.structure || touched.agents || touched.layout || touched.stats;
        let any = any || !touched.nodes.is_empty() || !touched.heard.is_empty();
        for (handle, talk) in self.talks.iter_mut() {
            if any {
                talk.session.touch(touched);
            }
            if !talk.has_notices(&self.stuck) {
                continue;
            }
            let mut out = Vec::new();
            if talk.session.notices(now_ns, &mut out) == 0 {
                continue;
            }
            self.replies.extend(talk.notice(out));
            self.busy.insert(handle);
        }
    }

    /// Writes a line of the log to everybody who wants such; `data` is JSON, and is put together when somebody does.
    pub fn log(&mut self, level: LogLevel, logger: &str, data: impl Fn() -> String) {
        let mut line = None;
        let stuck = &self.stuck;
        let hears = |talk: &Talk| talk.session.logs(level) && talk.hears().is_some_and(|conn| !stuck.contains(&conn));
        for (handle, talk) in self.talks.iter_mut().filter(|(_, talk)| hears(talk)) {
            let mut out = Vec::new();
            talk.session.log(level, logger, line.get_or_insert_with(&data), &mut out);
            self.replies.extend(talk.notice(out));
            self.busy.insert(handle);
        }
    }

    /// What is to be sent, oldest first. What `send` gives back is kept for the next time.
    pub fn send(&mut self, mut send: impl FnMut(McpReply) -> Result<(), McpReply>) {
        for handle in std::mem::take(&mut self.busy) {
            let Some(Talk { session, peer: Peer::Lines(lines), held, .. }) = self.talks.get_mut(handle) else {
                continue;
            };
            let done = lines.rest.is_empty() && lines.ahead.is_empty() && !*held;
            let close = lines.close || (lines.ended && done && session.in_flight() == 0);
            // Not read on until there is room for more.
            let taken = lines.untold && (close || (lines.rest.is_empty() && !lines.ahead.is_full()));
            lines.untold &= !taken;
            let drain = lines.is_behind() && !std::mem::replace(&mut lines.asked, true);
            let bytes: Bytes = lines.out.split().freeze();
            if bytes.len() > SCRATCH_BYTES_MAX {
                // What was split off has the same memory, and would keep it.
                lines.out = BytesMut::new();
            }
            lines.unread += bytes.len();
            if !bytes.is_empty() || taken || close || drain {
                let (conn, known) = (lines.conn, session.known_as().is_some());
                self.replies.push_back(McpReply::Lines { conn, bytes, taken, close, known, drain });
            }
        }
        while let Some(reply) = self.replies.pop_front() {
            if let Err(reply) = send(reply) {
                return self.replies.push_front(reply);
            }
        }
    }

    /// The last words: what listens is told that it ends, and everybody is let go.
    pub fn leave(&mut self, server: &Server) {
        for (handle, talk) in self.talks.iter_mut() {
            let mut out = Vec::new();
            talk.session.goodbye(server, &mut out);
            match &mut talk.peer {
                Peer::Lines(lines) => {
                    lines.out.extend_from_slice(&out);
                    lines.close = true;
                    self.busy.insert(handle);
                }
                Peer::Http(http) => {
                    if let Some(conn) = http.listener() {
                        self.replies.push_back(McpReply::Events { conn, lines: out.into(), end: true });
                    }
                }
            }
        }
    }
}

/// What to write into: for lines, which copy it, memory that is kept; what goes to a connection of HTTP is its own.
fn memory(scratch: &mut Vec<u8>, peer: &Peer) -> Vec<u8> {
    if matches!(peer, Peer::Lines(_)) { std::mem::take(scratch) } else { Vec::new() }
}

fn too_many() -> Refused {
    let refused = Refused::new(503, code::INTERNAL, "too many sessions are open; come back in a second");
    Refused { extra: "Retry-After: 1\r\n".to_owned(), ..refused }
}

fn crowded(limit: usize) -> Refused {
    let refused = Refused::of(503, None, &too_many_connections(limit));
    Refused { extra: "Retry-After: 1\r\n".to_owned(), ..refused }
}
