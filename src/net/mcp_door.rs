//! The agents' door: MCP over raw TCP and a Unix socket, as lines, and over HTTP. A thread of its own, so that neither a handshake nor a frame waits
//! for an agent.
//!
//! It knows lines, requests and limits and nothing else: what a line says is `control`'s business. While `control` sleeps this thread takes
//! the agents' part of its turn itself: a call then costs no more than its read and its write. A connection has one batch of lines with
//! `control` at a time and is not read meanwhile; `control` takes no more while it cannot answer. So one that asks faster than it is
//! answered, or than it reads, fills its own socket and nobody's memory; one that sends without an end has its share of each turn. Syscalls of
//! a turn: `epoll_wait`, `accept4`, one `read` and one `write` or `writev` for each connection that has something, an `epoll_ctl` where it has
//! more than its share; a futex call or `write` to wake whoever has to go on with what a call began.

mod http;
mod output;
mod strangers;

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memchr_iter;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use self::http::HttpSide;
use self::output::Output;
use super::routes::Trust;
use super::shard_loop::WAKE;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::base::{Handle, Slab};
use crate::handoff::{AgentsTurn, Consumer, Doorbell, McpEvent, McpReply, McpSocket, Producer};
use crate::limits::{MCP_CONNECTIONS_MAX, MCP_LEAVING_MAX, MCP_OUTPUT_BYTES_MAX, MCP_OUTPUT_BYTES_RESUME};
use crate::metrics::Metrics;
use crate::wire::{Framed, LineFramer};

const TCP_LISTENER: Token = Token(usize::MAX - 1);
const UNIX_LISTENER: Token = Token(usize::MAX - 2);

/// What is waited for of a connection.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Bytes read at once from a connection.
const READ_BYTES: usize = 64 << 10;

/// Bytes read at one visit to a connection: before the rest come the others, and the look at deadlines.
const VISIT_BYTES_MAX: usize = 4 * READ_BYTES;

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// From accept to the first whole line.
const FIRST_LINE_NS_MAX: u64 = 10 * SECOND_NS;

/// How long a line may take to come to its end.
const LINE_NS_MAX: u64 = 30 * SECOND_NS;

/// How long an answer may lie unread.
const UNREAD_NS_MAX: u64 = 30 * SECOND_NS;

/// Time between two looks at deadlines.
const HOUSEKEEPING_NS: u64 = 500 * MILLISECOND_NS;

/// Time after which a full lane, or an accept that failed, is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// Events that are passed on at once: batches of lines, mostly.
const QUIET_MAX: usize = 16;

/// The lanes of the thread.
#[derive(Debug)]
pub struct McpLanes {
    /// mcp → control.
    pub events: Producer<McpEvent>,
    /// control → mcp.
    pub replies: Consumer<McpReply>,
    /// door → mcp: connections that ask for `/mcp`.
    pub adopted: Consumer<McpSocket>,
    /// mcp → door: those that then ask for something else.
    pub back: Producer<McpSocket>,
    /// main → mcp: stop.
    pub stop: Consumer<()>,
}

