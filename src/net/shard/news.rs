//! Words to everybody wait for the next frame and go out in the same write: a change of the graph that two hundred viewers are told
//! would else cost as many calls of the kernel as their frames do.

use bytes::Bytes;

use super::{Shard, queue};
use crate::base::clock::MILLISECOND_NS;
use crate::net::platform::Platform;

/// How long words wait for a frame, ns: a little more than a tick at 60 Hz.
const HELD_NS: u64 = 20 * MILLISECOND_NS;

/// Bytes of words that wait. With the longest that follow they fit into what a connection may have queued.
const HELD_BYTES_MAX: usize = 16 << 10;

const _: () = assert!(HELD_BYTES_MAX + crate::limits::CHANGES_TOLD_BYTES_MAX < crate::net::outbound::PRIVATE_BYTES_MAX);

/// When the next connection may have waited long enough, ns; `None` while nobody waits.
#[derive(Debug, Default)]
pub(super) struct News(Option<u64>);

impl News {
    /// How long all words can wait still, ns; `None` when there are none.
    pub(super) fn left_ns(&self, now_ns: u64) -> Option<u64> {
        self.0.map(|due_ns| due_ns.saturating_sub(now_ns))
    }
}

impl<P: Platform> Shard<P> {
    /// Queues words for everybody.
    pub(super) fn spread(&mut self, text: &Bytes, now_ns: u64) {
        for (_, conn) in self.conns.iter_mut() {
            if conn.out.private_bytes() == 0 {
                conn.told_ns = now_ns;
            }
            if !conn.out.text(text) {
                conn.out.close_unread();
                queue(&mut self.ready, conn);
            } else if conn.out.private_bytes() > HELD_BYTES_MAX {
                queue(&mut self.ready, conn);
            }
        }
        self.news.0.get_or_insert(now_ns + HELD_NS);
    }

    /// Sends what no frame took along in time. Whoever had a frame meanwhile waits for the next with what came since.
    pub(super) fn pass_news(&mut self, now_ns: u64) {
        if self.news.left_ns(now_ns) != Some(0) {
            return;
        }
        let mut next_ns = None;
        for (_, conn) in self.conns.iter_mut().filter(|(_, conn)| conn.out.private_bytes() > 0) {
            let due_ns = conn.told_ns + HELD_NS;
            if due_ns <= now_ns {
                queue(&mut self.ready, conn);
            } else {
                next_ns = Some(next_ns.map_or(due_ns, |before: u64| before.min(due_ns)));
            }
        }
        self.news.0 = next_ns;
    }
}
