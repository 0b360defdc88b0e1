//! The other mio loop: accepts, speaks HTTP, reads hello lines, and hands upgraded sockets to the shards.
//!
//! Not pinned. Nothing here takes long: what needs the graph is asked of `control`, and a connection waits for the
//! answer without holding anybody up. Syscalls of a turn: `epoll_wait`, `accept4`, `read`, `writev`, `setsockopt`, `close`.

mod admission;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use self::admission::Holds;
use super::http::{self, Response};
use super::liveness::Patience;
use super::pages::{FixedPages, own_page};
use super::pending::{Pending, Progress, State, read_more, write_more};
use super::routes::{Route, Trust, route};
use super::shard_loop::WAKE;
use super::socket::SocketOptions;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::base::{Handle, Slab};
use crate::handoff::{
    Adopt, Consumer, DoorReply, DoorRequest, Doorbell, HttpQuery, McpSocket, NetLimit, NetLimits, Producer, Refusal,
    RestCall, SessionId, Transport,
};
use crate::limits::CLIENT_TEXT_BYTES_MAX;
use crate::metrics::{Health, Metrics};
use crate::wire::{
    CloseCode, ErrorCategory, Hello, ServerError, ServerMessage, parse_hello, push_tcp_text, write_client_error,
};

const HTTP_LISTENER: Token = Token(usize::MAX - 1);
const TCP_LISTENER: Token = Token(usize::MAX - 2);

/// Connections accepted per turn and listener, so that a storm of them cannot keep answers waiting.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Connections that are shaking hands or being answered at once, beside those that are held. One more takes the place of
/// one that is silent, or waits in the kernel.
const PENDING_MAX: usize = 4_096;

/// Bytes read at once. A connection holds at most this, a head and a body.
const READ_BYTES: usize = 16 << 10;

/// Requests one connection may pipeline in one turn; the rest waits for the others.
const REQUESTS_PER_TURN_MAX: usize = 16;

/// Reads from one connection in one turn: a long body comes in beside the others, in however small pieces.
const READS_PER_TURN_MAX: usize = 16;

/// Answers of `control` taken per turn, so that those who ask again at once do not keep the door from all else. As many
/// as the lane has slots: an answer that finds it full is lost.
const REPLIES_PER_TURN_MAX: usize = 1_024;

/// Connections taken back from the agents' door per turn, as many as that lane has slots.
const TAKEN_BACK_PER_TURN_MAX: usize = 256;

/// Bytes of unfinished requests that all connections hold together. Beyond it, who sends a body is told to come again.
const RECEIVED_BYTES_MAX: usize = 256 << 20;

const _: () = assert!(PENDING_MAX * (http::HEAD_BYTES_MAX + READ_BYTES) < RECEIVED_BYTES_MAX, "bodies have room");

/// Bytes of an answer that buy its reader another [`ANSWER_NS_MAX`]: a slow line is served, a stuck one is not.
const ANSWER_PROGRESS_BYTES: usize = 256 << 10;

/// How long an answer may take to be read, and a kept-alive connection may idle.
const ANSWER_NS_MAX: u64 = 30_000 * MILLISECOND_NS;

/// How long a connection may be silent before it has to give its place to another.
const SILENCE_NS_MIN: u64 = 500 * MILLISECOND_NS;

/// Time after which a full lane is tried again. Whoever empties it wakes nobody.
const HOLD_RETRY_NS: u64 = MILLISECOND_NS;

/// Time after which an accept that failed is tried again.
const ACCEPT_RETRY_NS: u64 = 10 * MILLISECOND_NS;

/// Time between two looks at deadlines.
const HOUSEKEEPING_NS: u64 = 100 * MILLISECOND_NS;

/// Settings of the door.
#[derive(Clone, Debug)]
pub struct DoorOptions {
    /// From accept to a whole request.
    pub handshake_ns_max: u64,
    /// Connections and requests that may wait for room in a lane.
    pub hold_max: usize,
    /// How long one may wait, ns.
    pub hold_ns_max: u64,
    /// What the sockets of streams are set to.
    pub socket: SocketOptions,
    /// Whose requests are answered.
    pub trust_any_host: bool,
    /// Pages that are always the same.
    pub pages: FixedPages,
}

impl DoorOptions {
    fn follow(&mut self, limits: &NetLimits) {
        self.handshake_ns_max = limits.get(NetLimit::Handshake);
        self.hold_ns_max = limits.get(NetLimit::Hold);
        self.socket.patience = Patience::of(limits);
        self.socket.stall_ns_max = limits.get(NetLimit::Stall);
    }
}

