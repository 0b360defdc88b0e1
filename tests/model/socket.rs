//! A socket without a kernel: two queues of bytes, edges of readiness as epoll tells them, and faults.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::rc::Rc;

use swarmcast::net::{Platform, Ready};

use super::chance::Chance;

/// What the two ends of a connection share.
#[derive(Debug)]
pub struct Pipe {
    chance: Chance,
    /// Every byte that the kernel took from the server; the client has read up to `read`.
    pub taken: Vec<u8>,
    pub read: usize,
    /// Bytes that may wait for the client.
    pub capacity: usize,
    /// How many bytes a write takes at most, and how rarely one takes none.
    pub step_max: usize,
    pub refuse_one_in: u64,
    /// A write found no room: there will be an edge.
    wants_room: bool,
    /// What the client has sent and the server has not read.
    inbound: VecDeque<u8>,
    news: bool,
    pub client_finished: bool,
    pub reset: bool,
    /// The server writes no more.
    pub server_finished: bool,
    /// The server has dropped it.
    pub server_gone: bool,
    slot: Option<u32>,
}

pub type Shared = Rc<RefCell<Pipe>>;

impl Pipe {
    pub fn new(mut chance: Chance) -> Shared {
        let capacity = chance.pick(&[300, 2_000, 20_000, 200_000]);
        Rc::new(RefCell::new(Self {
            chance,
            taken: Vec::new(),
            read: 0,
            capacity,
            step_max: usize::MAX,
            refuse_one_in: u64::MAX,
            wants_room: false,
            inbound: VecDeque::new(),
            news: false,
            client_finished: false,
            reset: false,
            server_finished: false,
            server_gone: false,
            slot: None,
        }))
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.taken.len() - self.read)
    }

    /// The client sends.
    pub fn send(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.inbound.extend(bytes);
        self.news = true;
    }

    pub fn finish(&mut self) {
        self.client_finished = true;
        self.news = true;
    }

    pub fn break_off(&mut self) {
        self.reset = true;
        self.news = true;
    }

    /// Whether the server has read all that was sent.
    pub fn is_heard(&self) -> bool {
        self.inbound.is_empty()
    }

    /// What epoll has to say since it was last asked; readiness to write is told along with every edge.
    fn edge(&mut self) -> Option<Ready> {
        let slot = self.slot?;
        let room = self.room() > 0 || self.reset;
        let writable = self.wants_room && room;
        if !writable && !self.news {
            return None;
        }
        let readable = std::mem::take(&mut self.news);
        self.wants_room &= !writable;
        Some(Ready { slot, readable, writable: room })
    }
}

/// The server's end.
pub struct Socket(pub Shared);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.borrow_mut().server_gone = true;
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut pipe = self.0.borrow_mut();
        if pipe.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if pipe.inbound.is_empty() {
            return if pipe.client_finished { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        if pipe.chance.one_in(50) {
            return Err(ErrorKind::Interrupted.into());
        }
        let most = into.len().min(pipe.inbound.len());
        let count = if pipe.chance.one_in(3) { pipe.chance.size(1, most) } else { most };
        for (place, byte) in into.iter_mut().zip(pipe.inbound.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        let mut pipe = self.0.borrow_mut();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(total > 0, "a write of nothing is a wasted call of the kernel");
        assert!(!pipe.server_finished, "nothing is written behind the end");
        if pipe.reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let refuse = pipe.refuse_one_in;
        if pipe.chance.one_in(refuse.saturating_mul(4)) {
            return Err(ErrorKind::Interrupted.into());
        }
        let step = pipe.step_max;
        let most = total.min(pipe.room()).min(step);
        if most == 0 || pipe.chance.one_in(refuse) {
            pipe.wants_room = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        // Every cut comes up: the whole, one byte, all but one, anywhere.
        let count = match (step == usize::MAX, pipe.chance.range(0, 4)) {
            (true, _) | (_, 0) => most,
            (_, 1) => 1,
            (_, 2) => (most - 1).max(1),
            _ => pipe.chance.size(1, most),
        };
        pipe.wants_room |= count < total;
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).take(count);
        pipe.taken.extend(bytes);
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The platform of one shard: the virtual clock, and the sockets it watches.
pub struct Virtual {
    clock: Rc<Cell<u64>>,
    watched: Vec<Shared>,
}

impl Virtual {
    pub fn new(clock: Rc<Cell<u64>>) -> Self {
        Self { clock, watched: Vec::new() }
    }

    /// Takes the edges there are.
    pub fn edges(&mut self) -> Vec<Ready> {
        self.watched.iter().filter_map(|pipe| pipe.borrow_mut().edge()).collect()
    }

    /// Whether an edge waits.
    pub fn any_edge(&self) -> bool {
        let waits = |pipe: &Shared| {
            let pipe = pipe.borrow();
            pipe.slot.is_some() && (pipe.news || (pipe.wants_room && (pipe.room() > 0 || pipe.reset)))
        };
        self.watched.iter().any(waits)
    }
}

impl Platform for Virtual {
    type Handed = Socket;
    type Stream = Socket;

    fn now_ns(&self) -> u64 {
        self.clock.get()
    }

    fn take(&mut self, handed: Socket) -> Socket {
        handed
    }

    fn watch(&mut self, stream: &mut Socket, slot: u32) -> Result<()> {
        let mut pipe = stream.0.borrow_mut();
        pipe.slot = Some(slot);
        // Bytes that came before are an edge too.
        pipe.news = true;
        drop(pipe);
        self.watched.push(Rc::clone(&stream.0));
        Ok(())
    }

    fn forget(&mut self, stream: &mut Socket) {
        self.watched.retain(|pipe| !Rc::ptr_eq(pipe, &stream.0));
    }

    fn end_writing(&mut self, stream: &mut Socket) {
        stream.0.borrow_mut().server_finished = true;
    }
}
