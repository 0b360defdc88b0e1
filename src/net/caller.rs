//! The loop of connections that the engine makes itself: one to each [`Dialogue`], made when it wants one, and kept. A thread of its own, so
//! that nobody waits for a peer that does not answer, and a stop waits for none.
//!
//! Syscalls of a turn: `epoll_wait`; `socket` and `connect`; one `read` and one `write` for each connection that has something. Names of hosts
//! are looked up by a short-lived thread: the system's resolver cannot be told to hurry.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::shard_loop::WAKE;
use crate::base::clock::monotonic_ns;
use crate::handoff::{Consumer, Deed, Dialogue, Doorbell, Producer};
use crate::wire::{Framed, LineFramer};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Reads of one connection in a turn: one that never stops talking leaves the others their time.
const READS_PER_TURN_MAX: usize = 8;

/// Time after which a full lane is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// What a look-up has found, and for whom.
type Found = (usize, std::io::Result<Vec<SocketAddr>>);

/// One peer.
struct Line<D: Dialogue> {
    dialogue: D,
    stream: Option<TcpStream>,
    /// The stream is connected.
    up: bool,
    framer: LineFramer,
    /// The kernel may have more to read.
    readable: bool,
    /// Addresses that were not tried yet.
    addresses: VecDeque<SocketAddr>,
    /// A connection is wanted, and an address for it.
    wanted: bool,
    looking_up: bool,
    unsent: Option<D::Report>,
}

/// Everything the thread owns.
pub struct Caller<D: Dialogue> {
    poll: Poll,
    bell: Arc<Doorbell>,
    lines: Vec<Line<D>>,
    reports: Producer<D::Report>,
    stop: Consumer<()>,
    finder: Sender<Found>,
    found: Receiver<Found>,
    scratch: Box<[u8]>,
}

impl<D: Dialogue> Caller<D> {
    /// A loop over a poll whose waker `bell` rings.
    #[must_use]
    pub fn new(
        poll: Poll,
        bell: Arc<Doorbell>,
        dialogues: Vec<D>,
        reports: Producer<D::Report>,
        stop: Consumer<()>,
    ) -> Self {
        let (finder, found) = channel();
        let line = |dialogue| Line {
            dialogue,
            stream: None,
            up: false,
            framer: LineFramer::default(),
            readable: false,
            addresses: VecDeque::new(),
            wanted: false,
            looking_up: false,
            unsent: None,
        };
        let lines = dialogues.into_iter().map(line).collect();
        Self { poll, bell, lines, reports, stop, finder, found, scratch: vec![0; READ_BYTES].into_boxed_slice() }
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// When `epoll_wait` fails for another reason than a signal.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(64);
        loop {
            let now_ns = monotonic_ns();
            if self.stop.pop().is_some() {
                return Ok(());
            }
            while let Ok((index, outcome)) = self.found.try_recv() {
                self.looked_up(index, outcome, now_ns);
            }
            let mut reports_wait = false;
            for index in 0..self.lines.len() {
                self.turn(index, now_ns);
                reports_wait |= !self.tell(index);
            }
            let timeout = self.sleep(reports_wait, now_ns);
            self.bell.arm();
            let timeout = if self.stop.is_empty() { timeout } else { Duration::ZERO };
            let answer = self.poll.poll(&mut events, Some(timeout));
            self.bell.disarm();
            match answer {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if event.token() == WAKE {
                    continue;
                }
                let Some(line) = self.lines.get_mut(event.token().0) else { continue };
                line.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            }
        }
    }

    /// How long nothing is due.
    fn sleep(&self, reports_wait: bool, now_ns: u64) -> Duration {
        if self.lines.iter().any(|line| line.up && line.readable) {
            return Duration::ZERO;
        }
        let due_ns = self.lines.iter().map(|line| line.dialogue.due_ns()).min().unwrap_or(u64::MAX);
        let sleep = Duration::from_nanos(due_ns.saturating_sub(now_ns));
        // A poll sleeps in whole milliseconds, rounded up: what is due is due then.
        if reports_wait { sleep.min(RETRY) } else { sleep }
    }

    fn turn(&mut self, index: usize, now_ns: u64) {
        self.progress(index, now_ns);
        let Some(line) = self.lines.get_mut(index) else { return };
        match line.dialogue.turn(now_ns) {
            Deed::Go => {}
            Deed::Close => self.close(index),
            Deed::Connect => self.call(index, now_ns),
        }
        self.write(index, now_ns);
    }

    /// Hands over what there is to tell; false when the lane is full.
    fn tell(&mut self, index: usize) -> bool {
        let Self { lines, reports, .. } = self;
        let Some(line) = lines.get_mut(index) else { return true };
        while let Some(report) = line.unsent.take().or_else(|| line.dialogue.report()) {
            if let Err(report) = reports.push(report) {
                line.unsent = Some(report);
                return false;
            }
        }
        true
    }