/// Where agents come in.
#[derive(Debug)]
pub struct McpListeners {
    /// Raw TCP.
    pub tcp: Option<std::net::TcpListener>,
    /// A Unix socket.
    pub unix: Option<std::os::unix::net::UnixListener>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }

    fn shutdown_write(&self) {
        // A connection that is gone already needs no end.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        };
    }

    /// Whether a process of this engine's own user made the connection, as the kernel knows it.
    fn is_own_user(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Unix(stream) => socket_peercred(stream).is_ok_and(|peer| peer.uid == geteuid()),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Conn {
    stream: Stream,
    speaks: Speaks,
    /// Answers.
    out: Output,
    /// What found the lane full.
    unsent: Option<McpEvent>,
    /// The kernel may have more to read.
    readable: bool,
    /// The kernel has said that nothing comes after what there is to read.
    hung_up: bool,
    /// Closed when everything is out.
    closing: bool,
    /// It was told why it is closed: what still comes from there is thrown away.
    leaving: bool,
    /// It is known whose it is.
    known: bool,
    /// `control` has answered it.
    answered: bool,
    /// `control` has been told that what it is sent waits.
    stuck: bool,
    /// `control` is to be told when most of it is out.
    drain: bool,
    /// When it was accepted, ns.
    opened_ns: u64,
    /// By when something has to have happened, ns.
    deadline_ns: Option<u64>,
    /// By when its client has to take some of what waits for it, ns.
    unread_ns: Option<u64>,
}

/// Whether a socket may have more after a read of `taken` bytes into `room`. A read that leaves room has taken everything, and what comes
/// next is another edge; the end that is known already is not, so it is read.
fn has_more(taken: usize, room: usize, hung_up: bool) -> bool {
    taken == room || hung_up
}

/// Puts an event into the lane; whoever reads it is told later, of several at once.
fn say(lanes: &mut McpLanes, unrung: &mut usize, event: McpEvent) -> Result<(), McpEvent> {
    lanes.events.push_quietly(event)?;
    *unrung += 1;
    Ok(())
}

enum Speaks {
    Lines(LinesSide),
    Http(Box<HttpSide>),
}

/// What is known of a connection of lines.
#[derive(Default)]
struct LinesSide {
    framer: LineFramer,
    /// Lines are with `control`.
    waits: bool,
    /// The other end has said its last.
    ended: bool,
    /// `control` has been told of the end.
    end_told: bool,
}

impl Speaks {
    /// Whether an answer is still to come.
    fn waits(&self) -> bool {
        match self {
            Self::Lines(side) => side.waits,
            Self::Http(side) => side.waits(),
        }
    }
}

/// Everything the thread owns.
pub struct McpDoor {
    poll: Poll,
    bell: Arc<Doorbell>,
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
    lanes: McpLanes,
    trust: Trust,
    metrics: Arc<Metrics>,
    conns: Slab<Conn>,
    /// Of these, those that are told why they are closed.
    leaving: usize,
    scratch: Box<[u8]>,
    /// Ends that the lane had no room for.
    gone: Vec<Handle>,
    /// Connections with lines that found the lane full.
    held: Vec<Handle>,
    accept_again: bool,
    housekeeping_ns: u64,
    /// Events in the lane that nobody has been told of.
    unrung: usize,
    /// Lines are left that this thread goes on with when it has sent what there is.
    goes_on: bool,
    control: Arc<dyn AgentsTurn>,
}

impl McpDoor {
    /// A door over bound listeners and a poll whose waker `bell` rings. HTTP asks for a `Host` of this machine unless `any_host`.
    ///
    /// # Errors
    /// When a listener cannot be registered.
    pub fn new(
        poll: Poll,
        bell: Arc<Doorbell>,
        listeners: McpListeners,
        lanes: McpLanes,
        any_host: bool,
        metrics: Arc<Metrics>,
        control: Arc<dyn AgentsTurn>,
    ) -> std::io::Result<Self> {
        let mut tcp = listeners.tcp.map(TcpListener::from_std);
        let mut unix = listeners.unix.map(UnixListener::from_std);
        if let Some(tcp) = &mut tcp {
            poll.registry().register(tcp, TCP_LISTENER, Interest::READABLE)?;
        }
        if let Some(unix) = &mut unix {
            poll.registry().register(unix, UNIX_LISTENER, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            bell,
            tcp,
            unix,
            lanes,
            trust: Trust { any_host, agents: true },
            metrics,
            conns: Slab::new(MCP_CONNECTIONS_MAX + MCP_LEAVING_MAX),
            leaving: 0,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            gone: Vec::new(),
            held: Vec::new(),
            accept_again: false,
            housekeeping_ns: 0,
            unrung: 0,
            goes_on: false,
            control,
        })
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// When `epoll_wait` fails for another reason than a signal.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            let now_ns = monotonic_ns();
            self.take_replies(now_ns);
            while let Some(socket) = self.lanes.adopted.pop() {
                self.adopt(socket, now_ns);
            }
            self.try_again();
            self.pass_on();
            if self.lanes.stop.pop().is_some() {
                self.take_replies(now_ns);
                return Ok(());
            }
            self.bell.arm();
            let waits = !self.goes_on
                && self.lanes.replies.is_empty()
                && self.lanes.adopted.is_empty()
                && self.lanes.stop.is_empty();
            let timeout = match (waits, self.held.is_empty() && self.gone.is_empty() && !self.accept_again) {
                (false, _) => Some(Duration::ZERO),
                (true, false) => Some(RETRY),
                (true, true) if self.conns.is_empty() => None,
                (true, true) => Some(Duration::from_nanos(HOUSEKEEPING_NS)),
            };
            let answer = self.poll.poll(&mut events, timeout);
            self.bell.disarm();
            match answer {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now_ns = monotonic_ns();
            let mut accept = self.accept_again;
            for event in &events {
                if self.unrung >= QUIET_MAX {
                    self.pass_on();
                    self.take_replies(now_ns);
                }
                match event.token() {
                    WAKE => {}
                    TCP_LISTENER | UNIX_LISTENER => accept = true,
                    Token(slot) => {
                        let Some(handle) = self.conns.handle_at(slot as u32) else { continue };
                        if let Some(conn) = self.conns.get_mut(handle) {
                            conn.hung_up |= event.is_read_closed() || event.is_error();
                            conn.readable |= event.is_readable() || conn.hung_up;
                        }
                        self.serve(handle, now_ns);
                    }
                }
            }
            if accept {
                self.accept_again = self.accept(now_ns);
            }
            self.housekeep(now_ns);
            self.pass_on();
        }
    }

    /// Sees to what is in the lane, or has `control` see to it.
    fn pass_on(&mut self) {
        if std::mem::take(&mut self.unrung) == 0 && !std::mem::take(&mut self.goes_on) {
            return;
        }
        match self.control.try_take() {
            Some(has_lines) => self.goes_on = has_lines,
            None => self.lanes.events.ring(),
        }
    }

    /// Puts an event into the lane, to be passed on; it comes back when there is no room.
    fn say(&mut self, event: McpEvent) -> Result<(), McpEvent> {
        say(&mut self.lanes, &mut self.unrung, event)
    }

    /// Accepts what waits; true when some may be left.
    fn accept(&mut self, now_ns: u64) -> bool {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let tcp = self.tcp.as_ref().map(|listener| listener.accept().map(|(stream, _)| Stream::Tcp(stream)));
            let accepted = match (tcp, &self.unix) {
                (Some(Err(error)), Some(unix)) if error.kind() == ErrorKind::WouldBlock => {
                    unix.accept().map(|(stream, _)| Stream::Unix(stream))
                }
                (Some(accepted), _) => accepted,
                (None, Some(unix)) => unix.accept().map(|(stream, _)| Stream::Unix(stream)),
                (None, None) => return false,
            };
            match accepted {
                Ok(stream) => self.take(stream, now_ns),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.metrics.mcp.accept_errors.add(1);
                    return true;
                }
            }
        }
        true
    }

    fn take(&mut self, stream: Stream, now_ns: u64) {
        if let Stream::Tcp(stream) = &stream {
            let _ = stream.set_nodelay(true);
        }
        let own_user = stream.is_own_user();
        let speaks = Speaks::Lines(LinesSide::default());
        if !self.make_room(now_ns) {
            return self.turn_away(stream, speaks, now_ns);
        }
        let Some(handle) = self.insert(stream, speaks, FIRST_LINE_NS_MAX, now_ns) else { return };
        if let Some(conn) = self.conns.get_mut(handle) {
            conn.known = own_user;
        }
        // Without a word to `control` it is nobody; a lane that is full is full of those before it.
        if self.say(McpEvent::Open { conn: handle, own_user }).is_err() {
            self.conns.remove(handle);
            return;
        }
        self.serve(handle, now_ns);
    }

    /// Watches a connection, which is to have said something within `allowed_ns`; `None` when there is no room for it.
    fn insert(&mut self, stream: Stream, speaks: Speaks, allowed_ns: u64, now_ns: u64) -> Option<Handle> {
        let handle = self.conns.insert_with(|_| Conn {
            stream,
            speaks,
            out: Output::default(),
            unsent: None,
            readable: true,
            hung_up: false,
            closing: false,
            leaving: false,
            known: false,
            answered: false,
            stuck: false,
            drain: false,
            opened_ns: now_ns,
            deadline_ns: Some(now_ns + allowed_ns),
            unread_ns: None,
        })?;
        let registry = self.poll.registry();
        let conn = self.conns.get_mut(handle)?;
        if registry.register(conn.stream.source(), Token(handle.slot as usize), INTEREST).is_err() {
            self.conns.remove(handle);
            return None;
        }
        self.metrics.mcp.accepted.add(1);
        self.metrics.mcp.connections.set(self.conns.len() as f64);
        Some(handle)
    }

    /// Goes on with one connection as far as it can.
    fn serve(&mut self, handle: Handle, now_ns: u64) {
        if !self.write(handle, now_ns) {
            return self.drop_conn(handle);
        }
        match self.conns.get_mut(handle).map(|conn| &conn.speaks) {
            Some(Speaks::Lines(_)) => self.serve_lines(handle, now_ns),
            Some(Speaks::Http(_)) => self.serve_http(handle, now_ns),
            None => {}
        }
    }

    fn serve_lines(&mut self, handle: Handle, now_ns: u64) {
        let mut read_bytes = 0;
        loop {
            let Self { conns, lanes, scratch, held, metrics, unrung, .. } = self;
            let Some(conn) = conns.get_mut(handle) else { return };
            let Speaks::Lines(side) = &mut conn.speaks else { return };
            if conn.leaving && conn.readable {
                if read_bytes >= VISIT_BYTES_MAX {
                    return self.visit_again(handle);
                }
                match conn.stream.read(scratch) {
                    // Whoever has said its last may still read.
                    Ok(0) if !conn.out.is_empty() => (side.ended, conn.readable) = (true, false),
                    Ok(0) => return self.drop_conn(handle),
                    Ok(taken) => read_bytes += taken,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => conn.readable = false,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return self.drop_conn(handle),
                }
                continue;
            }
            if side.waits || conn.unsent.is_some() || conn.closing {
                return;
            }
            let mut lines = Vec::with_capacity(side.framer.whole());
            let mut hopeless = false;
            while let Some(framed) = side.framer.next_line() {
                match framed {
                    Framed::Line(line) => lines.extend_from_slice(line),
                    Framed::TooLong => {}
                    Framed::Hopeless => hopeless = true,
                }
                lines.push(b'\n');
            }
            let ends = side.ended && !side.end_told;
            if !lines.is_empty() || ends {
                metrics.mcp.lines.add(memchr_iter(b'\n', &lines).count() as u64);
                conn.deadline_ns = None;
                side.end_told |= ends;
                conn.closing |= hopeless;
                let event = McpEvent::Lines { conn: handle, lines: Bytes::from(lines), ended: side.ended };
                match say(lanes, unrung, event) {
                    Ok(()) => side.waits = true,
                    Err(event) => {
                        conn.unsent = Some(event);
                        held.push(handle);
                    }
                }
                return;
            }
            let reads = conn.readable && !side.ended;
            if !reads || read_bytes >= VISIT_BYTES_MAX {
                if conn.deadline_ns.is_none() && !side.framer.is_empty() {
                    conn.deadline_ns = Some(now_ns + LINE_NS_MAX);
                }
                if reads {
                    self.visit_again(handle);
                }
                return;
            }
            match conn.stream.read(scratch) {
                Ok(0) => side.ended = true,
                Ok(taken) => {
                    read_bytes += taken;
                    side.framer.push(scratch.get(..taken).unwrap_or(&[]));
                    conn.readable = has_more(taken, scratch.len(), conn.hung_up);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => conn.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.drop_conn(handle),
            }
        }
    }

    /// Leaves the rest of what a connection has sent for the next turn: told anew what is waited for, the kernel says again what there is.
    fn visit_again(&mut self, handle: Handle) {
        let Some(conn) = self.conns.get_mut(handle) else { return };
        let (source, token) = (conn.stream.source(), Token(handle.slot as usize));
        if self.poll.registry().reregister(source, token, INTEREST).is_err() {
            self.drop_conn(handle);
        }
    }

    /// Writes what there is; false when the connection is over.
    fn write(&mut self, handle: Handle, now_ns: u64) -> bool {
        let Self { conns, lanes, unrung, .. } = self;
        let Some(conn) = conns.get_mut(handle) else { return true };
        let mut tell = |event| say(lanes, unrung, event);
        while !conn.out.is_empty() {
            match conn.out.write_to(&mut conn.stream) {
                Ok(0) => return false,
                Ok(_) => (conn.deadline_ns, conn.unread_ns) = (None, None),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    conn.unread_ns.get_or_insert(now_ns + UNREAD_NS_MAX);
                    if !conn.stuck {
                        // One that the lane has no room for is told of at the next write.
                        conn.stuck = tell(McpEvent::Stuck { conn: handle, stuck: true }).is_ok();
                    }
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        let left = conn.out.left();
        if conn.drain && left <= MCP_OUTPUT_BYTES_RESUME {
            // Tried again at the next write, or look at deadlines.
            conn.drain = tell(McpEvent::Drained { conn: handle, left }).is_err();
        }
        if left == 0 {
            if conn.stuck && tell(McpEvent::Stuck { conn: handle, stuck: false }).is_ok() {
                conn.stuck = false;
            }
            return !conn.closing || conn.speaks.waits() || self.drains(handle, now_ns);
        }
        left <= MCP_OUTPUT_BYTES_MAX
    }

    fn take_replies(&mut self, now_ns: u64) {
        while let Some(reply) = self.lanes.replies.pop() {
            match reply {
                McpReply::Lines { conn: handle, bytes, taken, close, known, drain } => {
                    let Some(conn) = self.conns.get_mut(handle).filter(|conn| !conn.leaving) else { continue };
                    let Speaks::Lines(side) = &mut conn.speaks else { continue };
                    side.waits &= !taken;
                    // It sent one line too many that is too long: with these it has all its answers.
                    let is_last = conn.closing && taken;
                    let has_words = !bytes.is_empty();
                    conn.out.push(bytes);
                    conn.closing |= close;
                    conn.known |= known;
                    conn.drain |= drain;
                    conn.answered = true;
                    if (is_last || (close && has_words)) && !side.ended {
                        self.leave(handle);
                    }
                    self.serve(handle, now_ns);
                }
                McpReply::Http { conn, status, extra, body } => {
                    if self.is_answered(conn, status != 401) {
                        self.answer_http(conn, status, extra, body, now_ns);
                    }
                }
                McpReply::Events { conn, lines, end } => {
                    if self.is_answered(conn, true) {
                        self.stream_http(conn, &lines, end, now_ns);
                    }
                }
            }
        }
    }

    /// Notes that `control` answers a connection, and whether it knows whose it is; false when nothing more is said there.
    fn is_answered(&mut self, handle: Handle, known: bool) -> bool {
        let Some(conn) = self.conns.get_mut(handle).filter(|conn| !conn.leaving) else { return false };
        conn.known |= known;
        conn.answered = true;
        true
    }

    /// What found the lane full.
    fn try_again(&mut self) {
        while let Some(handle) = self.gone.pop() {
            if self.say(McpEvent::Closed { conn: handle }).is_err() {
                self.gone.push(handle);
                return;
            }
        }
        for handle in std::mem::take(&mut self.held) {
            let Self { conns, lanes, unrung, held, .. } = self;
            let Some(conn) = conns.get_mut(handle) else { continue };
            let Some(event) = conn.unsent.take() else { continue };
            match say(lanes, unrung, event) {
                Ok(()) => {
                    if let Speaks::Lines(side) = &mut conn.speaks {
                        side.waits = true;
                    }
                }
                Err(event) => {
                    conn.unsent = Some(event);
                    held.push(handle);
                }
            }
        }
    }

    fn drop_conn(&mut self, handle: Handle) {
        let Some(mut conn) = self.conns.remove(handle) else { return };
        let _ = self.poll.registry().deregister(conn.stream.source());
        self.leaving -= usize::from(conn.leaving);
        self.metrics.mcp.connections.set(self.conns.len() as f64);
        if self.say(McpEvent::Closed { conn: handle }).is_err() {
            self.gone.push(handle);
        }
    }

    fn housekeep(&mut self, now_ns: u64) {
        if now_ns < self.housekeeping_ns {
            return;
        }
        self.housekeeping_ns = now_ns + HOUSEKEEPING_NS;
        for slot in 0..self.conns.slot_count() {
            let is_late = |conn: &mut Conn| {
                [conn.deadline_ns, conn.unread_ns].into_iter().flatten().any(|due_ns| due_ns <= now_ns)
            };
            let late = self.conns.at_mut(slot).is_some_and(is_late);
            if let Some(handle) = self.conns.handle_at(slot).filter(|_| late) {
                self.metrics.mcp.timeouts.add(1);
                self.drop_conn(handle);
            } else if let Some(handle) = self.conns.handle_at(slot) {
                // Also has `control` told what the lane had no room for.
                if self.conns.get_mut(handle).is_some_and(|conn| (conn.stuck || conn.drain) && conn.out.is_empty()) {
                    self.serve(handle, now_ns);
                }
                self.comment(handle, now_ns);
            }
        }
        self.police(now_ns);
    }
}
