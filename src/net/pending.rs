//! A connection while the door has it: what it sent, what it waits for, what it is being answered.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

use bytes::Bytes;
use mio::net::TcpStream;

use crate::handoff::Transport;

/// Bytes that a connection keeps room for between two requests.
const ROOM_BYTES: usize = 16 << 10;

/// Where a connection stands.
#[derive(Debug)]
pub enum State {
    /// Its request or hello line is not whole yet.
    Reading,
    /// It is to be a stream: `control` is asked, then a shard is to take it. `switching` is the answer that lets it in.
    Opening {
        /// Bytes that go out first.
        switching: Vec<u8>,
    },
    /// `control` is asked for a page.
    Asking {
        /// Another request may follow.
        keep_alive: bool,
        /// Only the head of the answer is wanted.
        head_only: bool,
    },
    /// An answer is on its way out.
    Answering {
        /// Status line, headers and the first bytes of the body.
        head: Vec<u8>,
        /// The rest, which many answers may share.
        body: Bytes,
        /// Bytes of both that the kernel took.
        sent: usize,
        /// Of those, the ones that have bought time already.
        paid: usize,
        /// Another request may follow.
        keep_alive: bool,
    },
}

/// A connection of the door.
#[derive(Debug)]
pub struct Pending {
    /// Non-blocking.
    pub stream: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// By the listener it came through.
    pub transport: Transport,
    /// Bytes that nothing was made of yet.
    pub received: Vec<u8>,
    /// Bytes of the head and the body that are coming in; 0 until the head is whole.
    pub needs: usize,
    /// Where it stands.
    pub state: State,
    /// When it has to have moved on, ns.
    pub deadline_ns: u64,
    /// Nothing was answered on it yet.
    pub fresh: bool,
    /// It waits among those that had their share of a turn.
    pub queued: bool,
}

impl Pending {
    /// One that was accepted just now.
    pub fn new(stream: TcpStream, peer: SocketAddr, transport: Transport, deadline_ns: u64) -> Self {
        let (received, state) = (Vec::new(), State::Reading);
        Self { stream, peer, transport, received, needs: 0, state, deadline_ns, fresh: true, queued: false }
    }

    /// Whether it is worth looking at what was received: a head is not taken apart again for every piece of its body.
    pub fn may_be_whole(&self) -> bool {
        !self.received.is_empty() && self.received.len() >= self.needs
    }

    /// Forgets the first `bytes` received, which a request was made of, and the room that a long body took.
    ///
    /// # Panics
    /// When fewer were received.
    pub fn forget(&mut self, bytes: usize) {
        self.received.drain(..bytes);
        self.needs = 0;
        if self.received.capacity() > 2 * ROOM_BYTES {
            self.received.shrink_to(ROOM_BYTES);
        }
    }
}

/// What a read or a write came to.
pub enum Progress {
    /// Something was read, or everything written.
    Moved,
    /// The kernel has nothing, or takes nothing, for now.
    Waits,
    /// The peer is gone.
    Gone,
}

/// Reads once. What was read before was an unfinished head or body, so this holds at most both and one read.
pub fn read_more(pending: &mut Pending, scratch: &mut [u8]) -> Progress {
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

/// Writes the rest of `head` and `body` behind the `sent` bytes that are out already.
pub fn write_more(stream: &mut TcpStream, head: &[u8], body: &[u8], sent: &mut usize) -> Progress {
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
