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

/// Words that some connection may not have sent yet.
#[derive(Debug, Default)]
pub(super) struct News {
    bytes: usize,
    /// When they go out on their own.
    due_ns: Option<u64>,
}

impl News {
    /// How long they can wait still, ns; `None` when there are none.
    pub(super) fn left_ns(&self, now_ns: u64) -> Option<u64> {
        self.due_ns.map(|due_ns| due_ns.saturating_sub(now_ns))
    }
}

impl<P: Platform> Shard<P> {
    /// Queues words for everybody.
    pub(super) fn spread(&mut self, text: &Bytes, now_ns: u64) {
        for (_, conn) in self.conns.iter_mut() {
            if !conn.out.text(text) {
                conn.out.close_unread();
                queue(&mut self.ready, conn);
            }
        }
        self.news.bytes += text.len();
        let held_ns = if self.news.bytes > HELD_BYTES_MAX { 0 } else { HELD_NS };
        let due_ns = now_ns + held_ns;
        self.news.due_ns = Some(self.news.due_ns.map_or(due_ns, |before| before.min(due_ns)));
    }

    /// Sends what no frame took along in time.
    pub(super) fn pass_news(&mut self, now_ns: u64) {
        if self.news.left_ns(now_ns) != Some(0) {
            return;
        }
        self.news = News::default();
        for (_, conn) in self.conns.iter_mut() {
            if conn.out.private_bytes() > 0 {
                queue(&mut self.ready, conn);
            }
        }
    }
}
