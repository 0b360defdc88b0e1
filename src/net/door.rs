//! The other mio loop: accepts, speaks HTTP, reads hello lines, and hands upgraded sockets to the shards.
//!
//! Not pinned. Nothing here takes long: what needs the graph is asked of `control`, and a connection waits for the
//! answer without holding anybody up. Syscalls of a turn: `epoll_wait`, `accept4`, `read`, `writev`, `setsockopt`, `close`.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::http::{self, Response};
use super::routes::{OwnPage, Route, Trust, route};
use super::shard_loop::WAKE;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::base::{Handle, Slab};
use crate::handoff::{
    Adopt, Consumer, DoorReply, DoorRequest, Doorbell, Grant, Producer, Refusal, SessionId, Transport,
};
use crate::limits::CLIENT_TEXT_BYTES_MAX;
use crate::metrics::{Health, Metrics, Phase};
use crate::wire::{
    CloseCode, ErrorCategory, Hello, ServerError, ServerMessage, parse_hello, push_tcp_text, write_client_error,
};

const HTTP_LISTENER: Token = Token(usize::MAX - 1);
const TCP_LISTENER: Token = Token(usize::MAX - 2);

/// Connections accepted per turn and listener, so that a storm of them cannot keep answers waiting.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Connections that are shaking hands or being answered at once. One more is closed at once.
const PENDING_MAX: usize = 4_096;

/// Bytes read at once. A connection holds at most this and a head.
const READ_BYTES: usize = 16 << 10;

/// Requests one connection may pipeline in one turn; the rest waits for the others.
const REQUESTS_PER_TURN_MAX: usize = 16;

/// Bytes of an answer that buy its reader another [`ANSWER_NS_MAX`]: a slow line is served, a stuck one is not.
const ANSWER_PROGRESS_BYTES: usize = 256 << 10;

/// How long an answer may take to be read, and a kept-alive connection may idle.
const ANSWER_NS_MAX: u64 = 30_000 * MILLISECOND_NS;

/// Time after which an accept that failed is tried again.
const ACCEPT_RETRY_NS: u64 = 10 * MILLISECOND_NS;

/// Time between two looks at deadlines.
const HOUSEKEEPING_NS: u64 = 100 * MILLISECOND_NS;

/// The simulation is called stuck when its thread has not ended a turn for this long.
const SIM_SILENCE_NS_MAX: u64 = 10_000 * MILLISECOND_NS;

/// Settings of the door.
#[derive(Clone, Debug)]
pub struct DoorOptions {
    /// From accept to a whole request.
    pub handshake_ns_max: u64,
    /// `TCP_NOTSENT_LOWAT` of streams; `None` leaves the kernel's.
    pub notsent_lowat_bytes: Option<u32>,
    /// Whose requests are answered.
    pub trust_any_host: bool,
    /// The viewer's page.
    pub viewer: &'static [u8],
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
    /// main → door: stop accepting.
    pub stop: Consumer<()>,
}

/// Where a connection stands.
#[derive(Debug)]
enum State {
    /// Its request or hello line is not whole yet.
    Reading,
    /// `control` was asked; `switching` is the answer if it lets the stream in.
    Opening { switching: Vec<u8>, transport: Transport },
    /// `control` was asked for a page.
    Asking { keep_alive: bool, head_only: bool },
    /// An answer is on its way out.
    Answering { head: Vec<u8>, body: Bytes, sent: usize, paid: usize, keep_alive: bool },
}

struct Pending {
    stream: TcpStream,
    peer: SocketAddr,
    transport: Transport,
    received: Vec<u8>,
    state: State,
    deadline_ns: u64,
    /// Nothing was answered on it yet.
    fresh: bool,
}

