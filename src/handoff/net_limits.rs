//! How long connections may take for what, and how much they may cost: set by `control` while they run, read by the threads that hold
//! them to it.

use super::sync::{AtomicU64, Ordering};

/// One of [`NetLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetLimit {
    /// From accept to a whole request, ns.
    Handshake,
    /// How long a connection may wait for room in a lane, ns.
    Hold,
    /// Silence of a client until it is asked for a sign of life, ns.
    Ping,
    /// How long that sign may take, ns.
    Pong,
    /// How long a connection may take nothing, ns.
    Stall,
    /// Longest lease on a frame before its rest is copied, ns.
    Lease,
    /// Bytes of such copies of one shard.
    CopyBytes,
}

impl NetLimit {
    /// Each, in order.
    pub const ALL: [Self; 7] =
        [Self::Handshake, Self::Hold, Self::Ping, Self::Pong, Self::Stall, Self::Lease, Self::CopyBytes];
}

/// All of them. Relaxed on both sides: each is a number of its own, and nothing hangs on what was written before.
#[derive(Debug)]
pub struct NetLimits([AtomicU64; NetLimit::ALL.len()]);

impl NetLimits {
    /// These.
    #[must_use]
    pub fn new(of: impl Fn(NetLimit) -> u64) -> Self {
        Self(NetLimit::ALL.map(|which| AtomicU64::new(of(which))))
    }

    /// What holds now.
    #[must_use]
    pub fn get(&self, which: NetLimit) -> u64 {
        self.0.get(which as usize).map_or(0, |limit| limit.load(Ordering::Relaxed))
    }

    /// From now on; the threads look at it at least every 100 ms. Gives back what holds.
    pub fn set(&self, which: NetLimit, value: u64) -> u64 {
        if let Some(limit) = self.0.get(which as usize) {
            limit.store(value, Ordering::Relaxed);
        }
        self.get(which)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_is_kept_by_itself() {
        let limits = NetLimits::new(|which| which as u64 + 10);
        assert_eq!(limits.set(NetLimit::Pong, 7), 7);
        assert_eq!((limits.get(NetLimit::Handshake), limits.get(NetLimit::Ping)), (10, 12));
        assert_eq!((limits.get(NetLimit::Pong), limits.get(NetLimit::CopyBytes)), (7, 16));
    }
}
