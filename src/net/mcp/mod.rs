//! The door of MCP: a mio loop that accepts TCP and Unix connections, takes lines apart and puts answers out. What a line means is
//! the business of `control`, which every whole line goes to.
//!
//! One `write` for each connection and turn. A connection has at most [`MCP_IN_FLIGHT_MAX`] lines with `control`; with more, or
//! with 4 MiB that its client does not read, nothing more is read of it: back-pressure, not memory.

mod peer;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token};

use self::peer::{Peer, Stream};
use super::shard_loop::WAKE;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::base::{Handle, Slab};
use crate::handoff::{Consumer, Doorbell, McpInput, McpListener, McpOutput, Producer};
use crate::limits::MCP_IN_FLIGHT_MAX;
use crate::mcp::Framed;

const TCP: Token = Token(usize::MAX - 1);
const UNIX: Token = Token(usize::MAX - 2);

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Answers taken in one turn.
const ANSWERS_PER_TURN_MAX: usize = 4_096;

/// Reads of one connection in one turn, of [`READ_BYTES`] each.
const READS_PER_TURN_MAX: usize = 4;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Bytes that a client has not read, from which nothing more is read of it.
const UNREAD_BYTES_HIGH: usize = 4 << 20;

/// The same, from which it is closed.
const UNREAD_BYTES_MAX: usize = 32 << 20;

/// Until the first whole message.
const FIRST_NS_MAX: u64 = 10 * SECOND_NS;

/// From the first byte of a line to its end.
const LINE_NS_MAX: u64 = 30 * SECOND_NS;

/// Time after which a full lane is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// Time between two looks at deadlines.
const HOUSEKEEPING_NS: u64 = 100 * MILLISECOND_NS;

/// The lanes of the door.
#[derive(Debug)]
pub struct McpLanes {
    /// door of MCP → control.
    pub lines: Producer<McpInput>,
    /// control → door of MCP.
    pub answers: Consumer<McpOutput>,
    /// main → door of MCP: stop.
    pub stop: Consumer<()>,
}

/// Everything the thread owns.
pub struct McpDoor {
    poll: Poll,
    bell: Arc<Doorbell>,
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
    lanes: McpLanes,
    peers: Slab<Peer>,
    /// Connections that are gone, of which `control` has not heard yet.
    gone: Vec<Handle>,
    /// Connections with something to do that no event will tell of: held lines, answers, bytes left in the kernel.
    busy: Vec<Handle>,
    scratch: Box<[u8]>,
    housekeeping_ns: u64,
    accept_again: bool,
}

