//! Plays a plan: threads with a mio loop each, which connect clients, read what comes, send what is due, and record.

mod calls;
mod cutter;
mod handshake;
mod owed;
mod schedule;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::plan::Plan;

/// Which part of every group's clients one generator makes: client `i` is its own when `i % of == index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// Generators in all, at least 1.
    pub of: u32,
}

/// What a generator is to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The whole plan; also of rates only a share is this generator's.
    pub plan: Arc<Plan>,
    /// Its part.
    pub share: Share,
    /// When the run starts, monotonic ns of this host.
    pub start_ns: u64,
    /// Of each group's server.
    pub offsets: Arc<Offsets>,
}

/// Per group: the server's monotonic clock minus ours, ns. Written by whoever measures it, read for every frame.
#[derive(Debug)]
pub struct Offsets(Vec<AtomicI64>);

impl Offsets {
    /// All clocks are one.
    #[must_use]
    pub fn none(groups: usize) -> Self {
        Self((0..groups).map(|_| AtomicI64::new(0)).collect())
    }

    /// Sets a group's. Relaxed: a frame may be read with the one before.
    pub fn set(&self, group: usize, offset_ns: i64) {
        if let Some(place) = self.0.get(group) {
            place.store(offset_ns, Ordering::Relaxed);
        }
    }

    /// A group's.
    #[must_use]
    pub fn get(&self, group: usize) -> i64 {
        self.0.get(group).map_or(0, |place| place.load(Ordering::Relaxed))
    }
}