/// Everything the door owns.
pub struct Door {
    poll: Poll,
    bell: Arc<Doorbell>,
    http: TcpListener,
    tcp: Option<TcpListener>,
    lanes: DoorLanes,
    options: DoorOptions,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    pending: Slab<Pending>,
    scratch: Box<[u8]>,
    housekeeping_ns: u64,
    /// Accepting stopped early: out of descriptors, or the turn's budget.
    accept_again: bool,
    /// Connections whose pipelined requests wait for their turn, first come first served.
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
        Ok(Self {
            poll,
            bell,
            http,
            tcp,
            lanes,
            options,
            metrics,
            health,
            pending: Slab::new(PENDING_MAX),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            housekeeping_ns: 0,
            accept_again: false,
            again: VecDeque::new(),
            abandoned: Vec::new(),
            accept_logged_ns: 0,
        })
    }

    /// Runs until told to stop; the listeners are closed then.
    ///
    /// # Errors
    /// When `epoll_wait` fails for another reason than a signal.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            self.take_replies();
            self.give_back_abandoned();
            if self.lanes.stop.pop().is_some() {
                return Ok(());
            }
            self.bell.arm();
            let work = !(self.again.is_empty() && self.lanes.replies.is_empty() && self.lanes.stop.is_empty());
            let timeout = match (work, self.accept_again) {
                (true, _) => Duration::ZERO,
                (false, true) => Duration::from_nanos(ACCEPT_RETRY_NS),
                (false, false) => Duration::from_nanos(HOUSEKEEPING_NS),
            };
            let idle = self.pending.is_empty() && self.abandoned.is_empty() && !self.accept_again && !work;
            let answer = self.poll.poll(&mut events, if idle { None } else { Some(timeout) });
            self.bell.disarm();
            match answer {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now_ns = monotonic_ns();
            let mut accept = self.accept_again;
            for event in &events {
                match event.token() {
                    WAKE => {}
                    HTTP_LISTENER | TCP_LISTENER => accept = true,
                    Token(slot) => {
                        if let Some(handle) = self.pending.handle_at(slot as u32) {
                            self.serve(handle, now_ns);
                        }
                    }
                }
            }
            for _ in 0..self.again.len() {
                if let Some(handle) = self.again.pop_front() {
                    self.serve(handle, now_ns);
                }
            }
            if accept {
                self.accept_again = self.accept(Transport::WebSocket, now_ns) | self.accept(Transport::Tcp, now_ns);
            }
            self.housekeep(now_ns);
        }
    }

    /// Accepts what waits at one listener; true when some may be left.
    fn accept(&mut self, transport: Transport, now_ns: u64) -> bool {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let accepted = match (transport, &self.tcp) {
                (Transport::WebSocket, _) => self.http.accept(),
                (Transport::Tcp, Some(tcp)) => tcp.accept(),
                (Transport::Tcp, None) => return false,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, transport, now_ns),
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

    fn take(&mut self, stream: TcpStream, peer: SocketAddr, transport: Transport, now_ns: u64) {
        self.metrics.door.accepted.add(1);
        let _ = stream.set_nodelay(true);
        let deadline_ns = now_ns + self.options.handshake_ns_max;
        if self.pending.len() == PENDING_MAX {
            self.drop_most_overdue();
        }
        let made = self.pending.insert_with(|_| Pending::new(stream, peer, transport, deadline_ns));
        let Some(handle) = made else { return };
        let registry = self.poll.registry();
        if let Some(pending) = self.pending.get_mut(handle) {
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut pending.stream, Token(handle.slot as usize), interest).is_err() {
                self.pending.remove(handle);
                return;
            }
        }
        self.serve(handle, now_ns);
    }

    /// Makes room: of the connections that have not asked for anything yet, the one nearest its deadline goes.
    #[cold]
    fn drop_most_overdue(&mut self) {
        let silent = self.pending.iter_mut().filter(|(_, pending)| matches!(pending.state, State::Reading));
        if let Some((handle, _)) = silent.min_by_key(|(_, pending)| pending.deadline_ns) {
            self.metrics.door.handshake_timeouts.add(1);
            self.drop_pending(handle);
        }
    }

    /// Goes on with one connection as far as it can: what is here is acted on before more is read.
    fn serve(&mut self, handle: Handle, now_ns: u64) {
        let mut acted = 0;
        loop {
            let Some(pending) = self.pending.get_mut(handle) else { return };
            match &mut pending.state {
                State::Reading => {
                    if acted == REQUESTS_PER_TURN_MAX {
                        return self.again.push_back(handle);
                    }
                    if !pending.received.is_empty() && self.act(handle, now_ns) {
                        acted += 1;
                        continue;
                    }
                    let Some(pending) = self.pending.get_mut(handle) else { return };
                    match read_more(pending, &mut self.scratch) {
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
        pending.received.drain(..taken);
        let head_only = request.method == "HEAD";
        let keep_alive = request.keep_alive && request.content_length == 0;
        match route(&request, Trust { any_host: self.options.trust_any_host }) {
            Route::Respond(response) => self.answer(handle, response, keep_alive, head_only, now_ns),
            Route::Own(page) => {
                let response = self.own_page(page, now_ns);
                self.answer(handle, response, keep_alive, head_only, now_ns);
            }
            Route::Ask(query) => {
                if let Some(pending) = self.pending.get_mut(handle) {
                    pending.state = State::Asking { keep_alive, head_only };
                    pending.deadline_ns = now_ns + ANSWER_NS_MAX;
                }
                if self.lanes.requests.push(DoorRequest::Http { token: handle, query }).is_err() {
                    let response = Response::error(503, "busy", "the server has too much to do", &[]);
                    self.answer(handle, response, keep_alive, head_only, now_ns);
                }
            }
            Route::Upgrade { hello, switching } => self.open(handle, hello, switching, Transport::WebSocket, now_ns),
        }
        true
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
                pending.received.drain(..=line_bytes);
                self.open(handle, hello, Vec::new(), Transport::Tcp, now_ns);
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

    fn open(&mut self, handle: Handle, hello: Hello, switching: Vec<u8>, transport: Transport, now_ns: u64) {
        if let Some(pending) = self.pending.get_mut(handle) {
            pending.state = State::Opening { switching, transport };
            pending.deadline_ns = now_ns + self.options.handshake_ns_max;
        }
        if self.lanes.requests.push(DoorRequest::Open { token: handle, hello }).is_err() {
            self.refuse(handle, "busy", "the server has too much to do", 503, now_ns);
        }
    }

    fn take_replies(&mut self) {
        while let Some(reply) = self.lanes.replies.pop() {
            let now_ns = monotonic_ns();
            match reply {
                DoorReply::Granted { token, grant } => self.hand_over(token, grant, now_ns),
                DoorReply::Refused { token, refusal } => {
                    let status = if matches!(refusal, Refusal::IdRange { .. }) { 400 } else { 503 };
                    self.refuse(token, refusal.code(), &refusal.to_string(), status, now_ns);
                }
                DoorReply::Http { token, status, content_type, lead, body } => {
                    let Some(Pending { state: State::Asking { keep_alive, head_only }, .. }) =
                        self.pending.get_mut(token)
                    else {
                        continue;
                    };
                    let (keep_alive, head_only) = (*keep_alive, *head_only);
                    let response = Response { lead, ..Response::new(status, content_type, body) };
                    self.answer(token, response, keep_alive, head_only, now_ns);
                    self.serve(token, now_ns);
                }
            }
        }
    }

    /// Gives the socket to the shard with the least to send.
    fn hand_over(&mut self, handle: Handle, grant: Grant, now_ns: u64) {
        let session = grant.session;
        let Some(mut pending) = self.pending.remove(handle) else {
            return self.abandon(session);
        };
        let _ = self.poll.registry().deregister(&mut pending.stream);
        let State::Opening { switching, transport } = pending.state else {
            return self.abandon(session);
        };
        let stream = std::net::TcpStream::from(pending.stream);
        if let Some(bytes) = self.options.notsent_lowat_bytes {
            // Stale bytes stay with us, where a newer frame can replace them, instead of in the kernel.
            let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(bytes);
        }
        let load = |shard: &usize| self.load(*shard, grant.demand_bytes);
        let least = (0..self.lanes.adopt.len()).min_by(|left, right| load(left).total_cmp(&load(right)));
        let Some(lane) = least.and_then(|shard| self.lanes.adopt.get_mut(shard)) else {
            return self.abandon(session);
        };
        let adopt =
            Adopt { stream, peer: pending.peer, transport, grant, first: switching, received: pending.received };
        match lane.push(adopt) {
            Ok(_) => self.metrics.door.upgraded.add(1),
            Err(adopt) => self.turn_away(adopt, now_ns),
        }
    }

    /// The shard's lane is full: the connection is told to come back.
    #[cold]
    fn turn_away(&mut self, adopt: Adopt, now_ns: u64) {
        self.abandon(adopt.grant.session);
        let deadline_ns = now_ns + ANSWER_NS_MAX;
        let (peer, transport) = (adopt.peer, adopt.transport);
        let mut stream = TcpStream::from_std(adopt.stream);
        let made = self.pending.insert_with(|handle| {
            let _ = self.poll.registry().register(
                &mut stream,
                Token(handle.slot as usize),
                Interest::READABLE | Interest::WRITABLE,
            );
            Pending::new(stream, peer, transport, deadline_ns)
        });
        if let Some(handle) = made {
            self.refuse(handle, "busy", "the network threads have too much to do", 503, now_ns);
        }
    }

    /// Bytes a second that a shard has to send, those on their way to it included.
    fn load(&self, shard: usize, demand_bytes: u64) -> f64 {
        let demand = self.metrics.shards.get(shard).map_or(f64::INFINITY, |shard| shard.demand_bytes.get());
        let on_the_way = self.lanes.adopt.get(shard).map_or(0, |lane| lane.stats().depth());
        demand + (on_the_way * demand_bytes) as f64
    }

    fn abandon(&mut self, session: SessionId) {
        self.abandoned.push(session);
        self.give_back_abandoned();
    }

    /// Gives sessions back that no shard took; what does not fit into the lane waits for the next turn.
    fn give_back_abandoned(&mut self) {
        while let Some(session) = self.abandoned.pop() {
            if self.lanes.requests.push(DoorRequest::Abandon { session }).is_err() {
                return self.abandoned.push(session);
            }
        }
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

    fn own_page(&self, page: OwnPage, now_ns: u64) -> Response {
        let phase = self.health.phase();
        let sim_age_ns = now_ns.saturating_sub(self.metrics.sim.turn_ended_ns.get());
        let sim_alive = phase == Phase::Starting || sim_age_ns < SIM_SILENCE_NS_MAX;
        match page {
            OwnPage::Viewer => {
                // One self-contained file: its scripts are inline, its worker is a blob, it talks to this host only.
                let policy =
                    "default-src 'self' 'unsafe-inline' blob: data:; connect-src 'self' ws: wss:; object-src 'none'";
                Response::new(200, "text/html; charset=utf-8", Bytes::from_static(self.options.viewer))
                    .with("Content-Security-Policy", policy)
            }
            OwnPage::Root => {
                let health = if phase == Phase::Ready && sim_alive { "ok" } else { phase.name() };
                let body = serde_json::json!({
                    "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"), "health": health,
                });
                Response::new(200, "application/json", body.to_string())
            }
            OwnPage::Healthz => Response::new(200, "application/json", r#"{"status":"ok"}"#),
            OwnPage::Readyz => {
                let ready = phase == Phase::Ready && sim_alive;
                let body = serde_json::json!({
                    "ready": ready,
                    "phase": phase.name(),
                    "parts": { "sim": { "alive": sim_alive, "last_turn_ms": sim_age_ns / MILLISECOND_NS } },
                });
                Response::new(if ready { 200 } else { 503 }, "application/json", body.to_string())
            }
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
            _ => self.drop_pending(handle),
        }
    }

    fn drop_pending(&mut self, handle: Handle) {
        if let Some(mut pending) = self.pending.remove(handle) {
            let _ = self.poll.registry().deregister(&mut pending.stream);
        }
    }
}

impl Pending {
    fn new(stream: TcpStream, peer: SocketAddr, transport: Transport, deadline_ns: u64) -> Self {
        let (received, state) = (Vec::new(), State::Reading);
        Self { stream, peer, transport, received, state, deadline_ns, fresh: true }
    }
}

enum Progress {
    /// Something was read, or everything written.
    Moved,
    /// The kernel has nothing, or takes nothing, for now.
    Waits,
    /// The peer is gone.
    Gone,
}

/// Reads once. What was read before was an unfinished head, so this holds at most a head and one read.
fn read_more(pending: &mut Pending, scratch: &mut [u8]) -> Progress {
    loop {
        match pending.stream.read(scratch) {
            Ok(0) => return Progress::Gone,
            Ok(taken) => {
                pending.received.extend_from_slice(scratch.get(..taken).unwrap_or(&[]));
                return Progress::Moved;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Progress::Gone,
        }
    }
}

fn write_more(stream: &mut TcpStream, head: &[u8], body: &[u8], sent: &mut usize) -> Progress {
    while *sent < head.len() + body.len() {
        let slices = match head.get(*sent..) {
            Some(rest) => [IoSlice::new(rest), IoSlice::new(body)],
            None => [IoSlice::new(body.get(*sent - head.len()..).unwrap_or(&[])), IoSlice::new(&[])],
        };
        match stream.write_vectored(&slices) {
            Ok(0) => return Progress::Gone,
            Ok(taken) => *sent += taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Progress::Gone,
        }
    }
    Progress::Moved
}
