//! What a shard does between its turns: it waits, and asks silent clients whether they are there.

use std::time::Duration;

use bytes::Bytes;

use super::{HOUSEKEEPING_NS, Shard, queue};
use crate::base::Handle;
use crate::handoff::{StagePart, Transport};
use crate::net::conn::Conn;
use crate::net::liveness::{Sign, WS_PING};
use crate::net::platform::Platform;
use crate::wire::CloseCode;

/// Tells a connection what it has not been told of the stage, once nothing else waits for it.
pub(super) fn tell_stage<Stream>(stage: &[Option<Bytes>], conn: &mut Conn<Stream>, ready: &mut Vec<Handle>) {
    if conn.out.private_bytes() > 0 || !conn.untold.contains(&true) {
        return;
    }
    for (text, untold) in stage.iter().zip(&mut conn.untold) {
        if std::mem::take(untold) {
            let _ = text.as_ref().map(|text| conn.out.text(text));
        }
    }
    queue(ready, conn);
}

impl<P: Platform> Shard<P> {
    /// Whether a turn would find something to do, whatever the sockets say.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !(self.ready.is_empty()
            && self.lanes.frames.is_empty()
            && self.lanes.adopt.is_empty()
            && self.lanes.messages.is_empty())
    }

    /// How long it may sleep unless something happens; `None` for good. To be asked when the doorbell is armed.
    #[must_use]
    pub fn nap(&self) -> Option<Duration> {
        let for_good = self.conns.is_empty() && self.stopping.is_none() && self.ended.is_empty();
        match (self.has_work(), for_good) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => None,
            (false, false) => {
                let news_ns = self.news.left_ns(self.platform.now_ns()).unwrap_or(HOUSEKEEPING_NS);
                Some(Duration::from_nanos(news_ns.min(HOUSEKEEPING_NS)))
            }
        }
    }

    /// How long to look again before that, and whether it then does not sleep at all: it has its housekeeping to do.
    #[must_use]
    pub fn spin(&self) -> (Duration, bool) {
        // With nobody connected there is nothing to be quick for.
        let spin_ns = if self.conns.is_empty() { 0 } else { self.options.idle.spin_ns().min(HOUSEKEEPING_NS) };
        (Duration::from_nanos(spin_ns), spin_ns == HOUSEKEEPING_NS)
    }

    /// Says something to one connection; false of `say` is that it does not read.
    pub(super) fn tell(&mut self, handle: Handle, now_ns: u64, say: impl FnOnce(&mut Conn<P::Stream>) -> bool) {
        if let Some(conn) = self.conns.get_mut(handle)
            && !say(conn)
        {
            conn.out.close_unread();
        }
        self.serve(handle, false, now_ns);
    }

    /// The same to every connection.
    pub(super) fn tell_all(&mut self, mut say: impl FnMut(&mut Conn<P::Stream>) -> bool) {
        for (_, conn) in self.conns.iter_mut() {
            if !say(conn) {
                conn.out.close_unread();
            }
            queue(&mut self.ready, conn);
        }
    }

    /// Something for those who hear of it, and who are not ended when they do not read.
    ///
    /// It is sent at once, so that one message does not wait for the room of another.
    pub(super) fn tell_watchers(&mut self, now_ns: u64, mut say: impl FnMut(&mut Conn<P::Stream>)) {
        for slot in 0..self.conns.slot_count() {
            let Some(conn) = self.conns.at_mut(slot) else { continue };
            let before = conn.out.private_bytes();
            say(conn);
            if conn.out.private_bytes() > before {
                let handle = conn.origin.handle;
                self.serve(handle, false, now_ns);
            }
        }
    }

    /// Everybody is shown this from now on. Whoever has not read what it was told before gets it later, and only the newest.
    pub(super) fn set_stage(&mut self, part: StagePart, text: Bytes) {
        let Self { conns, stage, ready, .. } = self;
        let place = part as usize;
        if let Some(kept) = stage.get_mut(place) {
            *kept = Some(text);
        }
        for (_, conn) in conns.iter_mut() {
            if let Some(untold) = conn.untold.get_mut(place) {
                *untold = true;
            }
            tell_stage(stage, conn, ready);
        }
    }

    /// Gives back the last frames of slow classes, which would otherwise stay leased until their next one. Somebody
    /// who joins such a class now waits for that.
    pub(super) fn drop_old_fronts(&mut self) {
        let newest = self.front.iter().flatten().map(|frame| frame.stamp().published_ns).max();
        for front in &mut self.front {
            if front.as_ref().is_some_and(|frame| Some(frame.stamp().published_ns) < newest) {
                *front = None;
            }
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
