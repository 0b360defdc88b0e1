//! One connection of the door of MCP.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::handoff::McpInput;
use crate::mcp::Framer;

/// Bytes of the buffer of answers that are kept when it is empty.
const KEPT_BYTES: usize = 64 << 10;

/// Its socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                registry.register(stream, token, interest)
            }
            Self::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // It is closed right behind this.
        let _ = match self {
            Self::Tcp(stream) => registry.deregister(stream),
            Self::Unix(stream) => registry.deregister(stream),
        };
    }

    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: Stream,
    pub(super) framer: Framer,
    /// What `control` has to hear next, when its lane is full.
    pub(super) held: VecDeque<McpInput>,
    /// Answers, and how much of them is out.
    pub(super) out: Vec<u8>,
    sent: usize,
    /// Lines that `control` has and is not done with.
    pub(super) asked: usize,
    pub(super) opened_ns: u64,
    /// When the present line began.
    pub(super) line_since_ns: Option<u64>,
    /// A whole line has come.
    pub(super) begun: bool,
    /// `control` has heard of it.
    pub(super) told: bool,
    /// The kernel may have bytes.
    pub(super) readable: bool,
    /// The kernel may take bytes.
    pub(super) writable: bool,
    /// The client has closed its side.
    pub(super) ended: bool,
    /// It is to be closed when everything is out.
    pub(super) closing: bool,
    /// It is among those to be gone on with.
    pub(super) is_busy: bool,
}

impl Peer {
    pub(super) fn new(stream: Stream, now_ns: u64) -> Self {
        Self {
            stream,
            framer: Framer::default(),
            held: VecDeque::new(),
            out: Vec::new(),
            sent: 0,
            asked: 0,
            opened_ns: now_ns,
            line_since_ns: None,
            begun: false,
            told: false,
            readable: true,
            writable: true,
            ended: false,
            closing: false,
            is_busy: false,
        }
    }

    /// Bytes that the kernel has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Writes what it can. An error means that the peer is gone.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while self.writable && self.sent < self.out.len() {
            match self.stream.write(self.out.get(self.sent..).unwrap_or(&[])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.out.shrink_to(KEPT_BYTES);
            self.sent = 0;
        } else if self.sent > KEPT_BYTES * 16 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}
