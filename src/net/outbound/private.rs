//! Bytes that wait for one client alone: texts, pongs, a close.

use super::PRIVATE_BYTES_MAX;
use crate::limits::CHANGES_TOLD_BYTES_MAX;

/// Memory that stays once everything is sent. A buffer at most doubles when it grows, so that one which never held more
/// than half of this stays for good: the words of a changed graph allocate nothing each time.
const KEPT_BYTES_MAX: usize = PRIVATE_BYTES_MAX;

const _: () = assert!(2 * CHANGES_TOLD_BYTES_MAX <= KEPT_BYTES_MAX, "a change that is told keeps its memory");

/// The bytes, in the order in which they go out.
pub(super) struct Private {
    bytes: Vec<u8>,
    /// How many of them are sent already.
    sent: usize,
}

impl Private {
    /// With these to begin with.
    pub(super) fn new(first: Vec<u8>) -> Self {
        Self { bytes: first, sent: 0 }
    }

    /// What is not sent yet.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or(&[])
    }

    /// Where more is to be appended.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Moves over bytes that were taken; returns the rest of `taken`.
    pub(super) fn take(&mut self, taken: usize) -> usize {
        let of_these = taken.min(self.waiting().len());
        self.sent += of_these;
        let left = self.waiting().len();
        if left == 0 {
            self.empty();
        } else if self.sent >= left.max(PRIVATE_BYTES_MAX) {
            // A client that always leaves something unread never empties it. No more moves here than was sent since the
            // last time, so it costs a step per byte at most.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        taken - of_these
    }

    fn empty(&mut self) {
        self.sent = 0;
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_memory_stays_and_more_is_freed() {
        let mut private = Private::new(Vec::new());
        private.tail().extend_from_slice(&[1; CHANGES_TOLD_BYTES_MAX]);
        let capacity = private.bytes.capacity();
        assert_eq!(private.take(CHANGES_TOLD_BYTES_MAX + 5), 5, "what is left belongs to a frame");
        assert_eq!((private.waiting().len(), private.bytes.capacity()), (0, capacity));
        private.tail().extend_from_slice(&[1; KEPT_BYTES_MAX + 1]);
        assert_eq!((private.take(KEPT_BYTES_MAX), private.waiting().len()), (0, 1));
        assert_eq!((private.take(1), private.bytes.capacity()), (0, 0));
    }
}
