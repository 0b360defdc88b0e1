//! The block of the `store` thread.

use super::{Counter, Gauge, Histogram};
use crate::base::clock::monotonic_ns;

/// Written by `store`.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Transactions that committed batches.
    pub commits: Counter,
    /// Batches committed.
    pub entries: Counter,
    /// Times that nothing could be committed any more.
    pub failures: Counter,
    /// 1 while that is so.
    pub failed: Gauge,
    /// Layouts kept.
    pub layouts: Counter,
    /// What a transaction takes, fsync included.
    pub commit: Histogram,
    /// When the thread last showed that it turns, monotonic ns.
    pub beat_ns: Counter,
}

impl StoreMetrics {
    /// The thread turns.
    pub fn beat(&self) {
        self.beat_ns.add(monotonic_ns().saturating_sub(self.beat_ns.get()));
    }
}
