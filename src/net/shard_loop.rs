//! One pinned network thread: the mio loop around a shard.
//!
//! Syscalls of a turn: one `epoll_wait`; `read` for readable connections; one `send` or `writev` per client and frame while the
//! kernel takes all of it; `close`; and, at most once per other thread, the `write` that wakes it.

use std::io::{ErrorKind, Result};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crossbeam::utils::CachePadded;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::platform::{Platform, Ready};
use super::shard::{Shard, ShardLanes, ShardOptions};
use crate::base::clock::monotonic_ns;
use crate::handoff::{Doorbell, NetLimits};
use crate::metrics::ShardMetrics;

/// The waker's token; connections use their slot.
pub(super) const WAKE: Token = Token(usize::MAX);

/// Readiness events taken per `epoll_wait`; the rest comes with the next one.
const EVENTS_PER_TURN_MAX: usize = 1_024;

/// The kernel's clock and sockets.
struct Kernel {
    poll: Poll,
}

impl Platform for Kernel {
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

    /// The same with limits that may change while it runs, in place of those of its options.
    #[must_use]
    pub fn following(self, limits: Arc<NetLimits>) -> Self {
        Self { shard: self.shard.following(limits), ..self }
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

    /// Waits until a connection is ready, a lane has something, or it is time to housekeep.
    fn wait(&mut self, events: &mut Events) -> Result<()> {
        if self.look_again(events)? {
            return Ok(());
        }
        self.bell.arm();
        // Rounded up to whole milliseconds by epoll, which housekeeping does not mind.
        let nap = self.shard.nap();
        let answer = self.poll(events, nap);
        self.bell.disarm();
        answer
    }

    /// Looks at lanes and sockets for as long as the idle strategy spins; true when there is something to do. The bell is
    /// not armed meanwhile, so whoever pushes pays no call for the waking.
    fn look_again(&mut self, events: &mut Events) -> Result<bool> {
        let (spin, sleepless) = self.shard.spin();
        if spin.is_zero() {
            return Ok(false);
        }
        let until_ns = monotonic_ns() + spin.as_nanos() as u64;
        loop {
            self.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() || self.shard.has_work() {
                return Ok(true);
            }
            if monotonic_ns() >= until_ns {
                return Ok(sleepless);
            }
            std::hint::spin_loop();
        }
    }

    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> Result<()> {
        match self.shard.platform_mut().poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }
}