    /// Begins to connect.
    fn call(&mut self, index: usize, now_ns: u64) {
        let Some(line) = self.lines.get_mut(index) else { return };
        line.addresses.clear();
        if let Ok(address) = line.dialogue.address().parse::<SocketAddr>() {
            line.addresses.push_back(address);
            return self.connect(index, "", now_ns);
        }
        line.wanted = true;
        // One that hangs is waited for by nobody, and there is never a second one: what it finds is taken by whoever wants it then.
        if std::mem::replace(&mut line.looking_up, true) {
            return;
        }
        let name = line.dialogue.address().to_owned();
        let (finder, bell) = (self.finder.clone(), Arc::clone(&self.bell));
        let look_up = move || {
            let outcome = name.to_socket_addrs().map(Iterator::collect);
            // The loop may be over.
            let _ = finder.send((index, outcome));
            bell.ring();
        };
        if let Err(error) = Builder::new().name("look-up".to_owned()).spawn(look_up) {
            line.looking_up = false;
            line.dialogue.lost(&format!("no thread to look the name up: {error}"), now_ns);
        }
    }

    fn looked_up(&mut self, index: usize, outcome: std::io::Result<Vec<SocketAddr>>, now_ns: u64) {
        let Some(line) = self.lines.get_mut(index) else { return };
        line.looking_up = false;
        if !std::mem::replace(&mut line.wanted, false) {
            return;
        }
        match outcome {
            Ok(addresses) => {
                line.addresses = addresses.into();
                self.connect(index, "the name has no address", now_ns);
            }
            Err(error) => line.dialogue.lost(&format!("the name cannot be looked up: {error}"), now_ns),
        }
    }

    /// Tries the next address; `why` is what became of the one before.
    fn connect(&mut self, index: usize, why: &str, now_ns: u64) {
        let mut why = why.to_owned();
        loop {
            let Some(line) = self.lines.get_mut(index) else { return };
            let Some(address) = line.addresses.pop_front() else {
                line.dialogue.lost(&why, now_ns);
                return;
            };
            let connected = TcpStream::connect(address).and_then(|mut stream| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(index), interest)?;
                Ok(stream)
            });
            match connected {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    (line.stream, line.up, line.readable) = (Some(stream), false, false);
                    line.framer = LineFramer::default();
                    return;
                }
                Err(error) => why = format!("{address}: {error}"),
            }
        }
    }

    fn close(&mut self, index: usize) {
        let Some(line) = self.lines.get_mut(index) else { return };
        if let Some(mut stream) = line.stream.take() {
            let _ = self.poll.registry().deregister(&mut stream);
        }
        (line.up, line.readable, line.wanted) = (false, false, false);
        line.addresses.clear();
    }

    fn lost(&mut self, index: usize, why: &str, now_ns: u64) {
        self.close(index);
        if let Some(line) = self.lines.get_mut(index) {
            line.dialogue.lost(why, now_ns);
        }
    }

    /// Goes on with a connection as far as it can.
    fn progress(&mut self, index: usize, now_ns: u64) {
        if !self.is_up(index, now_ns) {
            return;
        }
        for _ in 0..READS_PER_TURN_MAX {
            let Self { lines, scratch, .. } = self;
            let Some(line) = lines.get_mut(index).filter(|line| line.readable) else { return };
            let Some(stream) = &mut line.stream else { return };
            match stream.read(scratch) {
                Ok(0) => return self.lost(index, "it closed the connection", now_ns),
                Ok(taken) => line.framer.push(scratch.get(..taken).unwrap_or(&[])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => line.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.lost(index, &error.to_string(), now_ns),
            }
            let mut deed = Deed::Go;
            while let Some(framed) = line.framer.next_line() {
                deed = match framed {
                    Framed::Line(bytes) => line.dialogue.line(Some(bytes), now_ns),
                    Framed::TooLong | Framed::Hopeless => line.dialogue.line(None, now_ns),
                };
                if deed != Deed::Go {
                    break;
                }
            }
            if deed != Deed::Go {
                return self.close(index);
            }
        }
    }

    /// Whether there is a connection; finds out whether the one that was begun stands.
    fn is_up(&mut self, index: usize, now_ns: u64) -> bool {
        let Some(line) = self.lines.get_mut(index) else { return false };
        let Some(stream) = &line.stream else { return false };
        if line.up {
            return true;
        }
        let failed = match stream.take_error() {
            Ok(None) => match stream.peer_addr() {
                Ok(_) => None,
                Err(error) if error.kind() == ErrorKind::NotConnected => return false,
                Err(error) => Some(error),
            },
            Ok(Some(error)) | Err(error) => Some(error),
        };
        match failed {
            None => {
                line.up = true;
                line.dialogue.connected(now_ns);
                true
            }
            Some(error) => {
                let addresses = std::mem::take(&mut line.addresses);
                self.close(index);
                if let Some(line) = self.lines.get_mut(index) {
                    line.addresses = addresses;
                }
                self.connect(index, &error.to_string(), now_ns);
                false
            }
        }
    }

    fn write(&mut self, index: usize, now_ns: u64) {
        let Some(line) = self.lines.get_mut(index).filter(|line| line.up) else { return };
        let mut sent = 0;
        let outcome = loop {
            let Some(stream) = &mut line.stream else { return };
            let Some(rest) = line.dialogue.out().get(sent..).filter(|rest| !rest.is_empty()) else { break Ok(()) };
            match stream.write(rest) {
                Ok(0) => break Err("it closed the connection".to_owned()),
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error.to_string()),
            }
        };
        line.dialogue.out().drain(..sent);
        if let Err(why) = outcome {
            self.lost(index, &why, now_ns);
        }
    }
}
