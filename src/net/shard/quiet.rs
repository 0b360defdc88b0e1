//! What a shard does between its turns: it waits, and asks silent clients whether they are there.

use std::io::{ErrorKind, Result};
use std::time::Duration;

use mio::Events;

use super::{HOUSEKEEPING_NS, Shard, queue};
use crate::base::Handle;
use crate::base::clock::monotonic_ns;
use crate::handoff::Transport;
use crate::net::liveness::{Sign, WS_PING};
use crate::wire::CloseCode;

impl Shard {
    /// Waits until a connection is ready, a lane has something, or it is time to housekeep.
    pub(super) fn wait(&mut self, events: &mut Events) -> Result<()> {
        if self.look_again(events)? {
            return Ok(());
        }
        self.bell.arm();
        // Rounded up to whole milliseconds by epoll, which housekeeping does not mind.
        let nap = Duration::from_nanos(HOUSEKEEPING_NS);
        let for_good = self.conns.is_empty() && self.stopping.is_none() && self.ended.is_empty();
        let timeout = match (self.has_work(), for_good) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => None,
            (false, false) => Some(nap),
        };
        let answer = self.poll(events, timeout);
        self.bell.disarm();
        answer
    }

    /// Looks at lanes and sockets for as long as the idle strategy spins; true when there is something to do. The bell is
    /// not armed meanwhile, so whoever pushes pays no call for the waking.
    fn look_again(&mut self, events: &mut Events) -> Result<bool> {
        // With nobody connected there is nothing to be quick for.
        let spin_ns = if self.conns.is_empty() { 0 } else { self.options.idle.spin_ns().min(HOUSEKEEPING_NS) };
        if spin_ns == 0 {
            return Ok(false);
        }
        let until_ns = monotonic_ns() + spin_ns;
        loop {
            self.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() || self.has_work() {
                return Ok(true);
            }
            if monotonic_ns() >= until_ns {
                // One that never sleeps has its housekeeping to do.
                return Ok(spin_ns == HOUSEKEEPING_NS);
            }
            std::hint::spin_loop();
        }
    }

    fn has_work(&self) -> bool {
        !(self.ready.is_empty()
            && self.lanes.frames.is_empty()
            && self.lanes.adopt.is_empty()
            && self.lanes.messages.is_empty())
    }

    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// Asks a client that has been silent for too long, and ends the connection of one that gave no answer. Over raw TCP
    /// the kernel does both.
    pub(super) fn look_for_sign(&mut self, handle: Handle, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(handle) else { return };
        if conn.out.transport() == Transport::Tcp || conn.out.is_closing() {
            return;
        }
        let flushed = conn.out.private_bytes() == 0;
        match conn.liveness.look(now_ns, self.options.patience, flushed) {
            Sign::Fine => {}
            Sign::Ask => {
                self.metrics.pings.add(1);
                conn.out.private_mut().extend_from_slice(&WS_PING);
                queue(&mut self.ready, conn);
            }
            Sign::Dead => {
                self.metrics.dead.add(1);
                // Nobody is likely to hear it, so there is nothing to wait for.
                conn.out.close(CloseCode::TryLater, "no answer to a ping (net.pong_seconds)");
                self.serve(handle, false, now_ns);
                self.remove(handle);
            }
        }
    }
}