/// Binds a Unix socket that only this user can open: its folder is made with mode 0700 if it is not there, the socket has 0600.
/// A socket that nobody listens at any more is replaced.
///
/// # Errors
/// When somebody listens there, or the system refuses.
pub fn bind_unix(path: &Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(std::io::Error::new(ErrorKind::AddrInUse, "another engine listens there")),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl McpDoor {
    /// A door over bound, non-blocking listeners and a poll whose waker `bell` rings, for so many connections at once.
    ///
    /// # Errors
    /// When a listener cannot be registered.
    pub fn new(
        poll: Poll,
        bell: Arc<Doorbell>,
        tcp: Option<std::net::TcpListener>,
        unix: Option<std::os::unix::net::UnixListener>,
        lanes: McpLanes,
        connections_max: usize,
    ) -> std::io::Result<Self> {
        let mut tcp = tcp.map(TcpListener::from_std);
        let mut unix = unix.map(UnixListener::from_std);
        if let Some(tcp) = &mut tcp {
            poll.registry().register(tcp, TCP, Interest::READABLE)?;
        }
        if let Some(unix) = &mut unix {
            poll.registry().register(unix, UNIX, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            bell,
            tcp,
            unix,
            lanes,
            peers: Slab::new(connections_max),
            gone: Vec::new(),
            busy: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            housekeeping_ns: 0,
            accept_again: false,
        })
    }

    /// Runs until told to stop; what is in the lane of answers is still written then.
    ///
    /// # Errors
    /// When `epoll_wait` fails for another reason than a signal.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            let stopping = self.lanes.stop.pop().is_some();
            self.take_answers();
            self.tell_gone();
            let now_ns = monotonic_ns();
            for handle in std::mem::take(&mut self.busy) {
                self.serve(handle, now_ns);
            }
            if stopping {
                return Ok(());
            }
            self.bell.arm();
            let waits = !self.lanes.answers.is_empty() || !self.lanes.stop.is_empty();
            let timeout = match (waits, self.busy.is_empty() && self.gone.is_empty() && !self.accept_again) {
                (true, _) => Some(Duration::ZERO),
                (false, false) => Some(RETRY),
                (false, true) if self.peers.is_empty() => None,
                (false, true) => Some(Duration::from_nanos(HOUSEKEEPING_NS)),
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
                match event.token() {
                    WAKE => {}
                    TCP | UNIX => accept = true,
                    Token(slot) => {
                        let Some(handle) = self.peers.handle_at(slot as u32) else { continue };
                        if let Some(peer) = self.peers.get_mut(handle) {
                            peer.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                            peer.writable |= event.is_writable();
                        }
                        self.serve(handle, now_ns);
                    }
                }
            }
            if accept {
                self.accept_again = self.accept(now_ns);
            }
            self.housekeep(now_ns);
        }
    }

    /// Accepts what waits; true when some may be left. A connection for which there is no place is closed at once.
    fn accept(&mut self, now_ns: u64) -> bool {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let accepted = match (&self.tcp, &self.unix) {
                (Some(tcp), unix) => match tcp.accept() {
                    Ok((stream, _)) => Ok(Stream::Tcp(stream)),
                    Err(error) => match unix {
                        Some(unix) => unix.accept().map(|(stream, _)| Stream::Unix(stream)),
                        None => Err(error),
                    },
                },
                (None, Some(unix)) => unix.accept().map(|(stream, _)| Stream::Unix(stream)),
                (None, None) => return false,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return true,
            };
            let listener = stream.listener();
            let Some(handle) = self.peers.insert_with(|_| Peer::new(stream, now_ns)) else { continue };
            let Some(peer) = self.peers.get_mut(handle) else { continue };
            let token = Token(handle.slot as usize);
            if peer.stream.register(self.poll.registry(), token).is_err() {
                self.peers.remove(handle);
                continue;
            }
            peer.held.push_back(McpInput::Opened { connection: handle, listener });
            self.serve(handle, now_ns);
        }
        true
    }

    /// Puts answers into the buffers of their connections.
    fn take_answers(&mut self) {
        for _ in 0..ANSWERS_PER_TURN_MAX {
            let Some(answer) = self.lanes.answers.pop() else { return };
            let Some(peer) = self.peers.get_mut(answer.connection) else { continue };
            peer.out.extend_from_slice(&answer.bytes);
            peer.asked = peer.asked.saturating_sub(answer.done as usize);
            peer.closing |= answer.close;
            if !std::mem::replace(&mut peer.is_busy, true) {
                self.busy.push(answer.connection);
            }
        }
    }

    /// Goes on with one connection as far as it can.
    fn serve(&mut self, handle: Handle, now_ns: u64) {
        let Some(peer) = self.peers.get_mut(handle) else { return };
        peer.is_busy = false;
        if peer.write().is_err() || peer.unsent() > UNREAD_BYTES_MAX {
            return self.close(handle);
        }
        let mut again = Self::hand_over(&mut self.lanes.lines, peer);
        for _ in 0..READS_PER_TURN_MAX {
            let room = peer.held.is_empty() && peer.asked < MCP_IN_FLIGHT_MAX && peer.unsent() < UNREAD_BYTES_HIGH;
            if !room || peer.ended || peer.closing {
                break;
            }
            if Self::take_lines(handle, peer) {
                again |= Self::hand_over(&mut self.lanes.lines, peer);
                continue;
            }
            if !peer.readable {
                break;
            }
            match peer.stream.read(&mut self.scratch) {
                Ok(0) => peer.ended = true,
                Ok(count) => {
                    let bytes = self.scratch.get(..count).unwrap_or(&[]);
                    peer.framer.push(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => peer.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(handle),
            }
        }
        // A line that waits for its turn is not a slow one.
        match peer.framer.has_partial() && !peer.framer.has_line() {
            true => drop(peer.line_since_ns.get_or_insert(now_ns)),
            false => peer.line_since_ns = None,
        }
        let room = peer.held.is_empty() && peer.asked < MCP_IN_FLIGHT_MAX && peer.unsent() < UNREAD_BYTES_HIGH;
        again |= !peer.held.is_empty()
            || (room && !peer.ended && !peer.closing && (peer.readable || peer.framer.has_line()));
        let over = peer.closing || (peer.ended && peer.asked == 0 && peer.held.is_empty());
        if over && peer.unsent() == 0 {
            return self.close(handle);
        }
        if again && !std::mem::replace(&mut peer.is_busy, true) {
            self.busy.push(handle);
        }
    }

    /// Whole lines of the framer to what is to be handed over; false when there is none.
    fn take_lines(connection: Handle, peer: &mut Peer) -> bool {
        while peer.asked + peer.held.len() < MCP_IN_FLIGHT_MAX {
            let input = match peer.framer.next_line() {
                None => break,
                Some(Framed::Line(line)) => McpInput::Line { connection, line: Bytes::copy_from_slice(line) },
                Some(Framed::TooLong) => McpInput::TooLong { connection },
                Some(Framed::Hopeless) => {
                    peer.closing = true;
                    break;
                }
            };
            peer.begun = true;
            peer.line_since_ns = None;
            peer.held.push_back(input);
        }
        !peer.held.is_empty()
    }

    /// Pushes what is held; true when the lane has no room for the rest.
    fn hand_over(lines: &mut Producer<McpInput>, peer: &mut Peer) -> bool {
        while let Some(input) = peer.held.pop_front() {
            let counts = matches!(input, McpInput::Line { .. } | McpInput::TooLong { .. });
            if let Err(input) = lines.push(input) {
                peer.held.push_front(input);
                return true;
            }
            peer.told = true;
            peer.asked += usize::from(counts);
        }
        false
    }

    fn close(&mut self, handle: Handle) {
        let Some(mut peer) = self.peers.remove(handle) else { return };
        peer.stream.deregister(self.poll.registry());
        if peer.told {
            self.gone.push(handle);
        }
    }

    fn tell_gone(&mut self) {
        while let Some(connection) = self.gone.pop() {
            if self.lanes.lines.push(McpInput::Closed { connection }).is_err() {
                return self.gone.push(connection);
            }
        }
    }

    /// Closes who says nothing, or does not end its line.
    fn housekeep(&mut self, now_ns: u64) {
        if now_ns < self.housekeeping_ns {
            return;
        }
        self.housekeeping_ns = now_ns + HOUSEKEEPING_NS;
        for slot in 0..self.peers.slot_count() {
            let Some(peer) = self.peers.at_mut(slot) else { continue };
            let silent = !peer.begun && now_ns >= peer.opened_ns + FIRST_NS_MAX;
            let slow = peer.line_since_ns.is_some_and(|since_ns| now_ns >= since_ns + LINE_NS_MAX);
            if (silent || slow)
                && let Some(handle) = self.peers.handle_at(slot)
            {
                self.close(handle);
            }
        }
    }
}

impl Stream {
    fn listener(&self) -> McpListener {
        match self {
            Self::Tcp(_) => McpListener::Tcp,
            Self::Unix(_) => McpListener::Unix,
        }
    }
}