/// The lanes of the door.
#[derive(Debug)]
pub struct DoorLanes {
    /// door → control.
    pub requests: Producer<DoorRequest>,
    /// control → door.
    pub replies: Consumer<DoorReply>,
    /// door → shard, one each.
    pub adopt: Vec<Producer<Adopt>>,
    /// door → mcp and mcp → door, where agents may come in by HTTP.
    pub agents: Option<(Producer<McpSocket>, Consumer<McpSocket>)>,
    /// main → door: stop accepting.
    pub stop: Consumer<()>,
}

/// Everything the door owns.
pub struct Door {
    poll: Poll,
    bell: Arc<Doorbell>,
    http: TcpListener,
    tcp: Option<TcpListener>,
    lanes: DoorLanes,
    options: DoorOptions,
    /// What of these changes while it runs.
    limits: Option<Arc<NetLimits>>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    pending: Slab<Pending>,
    /// Bytes that all of these have received and nothing was made of yet.
    received_bytes: usize,
    holds: Holds,
    /// Options of streams that the system refused are logged once.
    options_logged: bool,
    scratch: Box<[u8]>,
    housekeeping_ns: u64,
    /// Accepting stopped early: out of descriptors, or the turn's budget.
    accept_again: bool,
    /// Connections that had their share of a turn and may go on, each once, first come first served.
    again: VecDeque<Handle>,
    /// Sessions that could not be given back yet.
    abandoned: Vec<SessionId>,
    /// Failed accepts are logged once a second.
    accept_logged_ns: u64,
}

impl Door {
    /// A door over bound listeners and a poll whose waker `bell` rings.
    ///
    /// # Errors
    /// When a listener cannot be registered.
    #[allow(clippy::too_many_arguments, reason = "everything the thread owns, named once")]
    pub fn new(
        poll: Poll,
        bell: Arc<Doorbell>,
        http: std::net::TcpListener,
        tcp: Option<std::net::TcpListener>,
        lanes: DoorLanes,
        options: DoorOptions,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let mut http = TcpListener::from_std(http);
        let mut tcp = tcp.map(TcpListener::from_std);
        poll.registry().register(&mut http, HTTP_LISTENER, Interest::READABLE)?;
        if let Some(tcp) = &mut tcp {
            poll.registry().register(tcp, TCP_LISTENER, Interest::READABLE)?;
        }
        let pending = Slab::new(PENDING_MAX + options.hold_max);
        Ok(Self {
            poll,
            bell,
            http,
            tcp,
            lanes,
            options,
            limits: None,
            metrics,
            health,
            pending,
            received_bytes: 0,
            holds: Holds::default(),
            options_logged: false,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            housekeeping_ns: 0,
            accept_again: false,
            again: VecDeque::new(),
            abandoned: Vec::new(),
            accept_logged_ns: 0,
        })
    }

