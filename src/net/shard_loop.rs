//! One pinned network thread: the mio loop around a shard.
//!
//! Syscalls of a turn: one `epoll_wait`; `read` for readable connections; one `writev` per client and frame while the
//! kernel takes all of it; `close`; and, at most once per other thread, the `write` that wakes it.

use std::io::{ErrorKind, Result};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam::utils::CachePadded;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::outside::{Outside, Ready};
use super::shard::{Shard, ShardLanes, ShardOptions};
use crate::base::clock::monotonic_ns;
use crate::handoff::Doorbell;
use crate::metrics::ShardMetrics;

/// The waker's token; connections use their slot.
pub(super) const WAKE: Token = Token(usize::MAX);

/// Readiness events taken per `epoll_wait`; the rest comes with the next one.
const EVENTS_PER_TURN_MAX: usize = 1_024;

/// The kernel's clock and sockets.
struct Kernel {
    poll: Poll,
}

impl Outside for Kernel {
    type Handed = std::net::TcpStream;
    type Stream = TcpStream;

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn take(&mut self, handed: Self::Handed) -> TcpStream {
        TcpStream::from_std(handed)
    }

    fn watch(&mut self, stream: &mut TcpStream, slot: u32) -> Result<()> {
        self.poll.registry().register(stream, Token(slot as usize), Interest::READABLE | Interest::WRITABLE)
    }

    fn forget(&mut self, stream: &mut TcpStream) {
        // Dropping the socket does the same.
        let _ = self.poll.registry().deregister(stream);
    }

    fn end_writing(&mut self, stream: &mut TcpStream) {
        // A peer that is gone already sees no end.
        let _ = stream.shutdown(Shutdown::Write);
    }
}

/// A shard, and the poll that it sleeps in.
pub struct ShardLoop {
    shard: Shard<Kernel>,
    bell: Arc<Doorbell>,
}

impl ShardLoop {
    /// A shard over a poll whose waker `bell` rings.
    #[must_use]
    pub fn new(
        index: u8,
        poll: Poll,
        bell: Arc<Doorbell>,
        lanes: ShardLanes,
        options: ShardOptions,
        metrics: Arc<CachePadded<ShardMetrics>>,
        pool_low: Arc<AtomicBool>,
    ) -> Self {
        Self { shard: Shard::new(index, Kernel { poll }, lanes, options, metrics, pool_low), bell }
    }

    /// Bytes a shard takes at start.
    #[must_use]
    pub fn footprint() -> usize {
        Shard::<Kernel>::footprint() + EVENTS_PER_TURN_MAX * 16
    }

    /// Runs until a shutdown message has been served.
    ///
    /// # Errors
    /// When `epoll_wait` fails for another reason than a signal.
    pub fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        while self.shard.begin_turn() {
            self.wait(&mut events)?;
            self.shard.end_turn(events.iter().filter(|event| event.token() != WAKE).map(|event| Ready {
                slot: event.token().0 as u32,
                readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                writable: event.is_writable(),
            }));
        }
        Ok(())
    }

    /// Sleeps until a connection is ready, a lane has something, or it is time to housekeep.
    fn wait(&mut self, events: &mut Events) -> Result<()> {
        self.bell.arm();
        // Rounded up to whole milliseconds by epoll, which housekeeping does not mind.
        let patience = self.shard.patience();
        let answer = self.shard.outside_mut().poll.poll(events, patience);
        self.bell.disarm();
        match answer {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }
}