    /// The same with limits that may change while it runs, in place of those of its options.
    #[must_use]
    pub fn following(self, limits: Arc<NetLimits>) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// Runs until told to stop; the listeners are closed then.
    ///
    /// # Errors
    /// When `epoll_wait` fails for another reason than a signal.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            self.take_replies();
            self.take_back();
            self.give_back_abandoned();
            self.let_go(monotonic_ns());
            if self.lanes.stop.pop().is_some() {
                return Ok(());
            }
            self.bell.arm();
            let back = self.lanes.agents.as_ref().is_some_and(|(_, back)| !back.is_empty());
            let work = !(self.again.is_empty() && self.lanes.replies.is_empty() && self.lanes.stop.is_empty()) || back;
            let timeout = match (work, self.holds.len() > 0, self.accept_again) {
                (true, ..) => Duration::ZERO,
                (false, true, _) => Duration::from_nanos(HOLD_RETRY_NS),
                (false, false, true) => Duration::from_nanos(ACCEPT_RETRY_NS),
                (false, false, false) => Duration::from_nanos(HOUSEKEEPING_NS),
            };
            let idle = self.pending.is_empty()
                && self.holds.len() == 0
                && self.abandoned.is_empty()
                && !self.accept_again
                && !work;
            let answer = self.poll.poll(&mut events, if idle { None } else { Some(timeout) });
            self.bell.disarm();
            match answer {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            if let Some(limits) = &self.limits {
                self.options.follow(limits);
            }
            let now_ns = monotonic_ns();
            let mut accept = self.accept_again;
            for event in &events {
                match event.token() {
                    WAKE => {}
                    HTTP_LISTENER | TCP_LISTENER => accept = true,
                    Token(slot) => {
                        if let Some(handle) = self.pending.handle_at(slot as u32) {
                            self.event(handle, event.is_error(), now_ns);
                        }
                    }
                }
            }
            self.serve_queued(now_ns);
            if accept {
                self.accept_again = self.accept(Transport::WebSocket, now_ns) | self.accept(Transport::Tcp, now_ns);
            }
            self.housekeep(now_ns);
        }
    }

    /// Accepts what waits at one listener; true when some may be left.
    fn accept(&mut self, transport: Transport, now_ns: u64) -> bool {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            if !self.has_place(now_ns) {
                return true;
            }
            let accepted = match (transport, &self.tcp) {
                (Transport::WebSocket, _) => self.http.accept(),
                (Transport::Tcp, Some(tcp)) => tcp.accept(),
                (Transport::Tcp, None) => return false,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, transport, Vec::new(), now_ns),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of descriptors, mostly: the ones that wait are looked at again in a moment.
                    self.metrics.door.accept_errors.add(1);
                    if now_ns >= self.accept_logged_ns {
                        self.accept_logged_ns = now_ns + SECOND_NS;
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    return true;
                }
            }
        }
        true
    }

    fn take(&mut self, stream: TcpStream, peer: SocketAddr, transport: Transport, received: Vec<u8>, now_ns: u64) {
        self.metrics.door.accepted.add(1);
        let _ = stream.set_nodelay(true);
        let deadline_ns = now_ns + self.options.handshake_ns_max;
        let received_bytes = received.len();
        let made =
            self.pending.insert_with(|_| Pending { received, ..Pending::new(stream, peer, transport, deadline_ns) });
        let Some(handle) = made else { return };
        let registry = self.poll.registry();
        if let Some(pending) = self.pending.get_mut(handle) {
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut pending.stream, Token(handle.slot as usize), interest).is_err() {
                self.pending.remove(handle);
                return;
            }
        }
        self.received_bytes += received_bytes;
        self.serve(handle, now_ns);
    }

    /// Whether one more connection has a place among those that shake hands. When all are taken, the one that has been
    /// silent the longest goes, if it has been given a moment; else the newcomer waits in the kernel.
    fn has_place(&mut self, now_ns: u64) -> bool {
        if self.pending.len().saturating_sub(self.holds.len()) < PENDING_MAX {
            return true;
        }
        let spared_ns = |pending: &Pending| {
            let allowed_ns = if pending.fresh { self.options.handshake_ns_max } else { ANSWER_NS_MAX };
            pending.deadline_ns.saturating_sub(allowed_ns) + SILENCE_NS_MIN
        };
        let silent = self.pending.iter_mut().filter(|(_, pending)| matches!(pending.state, State::Reading));
        let longest =
            silent.map(|(handle, pending)| (spared_ns(pending), handle)).min_by_key(|(spared_ns, _)| *spared_ns);
        match longest {
            Some((spared_ns, handle)) if spared_ns <= now_ns => {
                self.metrics.door.handshake_timeouts.add(1);
                self.drop_pending(handle);
                true
            }
            _ => false,
        }
    }

    /// Something happened on a connection. One that was reset while it waits is not let in only to be found gone.
    fn event(&mut self, handle: Handle, reset: bool, now_ns: u64) {
        let Some(pending) = self.pending.get_mut(handle) else { return };
        if reset && matches!(pending.state, State::Opening { .. } | State::Asking { .. }) {
            return self.drop_pending(handle);
        }
        // One in the queue is served from there, in this same turn.
        if !pending.queued {
            self.serve(handle, now_ns);
        }
    }

    /// Puts a connection that may go on behind the others, once.
    fn queue(&mut self, handle: Handle) {
        if let Some(pending) = self.pending.get_mut(handle)
            && !pending.queued
        {
            pending.queued = true;
            self.again.push_back(handle);
        }
    }

    /// Goes on with those who wait in the queue; who comes back into it waits for the next turn.
    fn serve_queued(&mut self, now_ns: u64) {
        for _ in 0..self.again.len() {
            let Some(handle) = self.again.pop_front() else { return };
            if let Some(pending) = self.pending.get_mut(handle) {
                pending.queued = false;
            }
            self.serve(handle, now_ns);
        }
    }

    /// Goes on with one connection as far as it can: what is here is acted on before more is read.
    fn serve(&mut self, handle: Handle, now_ns: u64) {
        let (mut acted, mut reads) = (0, 0);
        loop {
            let Some(pending) = self.pending.get_mut(handle) else { return };
            match &mut pending.state {
                State::Reading => {
                    if acted == REQUESTS_PER_TURN_MAX || reads == READS_PER_TURN_MAX {
                        return self.queue(handle);
                    }
                    if pending.may_be_whole() && self.act(handle, now_ns) {
                        acted += 1;
                        continue;
                    }
                    reads += 1;
                    match self.read(handle, now_ns) {
                        Progress::Moved => {}
                        Progress::Waits => return,
                        Progress::Gone => return self.drop_pending(handle),
                    }
                }
                // Bytes that come meanwhile stay in the kernel; a peer that is gone shows at the write.
                State::Opening { .. } | State::Asking { .. } => return,
                State::Answering { head, body, sent, paid, keep_alive } => {
                    match write_more(&mut pending.stream, head, body, sent) {
                        Progress::Gone => return self.drop_pending(handle),
                        Progress::Waits => {
                            if *sent >= *paid + ANSWER_PROGRESS_BYTES {
                                *paid = *sent;
                                pending.deadline_ns = now_ns + ANSWER_NS_MAX;
                            }
                            return;
                        }
                        Progress::Moved if *keep_alive => {
                            pending.state = State::Reading;
                            pending.deadline_ns = now_ns + ANSWER_NS_MAX;
                        }
                        Progress::Moved => {
                            // With unread input close() would reset the connection, which can take the answer back.
                            let _ = pending.stream.shutdown(std::net::Shutdown::Write);
                            for _ in 0..REQUESTS_PER_TURN_MAX {
                                if !matches!(pending.stream.read(&mut self.scratch), Ok(1..)) {
                                    break;
                                }
                            }
                            return self.drop_pending(handle);
                        }
                    }
                }
            }
        }
    }

    /// Reads once. A body that there is no room for is answered instead.
    fn read(&mut self, handle: Handle, now_ns: u64) -> Progress {
        let Some(pending) = self.pending.get_mut(handle) else { return Progress::Gone };
        if pending.needs > 0 && self.received_bytes > RECEIVED_BYTES_MAX {
            self.metrics.door.turned_away.add(1);
            let response = Response::error(503, "busy", "too many bodies come in at once", &[]);
            self.answer(handle, response, false, false, now_ns);
            return Progress::Moved;
        }
        let held_bytes = pending.received.len();
        let progress = read_more(pending, &mut self.scratch);
        self.received_bytes += pending.received.len() - held_bytes;
        progress
    }

    /// Looks at what was received; false when it is not whole yet.
    fn act(&mut self, handle: Handle, now_ns: u64) -> bool {
        let Some(pending) = self.pending.get_mut(handle) else { return false };
        match pending.transport {
            Transport::WebSocket => self.act_http(handle, now_ns),
            Transport::Tcp => self.act_tcp(handle, now_ns),
        }
    }

    fn act_http(&mut self, handle: Handle, now_ns: u64) -> bool {
        let Some(pending) = self.pending.get_mut(handle) else { return false };
        let (request, taken) = match http::parse(&pending.received) {
            Ok(None) => return false,
            Ok(Some(parsed)) => parsed,
            Err(bad) => {
                let response = Response::error(bad.status, "bad_request", bad.message, &[]);
                self.answer(handle, response, false, false, now_ns);
                return true;
            }
        };
        let trust = Trust { any_host: self.options.trust_any_host, agents: self.lanes.agents.is_some() };
        let routed = route(&request, trust);
        if matches!(routed, Route::Agents) {
            self.pass_on(handle, now_ns);
            return true;
        }
        let body_bytes = if matches!(routed, Route::Rest) { request.content_length as usize } else { 0 };
        let needs = taken + body_bytes;
        let Some(body) = pending.received.get(taken..needs).map(Bytes::copy_from_slice) else {
            pending.needs = needs;
            return false;
        };
        pending.forget(needs);
        self.received_bytes -= needs;
        let head_only = request.method == "HEAD";
        let keep_alive = request.keep_alive && request.content_length == body_bytes as u64 && !request.chunked;
        match routed {
            Route::Rest => {
                let method = if head_only { "GET".to_owned() } else { request.method };
                let query =
                    HttpQuery::Rest(Box::new(RestCall { method, path: request.path, query: request.query, body }));
                self.ask_http(handle, query, keep_alive, head_only, now_ns);
            }
            Route::Respond(response) => self.answer(handle, response, keep_alive, head_only, now_ns),
            Route::Own(page) => {
                let sim_age_ns = now_ns.saturating_sub(self.metrics.sim.turn_ended_ns.get());
                let response = own_page(
                    page,
                    self.options.pages,
                    self.health.phase(),
                    sim_age_ns,
                    self.metrics.store.failed.get() > 0.0,
                );
                self.answer(handle, response, keep_alive, head_only, now_ns);
            }
            Route::Ask(query) => self.ask_http(handle, query, keep_alive, head_only, now_ns),
            Route::Upgrade { hello, switching } => self.open(handle, hello, switching, now_ns),
            // Passed on above, with its head.
            Route::Agents => {}
        }
        true
    }

    fn ask_http(&mut self, handle: Handle, query: HttpQuery, keep_alive: bool, head_only: bool, now_ns: u64) {
        if let Some(pending) = self.pending.get_mut(handle) {
            pending.state = State::Asking { keep_alive, head_only };
            pending.deadline_ns = now_ns + ANSWER_NS_MAX;
        }
        self.ask(DoorRequest::Http { token: handle, query }, now_ns);
    }

    fn act_tcp(&mut self, handle: Handle, now_ns: u64) -> bool {
        let Some(pending) = self.pending.get_mut(handle) else { return false };
        let end = pending.received.iter().position(|byte| *byte == b'\n');
        let line_bytes = end.unwrap_or(pending.received.len());
        if end.is_none() && line_bytes <= CLIENT_TEXT_BYTES_MAX {
            return false;
        }
        let hello = pending.received.get(..line_bytes).map(parse_hello);
        match hello {
            Some(Ok(hello)) => {
                pending.forget(line_bytes + 1);
                self.received_bytes -= line_bytes + 1;
                self.open(handle, hello, Vec::new(), now_ns);
            }
            Some(Err(error)) => {
                let mut json = Vec::new();
                write_client_error(&error, &mut json);
                self.end_tcp(handle, &json, CloseCode::Protocol, "the hello line was refused", now_ns);
            }
            None => {}
        }
        true
    }

    fn open(&mut self, handle: Handle, hello: Hello, switching: Vec<u8>, now_ns: u64) {
        let Some(pending) = self.pending.get_mut(handle) else { return };
        pending.state = State::Opening { switching };
        pending.deadline_ns = now_ns + self.options.hold_ns_max + self.options.handshake_ns_max;
        let address = pending.peer.ip();
        self.ask(DoorRequest::Open { token: handle, hello, address }, now_ns);
    }

    fn take_replies(&mut self) {
        for _ in 0..REPLIES_PER_TURN_MAX {
            let Some(reply) = self.lanes.replies.pop() else { return };
            self.take_reply(reply, monotonic_ns());
        }
    }

    fn take_reply(&mut self, reply: DoorReply, now_ns: u64) {
        match reply {
            DoorReply::Granted { token, grant } => self.granted(token, grant, now_ns),
            DoorReply::Refused { token, refusal } => {
                let status = if matches!(refusal, Refusal::IdRange { .. }) { 400 } else { 503 };
                self.refuse(token, refusal.code(), &refusal.to_string(), status, now_ns);
            }
            DoorReply::Http { token, status, content_type, lead, body } => {
                let response = Response { lead, ..Response::new(status, content_type, body) }.with_retry_after();
                self.answer_asked(token, response, now_ns);
            }
            DoorReply::Headed { token, status, content_type, headers, body } => {
                let response = Response::new(status, content_type, body);
                let add = |response: Response, (name, value): &(&str, String)| response.with(name, value);
                self.answer_asked(token, headers.iter().fold(response, add), now_ns);
            }
        }
    }

    /// The answer to whoever still waits for one.
    fn answer_asked(&mut self, token: Handle, response: Response, now_ns: u64) {
        let Some(Pending { state: State::Asking { keep_alive, head_only }, .. }) = self.pending.get_mut(token) else {
            return;
        };
        let (keep_alive, head_only) = (*keep_alive, *head_only);
        self.answer(token, response, keep_alive, head_only, now_ns);
        self.serve(token, now_ns);
    }

    /// Tells a stream that it is not let in, in its own language.
    fn refuse(&mut self, handle: Handle, code: &str, message: &str, status: u16, now_ns: u64) {
        self.metrics.door.refused.add(1);
        let Some(pending) = self.pending.get_mut(handle) else { return };
        match pending.transport {
            Transport::WebSocket => {
                self.answer(handle, Response::error(status, code, message, &[]), false, false, now_ns);
                self.serve(handle, now_ns);
            }
            Transport::Tcp => {
                let retryable = status == 503;
                let error = ServerError {
                    code,
                    message,
                    category: ErrorCategory::Server,
                    retryable,
                    retry_after: retryable.then_some(1.0),
                    affected_paths: &[],
                };
                let json = ServerMessage::Error(error).to_vec();
                self.end_tcp(handle, &json, CloseCode::TryLater, "not let in", now_ns);
                self.serve(handle, now_ns);
            }
        }
    }

    fn end_tcp(&mut self, handle: Handle, json: &[u8], code: CloseCode, reason: &str, now_ns: u64) {
        let mut head = Vec::new();
        push_tcp_text(json, &mut head);
        push_tcp_text(&ServerMessage::Goodbye { code: code.number(), reason }.to_vec(), &mut head);
        if let Some(pending) = self.pending.get_mut(handle) {
            pending.state = State::Answering { head, body: Bytes::new(), sent: 0, paid: 0, keep_alive: false };
            pending.deadline_ns = now_ns + ANSWER_NS_MAX;
        }
    }

    fn answer(&mut self, handle: Handle, response: Response, keep_alive: bool, head_only: bool, now_ns: u64) {
        self.metrics.door.http_requests.add(1);
        self.metrics.door.http_errors.add(u64::from(response.status >= 400));
        let mut head = response.head(keep_alive);
        if !head_only {
            head.extend_from_slice(&response.lead);
        }
        let body = if head_only { Bytes::new() } else { response.body };
        if let Some(pending) = self.pending.get_mut(handle) {
            pending.state = State::Answering { head, body, sent: 0, paid: 0, keep_alive };
            pending.deadline_ns = now_ns + ANSWER_NS_MAX;
            pending.fresh = false;
        }
    }

    fn housekeep(&mut self, now_ns: u64) {
        if now_ns < self.housekeeping_ns {
            return;
        }
        self.housekeeping_ns = now_ns + HOUSEKEEPING_NS;
        for slot in 0..self.pending.slot_count() {
            let Some(pending) = self.pending.at_mut(slot) else { continue };
            if now_ns < pending.deadline_ns {
                continue;
            }
            let Some(handle) = self.pending.handle_at(slot) else { continue };
            self.time_out(handle, now_ns);
        }
    }

    /// A request that did not come in time is told so; anything else that takes too long is closed.
    fn time_out(&mut self, handle: Handle, now_ns: u64) {
        let Some(pending) = self.pending.get_mut(handle) else { return };
        let unfinished = matches!(pending.state, State::Reading) && !pending.received.is_empty();
        let waiting = matches!(pending.state, State::Reading);
        if waiting && pending.fresh {
            self.metrics.door.handshake_timeouts.add(1);
        }
        match pending.transport {
            Transport::WebSocket if unfinished => {
                let response = Response::error(408, "timeout", "the request did not come in time", &[]);
                self.answer(handle, response, false, false, now_ns);
                self.serve(handle, now_ns);
            }
            Transport::Tcp if waiting => {
                let error = ServerError {
                    code: "timeout",
                    message: "a line of JSON was expected first (net.handshake_timeout_ms)",
                    category: ErrorCategory::Protocol,
                    retryable: false,
                    retry_after: None,
                    affected_paths: &[],
                };
                let json = ServerMessage::Error(error).to_vec();
                self.end_tcp(handle, &json, CloseCode::Protocol, "no hello line", now_ns);
                self.serve(handle, now_ns);
            }
            _ if matches!(pending.state, State::Opening { .. } | State::Asking { .. }) => {
                // `control` may answer yet, and its answer names the connection: it would go to the next request.
                if let State::Asking { keep_alive, .. } = &mut pending.state {
                    *keep_alive = false;
                }
                self.turn_away_now(Some(handle), now_ns);
            }
            _ => self.drop_pending(handle),
        }
    }

    /// Takes a connection out of the table, and its socket out of the poll.
    fn take_out(&mut self, handle: Handle) -> Option<Pending> {
        let mut pending = self.pending.remove(handle)?;
        let _ = self.poll.registry().deregister(&mut pending.stream);
        self.received_bytes -= pending.received.len();
        Some(pending)
    }

    fn drop_pending(&mut self, handle: Handle) {
        drop(self.take_out(handle));
    }
}

#[cfg(test)]
mod tests;
